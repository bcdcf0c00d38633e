// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU's arguments: nothing in the machine but what the tests need.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use irqstorm_agent::catalogue::Shape;
use irqstorm_agent::protocol::{CONTROL_PORT, REPORT_PORT};

use super::Accel;
use super::disk::{MachineDisk, Plug};
use super::host_files::HostFiles;
use crate::cli::Memory;

/// The kernel's command line.
///
/// `panic=-1` with QEMU's `-no-reboot` ends QEMU on a panic;
/// `printk.devkmsg=on` keeps the kernel from rate-limiting the agent's markers
/// (kernel/printk/printk.c, devkmsg_write()); `no_timer_check` because an
/// emulated timer on a busy host ticks too late for the check at boot, which
/// then panics (arch/x86/kernel/apic/io_apic.c, timer_irq_works()).
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 printk.devkmsg=on no_timer_check";

/// The sockets between QEMU and the rest.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    /// The device's socket for the disk: QEMU connects.
    pub(crate) disk: PathBuf,
    /// The device's control socket: QEMU connects, for the guest.
    pub(crate) control: PathBuf,
    /// The agent's reports: QEMU listens.
    pub(crate) report: PathBuf,
    /// QEMU's monitor: QEMU listens.
    pub(crate) monitor: PathBuf,
}

/// A guest to be.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The kernel's image.
    pub(crate) kernel: PathBuf,
    /// The initramfs.
    pub(crate) initramfs: PathBuf,
    /// The run's CPUs; each gets a queue of its own, which is what drives
    /// completions in hardirq (blk-mq.c: nr_ctx == 1), unless the shape says
    /// otherwise.
    pub(crate) cpus: u16,
    /// What the tests at hand want of it.
    pub(crate) shape: Shape,
    /// Memory.
    pub(crate) memory: Memory,
    /// What runs its CPUs.
    pub(crate) accel: Accel,
    /// Its disk.
    pub(crate) disk: MachineDisk,
    /// Its channels.
    pub(crate) sockets: Sockets,
    /// The host's files, for a program of the host.
    pub(crate) host_files: Option<HostFiles>,
}

impl Machine {
    /// The arguments. The console is QEMU's stdin and stdout.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut line = Line::default();
        let cpus = self.shape.cpus(self.cpus);
        let mib = self.memory.0;
        line.flag("-nodefaults")
            .flag("-no-user-config")
            .flag("-no-reboot");
        line.option("-display", "none");
        line.option("-machine", "q35,memory-backend=ram");
        match self.accel {
            Accel::Kvm => line.option("-accel", "kvm").option("-cpu", "host"),
            Accel::Tcg => line.option("-accel", "tcg,thread=multi"),
            Accel::TcgByTurns => line.option("-accel", "tcg,thread=single"),
        };
        line.option("-smp", format!("cpus={cpus},maxcpus={cpus}"));
        line.option("-m", format!("{mib}M"));
        // Shared, or the device cannot reach the guest's memory.
        line.option(
            "-object",
            format!("memory-backend-memfd,id=ram,size={mib}M,share=on"),
        );
        line.option("-kernel", &self.kernel);
        line.option("-initrd", &self.initramfs);
        line.option("-append", self.command_line());
        line.option("-chardev", "stdio,id=console,signal=off");
        line.option("-serial", "chardev:console");
        let queues = self.shape.queues(self.cpus);
        self.disk.arguments(&mut line, &self.sockets, queues);
        self.ports(&mut line);
        if let Some(files) = &self.host_files {
            files.arguments(&mut line);
        }
        line.0
    }

    /// What the monitor is told for the disk to be plugged in; `None` if it can
    /// not be unplugged.
    pub(crate) fn plug(&self) -> Option<Plug> {
        self.disk.plug(&self.sockets, self.shape.queues(self.cpus))
    }

    /// The kernel's command line.
    fn command_line(&self) -> String {
        let mut words = vec![COMMAND_LINE.to_owned()];
        // Documentation/admin-guide/kernel-parameters.txt: of those that are
        // there, so many are brought up.
        words.extend(self.shape.online.map(|cpus| format!("maxcpus={cpus}")));
        let queues = self.shape.queues(self.cpus);
        words.extend(self.disk.words(queues, self.shape.cpus(self.cpus)));
        words.extend(self.shape.words.iter().map(|word| (*word).to_owned()));
        words.join(" ")
    }

    fn ports(&self, line: &mut Line) {
        let Sockets {
            control,
            report,
            monitor,
            ..
        } = &self.sockets;
        line.option("-device", "virtio-serial-pci");
        line.option("-chardev", socket("report", report, true));
        line.option("-device", port("report", REPORT_PORT));
        if self.disk.is_scripted() {
            line.option("-chardev", socket("control", control, false));
            line.option("-device", port("control", CONTROL_PORT));
        }
        line.option("-chardev", socket("monitor", monitor, true));
        line.option("-mon", "chardev=monitor,mode=control");
    }
}

pub(super) fn port(chardev: &str, name: &str) -> String {
    format!("virtserialport,chardev={chardev},name={name}")
}

/// A socket's chardev; a comma in a path is doubled, as QEMU has it.
pub(super) fn socket(id: &str, path: &Path, listen: bool) -> OsString {
    let path = path.to_string_lossy().replace(',', ",,");
    let role = if listen { ",server=on,wait=off" } else { "" };
    format!("socket,id={id},path={path}{role}").into()
}

/// Arguments, one after the other.
#[derive(Default)]
pub(super) struct Line(Vec<OsString>);

impl Line {
    #[cfg(test)]
    pub(super) fn into_words(self) -> Vec<OsString> {
        self.0
    }

    fn flag(&mut self, name: &str) -> &mut Line {
        self.0.push(name.into());
        self
    }

    pub(super) fn option(&mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> &mut Line {
        self.0.push(name.into());
        self.0.push(value.as_ref().to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(accel: Accel, cpus: u16) -> Machine {
        Machine {
            kernel: "/k/bzImage".into(),
            initramfs: "/k/initramfs".into(),
            cpus,
            shape: Shape::RUN,
            memory: Memory(512),
            accel,
            disk: MachineDisk::VhostUser { reconnect: None },
            sockets: Sockets {
                disk: "/r/disk,1.sock".into(),
                control: "/r/control.sock".into(),
                report: "/r/report.sock".into(),
                monitor: "/r/monitor.sock".into(),
            },
            host_files: None,
        }
    }

    fn text(machine: &Machine) -> String {
        machine
            .arguments()
            .join(" ".as_ref())
            .into_string()
            .unwrap()
    }

    #[test]
    fn queues_and_maximal_cpus_equal_the_cpus_so_that_completions_are_hardirq() {
        let line = text(&machine(Accel::Tcg, 3));
        assert!(line.contains("-smp cpus=3,maxcpus=3"), "{line}");
        assert!(
            line.contains("vhost-user-blk-pci,chardev=disk,num-queues=3 "),
            "{line}"
        );
        assert!(!line.contains("vectors="), "{line}");
    }

    #[test]
    fn a_shape_has_its_own_cpus_queues_and_words() {
        let mut machine = machine(Accel::Tcg, 2);
        machine.shape = Shape {
            cpus: Some(4),
            queues: Some(1),
            online: Some(1),
            words: &["threadirqs"],
        };
        let line = text(&machine);
        assert!(line.contains("-smp cpus=4,maxcpus=4"), "{line}");
        assert!(line.contains("num-queues=1 "), "{line}");
        assert!(line.contains(" maxcpus=1 threadirqs "), "{line}");
    }

    #[test]
    fn the_memory_is_shared_and_of_one_size() {
        let line = text(&machine(Accel::Tcg, 2));
        assert!(line.contains("memory-backend-memfd,id=ram,size=512M,share=on"));
        assert!(line.contains("-m 512M") && line.contains("memory-backend=ram"));
    }

    #[test]
    fn the_accelerator_is_named_outright() {
        assert!(text(&machine(Accel::Tcg, 2)).contains("-accel tcg,thread=multi"));
        let by_turns = text(&machine(Accel::TcgByTurns, 2));
        assert!(by_turns.contains("-accel tcg,thread=single"));
        assert!(text(&machine(Accel::Kvm, 2)).contains("-accel kvm -cpu host"));
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        let line = text(&machine(Accel::Tcg, 2));
        assert!(line.contains("path=/r/disk,,1.sock"), "{line}");
    }

    #[test]
    fn both_ports_have_the_names_the_agent_looks_for() {
        let line = text(&machine(Accel::Tcg, 2));
        for name in [REPORT_PORT, CONTROL_PORT] {
            assert!(line.contains(&format!("name={name}")), "{line}");
        }
    }
}

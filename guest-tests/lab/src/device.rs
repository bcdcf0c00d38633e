// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device's process and the lab's own line to it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_core::control::{
    Command as Order, List, ListReply, Part, ReleaseReply, ScenarioReply, Selection, StatusReply,
};
use irqstorm_core::pattern::Replay;

use crate::cli::ControllerArguments;
use crate::control::Control;
use crate::failure::{Failure, io_failure};
use crate::interrupt;
use crate::process::{Process, describe};
use crate::qemu::MachineDisk;
use crate::repository::NamedScenario;

/// The disk: sparse, so that only what a test writes takes memory.
const DISK_MIB: u32 = 1024;

/// A device that is not there after so long does not come.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Between two looks whether it is.
const POLL: Duration = Duration::from_millis(20);

/// Its events are written out within this.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Held requests that a report shows.
const SHOWN_HELD: u32 = 100;

/// A disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Where its data is.
    pub(crate) store: Store,
    /// Whether it refuses writes.
    pub(crate) read_only: bool,
    /// Its logical block, in bytes.
    pub(crate) block_size: u32,
}

/// Where a disk's data is.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    /// In memory; empty, and of so many MiB.
    Memory(u32),
    /// In a file or on a block device, by a path that holds anywhere.
    File(PathBuf),
}

impl Default for Disk {
    fn default() -> Disk {
        Disk {
            store: Store::Memory(DISK_MIB),
            read_only: false,
            block_size: 512,
        }
    }
}

/// How the disk comes to QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// As virtio-blk.
    VhostUser,
    /// As an NVMe controller.
    VfioUser,
}

impl Transport {
    /// A machine's; `None` if QEMU serves the disk itself.
    pub(crate) fn of(disk: &MachineDisk) -> Option<Transport> {
        match disk {
            MachineDisk::VhostUser => Some(Transport::VhostUser),
            MachineDisk::VfioUser { .. } => Some(Transport::VfioUser),
            MachineDisk::Emulated(_) => None,
        }
    }
}

/// What to start it with.
#[derive(Clone, Debug)]
pub(crate) struct DeviceOptions {
    /// Its program.
    pub(crate) program: PathBuf,
    /// How the disk comes to QEMU.
    pub(crate) transport: Transport,
    /// Where QEMU connects.
    pub(crate) disk_socket: PathBuf,
    /// Where commands come in.
    pub(crate) control_socket: PathBuf,
    /// Its disk.
    pub(crate) disk: Disk,
    /// How it offers it.
    pub(crate) controller: ControllerArguments,
    /// The queues it offers.
    pub(crate) queues: u16,
    /// The seed of its random choices.
    pub(crate) seed: u64,
    /// Where its events go.
    pub(crate) events: PathBuf,
    /// Where its decisions go.
    pub(crate) record: PathBuf,
    /// Whether these two are written at all.
    pub(crate) writes: bool,
    /// The decisions to take again.
    pub(crate) replay: Option<PathBuf>,
    /// Whether its disk has to seem resized for a moment, or this QEMU raises
    /// no interrupt of the configuration.
    pub(crate) resizes: bool,
}

impl DeviceOptions {
    /// The arguments.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: OsString| line.extend([name.into(), value]);
        if self.transport == Transport::VfioUser {
            option("--transport", "vfio-user".into());
        }
        option("--socket-path", self.disk_socket.clone().into());
        option("--control", self.control_socket.clone().into());
        match &self.disk.store {
            Store::Memory(mib) => option("--ram", format!("{mib}M").into()),
            Store::File(path) => option("--blk-file", path.into()),
        }
        option("--block-size", self.disk.block_size.to_string().into());
        option("--num-queues", self.queues.to_string().into());
        option("--seed", self.seed.to_string().into());
        if self.writes {
            option("--events", self.events.clone().into());
            option("--record", self.record.clone().into());
        }
        if let Some(replay) = &self.replay {
            option("--replay", replay.clone().into());
        }
        if self.transport == Transport::VhostUser {
            let change = if self.resizes { "resized" } else { "told" };
            option("--config-change", change.into());
        }
        line.extend(self.controller.words());
        if self.disk.read_only {
            line.push("--read-only".into());
        }
        line
    }
}

/// The path of a recording that can be replayed, as it holds anywhere.
pub(crate) fn recording(path: &Path) -> Result<PathBuf, Failure> {
    let unusable = |reason: String| Failure::BadArgument {
        what: format!("{} as a recording", path.display()),
        reason,
    };
    let file = File::open(path).map_err(|error| {
        unusable(format!(
            "{error}; 'irqstorm run' leaves decisions.ndjson in its results folder"
        ))
    })?;
    Replay::read(BufReader::new(file)).map_err(|error| unusable(error.to_string()))?;
    path.canonicalize().map_err(io_failure("find", path))
}

/// A device that runs.
#[derive(Debug)]
pub(crate) struct Device {
    process: Process,
    control: Control,
}

impl Device {
    /// Starts it and waits until it listens. What it says goes to `log`.
    pub(crate) fn start(options: &DeviceOptions, log: &Path) -> Result<Device, Failure> {
        let output = File::create(log).map_err(io_failure("create", log))?;
        let errors = output.try_clone().map_err(io_failure("open", log))?;
        let mut command = Command::new(&options.program);
        command.args(options.arguments());
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut process = Process::start("irqstorm", &mut command)?;
        let control = wait_until_ready(&mut process, options, log)?;
        Ok(Device { process, control })
    }

    /// Puts a scenario in force.
    pub(crate) fn set_scenario(&mut self, scenario: &NamedScenario) -> Result<(), Failure> {
        let order = Order::Scenario {
            toml: scenario.to_toml(),
            name: scenario.name.clone(),
        };
        self.control.ask::<ScenarioReply>(&order).map(|_| ())
    }

    /// Makes it a disk that a guest can be booted from, whatever a test has
    /// left it as: a scenario that says nothing ends storms, phases, knobs that
    /// were turned and what is held by command; then all that is held goes, and
    /// after it the interrupts that are owed for what was shown without. Only
    /// marks stay counted, and what is planned already keeps its time. Whatever
    /// else a device can be told to stay in has to be ended here as well.
    pub(crate) fn quiet(&mut self) -> Result<(), Failure> {
        let nothing = Order::Scenario {
            toml: String::new(),
            name: "quiet".to_owned(),
        };
        self.control.ask::<ScenarioReply>(&nothing)?;
        for part in [Part::Both, Part::Interrupt] {
            let everything = Order::Release(Selection {
                part,
                ..Selection::default()
            });
            self.control.ask::<ReleaseReply>(&everything)?;
        }
        Ok(())
    }

    /// Its counters.
    pub(crate) fn status(&mut self) -> Result<StatusReply, Failure> {
        self.control.ask(&Order::Status {})
    }

    /// What it holds.
    pub(crate) fn held(&mut self) -> Result<ListReply, Failure> {
        self.control.ask(&Order::List(List {
            limit: Some(SHOWN_HELD),
            ..List::default()
        }))
    }

    /// How it ended, if it has: it should not.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.process.ended().map(describe)
    }

    /// Fails if it has ended: it will then not answer what `what` asks of it.
    pub(crate) fn check(&mut self, what: &str) -> Result<(), Failure> {
        match self.ended() {
            None => Ok(()),
            Some(ended) => Err(Failure::Program {
                what: format!("run {what}"),
                program: "irqstorm-device".into(),
                ended,
                detail: "; device.log in the results has its last words".into(),
            }),
        }
    }

    /// Ends it in order, so that its last events are written.
    pub(crate) fn end(mut self) {
        self.process.end(END_LIMIT);
    }
}

/// The control socket is opened after the disk's: who answers there is ready.
fn wait_until_ready(
    process: &mut Process,
    options: &DeviceOptions,
    log: &Path,
) -> Result<Control, Failure> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        interrupt::check()?;
        if options.disk_socket.exists() && options.control_socket.exists() {
            match Control::connect(&options.control_socket) {
                Ok(control) => return Ok(control),
                Err(failure) if Instant::now() >= deadline => return Err(failure),
                Err(_) => {}
            }
        }
        let ended = process.ended().map(describe);
        let late = (Instant::now() >= deadline)
            .then(|| format!("opened no socket within {} s", READY_LIMIT.as_secs()));
        if let Some(ended) = ended.or(late) {
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(Failure::Program {
                what: "start the device".into(),
                program: options.program.display().to_string(),
                ended,
                detail: format!("\n{}", said.trim_end()),
            });
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn what_is_no_recording_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.ndjson");
        let missing = recording(&path).unwrap_err();
        assert_eq!(missing.exit(), Exit::Usage);
        assert!(missing.to_string().contains("results folder"), "{missing}");
        fs::write(&path, "{\"queue\":0}\n").unwrap();
        let wrong = recording(&path).unwrap_err();
        assert_eq!(wrong.exit(), Exit::Usage);
        assert!(wrong.to_string().contains("line 1"), "{wrong}");
        fs::write(&path, "").unwrap();
        assert_eq!(recording(&path).unwrap(), path.canonicalize().unwrap());
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The command line, after QEMU's "backend program conventions"
//! (docs/interop/vhost-user.rst).

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum, ValueHint};
use clap_complete::Shell;
use irqstorm_front_end::Serial;
use irqstorm_vhost_blk::{ConfigChange, Features};

use crate::poll::Poll;
use crate::sandbox::Sandbox;
use crate::size::Size;
use crate::spin::Spin;

const EXAMPLES: &str = r#"Examples:
  A disk of 1 GiB in memory that completes as scenario.toml says, steered over ctl.sock:
    irqstorm-device --socket-path blk.sock --ram 1G --scenario scenario.toml --control ctl.sock

  The same disk beside QEMU (the guest's memory has to be shared):
    qemu-system-x86_64 ... \
      -object memory-backend-memfd,id=mem,size=512M,share=on -machine q35,memory-backend=mem \
      -chardev socket,id=blk,path=blk.sock -device vhost-user-blk-pci,chardev=blk,num-queues=2

  The same disk as an NVMe controller, for QEMU 10.1 or later:
    irqstorm-device --transport vfio-user --socket-path nvme.sock --ram 1G
    qemu-system-x86_64 ... \
      -object memory-backend-memfd,id=mem,size=512M,share=on -machine q35,memory-backend=mem \
      -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"nvme.sock"},
                "x-msg-timeout":600000}'

  The guest can steer its disk itself, over a port of its own:
      -device virtio-serial-pci -chardev socket,id=ctl,path=ctl.sock \
      -device virtserialport,chardev=ctl,name=irqstorm

  A device that is killed can be started again with the same line, and the guest's
  I/O goes on, if QEMU connects again (reconnect-ms=1000 from QEMU 9.2 on) and the
  disk is in a file:
      -chardev socket,id=blk,path=blk.sock,reconnect=1

  A file as the disk, every step of every completion written down:
    irqstorm-device --socket-path blk.sock --blk-file disk.raw --events events.ndjson

  The decisions of one run taken again in another:
    irqstorm-device --socket-path blk.sock --ram 1G --scenario s.toml --record run.ndjson
    irqstorm-device --socket-path blk.sock --ram 1G --scenario s.toml --replay run.ndjson

  Which rule of a scenario takes which requests:
    irqstorm-device --check-scenario s.toml

Once every socket is there, 'ready' is written to standard output; messages go to
standard error, as much as RUST_LOG asks for (info).

Exit codes:
  0  ended by SIGTERM or SIGINT, or the one connection of --fd has ended
  1  failed while running
  2  the command line, the scenario or the disk cannot be used"#;

/// A block device whose completions and interrupts are scripted, for QEMU's
/// vhost-user-blk-pci or its vfio-user-pci.
#[derive(Debug, Parser)]
#[command(name = "irqstorm-device", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(flatten)]
    pub(crate) disk: Disk,

    /// What the guest sees: a virtio disk (vhost-user), or an NVMe controller
    /// (vfio-user, QEMU 10.1 or later)
    #[arg(
        long,
        value_enum,
        value_name = "TRANSPORT",
        default_value = "vhost-user"
    )]
    pub(crate) transport: Transport,

    /// Queues offered at most, 64 with NVMe: QEMU's num-queues is how many
    /// there are, or the NVMe driver's choice
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) num_queues: u16,

    /// Entries of a ring at most: a power of two up to 1024, of which QEMU's
    /// queue-size is how many; with NVMe any number up to 4096
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) queue_size: u16,

    /// A feature not to offer, although the device has it; can be repeated
    #[arg(long, value_name = "FEATURE")]
    pub(crate) withhold: Vec<Features>,

    /// How the configuration vector's interrupt is brought about: 'told' leaves
    /// the config as it is, which is enough for QEMU 10.0; 'resized' shows the
    /// disk one block larger for a moment, which QEMU 7.2 needs
    #[arg(long, value_name = "HOW", default_value = "told")]
    pub(crate) config_change: ConfigChange,

    /// The script; without one, completions come at once, with an interrupt
    /// when the driver wants one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) scenario: Option<PathBuf>,

    /// The seed of all random decisions, whatever the scenario says; without
    /// either, one is chosen and logged
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How the last stretch before each planned time is waited through: asleep
    /// (off), spinning for so long (a time, as in 50us), or auto: spinning for
    /// as long as a wake-up takes here while there are more CPUs than queues
    /// and one
    #[arg(long, value_name = "auto|off|TIME", default_value = "auto")]
    pub(crate) spin: Spin,

    /// How an NVMe driver's doorbells come to the device; of the last two the
    /// guest has more requests a second, and the device takes more of a CPU
    #[arg(long, value_enum, value_name = "HOW", default_value = "shadow")]
    pub(crate) doorbells: Doorbells,

    /// NVMe namespaces that the disk is cut into, all of one size: the first has
    /// its beginning
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) namespaces: u16,

    /// How long the queues are looked into without sleeping after each request:
    /// a time, as in 50us, off, which is once, or auto: as long as four wake-ups
    /// take here, 50us at most, and 500us with --doorbells mapped. A driver
    /// need not kick meanwhile, and a CPU is taken; left out for a while where
    /// it finds nothing or others want the CPU; with mapped doorbells they get
    /// it between two looks
    #[arg(long, value_name = "auto|off|TIME", default_value = "auto")]
    pub(crate) poll: Poll,

    /// What becomes of a thread that asks the kernel for something that it does
    /// not need (seccomp)
    #[arg(long, value_name = "off|log|enforce", default_value = "off")]
    pub(crate) sandbox: Sandbox,

    /// Listen here for 'irqstorm ctl', the lab and the guest
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) control: Option<PathBuf>,

    /// Write every step of every completion here, a JSON object a line; a
    /// file of earlier events is replaced, a file of anything else refused
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) events: Option<PathBuf>,

    /// Write what is decided about each request here, for --replay; a file of
    /// earlier decisions is replaced, a file of anything else refused
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,

    /// Decide again what was recorded: the k-th request of the same kind, place
    /// and size gets what the k-th such one got; what was not recorded is
    /// decided by the scenario. A recording with decisions missing is refused
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) replay: Option<PathBuf>,

    /// With --check-scenario: as JSON
    #[arg(long, conflicts_with_all = ["socket_path", "fd", "print_capabilities", "completions"])]
    pub(crate) json: bool,
}

/// How the disk is brought to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// virtio-blk, for QEMU's vhost-user-blk-pci
    VhostUser,
    /// NVMe, for QEMU's vfio-user-pci
    VfioUser,
}

/// How an NVMe driver's doorbells come to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Doorbells {
    /// Each as a message of QEMU's; no other way is offered
    Socket,
    /// So until the driver keeps them in its memory (doorbell buffers, as Linux
    /// does), where --poll finds them without a message
    Shadow,
    /// As memory that the guest writes, with no message at all: the device looks
    /// there as --poll says, and from then on once a millisecond, which idle
    /// takes about a hundredth of a CPU; what comes after a pause waits so long
    Mapped,
}

/// How the front-end comes to the device.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Connection {
    /// Listen here for the front-end
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket_path: Option<PathBuf>,

    /// Serve the front-end on this inherited, connected socket, then end
    #[arg(long, value_name = "FDNUM", value_parser = clap::value_parser!(RawFd).range(3..))]
    pub(crate) fd: Option<RawFd>,

    /// Say what this program can do, as JSON, and end
    #[arg(long)]
    pub(crate) print_capabilities: bool,

    /// Read a scenario, say whether it can be used and which rule takes what,
    /// and end
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) check_scenario: Option<PathBuf>,

    /// Print completions for a shell, and end
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<Shell>,
}

/// How a file is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileIo {
    /// By io_uring where that can be and pays
    Auto,
    /// By io_uring
    Uring,
    /// One request after the other
    Sync,
}

/// Where the data is, and what the disk looks like.
#[derive(Args, Debug)]
pub(crate) struct Disk {
    /// A disk in memory, empty, of which only what is written takes room
    #[arg(long, value_name = "SIZE", group = "store")]
    pub(crate) ram: Option<Size>,

    /// A raw file or a block device
    #[arg(long, value_name = "FILE", group = "store", value_hint = ValueHint::FilePath)]
    pub(crate) blk_file: Option<PathBuf>,

    /// A disk that drops what is written and reads as zeroes
    #[arg(long, value_name = "SIZE", group = "store")]
    pub(crate) null: Option<Size>,

    /// Refuse writes
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Pass the host's page cache by (O_DIRECT)
    #[arg(long, requires = "blk_file", conflicts_with_all = ["ram", "null"])]
    pub(crate) direct: bool,

    /// How the file is read and written: by io_uring, which has many requests
    /// under way at once and keeps no completion or interrupt waiting for the
    /// disk (uring), one after the other (sync), or auto: by io_uring what waits
    /// for the disk, at once what the page cache has or takes, and all of it so
    /// where the kernel lacks io_uring or the file is in memory
    #[arg(
        long,
        value_enum,
        value_name = "auto|uring|sync",
        default_value = "auto"
    )]
    pub(crate) file_io: FileIo,

    /// Logical block size in bytes: 512, 1024, 2048 or 4096
    #[arg(long, value_name = "BYTES", default_value_t = 512, value_parser = block_size)]
    pub(crate) block_size: u32,

    /// What the guest sees as the disk's serial, up to 20 characters
    #[arg(long, value_name = "TEXT", default_value = "irqstorm")]
    pub(crate) serial: Serial,
}

fn block_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size @ (512 | 1024 | 2048 | 4096)) => Ok(size),
        _ => Err("512, 1024, 2048 or 4096".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn two_stores_are_refused() {
        let line = [
            "irqstorm-device",
            "--socket-path",
            "s",
            "--ram",
            "1M",
            "--null",
            "1M",
        ];
        assert!(Cli::try_parse_from(line).is_err());
    }
}

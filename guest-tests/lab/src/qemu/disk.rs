// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The disk under test as QEMU is told of it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::arguments::{Line, Sockets, socket};
use super::version::Reconnect;

/// Milliseconds that QEMU waits for an answer of the device: to be stopped in a
/// debugger, or starved, must not cost the guest its disk.
const ANSWER_LIMIT: u32 = 600_000;

/// QEMU's name of a disk that can be unplugged, and of its chardev.
pub(super) const DISK: &str = "disk";

/// Its name of the slot; that of a property of the port would do for none.
const SLOT: &str = "disk-slot";

const VHOST_USER: &str = "vhost-user-blk-pci";

const ACPI_HOT_PLUG: &str = "ICH9-LPC.acpi-pci-hotplug-with-bridge-support";

/// A disk as QEMU's monitor is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Plug {
    /// The arguments of `chardev-add`.
    pub(super) chardev: Value,
    /// The arguments of `device_add`.
    pub(super) device: Value,
}

/// The disk under test.
#[derive(Clone, Debug)]
pub(crate) enum MachineDisk {
    /// virtio-blk, served by the device over vhost-user.
    VhostUser {
        /// Of a disk that may go and come back: how QEMU is told to connect again
        /// when the device goes. It is in a slot from which it can be taken.
        reconnect: Option<Reconnect>,
    },
    /// An NVMe controller, served by the device over vfio-user.
    VfioUser {
        /// The queues that it offers to whoever boots.
        offered: u16,
        /// Whether its doorbells are memory of the guest's.
        mapped: bool,
    },
    /// QEMU's own NVMe controller; there is no device.
    Emulated(Image),
}

/// What QEMU's own controller keeps its data in.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// A raw file or a block device.
    pub(crate) path: PathBuf,
    /// Whether it refuses writes.
    pub(crate) read_only: bool,
    /// Its logical block, in bytes.
    pub(crate) block_size: u32,
}

impl MachineDisk {
    /// Whether the device serves it, and takes commands about it.
    pub(crate) fn is_scripted(&self) -> bool {
        !matches!(self, MachineDisk::Emulated(_))
    }

    /// Words for the kernel's command line, without which its driver would take
    /// another number of queues than there are to be, or a slot would have two
    /// masters.
    pub(super) fn words(&self, queues: u16, cpus: u16) -> Option<String> {
        match self {
            MachineDisk::VfioUser { offered, mapped } if queues < cpus.min(*offered) => {
                Some(fewer_nvme_queues(queues, offered - queues, *mapped))
            }
            // The agent is who empties and fills the slot, also where the kernel
            // could (drivers/pci/pcie/portdrv.c).
            MachineDisk::VhostUser { reconnect: Some(_) } => Some("pcie_ports=compat".to_owned()),
            _ => None,
        }
    }

    /// What QEMU's monitor is told for the disk to be plugged into its slot;
    /// `None` if it is in none.
    pub(super) fn plug(&self, sockets: &Sockets, queues: u16) -> Option<Plug> {
        let MachineDisk::VhostUser {
            reconnect: Some((option, value)),
        } = self
        else {
            return None;
        };
        let address = json!({ "type": "unix", "data": { "path": sockets.disk } });
        let mut data = json!({ "addr": address, "server": false });
        data[*option] = json!(value);
        Some(Plug {
            chardev: json!({ "id": DISK, "backend": { "type": "socket", "data": data } }),
            device: in_slot(queues),
        })
    }

    pub(super) fn arguments(&self, line: &mut Line, sockets: &Sockets, queues: u16) {
        match self {
            MachineDisk::VhostUser { reconnect: None } => {
                line.option("-chardev", socket(DISK, &sockets.disk, false));
                // Vectors are left to QEMU: queues + 1, so that each queue has
                // its own.
                line.option(
                    "-device",
                    format!("{VHOST_USER},chardev={DISK},num-queues={queues}"),
                );
            }
            MachineDisk::VhostUser {
                reconnect: Some((option, value)),
            } => {
                let mut chardev = socket(DISK, &sockets.disk, false);
                chardev.push(format!(",{option}={value}"));
                line.option("-chardev", chardev);
                // With ACPI's way to plug the slot has no registers for it.
                line.option("-global", format!("{ACPI_HOT_PLUG}=off"));
                line.option("-device", format!("pcie-root-port,id={SLOT},chassis=1"));
                device(line, in_slot(queues));
            }
            MachineDisk::VfioUser { .. } => device(
                line,
                json!({
                    "driver": "vfio-user-pci",
                    "socket": { "type": "unix", "path": sockets.disk },
                    "x-msg-timeout": ANSWER_LIMIT,
                }),
            ),
            MachineDisk::Emulated(image) => image.arguments(line, queues),
        }
    }
}

/// A vhost-user disk in the slot.
fn in_slot(queues: u16) -> Value {
    json!({
        "driver": VHOST_USER,
        "id": DISK,
        "bus": SLOT,
        "chardev": DISK,
        "num-queues": queues,
    })
}

/// NVMe's driver takes a queue for each CPU, as far as there are so many. It has
/// one if there is one interrupt for all, and else sets some apart for polling,
/// for which nothing here asks (drivers/nvme/host/pci.c, nvme_setup_irqs()).
/// With mapped doorbells QEMU now and then leaves the one line up for what was
/// read already (NVME.md, "What QEMU does"): that is not to be the kernel's fault.
fn fewer_nvme_queues(queues: u16, spare: u16, mapped: bool) -> String {
    match (queues, mapped) {
        (1, false) => "pci=nomsi".to_owned(),
        (1, true) => "pci=nomsi noirqdebug".to_owned(),
        _ => format!("nvme.poll_queues={spare}"),
    }
}

impl Image {
    fn arguments(&self, line: &mut Line, queues: u16) {
        let backend = json!({
            "node-name": "disk",
            "driver": "raw",
            "discard": "unmap",
            "read-only": self.read_only,
            "file": { "driver": "file", "filename": self.path },
        });
        line.option("-blockdev", backend.to_string());
        device(
            line,
            json!({
                "driver": "nvme",
                "serial": "irqstorm",
                "drive": "disk",
                "logical_block_size": self.block_size,
                "max_ioqpairs": queues,
                // One of its own for each, and for the admin queue.
                "msix_qsize": u32::from(queues) + 1,
            }),
        );
    }
}

/// A device as JSON, in which a path is a path whatever is in it.
fn device(line: &mut Line, description: Value) {
    line.option("-device", description.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> Sockets {
        Sockets {
            disk: "/r/disk,\"1.sock".into(),
            control: PathBuf::new(),
            report: PathBuf::new(),
            monitor: PathBuf::new(),
        }
    }

    fn line(disk: &MachineDisk) -> Vec<String> {
        let mut line = Line::default();
        disk.arguments(&mut line, &sockets(), 3);
        let words = line.into_words().into_iter();
        words.map(|word| word.into_string().unwrap()).collect()
    }

    fn description(words: &[String]) -> Value {
        serde_json::from_str(words.last().unwrap()).unwrap()
    }

    fn lasting() -> MachineDisk {
        let reconnect = Some(("reconnect-ms", 1000));
        MachineDisk::VhostUser { reconnect }
    }

    #[test]
    fn a_disk_that_outlives_its_device_is_connected_to_again() {
        let words = line(&lasting());
        assert!(
            words[1].ends_with("disk,,\"1.sock,reconnect-ms=1000"),
            "{words:?}"
        );
    }

    #[test]
    fn a_disk_is_plugged_in_again_as_it_was() {
        let sockets = sockets();
        let plug = lasting().plug(&sockets, 3).unwrap();
        assert_eq!(plug.device, description(&line(&lasting())));
        let data = &plug.chardev["backend"]["data"];
        assert_eq!(data["addr"]["data"]["path"], "/r/disk,\"1.sock");
        assert_eq!(data["reconnect-ms"], 1000);
        let fixed = MachineDisk::VhostUser { reconnect: None };
        assert!(fixed.plug(&sockets, 3).is_none());
    }

    #[test]
    fn a_vfio_user_disk_is_found_at_its_socket() {
        let words = line(&MachineDisk::VfioUser {
            offered: 3,
            mapped: false,
        });
        let device = description(&words);
        assert_eq!(device["driver"], "vfio-user-pci");
        assert_eq!(device["socket"]["path"], "/r/disk,\"1.sock");
    }

    #[test]
    fn the_driver_is_told_to_take_fewer_queues_than_it_would() {
        let nvme = MachineDisk::VfioUser {
            offered: 3,
            mapped: false,
        };
        assert_eq!(nvme.words(2, 2), None);
        assert_eq!(nvme.words(3, 4), None);
        assert_eq!(nvme.words(1, 2).as_deref(), Some("pci=nomsi"));
        let two = nvme.words(2, 4);
        assert_eq!(two.as_deref(), Some("nvme.poll_queues=1"));
        let mapped = MachineDisk::VfioUser {
            offered: 3,
            mapped: true,
        };
        let one = mapped.words(1, 2);
        assert_eq!(one.as_deref(), Some("pci=nomsi noirqdebug"));
        assert_eq!(mapped.words(2, 4), two);
        let virtio = MachineDisk::VhostUser { reconnect: None };
        assert_eq!(virtio.words(1, 2), None);
    }

    #[test]
    fn each_queue_of_qemus_own_has_a_vector_besides_the_admin_queues() {
        let words = line(&MachineDisk::Emulated(Image {
            path: "/i/disk.img".into(),
            read_only: true,
            block_size: 4096,
        }));
        let device = description(&words);
        assert_eq!(
            (&device["max_ioqpairs"], &device["msix_qsize"]),
            (&json!(3), &json!(4))
        );
        let backend: Value = serde_json::from_str(&words[1]).unwrap();
        assert_eq!(backend["file"]["filename"], "/i/disk.img");
        assert_eq!(backend["read-only"], true);
    }
}

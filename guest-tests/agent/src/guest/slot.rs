// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The slot that a disk is plugged into, and what a hot-plug driver does there,
//! done from outside of the kernel: so it works with every kernel, whatever it
//! has been configured with, and without the five seconds for which pciehp lets
//! somebody change their mind (drivers/pci/hotplug/pciehp_ctrl.c).
//!
//! The machine asks for the disk with the slot's attention button; it is taken
//! from its driver, and then the slot's power is switched off, on which QEMU
//! takes the device out (hw/pci/pcie.c, pcie_cap_slot_write_config()).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use irqstorm_agent::protocol::Disk;

use super::binding::{disk_in, names_in};

/// The capability of PCI Express, and registers from its begin (PCI Express Base
/// Specification, 7.5.3).
const EXPRESS: u8 = 0x10;
const SLOT_CAPABILITIES: usize = 0x14;
const SLOT_CONTROL: usize = 0x18;
const SLOT_STATUS: usize = 0x1a;

/// Slot capabilities: something may be plugged in while the power is on.
const HOT_PLUG: u16 = 1 << 6;

/// Slot control: the power indicator, and whether the power is off.
const INDICATOR: u16 = 3 << 8;
const INDICATOR_ON: u16 = 1 << 8;
const INDICATOR_OFF: u16 = 3 << 8;
const POWER_OFF: u16 = 1 << 10;

/// Slot status: the button was pressed (written to be cleared), something is in
/// the slot.
const PRESSED: u16 = 1 << 0;
const OCCUPIED: u16 = 1 << 6;

/// Configuration space, as far as capabilities of this kind lie in it: bytes.
const SPACE: usize = 256;

/// A slot.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The folder of its port.
    port: PathBuf,
    /// Where in the port's configuration the capability begins.
    express: usize,
}

impl Slot {
    /// The slot of a disk; an error if it is in none that can be emptied.
    pub(crate) fn of(disk: &Disk) -> io::Result<Slot> {
        let device = fs::canonicalize(Path::new("/sys/block").join(&disk.name).join("device"))?;
        // port / function / virtioN
        let port = device.ancestors().nth(2);
        let none = || io::Error::other(format!("{} is in no slot", disk.name));
        let port = port.filter(|port| port.join("config").exists());
        Slot::at(port.ok_or_else(none)?)
    }

    fn at(port: &Path) -> io::Result<Slot> {
        let mut space = [0; SPACE];
        let length = OpenOptions::new()
            .read(true)
            .open(port.join("config"))?
            .read_at(&mut space, 0)?;
        let none = || io::Error::other(format!("{} has no slot", port.display()));
        let express = capability(&space[..length], EXPRESS).ok_or_else(none)?;
        let slot = Slot {
            port: port.to_owned(),
            express,
        };
        match slot.read(SLOT_CAPABILITIES)? & HOT_PLUG {
            0 => Err(none()),
            _ => Ok(slot),
        }
    }

    /// Whether somebody wants it emptied, or has filled it: the button.
    pub(crate) fn is_pressed(&self) -> io::Result<bool> {
        Ok(self.read(SLOT_STATUS)? & PRESSED != 0)
    }

    /// Whether something is in it.
    pub(crate) fn is_occupied(&self) -> io::Result<bool> {
        Ok(self.read(SLOT_STATUS)? & OCCUPIED != 0)
    }

    /// Takes what is in it from its driver, which waits for what the driver has
    /// under way, and lets the machine have it.
    pub(crate) fn empty(&self) -> io::Result<()> {
        for function in self.functions() {
            fs::write(function.join("remove"), "1")?;
        }
        self.write(SLOT_STATUS, PRESSED)?;
        self.control(INDICATOR_OFF | POWER_OFF)
    }

    /// Has the kernel find what was plugged in.
    pub(crate) fn fill(&self) -> io::Result<()> {
        self.write(SLOT_STATUS, PRESSED)?;
        self.control(INDICATOR_ON)?;
        fs::write(self.port.join("rescan"), "1")
    }

    /// The name of the disk in it, if there is one.
    pub(crate) fn disk(&self) -> Option<String> {
        let functions = self.functions().into_iter();
        let devices = functions.flat_map(|function| {
            let names = names_in(&function).into_iter();
            names.map(move |name| function.join(name))
        });
        devices.into_iter().find_map(|device| disk_in(&device))
    }

    /// The folders of the functions in it.
    fn functions(&self) -> Vec<PathBuf> {
        let children = names_in(&self.port).into_iter();
        let children = children.map(|name| self.port.join(name));
        // The port's own folders have none.
        children
            .filter(|child| child.join("remove").exists())
            .collect()
    }

    fn control(&self, power: u16) -> io::Result<()> {
        let before = self.read(SLOT_CONTROL)?;
        self.write(SLOT_CONTROL, before & !(INDICATOR | POWER_OFF) | power)
    }

    fn read(&self, register: usize) -> io::Result<u16> {
        let mut word = [0; 2];
        let config = OpenOptions::new()
            .read(true)
            .open(self.port.join("config"))?;
        config.read_exact_at(&mut word, self.place(register))?;
        Ok(u16::from_le_bytes(word))
    }

    fn write(&self, register: usize, value: u16) -> io::Result<()> {
        let config = OpenOptions::new()
            .write(true)
            .open(self.port.join("config"))?;
        config.write_all_at(&value.to_le_bytes(), self.place(register))
    }

    fn place(&self, register: usize) -> u64 {
        (self.express + register) as u64
    }
}

/// Where a capability begins in a configuration space (PCI Local Bus
/// Specification, 6.7).
fn capability(space: &[u8], wanted: u8) -> Option<usize> {
    const STATUS: usize = 0x06;
    const HAS_LIST: u8 = 1 << 4;
    const FIRST: usize = 0x34;
    if space.get(STATUS)? & HAS_LIST == 0 {
        return None;
    }
    let mut place = usize::from(*space.get(FIRST)?) & !3;
    // Four bytes each at least: a list with more goes round in circles.
    for _ in 0..SPACE / 4 {
        let (id, next) = (*space.get(place)?, *space.get(place + 1)?);
        match (place, id) {
            (0, _) => return None,
            (_, id) if id == wanted => return Some(place),
            _ => place = usize::from(next) & !3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration of a root port as QEMU makes it: MSI-X, bridge, express.
    fn space(slot: u16) -> [u8; SPACE] {
        let mut space = [0; SPACE];
        space[0x06] = 1 << 4;
        space[0x34] = 0x48;
        for (place, id, next) in [(0x48, 0x11, 0x40), (0x40, 0x0d, 0x54), (0x54, EXPRESS, 0)] {
            (space[place], space[place + 1]) = (id, next);
        }
        space[0x54 + SLOT_CAPABILITIES..][..2].copy_from_slice(&slot.to_le_bytes());
        space
    }

    #[test]
    fn a_capability_is_found_in_its_list_and_nowhere_else() {
        let mut space = space(0);
        assert_eq!(capability(&space, EXPRESS), Some(0x54));
        assert_eq!(capability(&space, 0x05), None);
        assert_eq!(capability(&space[..0x50], EXPRESS), None, "cut short");
        space[0x55] = 0x48;
        assert_eq!(capability(&space, 0x05), None, "a circle");
        space[0x06] = 0;
        assert_eq!(capability(&space, EXPRESS), None, "no list");
    }

    #[test]
    fn only_a_port_with_a_slot_that_can_be_emptied_is_one() {
        let port = std::env::temp_dir().join(format!("irqstorm-slot-{}", std::process::id()));
        fs::create_dir_all(&port).unwrap();
        let found = |space: &[u8]| {
            fs::write(port.join("config"), space).unwrap();
            Slot::at(&port)
        };
        assert!(found(&space(0)).is_err());
        assert!(found(&[0; SPACE]).is_err());
        let slot = found(&space(HOT_PLUG)).unwrap();
        let set = |register, value: u16| slot.write(register, value).unwrap();
        set(SLOT_STATUS, PRESSED);
        assert!(slot.is_pressed().unwrap() && !slot.is_occupied().unwrap());
        set(SLOT_STATUS, OCCUPIED);
        assert!(!slot.is_pressed().unwrap() && slot.is_occupied().unwrap());
        // What else the register controls stays as it is.
        set(SLOT_CONTROL, 1 << 3 | INDICATOR_ON);
        slot.empty().unwrap();
        let off = slot.read(SLOT_CONTROL).unwrap();
        assert_eq!(off, 1 << 3 | INDICATOR_OFF | POWER_OFF);
        slot.fill().unwrap();
        assert_eq!(slot.read(SLOT_CONTROL).unwrap(), 1 << 3 | INDICATOR_ON);
        fs::remove_dir_all(&port).unwrap();
    }
}

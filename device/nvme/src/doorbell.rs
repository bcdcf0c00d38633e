// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where a queue's doorbell is read from: what was written to its register, the
//! shadow that the driver keeps in its own memory, or the page that the guest
//! writes with nobody told.
//!
//! Whoever needs a tail or a head asks its [`Doorbell`], and gets the last
//! value that its queue has: one that it does not have is told as the
//! specification wants it (3.3.1.4), and changes nothing.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_memory::GuestMemoryMmap;

use crate::bar::Layout;
use crate::complaints::Complaints;
use crate::mapped::MappedPages;
use crate::options::DoorbellMode;
use crate::shadow::Shadow;

/// No value of a doorbell's, of which 16 bits count.
const NONE: u32 = u32::MAX;

/// The I/O doorbells of a controller; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Doorbells {
    source: Source,
    complaints: Complaints,
}

/// What a doorbell's value is found in.
#[derive(Clone, Debug)]
enum Source {
    /// Its register alone.
    Register,
    /// The driver's shadow, once there is one.
    Shadow(Shadow),
    /// Pages that the guest writes.
    Mapped(MappedPages),
}

impl Doorbells {
    /// All of a controller's, with nothing written to any.
    pub(crate) fn new(mode: DoorbellMode, layout: Layout) -> io::Result<Doorbells> {
        Ok(Doorbells {
            source: match mode {
                DoorbellMode::Socket => Source::Register,
                DoorbellMode::Shadow => Source::Shadow(Shadow::none()),
                DoorbellMode::Mapped => Source::Mapped(MappedPages::new(layout)?),
            },
            complaints: Complaints::new()?,
        })
    }

    /// The tail of submission queue `id` of so many entries, which is empty.
    pub(crate) fn tail(&self, id: u16, size: u16) -> Doorbell {
        self.bell(id, u32::from(id) * 2, size)
    }

    /// The head of completion queue `id` of so many entries, which is empty.
    pub(crate) fn head(&self, id: u16, size: u16) -> Doorbell {
        self.bell(id, u32::from(id) * 2 + 1, size)
    }

    fn bell(&self, queue: u16, number: u32, size: u16) -> Doorbell {
        if let Source::Mapped(pages) = &self.source {
            pages.set(number, 0);
        }
        Doorbell {
            queue,
            number,
            size,
            values: Arc::new(Values {
                register: AtomicU32::new(0),
                believed: AtomicU32::new(0),
                refused: AtomicU32::new(NONE),
            }),
            doorbells: self.clone(),
        }
    }

    /// The shadow, if drivers are offered to keep one.
    pub(crate) fn shadow(&self) -> Option<&Shadow> {
        match &self.source {
            Source::Shadow(shadow) => Some(shadow),
            Source::Register | Source::Mapped(_) => None,
        }
    }

    /// The pages that the guest is to write, if there are any.
    pub(crate) fn pages(&self) -> Option<&MappedPages> {
        match &self.source {
            Source::Mapped(pages) => Some(pages),
            Source::Register | Source::Shadow(_) => None,
        }
    }

    /// What is readable when a value was refused that nobody was told of; none
    /// where every value comes through a register.
    pub(crate) fn complains_through(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Register => None,
            Source::Shadow(_) | Source::Mapped(_) => Some(self.complaints.wake()),
        }
    }

    /// Queues whose values were refused since this was last asked.
    pub(crate) fn refused(&self) -> Vec<u16> {
        self.complaints.take()
    }

    /// As after a reset of the controller.
    pub(crate) fn reset(&self) {
        match &self.source {
            Source::Register => {}
            Source::Shadow(shadow) => shadow.forget(),
            Source::Mapped(pages) => pages.clear(),
        }
        self.complaints.take();
    }
}

#[derive(Debug)]
struct Values {
    /// What was last written to the register.
    register: AtomicU32,
    /// What was last found that the queue has.
    believed: AtomicU32,
    /// What was last found that it does not have.
    refused: AtomicU32,
}

/// One doorbell of one queue; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Doorbell {
    queue: u16,
    /// Its place among all doorbells.
    number: u32,
    /// Entries of its queue.
    size: u16,
    values: Arc<Values>,
    doorbells: Doorbells,
}

impl Doorbell {
    /// A doorbell of the admin queues: it has its register and nothing else.
    pub(crate) fn of_admin(&self) -> bool {
        self.queue == 0
    }

    /// The register was written, with a value that the queue has.
    pub(crate) fn ring(&self, value: u16) {
        self.values.register.store(value.into(), Ordering::Release);
        match &self.doorbells.source {
            Source::Shadow(shadow) if shadow.is_kept() => {}
            Source::Register | Source::Shadow(_) => {
                self.values.believed.store(value.into(), Ordering::Release);
            }
            // QEMU takes the pages away while the pin is raised, and what is
            // written meanwhile comes over the socket.
            Source::Mapped(pages) => pages.set(self.number, value.into()),
        }
    }

    /// What the driver says, as far as that can be seen without its memory.
    pub(crate) fn register(&self) -> u32 {
        match &self.doorbells.source {
            Source::Mapped(pages) if !self.of_admin() => self.believe(pages.get(self.number)),
            _ => self.values.register.load(Ordering::Acquire),
        }
    }

    /// What the driver says: below the number of its queue's entries.
    pub(crate) fn get(&self, memory: &GuestMemoryMmap) -> u32 {
        let shadow = self.doorbells.shadow().filter(|_| !self.of_admin());
        match shadow.and_then(|shadow| shadow.get(self.number, memory)) {
            Some(said) => self.believe(said),
            None => self.register(),
        }
    }

    /// A value that was found in memory. Bits 31 to 16 are reserved.
    fn believe(&self, said: u32) -> u32 {
        let value = said & 0xffff;
        if value < u32::from(self.size) {
            self.values.believed.store(value, Ordering::Release);
            return value;
        }
        if self.values.refused.swap(value, Ordering::AcqRel) != value {
            self.doorbells.complaints.tell(self.queue);
        }
        self.values.believed.load(Ordering::Acquire)
    }

    /// Asks to be woken once the driver goes past `seen`, if it keeps a shadow.
    /// Whoever goes to sleep after this looks once more first.
    pub(crate) fn wake_after(&self, memory: &GuestMemoryMmap, seen: u32) {
        if let Some(shadow) = self.doorbells.shadow().filter(|_| !self.of_admin()) {
            shadow.wake_after(self.number, memory, seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestAddress};

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x3000)]).unwrap()
    }

    fn doorbells(mode: DoorbellMode) -> Doorbells {
        Doorbells::new(mode, Layout::of(mode)).unwrap()
    }

    #[test]
    fn a_shadow_takes_the_registers_place_until_it_is_forgotten() {
        let (memory, doorbells) = (memory(), doorbells(DoorbellMode::Shadow));
        let (tail, head) = (doorbells.tail(3, 16), doorbells.head(3, 16));
        tail.ring(5);
        assert_eq!((tail.get(&memory), head.get(&memory)), (5, 0));
        let shadow = doorbells.shadow().unwrap();
        shadow.configure(GuestAddress(0x1000), GuestAddress(0x2000));
        memory.write_obj(7u32, GuestAddress(0x1000 + 24)).unwrap();
        memory.write_obj(9u32, GuestAddress(0x1000 + 28)).unwrap();
        assert_eq!((tail.get(&memory), head.get(&memory)), (7, 9));
        tail.wake_after(&memory, 7);
        let index: u32 = memory.read_obj(GuestAddress(0x2000 + 24)).unwrap();
        assert_eq!(index, 7);
        tail.ring(8);
        assert_eq!(tail.get(&memory), 7, "the register is a kick");
        doorbells.reset();
        assert_eq!(tail.get(&memory), 8);
        head.wake_after(&memory, 1);
        let index: u32 = memory.read_obj(GuestAddress(0x2000 + 28)).unwrap();
        assert_eq!(index, 0);
    }

    #[test]
    fn a_shadow_outside_guest_memory_says_nothing_new() {
        let (memory, doorbells) = (memory(), doorbells(DoorbellMode::Shadow));
        let tail = doorbells.tail(1, 16);
        tail.ring(4);
        let shadow = doorbells.shadow().unwrap();
        shadow.configure(GuestAddress(0x2ffc), GuestAddress(u64::MAX - 4));
        assert_eq!(tail.get(&memory), 4);
        tail.wake_after(&memory, 4);
    }

    #[test]
    fn what_the_guest_writes_to_its_page_is_what_the_queue_reads() {
        let (memory, doorbells) = (memory(), doorbells(DoorbellMode::Mapped));
        let (tail, head) = (doorbells.tail(2, 16), doorbells.head(2, 16));
        let pages = doorbells.pages().unwrap();
        pages.set(4, 3);
        pages.set(5, 2);
        assert_eq!((tail.get(&memory), head.get(&memory)), (3, 2));
        assert_eq!(head.register(), 2);
        tail.ring(6);
        assert_eq!(tail.get(&memory), 6, "what comes by the socket counts too");
        doorbells.reset();
        assert_eq!((tail.get(&memory), head.get(&memory)), (0, 0));
    }

    #[test]
    fn a_value_that_a_queue_does_not_have_is_told_once_and_changes_nothing() {
        let (memory, doorbells) = (memory(), doorbells(DoorbellMode::Mapped));
        let tail = doorbells.tail(2, 16);
        let pages = doorbells.pages().unwrap();
        pages.set(4, 9);
        assert_eq!(tail.get(&memory), 9);
        for (said, told) in [(16, vec![2]), (16, vec![]), (0xffff, vec![2])] {
            pages.set(4, said);
            assert_eq!(tail.get(&memory), 9);
            assert_eq!(doorbells.refused(), told, "{said:#x}");
        }
        pages.set(4, 0x7777_000a);
        assert_eq!(tail.get(&memory), 10, "the upper half is reserved");
    }

    #[test]
    fn a_queue_that_comes_finds_nothing_of_the_one_before() {
        let (memory, doorbells) = (memory(), doorbells(DoorbellMode::Mapped));
        doorbells.tail(1, 16);
        doorbells.pages().unwrap().set(2, 5);
        assert_eq!(doorbells.tail(1, 16).get(&memory), 0);
    }
}

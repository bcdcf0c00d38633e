// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The controller's interrupts: MSI-X, or the pin where MSI-X is off.
//!
//! The VMM gives an eventfd for each vector that the guest unmasks, and takes
//! it away when it masks it. What is signalled without one is pending, as the
//! PBA shows, and is delivered once with the next fd.
//!
//! The pin is a level that masks itself at each interrupt until the VMM says
//! that it was handled. A signal that comes in between is delivered then: an
//! interrupt is raised for each time that one was decided, not for as long as
//! a completion waits, so that what a scenario drops stays dropped. It is never
//! raised with no completion unread: QEMU lowers it when the guest next accesses
//! a register, and a driver that finds nothing accesses none
//! (hw/vfio/pci.c, vfio_pci_intx_eoi()).
//!
//! All is shared between the thread that serves the VMM and the pump's.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use irqstorm_front_end::LineSlot;

#[derive(Debug, Default)]
struct Vector {
    line: LineSlot,
    pending: AtomicBool,
}

#[derive(Debug, Default)]
struct Pin {
    line: LineSlot,
    /// Masked by itself or the VMM.
    masked: AtomicBool,
    /// Signalled while it was.
    waiting: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    vectors: Vec<Vector>,
    msix: AtomicBool,
    pin: Pin,
    /// INTMS and INTMC: which vectors the pin is not raised for (3.1.3.3).
    pin_mask: AtomicU32,
}

/// All vectors of a controller; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts(Arc<Shared>);

impl Interrupts {
    pub(crate) fn new(vectors: u16) -> Interrupts {
        let shared = Shared {
            vectors: (0..vectors).map(|_| Vector::default()).collect(),
            msix: AtomicBool::new(false),
            pin: Pin::default(),
            pin_mask: AtomicU32::new(0),
        };
        Interrupts(Arc::new(shared))
    }

    /// How many vectors there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.vectors.len()).unwrap_or(u32::MAX)
    }

    /// Whether interrupts are messages, and not the pin.
    pub(crate) fn are_messages(&self) -> bool {
        self.0.msix.load(Ordering::Acquire)
    }

    /// Raises the interrupt of a vector; the pin only if the driver has
    /// completions to read. Never blocks.
    pub(crate) fn signal(&self, vector: u16, unread: bool) {
        if !self.are_messages() {
            if unread {
                self.signal_pin(vector);
            }
        } else if let Some(vector) = self.0.vectors.get(usize::from(vector)) {
            vector.signal();
        }
    }

    fn signal_pin(&self, vector: u16) {
        let mask = self.0.pin_mask.load(Ordering::Acquire);
        let masked = mask.checked_shr(vector.into()).unwrap_or(0) & 1 != 0;
        let pin = &self.0.pin;
        if masked || pin.masked.swap(true, Ordering::AcqRel) {
            pin.waiting.store(true, Ordering::Release);
            // Unmasked meanwhile: whoever did so may not have seen it wait.
            if !masked && !pin.masked.load(Ordering::Acquire) {
                self.deliver_waiting();
            }
        } else {
            pin.line.signal();
        }
    }

    fn deliver_waiting(&self) {
        let pin = &self.0.pin;
        if pin.waiting.swap(false, Ordering::AcqRel) {
            pin.masked.store(true, Ordering::Release);
            pin.line.signal();
        }
    }

    /// Gives a vector its eventfd, or takes it away; MSI-X is on with the first
    /// that is given or taken.
    pub(crate) fn set_vector(&self, vector: u32, fd: Option<File>) {
        self.0.msix.store(true, Ordering::Release);
        let index = usize::try_from(vector).unwrap_or(usize::MAX);
        let Some(vector) = self.0.vectors.get(index) else {
            return;
        };
        let given = fd.is_some();
        vector.line.set(fd);
        if given && vector.pending.swap(false, Ordering::AcqRel) {
            vector.signal();
        }
    }

    /// MSI-X is off; nothing is pending.
    pub(crate) fn disable_msix(&self) {
        self.0.msix.store(false, Ordering::Release);
        for vector in &self.0.vectors {
            vector.line.set(None);
            vector.pending.store(false, Ordering::Release);
        }
    }

    /// Whether a vector's interrupt waits for it to be unmasked.
    pub(crate) fn is_pending(&self, vector: u32) -> bool {
        let index = usize::try_from(vector).unwrap_or(usize::MAX);
        let vector = self.0.vectors.get(index);
        vector.is_some_and(|vector| vector.pending.load(Ordering::Acquire))
    }

    /// Gives the pin its eventfd, or takes it away.
    pub(crate) fn set_pin(&self, fd: Option<File>) {
        self.0.pin.line.set(fd);
        self.0.pin.masked.store(false, Ordering::Release);
        self.0.pin.waiting.store(false, Ordering::Release);
    }

    /// The VMM masks the pin.
    pub(crate) fn mask_pin(&self) {
        self.0.pin.masked.store(true, Ordering::Release);
    }

    /// The VMM says that the pin's interrupt was handled. What waited is
    /// delivered if there is something unread still.
    pub(crate) fn unmask_pin(&self, unread: bool) {
        self.0.pin.masked.store(false, Ordering::Release);
        self.settle_waiting(unread);
    }

    fn settle_waiting(&self, unread: bool) {
        match unread {
            true => self.deliver_waiting(),
            false => self.0.pin.waiting.store(false, Ordering::Release),
        }
    }

    /// What INTMS and INTMC read as.
    pub(crate) fn pin_mask(&self) -> u32 {
        self.0.pin_mask.load(Ordering::Acquire)
    }

    /// INTMS: no more pin interrupts for these vectors.
    pub(crate) fn set_pin_mask(&self, bits: u32) {
        self.0.pin_mask.fetch_or(bits, Ordering::AcqRel);
    }

    /// INTMC: again. What was signalled meanwhile is delivered if there is
    /// something unread still.
    pub(crate) fn clear_pin_mask(&self, bits: u32, unread: bool) {
        let before = self.0.pin_mask.fetch_and(!bits, Ordering::AcqRel);
        if before & bits != 0 && !self.0.pin.masked.load(Ordering::Acquire) {
            self.settle_waiting(unread);
        }
    }

    /// As after a reset of the controller: nothing is masked by it or pending.
    pub(crate) fn reset(&self) {
        self.0.pin_mask.store(0, Ordering::Release);
        self.0.pin.waiting.store(false, Ordering::Release);
        for vector in &self.0.vectors {
            vector.pending.store(false, Ordering::Release);
        }
    }
}

impl Vector {
    fn signal(&self) {
        if self.line.signal() {
            return;
        }
        self.pending.store(true, Ordering::Release);
        // An fd that came in between found nothing pending.
        if self.line.signal() {
            self.pending.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    /// An eventfd for an interrupt, and the end that counts.
    fn line() -> (Option<File>, File) {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        (Some(File::from(fd.try_clone().unwrap())), File::from(fd))
    }

    /// Interrupts since this was last asked.
    fn count(line: &File) -> u64 {
        let mut bytes = [0; 8];
        match rustix::io::read(line, &mut bytes) {
            Ok(_) => u64::from_ne_bytes(bytes),
            Err(_) => 0,
        }
    }

    #[test]
    fn each_vector_signals_its_own_fd() {
        let interrupts = Interrupts::new(2);
        let ((first, one), (second, two)) = (line(), line());
        interrupts.set_vector(0, first);
        interrupts.set_vector(1, second);
        interrupts.signal(1, true);
        interrupts.signal(1, false);
        interrupts.signal(2, true);
        assert_eq!((count(&one), count(&two)), (0, 2));
    }

    #[test]
    fn what_is_signalled_without_an_fd_is_pending_and_delivered_once_with_the_next() {
        let interrupts = Interrupts::new(1);
        interrupts.set_vector(0, None);
        interrupts.signal(0, true);
        interrupts.signal(0, true);
        assert!(interrupts.is_pending(0));
        let (fd, seen) = line();
        interrupts.set_vector(0, fd);
        assert_eq!(count(&seen), 1);
        assert!(!interrupts.is_pending(0));
        interrupts.set_vector(0, None);
        interrupts.signal(0, true);
        interrupts.disable_msix();
        assert!(!interrupts.is_pending(0));
    }

    #[test]
    fn the_pin_masks_itself_until_it_was_handled() {
        let interrupts = Interrupts::new(3);
        let (fd, seen) = line();
        interrupts.set_pin(fd);
        interrupts.signal(0, true);
        interrupts.signal(2, true);
        assert_eq!(count(&seen), 1);
        interrupts.unmask_pin(true);
        assert_eq!(count(&seen), 1, "the second came while it was masked");
        interrupts.unmask_pin(true);
        assert_eq!(count(&seen), 0);
        interrupts.signal(1, true);
        assert_eq!(count(&seen), 1);
    }

    #[test]
    fn the_pin_stays_down_while_nothing_is_unread() {
        let interrupts = Interrupts::new(1);
        let (fd, seen) = line();
        interrupts.set_pin(fd);
        interrupts.signal(0, false);
        assert_eq!(count(&seen), 0);
        interrupts.signal(0, true);
        interrupts.signal(0, true);
        assert_eq!(count(&seen), 1);
        interrupts.unmask_pin(false);
        assert_eq!(count(&seen), 0, "what waited has been read");
        interrupts.unmask_pin(true);
        assert_eq!(count(&seen), 0, "and is not delivered later");
        interrupts.signal(0, true);
        assert_eq!(count(&seen), 1);
    }

    #[test]
    fn a_vector_that_is_masked_raises_the_pin_once_it_is_unmasked() {
        let interrupts = Interrupts::new(2);
        let (fd, seen) = line();
        interrupts.set_pin(fd);
        interrupts.set_pin_mask(1);
        interrupts.signal(0, true);
        assert_eq!((count(&seen), interrupts.pin_mask()), (0, 1));
        interrupts.clear_pin_mask(2, true);
        assert_eq!(count(&seen), 0);
        interrupts.clear_pin_mask(1, true);
        assert_eq!((count(&seen), interrupts.pin_mask()), (1, 0));
    }
}

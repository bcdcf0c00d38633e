// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A ledger beside a ring, with a kill between any two steps.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SIZE: u16 = 8;

fn region() -> Arc<Region> {
    Arc::new(Region::new(2, SIZE).unwrap())
}

fn open(region: &Arc<Region>, used: u16) -> Opened {
    Ledger::open(region, 1, SIZE, used).unwrap()
}

#[test]
fn a_new_ledger_has_nothing_and_no_life_before_it() {
    let opened = open(&region(), 77);
    assert!(opened.heads.is_empty());
    assert!(!opened.resumed);
}

#[test]
fn heads_come_back_in_the_order_in_which_they_were_taken() {
    let region = region();
    let mut ledger = open(&region, 0).ledger;
    [5, 0, 7, 2].into_iter().for_each(|head| ledger.take(head));
    ledger.complete(0);
    ledger.publish(&[0], 1);
    let opened = open(&region, 1);
    assert_eq!(opened.heads, [5, 7, 2]);
    assert!(opened.resumed);
    let mut ledger = opened.ledger;
    ledger.take(0);
    assert_eq!(open(&region, 1).heads, [5, 7, 2, 0]);
}

#[test]
fn one_ring_knows_nothing_of_another() {
    let region = region();
    open(&region, 0).ledger.take(3);
    let other = Ledger::open(&region, 0, SIZE, 0).unwrap();
    assert!(other.heads.is_empty() && !other.resumed);
}

#[test]
fn what_was_given_up_is_not_taken_again() {
    let region = region();
    let mut ledger = open(&region, 0).ledger;
    ledger.take(3);
    ledger.give_up();
    let opened = open(&region, 9);
    assert!(opened.heads.is_empty() && !opened.resumed);
}

#[test]
fn a_ring_that_began_anew_has_nothing_in_flight() {
    let region = region();
    let mut ledger = open(&region, 500).ledger;
    ledger.take(3);
    assert!(open(&region, 0).heads.is_empty());
}

#[test]
fn ledgers_that_do_not_fit_are_refused() {
    let region = region();
    let refused = |ring, size| Ledger::open(&region, ring, size, 0).unwrap_err();
    assert_eq!(refused(2, SIZE), LedgerError::NoPart);
    let too_small = LedgerError::TooSmall { has: 8, needs: 16 };
    assert_eq!(refused(0, 16), too_small);
    region.store(VERSION_AT, 2u16);
    assert_eq!(refused(0, SIZE), LedgerError::Version(2));
}

/// The steps of a device; a kill may come after each. Publishing is three.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take,
    Complete(u8),
    ShowIndex,
    Strike,
    WriteIndex,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(vec![Step::Take]),
        4 => any::<u8>().prop_map(|n| vec![Step::Complete(n)]),
        1 => Just(vec![Step::ShowIndex, Step::Strike, Step::WriteIndex]),
    ];
    prop::collection::vec(step, 0..60).prop_map(|steps| steps.concat())
}

/// A driver that makes every head available again once it is back, and the
/// ring between it and the device.
#[derive(Default)]
struct Ring {
    free: VecDeque<u16>,
    /// What the device has, in its order.
    taken: Vec<u16>,
    /// Completed and not visible.
    written: Vec<u16>,
    used: u16,
}

impl Ring {
    fn carry_out(&mut self, ledger: &mut Ledger, step: Step) {
        match step {
            Step::Take => {
                if let Some(head) = self.free.pop_front() {
                    ledger.take(head);
                    self.taken.push(head);
                }
            }
            Step::Complete(n) => {
                let open = |head: &&u16| !self.written.contains(head);
                let open: Vec<u16> = self.taken.iter().filter(open).copied().collect();
                if let Some(&head) = open.get(usize::from(n) % open.len().max(1)) {
                    ledger.complete(head);
                    self.written.push(head);
                }
            }
            Step::ShowIndex => {
                self.used = self
                    .used
                    .wrapping_add(u16::try_from(self.written.len()).unwrap());
                self.taken.retain(|head| !self.written.contains(head));
            }
            // One of them only: the kill may come between two.
            Step::Strike => self
                .written
                .iter()
                .take(1)
                .for_each(|&head| ledger.strike(head)),
            Step::WriteIndex => {
                ledger.publish(&self.written, self.used);
                self.free.extend(self.written.drain(..));
            }
        }
    }
}

proptest! {
    /// Whatever the last step before a kill: what was not visible comes back,
    /// in its order; what was does not.
    #[test]
    fn a_kill_after_any_step_loses_nothing_and_repeats_nothing(
        lives in prop::collection::vec((steps(), any::<prop::sample::Index>()), 1..5),
        from in any::<u16>(),
    ) {
        let region = region();
        let mut ring = Ring { free: (0..SIZE).collect(), used: from, ..Ring::default() };
        let mut opened = open(&region, from);
        for (steps, kill) in lives {
            let survived = kill.index(steps.len() + 1);
            for &step in &steps[..survived] {
                ring.carry_out(&mut opened.ledger, step);
            }
            opened = open(&region, ring.used);
            prop_assert_eq!(&opened.heads, &ring.taken);
            // The driver has seen what was visible, and only that.
            ring.written.clear();
            let busy = |head: &u16| ring.taken.contains(head);
            ring.free = (0..SIZE).filter(|head| !busy(head)).collect();
        }
    }

    /// What a front-end that lies has written there is no reason to panic.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 256), used in any::<u16>()) {
        let region = region();
        for (at, &byte) in bytes.iter().enumerate() {
            region.store(at, byte);
        }
        region.store(VERSION_AT, VERSION);
        let opened = Ledger::open(&region, 0, SIZE, used).unwrap();
        let mut heads = opened.heads.clone();
        heads.sort_unstable();
        heads.dedup();
        prop_assert_eq!(heads.len(), opened.heads.len());
        prop_assert!(heads.iter().all(|&head| head < SIZE));
    }
}

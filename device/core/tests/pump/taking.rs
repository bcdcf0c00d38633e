// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is found in a queue: when it arrived, and how much of it becomes
//! visible at once.

use std::cell::Cell;

use irqstorm_core::clock::Clock;
use irqstorm_core::event::What;
use irqstorm_core::request::{Operation, QueueId, Request, Sector};
use irqstorm_core::units::Nanos;

use super::bench;

/// A clock that goes on with every look at it.
#[derive(Default)]
struct Running(Cell<u64>);

impl Clock for Running {
    fn now(&self) -> Nanos {
        self.0.set(self.0.get() + 1);
        Nanos(self.0.get())
    }
}

/// Submits so many requests and kicks; when each arrived, and how many became
/// visible at once.
fn take(count: u64) -> (Vec<Nanos>, Vec<u32>) {
    let mut bench = bench("", 1);
    for sector in 0..count {
        let read = Request::transfer(Operation::Read, Sector(sector), 1);
        bench.drivers[0].submit(read, vec![0; 512]);
    }
    let clock = Running::default();
    bench.pump.kick(QueueId(0), &clock);
    bench.pump.tick(&clock);
    let (mut arrived, mut batches) = (Vec::new(), Vec::new());
    for event in bench.events.all() {
        match event.what {
            What::Arrived { .. } => arrived.push(event.at),
            What::Published { count, .. } => batches.push(count),
            _ => {}
        }
    }
    (arrived, batches)
}

#[test]
fn what_a_look_has_found_arrived_with_its_batch_however_long_that_took_to_carry_out() {
    let (arrived, batches) = take(8);
    assert_eq!(batches, [4, 4]);
    let (first, second) = arrived.split_at(4);
    // The first was looked at by itself, to see how many there are.
    assert!(first[1..].iter().all(|&at| at == first[1]), "{first:?}");
    assert!(second.iter().all(|&at| at == second[0]), "{second:?}");
    assert!(first[0] < first[1] && first[1] < second[0]);
}

#[test]
fn half_of_what_waits_becomes_visible_at_once_unless_that_is_few_or_many() {
    assert_eq!(take(100).1, [33, 32, 17, 9, 8, 1]);
    assert_eq!(take(3).1, [2, 1]);
    assert_eq!(take(1).1, [1]);
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How often a request takes memory from the allocator, once the device has
//! served as many as its rings hold: never.
//!
//! The pump, the queue and the store are the device's own, over a connection as
//! any front-end makes it; the loop around them is this test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::unix::net::UnixStream;

use irqstorm_core::clock::Monotonic;
use irqstorm_core::event::{Event, EventSink, Floor};
use irqstorm_core::inbox::Inbox;
use irqstorm_core::pump::{Pump, PumpConfig};
use irqstorm_core::request::QueueId;
use irqstorm_core::scenario::Scenario;
use irqstorm_core::store::NullStore;
use irqstorm_front_end::{FrontEnd, WriteCache};
use irqstorm_vhost_blk::{Server, VirtioQueue};

use crate::support::{Descriptor, Driver, header, options};

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; to count needs
// no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread has taken memory during `run`.
fn taken_by(run: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    run();
    TAKEN.get() - before
}

/// Nobody listens, as in a device whose events go nowhere.
struct Nobody;

impl EventSink for Nobody {
    fn record(&mut self, _: Event) {}

    fn listens(&self) -> bool {
        false
    }
}

/// A device whose pump runs when the test says so.
struct Stepped {
    pump: Pump<VirtioQueue>,
    clock: Monotonic,
    driver: Driver,
}

impl Stepped {
    fn under(scenario: &str) -> Stepped {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (inbox, messages) = Inbox::new(|| {});
        let options = options();
        let geometry = options.geometry;
        let server = Server::new(options, inbox).unwrap();
        let store = WriteCache::new(NullStore::new(geometry), server.cache_mode());
        std::thread::spawn(move || server.serve_stream(theirs));
        let driver = Driver::over(ours, 1, 0);
        let config = PumpConfig {
            store: Box::new(store),
            scenario: Scenario::parse("test", scenario).unwrap(),
            scenario_name: "test".to_owned(),
            seed: 1,
            queues: 1,
            replay: None,
            config_line: None,
            failure_line: None,
            floor: Floor::default(),
        };
        let clock = Monotonic::start();
        let mut pump = Pump::new(config, Box::new(Nobody), &clock);
        while pump.attached() == 0 {
            pump.handle(messages.recv().unwrap(), &clock);
        }
        Stepped {
            pump,
            clock,
            driver,
        }
    }

    /// As many reads and writes as the ring holds, from their being available
    /// until they are visible; how often the device took memory for them.
    fn round(&mut self) -> u64 {
        const REQUESTS: u16 = 4;
        for head in (0..REQUESTS).map(|request| request * 4) {
            let kind = u32::from(head / 4 % 2);
            let data = Descriptor {
                at: 1 << 32,
                len: 4096,
                writable: kind == 0,
            };
            self.driver.request(0, head, &header(kind, 8), Some(data));
        }
        let before = self.driver.used_index(0);
        let end = before.wrapping_add(REQUESTS);
        let taken = taken_by(|| {
            self.pump.kick(QueueId(0), &self.clock);
            while self.driver.used_index(0) != end {
                self.pump.tick(&self.clock);
            }
        });
        while self.driver.take_used(0).is_some() {}
        taken
    }
}

fn takes_none_under(scenario: &str) {
    let mut device = Stepped::under(scenario);
    let first: u64 = (0..8).map(|_| device.round()).sum();
    assert_ne!(first, 0, "the count does not count");
    let later: u64 = (0..1000).map(|_| device.round()).sum();
    assert_eq!(later, 0, "memory taken for 4000 requests");
}

#[test]
fn a_request_takes_no_memory_once_the_rings_have_been_around() {
    takes_none_under("");
}

#[test]
fn a_request_that_is_late_takes_none_either() {
    takes_none_under("latency = { fixed = \"5us\" }");
}

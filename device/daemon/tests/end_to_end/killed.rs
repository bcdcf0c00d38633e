// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A device that is killed amid I/O, and the next one in its place.

use std::path::Path;

use rustix::process::Signal;
use vm_memory::{Bytes, GuestAddress};

use crate::support::raw::{Descriptor, Driver, Used, header};
use crate::support::{Daemon, Scratch};

/// How often the device is killed.
const KILLS: u64 = 50;

const RINGS: u16 = 4;

/// Requests in flight in each ring, of three descriptors each.
const DEPTH: u16 = 5;
const DESCRIPTORS: u16 = 3;

/// Where the requests' data lies, and how much of it each has.
const DATA: u64 = 0x1_0000_0000;
const LEN: u32 = 4096;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

/// Completions shuffled, interrupts late, doubled and lost, amid a storm.
const SCENARIO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../guest-tests/scenarios/shuffle-and-storm.toml"
);

/// Ways to the file: the one that is chosen, and one on which everything that
/// is in flight is the kernel's when the device is killed.
const WAYS: [&[&str]; 2] = [&[], &["--file-io", "uring", "--direct"]];

/// One that serves the file `disk` of its folder.
fn device(scratch: Scratch, way: &[&str]) -> Daemon {
    let disk = scratch.path("disk");
    let mut args = vec!["--scenario", SCENARIO, "--blk-file", disk.to_str().unwrap()];
    args.extend(way);
    Daemon::start_in(scratch, &args)
}

/// Kills a device; the folder that it leaves.
fn killed(mut daemon: Daemon) -> Scratch {
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.ended(), Err(9));
    std::mem::replace(&mut daemon.scratch, Scratch::new())
}

/// One place of the disk, written and read in turn by one request at a time.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// What was written last; requests made, and completed.
    version: u64,
    made: u64,
    ended: u64,
}

/// The driver of all slots.
struct Load {
    driver: Driver,
    slots: Vec<Slot>,
}

impl Load {
    fn new(socket: &Path) -> Load {
        let slots = vec![Slot::default(); usize::from(RINGS * DEPTH)];
        let driver = Driver::lasting(socket, RINGS);
        Load { driver, slots }
    }

    fn place(ring: u16, head: u16) -> usize {
        usize::from(ring * DEPTH + head / DESCRIPTORS)
    }

    fn address(place: usize) -> GuestAddress {
        GuestAddress(DATA + place as u64 * u64::from(LEN))
    }

    fn content(place: usize, version: u64) -> Vec<u8> {
        let words = (0..u64::from(LEN) / 8).map(|n| n ^ version << 16 ^ (place as u64) << 56);
        words.flat_map(u64::to_le_bytes).collect()
    }

    /// Makes the next request of a slot: a write of the next version, then a
    /// read of it, and so on.
    fn submit(&mut self, ring: u16, head: u16) {
        let place = Load::place(ring, head);
        let slot = &mut self.slots[place];
        let writes = slot.made.is_multiple_of(2);
        slot.version += u64::from(writes);
        slot.made += 1;
        let (kind, bytes) = match writes {
            true => (OUT, Load::content(place, slot.version)),
            false => (IN, vec![0; LEN as usize]),
        };
        let at = Load::address(place);
        self.driver.memory.write_slice(&bytes, at).unwrap();
        let data = Descriptor {
            at: at.0,
            len: LEN,
            writable: !writes,
        };
        let sector = place as u64 * u64::from(LEN) / 512;
        self.driver
            .request(ring, head, &header(kind, sector), Some(data));
        self.driver.kick(ring);
    }

    fn submit_all(&mut self) {
        for ring in 0..RINGS {
            (0..DEPTH).for_each(|n| self.submit(ring, n * DESCRIPTORS));
        }
    }

    /// Takes a completion: there must be a request for it, and what was read
    /// must be what was written last.
    fn end(&mut self, ring: u16, used: Used) -> u16 {
        let head = u16::try_from(used.head).unwrap();
        let place = Load::place(ring, head);
        let slot = &mut self.slots[place];
        assert_eq!(slot.ended + 1, slot.made, "completed twice: {place}");
        slot.ended += 1;
        if slot.ended.is_multiple_of(2) {
            let mut found = vec![0; LEN as usize];
            let at = Load::address(place);
            self.driver.memory.read_slice(&mut found, at).unwrap();
            assert!(found == Load::content(place, slot.version), "lost: {place}");
        }
        head
    }

    /// The completions that there are; waits for one if there are none.
    fn some(&mut self) -> Vec<(u16, u16)> {
        loop {
            let mut ended = Vec::new();
            for ring in 0..RINGS {
                while let Some(used) = self.driver.take_used(ring) {
                    ended.push((ring, self.end(ring, used)));
                }
            }
            if !ended.is_empty() {
                return ended;
            }
            self.driver.wait_for_any_call();
        }
    }

    /// Keeps every slot busy until so many requests have ended.
    fn keep_going(&mut self, count: usize) {
        let mut ended = 0;
        while ended < count {
            for (ring, head) in self.some() {
                ended += 1;
                self.submit(ring, head);
            }
        }
    }

    /// Waits for everything that is in flight.
    fn finish(&mut self) {
        while self.slots.iter().any(|slot| slot.ended < slot.made) {
            self.some();
        }
    }
}

#[test]
fn a_device_killed_fifty_times_amid_io_loses_nothing_and_repeats_nothing() {
    WAYS.into_iter().for_each(is_killed_fifty_times);
}

fn is_killed_fifty_times(way: &[&str]) {
    let scratch = Scratch::new();
    scratch.write("disk", vec![0; 1 << 20]);
    let mut daemon = device(scratch, way);
    let mut load = Load::new(&daemon.scratch.socket());
    load.submit_all();
    for kill in 0..KILLS {
        // Differently far each time, and each time amid everything.
        load.keep_going(usize::try_from(kill * 37 % 101).unwrap() + 1);
        daemon = device(killed(daemon), way);
        load.driver.reconnect(&daemon.scratch.socket());
    }
    load.finish();
    assert!(load.slots.iter().all(|slot| slot.made > KILLS));
    // Nothing comes after everything.
    load.driver.sync();
    assert!((0..RINGS).all(|ring| load.driver.take_used(ring).is_none()));
    let log = daemon.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn a_driver_that_loses_its_connection_finds_its_requests_again() {
    let daemon = Daemon::follow("hold = true", &[]);
    let mut control = daemon.control();
    let mut driver = Driver::lasting(&daemon.scratch.socket(), 1);
    for head in [6, 0, 3] {
        driver.request(0, head, &header(FLUSH, 0), None);
    }
    driver.kick(0);
    control.held(3);
    driver.disconnect();
    control.until("the connection's end", |status| !status.connected);
    driver.reconnect(&daemon.scratch.socket());
    let held = control.held(3).held;
    assert!(held.is_sorted_by_key(|held| held.request));
    control.release(Default::default());
    let ended: Vec<u32> = (0..3).map(|_| driver.next_used(0).head).collect();
    assert_eq!(ended, [6, 0, 3]);
    assert_eq!(driver.used_index(0), 3);
}

#[test]
fn what_was_flushed_before_a_kill_is_in_the_file_and_on_the_next_disk() {
    WAYS.into_iter().for_each(is_killed_after_flushes);
}

fn is_killed_after_flushes(way: &[&str]) {
    let scratch = Scratch::new();
    let disk = scratch.write("disk", vec![0; 1 << 20]);
    let mut daemon = device(scratch, way);
    for round in 1..=10u8 {
        let mut driver = daemon.driver(2);
        let offset = u64::from(round) * 8192;
        driver.write_now(0, 0, offset, &[round; 4096]);
        driver.flush(1, 1);
        driver.kick(1);
        driver.wait_ok(1, [1]);
        // Amid others that no one has been told of.
        driver.write(0, 2, offset + 4096, &[0xee; 4096]);
        driver.kick(0);
        let scratch = killed(daemon);
        drop(driver);
        let content = std::fs::read(&disk).unwrap();
        for earlier in 1..=round {
            let at = usize::from(earlier) * 8192;
            assert!(
                content[at..at + 4096] == [earlier; 4096],
                "{round}: {earlier}"
            );
        }
        daemon = device(scratch, way);
        assert_eq!(daemon.driver(1).read_now(0, 0, offset, 4096), [round; 4096]);
    }
}

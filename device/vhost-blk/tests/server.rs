// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The server against a front-end made by hand: set-up, requests, call fds,
//! stopping, and clients that do not keep to the protocol.
#![allow(clippy::unwrap_used)]

mod allocations;
mod config_vector;
mod inflight;
mod stream;
mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use irqstorm_core::inbox::Inbox;
use irqstorm_front_end::FrontEnd;
use irqstorm_vhost_blk::{Features, Server};
use support::{Descriptor, Device, Driver, RING_LEN, Used, header, options, wait_readable};
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VringConfigData};
use vm_memory::{Bytes, GuestAddress};

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

/// Where the write cache byte lies in the config space.
const WCE: u32 = 32;

/// VHOST_USER_F_PROTOCOL_FEATURES.
const PROTOCOL_FEATURES: u64 = 1 << 30;

const DATA: u64 = 0x1_0000_0000;

fn data(len: u32, writable: bool) -> Option<Descriptor> {
    Some(Descriptor {
        at: DATA,
        len,
        writable,
    })
}

/// Writes a sector, reads it back elsewhere, and compares.
fn write_and_read_back(driver: &mut Driver, queue: u16) {
    let pattern: Vec<u8> = (0..512u32).map(|n| (n * 7 % 251) as u8).collect();
    driver
        .memory
        .write_slice(&pattern, GuestAddress(DATA))
        .unwrap();
    let status = driver.request(queue, 0, &header(OUT, 2048), data(512, false));
    driver.kick(queue);
    assert_eq!(driver.next_used(queue), Used { head: 0, len: 1 });
    assert_eq!(driver.status(status), 0);

    driver
        .memory
        .write_slice(&[0; 512], GuestAddress(DATA))
        .unwrap();
    let status = driver.request(queue, 4, &header(IN, 2048), data(512, true));
    driver.kick(queue);
    assert_eq!(driver.next_used(queue), Used { head: 4, len: 513 });
    assert_eq!(driver.status(status), 0);
    let mut found = vec![0; 512];
    driver
        .memory
        .read_slice(&mut found, GuestAddress(DATA))
        .unwrap();
    assert_eq!(found, pattern);
}

#[test]
fn data_written_is_read_back_over_a_listener() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    write_and_read_back(&mut driver, 0);
}

#[test]
fn data_written_is_read_back_over_a_socket_handed_over_connected() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut device = Device::connected(options(), theirs);
    let mut driver = Driver::over(ours, 1, 0);
    write_and_read_back(&mut driver, 0);
    drop(driver);
    device.wait();
}

#[test]
fn a_request_made_available_before_the_ring_started_is_served() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    driver.enable(0, false);
    let status = driver.request(0, 0, &header(FLUSH, 0), None);
    driver.kick(0);
    driver.enable(0, true);
    assert_eq!(driver.next_used(0), Used { head: 0, len: 1 });
    assert_eq!(driver.status(status), 0);
}

#[test]
fn rings_start_enabled_where_protocol_features_were_not_agreed() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, PROTOCOL_FEATURES);
    write_and_read_back(&mut driver, 0);
}

#[test]
fn every_one_of_256_queues_serves() {
    let mut options = options();
    options.queues = 256;
    let device = Device::listening(options);
    let mut driver = Driver::connect(&device.socket(), 256, 0);
    for queue in [0, 63, 64, 65, 127, 128, 254, 255] {
        write_and_read_back(&mut driver, queue);
    }
    assert_eq!(device.counts().attached, 256);
}

#[test]
fn a_stopped_ring_has_nothing_in_flight_and_says_where_it_was() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    write_and_read_back(&mut driver, 0);
    device.hold(true);
    for head in [0, 4, 8] {
        driver.request(0, head, &header(FLUSH, 0), None);
    }
    driver.kick(0);
    device.wait_until(|counts| counts.taken == 5);
    assert_eq!(driver.used_index(0), 2, "held completions are not visible");
    assert_eq!(driver.stop(0), 5);
    assert_eq!(driver.used_index(0), 5);
    for head in [0, 4, 8] {
        assert_eq!(driver.next_used(0), Used { head, len: 1 });
    }
    device.hold(false);
    driver.start(0);
    write_and_read_back(&mut driver, 0);
    assert_eq!(device.counts().attached, 2);
    assert_eq!(device.counts().drained, 3);
}

#[test]
fn a_disabled_ring_is_drained_and_goes_on_where_it_was() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    device.hold(true);
    driver.request(0, 0, &header(FLUSH, 0), None);
    driver.kick(0);
    device.wait_until(|counts| counts.taken == 1);
    driver.enable(0, false);
    assert_eq!(driver.next_used(0), Used { head: 0, len: 1 });
    device.hold(false);
    driver.request(0, 4, &header(FLUSH, 0), None);
    driver.kick(0);
    driver.sync();
    assert_eq!(driver.used_index(0), 1, "a disabled ring is not served");
    driver.enable(0, true);
    assert_eq!(driver.next_used(0), Used { head: 4, len: 1 });
}

#[test]
fn the_call_fd_that_is_current_when_a_request_completes_is_signalled() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    device.hold(true);
    driver.request(0, 0, &header(FLUSH, 0), None);
    driver.kick(0);
    device.wait_until(|counts| counts.taken == 1);
    let old = driver.replace_call(0);
    driver.enable(0, false);
    driver.wait_for_call(0);
    old.write(1).unwrap();
    assert_eq!(old.read().unwrap(), 1, "the old fd was signalled");
}

#[test]
fn a_client_that_left_leaves_nothing_and_the_next_one_is_served() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    write_and_read_back(&mut driver, 0);
    driver.set_config(WCE, &[0]);
    device.hold(true);
    driver.request(0, 0, &header(FLUSH, 0), None);
    driver.request(0, 4, &header(FLUSH, 0), None);
    driver.kick(0);
    device.wait_until(|counts| counts.taken == 4);
    drop(driver);

    let mut next = Driver::connect(&device.socket(), 1, 0);
    assert_eq!((device.counts().abandoned, device.counts().drained), (2, 0));
    device.hold(false);
    assert_eq!(
        next.config(WCE, 1),
        Some(vec![1]),
        "the cache mode is reset"
    );
    write_and_read_back(&mut next, 0);
}

#[test]
fn a_second_client_waits_until_the_first_has_left() {
    let device = Device::listening(options());
    let mut first = Driver::connect(&device.socket(), 1, 0);
    let waiting = UnixStream::connect(device.socket()).unwrap();
    let left = Arc::new(AtomicBool::new(false));
    let first_left = Arc::clone(&left);
    let second = std::thread::spawn(move || {
        let mut second = Driver::over(waiting, 1, 0);
        assert!(first_left.load(Ordering::SeqCst));
        write_and_read_back(&mut second, 0);
    });
    write_and_read_back(&mut first, 0);
    left.store(true, Ordering::SeqCst);
    drop(first);
    second.join().unwrap();
    assert_eq!(device.counts().attached, 2);
}

#[test]
fn a_client_that_does_not_speak_vhost_user_is_dropped_and_the_next_one_served() {
    let device = Device::listening(options());
    let get_features = [1u32, 1, 0].map(u32::to_ne_bytes).concat();
    for (bytes, what) in [
        (&b"GET / HTTP/1.1\r\nHost: disk\r\n\r\n"[..], "text"),
        (&[0xff; 4096], "ones"),
        (&[0; 64], "zeroes"),
        (&get_features[..5], "half a header"),
        (&[2, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, 2], "half a body"),
        (&[], "nothing"),
    ] {
        let mut client = UnixStream::connect(device.socket()).unwrap();
        // It may be dropped before it has said everything.
        let _ = client.write_all(bytes);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
        let mut driver = Driver::connect(&device.socket(), 1, 0);
        write_and_read_back(&mut driver, 0);
        println!("served after {what}");
    }
}

#[test]
fn a_front_end_that_shares_no_memory_is_told_what_to_do() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (inbox, messages) = Inbox::new(|| {});
    let server = Server::new(options(), inbox).unwrap();
    let served = std::thread::spawn(move || server.serve_stream(theirs));
    let mut frontend = Frontend::from_stream(ours, 1);
    frontend.set_owner().unwrap();
    let features = frontend.get_features().unwrap();
    frontend.set_features(features).unwrap();
    frontend.get_protocol_features().unwrap();
    let ring = VringConfigData {
        queue_max_size: RING_LEN,
        queue_size: RING_LEN,
        flags: 0,
        desc_table_addr: 0x1000,
        used_ring_addr: 0x2000,
        avail_ring_addr: 0x3000,
        log_addr: None,
    };
    let _ = frontend.set_vring_addr(0, &ring);
    // No loop answers the end of the connection: it has ended as well.
    drop(messages);
    let error = served.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("shares no guest RAM"), "{error}");
    assert!(error.contains("share=on"), "{error}");
}

#[test]
fn stopping_ends_the_wait_for_a_connection_and_the_connection_itself() {
    let mut waiting = Device::listening(options());
    waiting.stop();
    waiting.stop();

    let mut serving = Device::listening(options());
    let driver = Driver::connect(&serving.socket(), 1, 0);
    serving.stop();
    drop(driver);

    let (half, theirs) = UnixStream::pair().unwrap();
    (&half).write_all(&[1]).unwrap();
    let mut handed_over = Device::connected(options(), theirs);
    handed_over.stop();
}

#[test]
fn the_config_space_answers_within_itself_only() {
    let mut options = options();
    options.queues = 3;
    let device = Device::listening(options);
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    assert_eq!(
        driver.config(0, 8),
        Some(2049u64.to_le_bytes().to_vec()),
        "capacity"
    );
    assert_eq!(driver.config(34, 2), Some(vec![3, 0]), "queues");
    assert_eq!(driver.config(0, 60).map(|bytes| bytes.len()), Some(60));
    assert_eq!(driver.config(0, 96).map(|bytes| bytes.len()), Some(96));
}

#[test]
fn the_driver_switches_the_write_cache() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    assert!(device.cache_mode().is_writeback());
    driver.set_config(WCE, &[0]);
    assert!(!device.cache_mode().is_writeback());
    assert_eq!(driver.config(WCE, 1), Some(vec![0]));
    write_and_read_back(&mut driver, 0);
    driver.set_config(WCE, &[1]);
    assert!(device.cache_mode().is_writeback());
    driver.set_config(0, &[9; 8]);
    assert_eq!(driver.config(0, 8), Some(2049u64.to_le_bytes().to_vec()));
}

#[test]
fn the_write_cache_reads_as_on_before_anything_is_agreed() {
    let device = Device::listening(options());
    let socket = UnixStream::connect(device.socket()).unwrap();
    let mut frontend = Frontend::from_stream(socket, 1);
    frontend.set_owner().unwrap();
    frontend.get_features().unwrap();
    frontend.get_protocol_features().unwrap();
    frontend
        .set_protocol_features(VhostUserProtocolFeatures::CONFIG)
        .unwrap();
    let (_, config) = frontend
        .get_config(WCE, 1, VhostUserConfigFlags::empty(), &[0])
        .unwrap();
    assert_eq!(config, [1]);
    assert!(
        !device.cache_mode().is_writeback(),
        "no flush is agreed yet"
    );
}

#[test]
fn a_driver_that_does_not_agree_to_config_wce_does_not_switch_the_write_cache() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, Features::CONFIG_WCE.bits());
    driver.set_config(WCE, &[0]);
    assert!(device.cache_mode().is_writeback());
}

#[test]
fn a_driver_without_flush_gets_durable_writes() {
    let device = Device::listening(options());
    let _driver = Driver::connect(&device.socket(), 1, Features::FLUSH.bits());
    assert!(!device.cache_mode().is_writeback());
}

#[test]
fn what_is_withheld_is_not_offered() {
    let mut options = options();
    options.withheld = "event-idx".parse().unwrap();
    let device = Device::listening(options);
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    assert_eq!(driver.features & Features::EVENT_IDX.bits(), 0);
    write_and_read_back(&mut driver, 0);
}

#[test]
fn a_ring_that_cannot_be_believed_stops_and_says_so() {
    let mut options = options();
    options.queues = 2;
    let device = Device::listening(options);
    let mut driver = Driver::connect(&device.socket(), 2, 0);
    let error = driver.watch_errors(0);
    driver.set_avail(0, RING_LEN + 1);
    driver.kick(0);
    wait_readable(&error);
    write_and_read_back(&mut driver, 1);

    let error = driver.watch_errors(1);
    driver.make_available(1, RING_LEN);
    driver.kick(1);
    wait_readable(&error);
}

#[test]
fn a_chain_that_loops_ends_without_stopping_the_ring() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    let endless: Vec<Descriptor> = (0..4)
        .map(|_| Descriptor {
            at: DATA,
            len: 16,
            writable: false,
        })
        .collect();
    driver.write_chain(0, 0, &endless);
    driver.link(0, 3, 0);
    driver.make_available(0, 0);
    driver.kick(0);
    assert_eq!(driver.next_used(0), Used { head: 0, len: 0 });
    let status = driver.request(0, 4, &header(FLUSH, 0), None);
    driver.kick(0);
    assert_eq!(driver.next_used(0), Used { head: 4, len: 1 });
    assert_eq!(driver.status(status), 0);
}

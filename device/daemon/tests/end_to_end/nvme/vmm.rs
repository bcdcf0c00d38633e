// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The VMM's side: messages that cannot be believed, memory that is not
//! shared, interrupts masked and unmasked, one connection after another.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use irqstorm_testing::nvme::{Client, Command, NvmeDriver};
use rustix::event::{EventfdFlags, eventfd};

use super::{driver, follow, pattern};

#[test]
fn memory_that_is_not_shared_is_refused_with_what_to_do() {
    let daemon = follow("");
    let mut client = Client::connect(&daemon.scratch.socket());
    client.map(0, 1 << 20, 0, None).unwrap();
    assert_eq!(client.device_info(), Err(22));
    assert_eq!(client.read(0, 0, 8), Err(22), "nothing is served");
    assert_eq!(client.unmap(0, 1 << 20), Ok(()), "but memory is taken back");
    drop(client);
    crate::support::eventually("advice in the log", || {
        let log = daemon.log();
        let advice = log.matches("share=on").count();
        (log.contains("shares no guest RAM") && advice == 1).then_some(())
    });
    // The next one finds a device that works.
    assert_eq!(driver(&daemon, 1).write(1, 0, &pattern(1, 512)), 0);
}

#[test]
fn what_is_no_message_ends_its_connection_and_no_other() {
    let daemon = follow("");
    for bytes in [
        [0xff; 64].as_slice(),
        // Of 15 bytes, of more than there are, and a reply.
        &[1, 0, 4, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 4, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut client = Client::connect(&daemon.scratch.socket());
        client.send(bytes);
        assert!(client.read_to_end().is_empty());
    }
    let cut = UnixStream::connect(daemon.scratch.socket()).unwrap();
    drop(cut);
    assert_eq!(driver(&daemon, 1).write(1, 0, &pattern(1, 512)), 0);
}

#[test]
fn what_the_device_does_not_have_is_refused_and_the_connection_goes_on() {
    let daemon = follow("");
    let mut client = Client::connect(&daemon.scratch.socket());
    assert_eq!(client.ask(99, &[], &[]), Err(95), "an unknown command");
    assert_eq!(client.ask(2, &[0; 31], &[]), Err(22), "a short map");
    assert_eq!(client.read(0, 0x4000, 4), Err(22), "beyond the BAR");
    assert_eq!(client.read(0, u64::MAX, 4), Err(22));
    assert_eq!(client.read(1, 0, 4), Err(22), "a BAR that is not there");
    assert_eq!(client.write(7, 0, &[0; 257]), Err(22));
    assert_eq!(client.unmap(0, 4096), Err(2));
    assert_eq!(client.config(0, 2), 0x1234u16.to_le_bytes());
    assert_eq!(client.irq_count(2), 65);
}

#[test]
fn a_posted_message_is_never_answered() {
    let daemon = follow("");
    let mut client = Client::connect(&daemon.scratch.socket());
    client.post(99, &[]);
    client.post_write(0x9999_0000, 1);
    // Were there an answer, it would be taken for this one's.
    assert_eq!(client.register(0x08), 0x20000);
}

#[test]
fn a_masked_vector_is_pending_until_it_has_an_fd_again() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    driver.client.set_vector(1, None);
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
    let pending = |driver: &mut NvmeDriver| driver.client.read(0, 0x3000, 8).unwrap();
    crate::support::eventually("a pending bit", || {
        (pending(&mut driver) == 2u64.to_le_bytes()).then_some(())
    });
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    driver.client.set_vector(1, Some(fd.as_fd()));
    assert_eq!(pending(&mut driver), [0; 8]);
    let mut count = [0; 8];
    rustix::io::read(&fd, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);
}

#[test]
fn the_controller_of_the_next_connection_is_as_after_a_reset() {
    let daemon = follow("");
    let mut first = driver(&daemon, 2);
    assert_eq!(first.write(2, 7, &pattern(1, 512)), 0);
    drop(first);
    let mut client = Client::connect(&daemon.scratch.socket());
    assert_eq!((client.register(0x14), client.register(0x1c)), (0, 0));
    drop(client);
    let mut second = driver(&daemon, 1);
    assert_eq!(second.read(1, 7, 512), Ok(pattern(1, 512)));
    let at = second.pages(1);
    let read = Command::transfer(2, 0, 1).at(at, 0);
    assert_eq!(second.run(1, read).status, 0);
}

#[test]
fn the_device_ends_in_order_with_a_driver_connected() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    daemon.control().held(1);
    daemon.terminate();
    assert!(driver.client.read_to_end().is_empty());
}

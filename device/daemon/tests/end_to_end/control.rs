// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The control socket and its clients, the bad ones included.

use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use irqstorm_core::control::{Answer, Code, MAX_LINE};

use crate::support::{Control, Daemon, PATIENCE, eventually};

#[test]
fn lines_that_say_nothing_are_refused_and_the_next_is_heard() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    control
        .send("half a line\n\n \r\n{\"id\":4,\"cmd\":\"dance\"}\n{\"id\":5,\"cmd\":\"status\"}\n");
    for (id, refused) in [(0, true), (4, true), (5, false)] {
        let reply = control.reply();
        assert_eq!(reply.id, id);
        match reply.result {
            Answer::Error(refusal) => assert!(refused && refusal.code == Code::BadRequest),
            Answer::Ok(_) => assert!(!refused),
        }
    }
}

#[test]
fn answers_come_in_the_order_of_the_questions() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    let mut lines = String::new();
    for id in 1..=500 {
        let command = if id % 3 == 0 { "list" } else { "status" };
        lines += &format!("{{\"id\":{id},\"cmd\":\"{command}\"}}\n");
    }
    control.send(&lines);
    for id in 1..=500 {
        assert_eq!(control.reply().id, id);
    }
}

#[test]
fn clients_do_not_hear_each_others_answers() {
    let daemon = Daemon::start(&[]);
    let mut clients: Vec<_> = (0..20).map(|_| daemon.control()).collect();
    for (id, client) in (100..).zip(&mut clients) {
        client.send(&format!("{{\"id\":{id},\"cmd\":\"status\"}}\n"));
    }
    for (id, client) in (100..).zip(&mut clients) {
        assert_eq!(client.reply().id, id);
    }
}

#[test]
fn a_line_without_end_is_refused_and_the_client_dropped() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    let mut endless = control.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let chunk = vec![b'x'; 1 << 16];
        let mut sent = 0;
        while sent < 64 * MAX_LINE && endless.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        sent
    });
    let Answer::Error(refusal) = control.reply().result else {
        panic!("an endless line was carried out");
    };
    assert_eq!(refusal.code, Code::BadRequest);
    assert!(sender.join().unwrap() < 64 * MAX_LINE, "never dropped");
    daemon.control().status();
}

#[test]
fn a_client_that_closes_at_once_is_obeyed_nevertheless() {
    use std::io::Write;
    let daemon = Daemon::start(&[]);
    let mut stream = UnixStream::connect(daemon.scratch.control()).unwrap();
    stream
        .write_all(b"{\"id\":1,\"cmd\":\"hold\",\"on\":true}\n")
        .unwrap();
    drop(stream);
    let mut control = daemon.control();
    control.until("the hold", |status| status.holding);
}

#[test]
fn a_client_that_only_listens_on_gets_its_answer_and_the_end() {
    use std::io::Write;
    let daemon = Daemon::start(&[]);
    let mut stream = UnixStream::connect(daemon.scratch.control()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"{\"id\":7,\"cmd\":\"status\"}\n")
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[1].starts_with("{\"id\":7,\"ok\":"), "{text}");
}

#[test]
fn a_client_too_many_is_turned_away_and_the_others_served() {
    let daemon = Daemon::start(&[]);
    let mut clients: Vec<_> = (0..64).map(|_| daemon.control()).collect();
    let path = daemon.scratch.control();
    let refusal = Control::try_connect(&path).err().unwrap();
    assert_eq!(refusal.code, Code::Busy);
    assert!(refusal.text.contains("64"), "{refusal}");
    for client in &mut clients {
        client.status();
    }
    clients.pop();
    // Its place is free once the device has noticed.
    eventually("a free place", || Control::try_connect(&path).ok());
}

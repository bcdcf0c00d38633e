// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Scenarios and commands on an NVMe controller: the same timelines as on a
//! virtio disk.

use irqstorm_core::control::{Part, Selection};
use irqstorm_testing::nvme::{Command, NvmeDriver};

use super::{driver, follow, pattern};
use crate::support::Control;

fn part(part: Part) -> Selection {
    Selection {
        part,
        ..Selection::default()
    }
}

/// Has the device hold a write.
fn hold_one(driver: &mut NvmeDriver, control: &mut Control) {
    let at = driver.pages(1);
    driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    control.held(1);
}

#[test]
fn completion_and_interrupt_are_released_apart() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    let at = driver.pages(1);
    for block in 0..3 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    control.held(3);
    assert!(driver.completions(1).is_empty());
    assert_eq!(control.release(part(Part::Completion)), 3);
    driver.wait(1, 3);
    assert_eq!(driver.interrupts(1), 0, "the interrupt is still owed");
    assert_eq!(control.release(part(Part::Interrupt)), 3);
    assert_eq!(driver.wait_for_interrupt(1), 1);
}

#[test]
fn an_interrupt_comes_before_its_completion() {
    let daemon =
        follow("interrupt = { early = { by = '1s', rescue = '60s' } }\nlatency = { fixed = '1s' }");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    let at = driver.pages(1);
    driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    assert_eq!(driver.wait_for_interrupt(1), 1);
    let total = control.status().total;
    assert_eq!(total.early, 1);
    driver.wait(1, 1);
    assert_eq!(driver.interrupts(1), 0);
}

#[test]
fn many_completions_have_one_interrupt() {
    let daemon = follow("interrupt = { coalesced = { count = 32 } }");
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    for block in 0..32 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    assert_eq!(driver.wait_for_interrupt(1), 1);
    driver.wait(1, 32);
}

#[test]
fn interrupts_with_nothing_behind_them_come_through_the_queues_vector() {
    let daemon = follow("");
    let driver = driver(&daemon, 2);
    let fired = daemon.control().fire(Some(1), 5);
    assert_eq!(fired.fired, 5);
    assert_eq!(driver.wait_for_interrupt(2), 5);
    assert_eq!(driver.interrupts(1), 0);
}

#[test]
fn faults_end_as_the_errors_that_linux_tells_apart() {
    let daemon = follow(
        "[[rule]]\nlba = '0..1'\nfault = 'io-error'\n[[rule]]\nlba = '1..2'\nfault = 'unsupported'",
    );
    let mut driver = driver(&daemon, 1);
    assert_eq!(driver.write(1, 0, &[1; 512]), 0x06, "internal error: EIO");
    assert_eq!(driver.write(1, 1, &[1; 512]), 0x01, "EOPNOTSUPP");
    assert_eq!(driver.write(1, 2, &[1; 512]), 0);
}

#[test]
fn lies_are_told_in_completion_entries() {
    let daemon = follow(
        "hostile = true\n[[rule]]\nlba = '0..1'\nfault = 'duplicate-id'\n[[rule]]\nlba = '1..2'\nfault = 'out-of-range-id'",
    );
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    let twice = driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    let ended: Vec<u16> = driver.wait(1, 2).iter().map(|ended| ended.id).collect();
    assert_eq!(ended, [twice, twice]);
    let honest = driver.submit(1, Command::transfer(1, 1, 1).at(at, 0));
    driver.ring(1);
    let ended: Vec<u16> = driver.wait(1, 2).iter().map(|ended| ended.id).collect();
    assert_eq!(ended, [u16::MAX, honest]);
    assert_eq!(daemon.control().status().total.lied, 2);
}

#[test]
fn a_reset_gives_up_what_is_held_and_the_next_driver_sees_none_of_it() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    hold_one(&mut driver, &mut control);
    driver.disable();
    let total = control.status().total;
    assert_eq!((total.abandoned, total.held, total.completed), (1, 0, 0));
    control.hold(false);
    driver.enable();
    driver.create_pair(64, 1);
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
    assert_eq!(control.status().total.completed, 1);
}

#[test]
fn a_queue_that_is_deleted_completes_what_it_has_first() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    hold_one(&mut driver, &mut control);
    let delete = Command::new(0, 0).with(10, 1);
    assert_eq!(driver.admin(delete).status, 0);
    assert_eq!(driver.completions(1).len(), 1);
    assert_eq!(driver.interrupts(1), 1);
}

#[test]
fn a_full_completion_queue_waits_for_the_driver_and_loses_nothing() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    driver.create_pair(8, 1);
    let at = driver.pages(1);
    let mut seen = Vec::new();
    // The controller is told nothing of what was read: seven fit.
    for block in 0..7 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    while seen.len() < 7 {
        seen.extend(driver.peek_completions(1));
    }
    for block in 7..12 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    // Its turn comes after the write of the queue's doorbell.
    crate::support::eventually("requests that arrive", || {
        (daemon.control().status().total.requests > 7).then_some(())
    });
    assert!(driver.peek_completions(1).is_empty());
    driver.ring_head(1);
    seen.extend(driver.wait(1, 5));
    let ids: Vec<u16> = seen.iter().map(|ended| ended.id).collect();
    assert_eq!(ids, (0..12).collect::<Vec<u16>>());
}

/// Features 08h and 09h.
fn set_feature(driver: &mut NvmeDriver, feature: u32, value: u32) {
    let set = Command::new(0x09, 0).with(10, feature).with(11, value);
    assert_eq!(driver.admin(set).status, 0);
    let get = Command::new(0x0a, 0).with(10, feature).with(11, value);
    assert_eq!(driver.admin(get).result, value);
}

#[test]
fn a_driver_that_coalesces_gets_one_interrupt_for_its_threshold() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    // 16 completions, or 25.5 ms after the first: no test machine is so slow
    // that its interrupts come one by one.
    set_feature(&mut driver, 0x08, 255 << 8 | 15);
    let at = driver.pages(1);
    for block in 0..64 {
        if block == 63 {
            break;
        }
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    driver.wait(1, 63);
    // 48 by their count, 15 by their time.
    let mut interrupts = driver.wait_for_interrupt(1);
    let mut control = daemon.control();
    let total = control.until("the last interrupt", |status| {
        status.total.signalled + status.total.suppressed > 0 && status.total.in_flight == 0
    });
    crate::support::eventually("interrupts for all", || {
        interrupts += driver.interrupts(1);
        (interrupts >= 2).then_some(())
    });
    assert!(
        interrupts <= 5,
        "{interrupts} interrupts for 63 completions"
    );
    assert_eq!(total.total.completed, 63);
}

#[test]
fn a_coalesced_interrupt_comes_by_its_time_and_another_vectors_without() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 2);
    set_feature(&mut driver, 0x08, 255 << 8 | 255);
    set_feature(&mut driver, 0x09, 1 << 16 | 2);
    for queue in [1, 2] {
        assert_eq!(driver.write(queue, 0, &pattern(1, 512)), 0);
        assert_eq!(driver.wait_for_interrupt(queue), 1);
    }
    let invalid = Command::new(0x09, 0).with(10, 0x09).with(11, 65);
    assert_eq!(driver.admin(invalid).status, 0x02);
}

#[test]
fn the_guest_steers_its_disk_with_admin_commands() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let (hold, release, fire) = (
        Command::new(0xc0, 0),
        Command::new(0xc4, 0),
        Command::new(0xc8, 0),
    );
    assert_eq!(driver.admin(hold.with(10, 1)).result, 1);
    let at = driver.pages(1);
    for block in 0..3 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    daemon.control().held(3);
    let first = driver.admin(release.with(10, 1).with(11, 1));
    assert_eq!((first.status, first.result), (0, 1));
    assert_eq!((driver.wait(1, 1).len(), driver.interrupts(1)), (1, 0));
    assert_eq!(driver.admin(hold).result, 0);
    assert_eq!(driver.admin(release).result, 2);
    driver.wait(1, 2);
    driver.wait_for_interrupt(1);
    assert_eq!(driver.admin(fire.with(10, 4).with(11, 1)).result, 4);
    assert_eq!(driver.wait_for_interrupt(1), 4);
    assert_eq!(
        driver.admin(fire.with(10, 0)).status,
        0x02,
        "none is no number"
    );
    assert_eq!(driver.admin(hold.with(10, 7)).status, 0x02);
}

/// Has a command carried out as text, and fetches its answer.
fn say(driver: &mut NvmeDriver, text: &str) -> (u16, serde_json::Value) {
    let page = driver.pages(1);
    driver.put(page, text.as_bytes());
    let len = u32::try_from(text.len()).unwrap();
    // Padded, as a whole page comes from a pipe.
    let command = Command::new(0xc1, 0).with(10, len + 3).at(page, 0);
    let status = driver.admin(command).status;
    let answer = driver.pages(1);
    let fetch = Command::new(0xc2, 0).with(10, 4096).at(answer, 0);
    assert_eq!(driver.admin(fetch).status, 0);
    let bytes = driver.get(answer, 4096);
    let text: Vec<u8> = bytes.into_iter().take_while(|&byte| byte != 0).collect();
    (status, serde_json::from_slice(&text).unwrap())
}

#[test]
fn any_command_of_the_protocol_goes_as_text_and_its_answer_is_fetched() {
    let daemon =
        follow("[[phase]]\nname = 'one'\nuntil = { mark = 'go' }\n[[phase]]\nname = 'two'");
    let mut driver = driver(&daemon, 1);
    let (status, answer) = say(&mut driver, r#"{"cmd":"status"}"#);
    assert_eq!((status, &answer["ok"]["phase"]["name"]), (0, &"one".into()));
    assert_eq!(say(&mut driver, r#"{"cmd":"mark","name":"go"}"#).0, 0);
    assert_eq!(daemon.control().status().phase.name, "two");
    for text in [
        r#"{"cmd":"dance"}"#,
        "no JSON",
        r#"{"cmd":"wait","mark":"never"}"#,
        r#"{"cmd":"phase","to":"three"}"#,
    ] {
        let (status, answer) = say(&mut driver, text);
        assert_eq!(status, 0x02, "{text}");
        assert!(answer["error"]["text"].is_string(), "{text}: {answer}");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests whose data takes its time.

use irqstorm_core::pump::Flow;
use irqstorm_testing::bench::config;
use irqstorm_testing::{Disk, Slow};

use super::*;

/// A pump over a disk that ends requests when told to.
fn slow(scenario: &str, queues: u16) -> (Bench, Disk) {
    let (store, disk) = Slow::new();
    let mut config = config(scenario, queues).unwrap();
    config.store = Box::new(store);
    (Bench::with(config), disk)
}

fn micros(micros: u64) -> Nanos {
    Nanos::from_micros(micros)
}

/// What the loop does when the store's fd is readable, or something was
/// submitted.
fn look(bench: &mut Bench) {
    bench.pump.tick(&bench.now);
}

fn tags(bench: &Bench, queue: usize) -> Vec<u64> {
    bench.drivers[queue].used_tags()
}

/// Stops a queue, waiting for it.
pub(super) fn detach(bench: &mut Bench, queue: u16) -> u64 {
    let (done, told) = mpsc::sync_channel(1);
    let queue = QueueId(queue);
    let flow = bench
        .pump
        .handle(Message::Detach { queue, done }, &bench.now);
    assert_eq!(flow, Flow::Continue);
    told.try_recv().unwrap()
}

fn disconnect(bench: &mut Bench) -> u64 {
    let (done, told) = mpsc::sync_channel(1);
    bench.pump.handle(Message::Disconnect { done }, &bench.now);
    told.try_recv().unwrap()
}

/// When the first completion was written, and when it had been due.
fn completed(bench: &Bench) -> (Nanos, Nanos) {
    let events = bench.events.all();
    let found = events.iter().find_map(|event| match event.what {
        What::Completed { planned, .. } => Some((event.at, planned)),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn a_completion_comes_at_its_time_if_its_data_came_before() {
    let (mut bench, disk) = slow("latency = { fixed = '80us' }", 1);
    bench.submit(0, 1);
    bench.run_until(50);
    disk.end(1);
    look(&mut bench);
    bench.run_until(79);
    assert!(tags(&bench, 0).is_empty());
    bench.run_until(80);
    assert_eq!(tags(&bench, 0), [1]);
    assert_eq!(completed(&bench), (micros(80), micros(80)));
    assert_eq!(bench.count("overdue"), 0);
}

#[test]
fn a_completion_whose_data_comes_late_comes_with_it_and_says_when_it_was_due() {
    for (scenario, due) in [("latency = { fixed = '80us' }", 80), ("", 0)] {
        let (mut bench, disk) = slow(scenario, 1);
        bench.submit(0, 1);
        bench.run_until(200);
        assert!(tags(&bench, 0).is_empty());
        assert_eq!(bench.drivers[0].signals(), 0);
        assert_eq!((bench.count("in_flight"), bench.count("overdue")), (1, 1));
        disk.end(1);
        look(&mut bench);
        assert_eq!(tags(&bench, 0), [1]);
        assert_eq!(bench.drivers[0].signals(), 1);
        assert_eq!(bench.count("in_flight"), 0);
        assert_eq!(completed(&bench), (micros(200), micros(due)));
    }
}

#[test]
fn a_reads_data_is_there_with_its_completion_and_a_failure_is_told() {
    let (mut bench, disk) = slow("", 1);
    bench.submit_one(0, Operation::Read, 0, 1);
    bench.submit_one(0, Operation::Read, 1, 1);
    disk.end(1);
    disk.end_as(2, Status::IoError);
    look(&mut bench);
    let used = bench.drivers[0].used();
    assert_eq!((used[0].outcome.written, used[0].data[511]), (512, 0xda));
    assert_eq!(used[1].outcome.status, Status::IoError);
    assert_eq!(used[1].data, [0; 512]);
    assert_eq!(bench.count("failed"), 1);
}

#[test]
fn what_comes_in_one_turn_is_handed_on_at_once() {
    let (mut bench, disk) = slow("", 1);
    bench.submit(0, 3);
    assert_eq!(disk.pushes(), 0);
    assert_eq!(bench.pump.next_deadline(), Some(Nanos::ZERO));
    look(&mut bench);
    assert_eq!((disk.pushes(), disk.at_work()), (1, vec![1, 2, 3]));
    assert_eq!(bench.pump.next_deadline(), None, "it sleeps meanwhile");
}

#[test]
fn what_is_decided_is_the_same_whenever_the_disk_ends_what() {
    let scenario = "latency = { uniform = { min = '1us', max = '90us' } }\n\
        interrupt = { coalesced = { count = 3, time = '20us' } }\n[[rule]]\n\
        probability = '30%'\nhold = true\n";
    let decisions = |bench: &Bench| -> Vec<What> {
        let is_decision = |what: &What| matches!(what, What::Arrived { .. });
        let events = bench.events.all().into_iter().map(|event| event.what);
        events.filter(is_decision).collect()
    };
    let mut quick = bench(scenario, 1);
    quick.submit(0, 20);
    quick.submit(0, 20);
    let expected = decisions(&quick);
    for newest_first in [false, true] {
        let (mut bench, disk) = slow(scenario, 1);
        bench.submit(0, 20);
        let mut at_work = disk.at_work();
        if newest_first {
            at_work.reverse();
        }
        at_work.into_iter().for_each(|request| disk.end(request));
        bench.submit(0, 20);
        bench.run_until(500);
        assert_eq!(decisions(&bench), expected);
    }
}

#[test]
fn without_an_order_each_comes_as_the_disk_ends_it() {
    let (mut bench, disk) = slow("", 1);
    bench.submit(0, 3);
    [2, 3, 1].into_iter().for_each(|request| disk.end(request));
    look(&mut bench);
    assert_eq!(tags(&bench, 0), [2, 3, 1]);
}

#[test]
fn many_that_the_disk_ends_at_once_become_visible_in_batches() {
    let (mut bench, disk) = slow("", 1);
    bench.submit(0, 20);
    (1..=20).for_each(|request| disk.end(request));
    look(&mut bench);
    assert_eq!(tags(&bench, 0).len(), 20);
    assert_eq!(bench.drivers[0].published(), 3, "8, 8 and 4");
}

#[test]
fn first_in_first_out_is_kept_whichever_the_disk_ends_first() {
    for scenario in [
        "order = 'fifo'",
        "order = 'fifo'\nlatency = { fixed = '10us' }",
    ] {
        let (mut bench, disk) = slow(scenario, 1);
        bench.submit(0, 4);
        bench.run_until(20);
        disk.end(2);
        disk.end(4);
        look(&mut bench);
        assert!(tags(&bench, 0).is_empty());
        disk.end(1);
        look(&mut bench);
        assert_eq!(tags(&bench, 0), [1, 2]);
        disk.end(3);
        look(&mut bench);
        assert_eq!(tags(&bench, 0), [1, 2, 3, 4]);
    }
}

#[test]
fn the_order_of_a_window_is_the_drawn_one_whichever_the_disk_ends_first() {
    let scenario = "order = { shuffle = { window = 5, time = '1ms' } }\n\
        latency = { fixed = '10us' }";
    let mut quick = bench(scenario, 1);
    quick.submit(0, 10);
    quick.run_until(20);
    let expected = tags(&quick, 0);
    assert_eq!(expected.len(), 10);
    for ends in [
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        [10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
    ] {
        let (mut bench, disk) = slow(scenario, 1);
        bench.submit(0, 10);
        bench.run_until(20);
        for request in ends {
            disk.end(request);
            look(&mut bench);
        }
        assert_eq!(tags(&bench, 0), expected);
    }
}

#[test]
fn what_is_due_and_not_there_is_held_like_any_other_and_released_like_it() {
    let (mut bench, disk) = slow("", 1);
    bench.submit(0, 2);
    look(&mut bench);
    bench.ask(json!({"cmd": "hold"}));
    disk.end(1);
    look(&mut bench);
    assert!(tags(&bench, 0).is_empty());
    assert_eq!(bench.ask(json!({"cmd": "list"}))["total"], 1);
    bench.ask(json!({"cmd": "release"}));
    assert_eq!(tags(&bench, 0), [1]);
    bench.ask(json!({"cmd": "hold", "on": false}));
    disk.end(2);
    look(&mut bench);
    assert_eq!(tags(&bench, 0), [1, 2]);
}

#[test]
fn what_is_released_before_its_data_is_there_comes_with_it() {
    let (mut bench, disk) = slow("hold = true", 1);
    bench.submit(0, 2);
    assert_eq!(bench.count("held"), 2);
    let command = json!({"cmd": "release", "request": 1, "part": "completion"});
    assert_eq!(bench.ask(command)["released"], 1);
    assert_eq!(bench.count("held"), 1);
    assert!(tags(&bench, 0).is_empty());
    disk.end(1);
    disk.end(2);
    look(&mut bench);
    assert_eq!(tags(&bench, 0), [1]);
    assert_eq!(bench.drivers[0].signals(), 0, "its interrupt is still owed");
    bench.ask(json!({"cmd": "release", "part": "interrupt"}));
    assert_eq!(bench.drivers[0].signals(), 1);
    bench.ask(json!({"cmd": "release"}));
    assert_eq!(tags(&bench, 0), [1, 2]);
}

#[test]
fn a_request_taken_back_ends_when_the_disk_lets_go_of_it_and_its_data_goes_nowhere() {
    let (mut bench, disk) = slow("latency = { fixed = '1s' }", 1);
    bench.submit_one(0, Operation::Read, 0, 1);
    look(&mut bench);
    let (done, told) = mpsc::sync_channel(1);
    let (queue, name) = (QueueId(0), 1);
    let message = Message::Abort { queue, name, done };
    bench.pump.handle(message, &bench.now);
    assert_eq!(told.try_recv(), Ok(1));
    assert!(tags(&bench, 0).is_empty(), "the disk may still write it");
    disk.end(1);
    look(&mut bench);
    let used = bench.drivers[0].used();
    assert_eq!(used[0].outcome.status, Status::Aborted);
    assert_eq!(used[0].data, [0; 512]);
    bench.run_until(2_000_000);
    assert_eq!(tags(&bench, 0), [1]);
}

#[test]
fn a_queue_is_stopped_when_the_disk_has_ended_what_it_had() {
    let (mut bench, disk) = slow("latency = { fixed = '1s' }", 2);
    bench.submit(0, 3);
    bench.submit(1, 1);
    look(&mut bench);
    disk.end(2);
    assert_eq!(detach(&mut bench, 0), 3);
    assert!(disk.at_work().is_empty());
    assert_eq!(tags(&bench, 0), [1, 2, 3]);
    assert_eq!(bench.drivers[0].unpublished(), 0);
    let used = bench.drivers[0].used();
    assert!(used.iter().all(|used| used.outcome.status == Status::Ok));
    // The other goes on as planned.
    assert!(tags(&bench, 1).is_empty());
    bench.run_until(1_000_000);
    assert_eq!((tags(&bench, 0).len(), tags(&bench, 1)), (3, vec![1]));
}

#[test]
fn a_driver_that_goes_with_reads_under_way_finds_nothing_written() {
    let (mut bench, disk) = slow("", 1);
    bench.submit_one(0, Operation::Read, 0, 1);
    bench.submit_one(0, Operation::Write, 1, 1);
    look(&mut bench);
    let gone = bench.drivers[0].clone();
    assert_eq!(disconnect(&mut bench), 2);
    assert!(
        disk.at_work().is_empty(),
        "what comes next would be overtaken"
    );
    assert_eq!((disk.forgotten(), gone.abandoned()), (2, 2));
    assert!(gone.used().is_empty());
    assert_eq!(bench.count("abandoned"), 2);
    bench.connect(0);
    bench.submit(0, 1);
    look(&mut bench);
    disk.end(3);
    look(&mut bench);
    assert_eq!(tags(&bench, 0), [1]);
    assert!(gone.used().is_empty());
}

#[test]
fn a_broken_queues_writes_are_on_the_disk_before_its_next_drivers() {
    let (mut bench, disk) = slow("", 2);
    bench.submit(0, 2);
    bench.submit(1, 1);
    look(&mut bench);
    bench.drivers[0].break_on("next");
    bench.kick(0);
    assert_eq!(disk.at_work(), [1, 2, 3]);
    bench.connect(0);
    assert!(disk.at_work().is_empty());
    assert_eq!(disk.forgotten(), 2);
    look(&mut bench);
    assert_eq!(tags(&bench, 1), [1]);
    bench.submit(0, 1);
    look(&mut bench);
    disk.end(4);
    look(&mut bench);
    assert_eq!(tags(&bench, 0), [1]);
}

#[test]
fn a_device_that_stops_has_left_nothing_with_the_disk() {
    let (mut bench, disk) = slow("", 1);
    bench.submit(0, 5);
    assert_eq!(bench.pump.handle(Message::Stop, &bench.now), Flow::Stop);
    assert!(disk.at_work().is_empty());
    assert!(bench.drivers[0].used().is_empty());
}

#[test]
fn a_lost_completion_comes_back_when_its_data_is_there() {
    let (mut bench, disk) = slow("fault = { lost = { back = '150us' } }", 1);
    bench.submit(0, 1);
    bench.run_until(200);
    assert!(tags(&bench, 0).is_empty());
    disk.end(1);
    look(&mut bench);
    assert_eq!(tags(&bench, 0), [1]);
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Rules, orders, faults, phases, marks, knobs, and what is decided again.

use std::fmt::Write as _;
use std::sync::{Arc, mpsc};

use irqstorm_core::control::{Command, Wait};
use irqstorm_core::event::What;
use irqstorm_core::inbox::{Message, Respond};
use irqstorm_core::pattern::{Recorded, Replay};
use irqstorm_core::queue::Lie;
use irqstorm_core::request::{Operation, Status};
use irqstorm_core::steps::Steps;
use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use serde_json::json;

use super::bench;

#[test]
fn the_first_rule_that_takes_a_request_decides() {
    let text = "latency = { fixed = '10us' }\n\
        [[rule]]\nlba = '2..3'\nlatency = { fixed = '50us' }\n\
        [[rule]]\noperation = 'write'\nevery = 2\nlatency = { fixed = '90us' }";
    let mut bench = bench(text, 2);
    bench.submit(0, 5);
    // Sectors 0 to 4: 2 is the first rule's; of the others every second is the
    // other's.
    bench.run_until(10);
    assert_eq!(bench.drivers[0].used_tags(), [1, 4]);
    bench.run_until(50);
    assert_eq!(bench.drivers[0].used_tags(), [1, 4, 3]);
    bench.run_until(90);
    assert_eq!(bench.drivers[0].used_tags(), [1, 4, 3, 2, 5]);
    // Each queue counts by itself.
    bench.submit(1, 1);
    bench.run_until(100);
    assert_eq!(bench.drivers[1].used_tags(), [1]);
}

#[test]
fn a_probability_takes_its_share() {
    let text = "[[rule]]\nprobability = '25%'\nfault = 'io-error'";
    let mut bench = bench(text, 1);
    bench.submit(0, 10_000);
    bench.run_until(1);
    // Binomial: 4 standard deviations are 173.
    assert!(bench.count("failed").abs_diff(2_500) < 173);
}

#[test]
fn fifo_completes_in_the_order_of_arrival_and_lifo_backwards_in_windows() {
    let latency = "latency = { trace = { values = ['90us', '10us', '50us', '20us'] } }\n";
    let order = |order: &str, until: u64| {
        let mut bench = bench(&format!("{latency}order = {order}"), 1);
        bench.submit(0, 4);
        bench.run_until(until);
        bench.drivers[0].used_tags()
    };
    assert_eq!(order("'due'", 1_000), [2, 4, 3, 1]);
    assert_eq!(order("'fifo'", 89), [0u64; 0]);
    assert_eq!(order("'fifo'", 90), [1, 2, 3, 4]);
    assert_eq!(
        order("{ lifo = { window = 2, time = '1ms' } }", 1_000),
        [4, 2, 1, 3]
    );
    // The window of three is full at 50us; the last waits for its time.
    let lifo = "{ lifo = { window = 3, time = '1ms' } }";
    assert_eq!(order(lifo, 50), [3, 4, 2]);
    assert_eq!(order(lifo, 1_089), [3, 4, 2]);
    assert_eq!(order(lifo, 1_090), [3, 4, 2, 1]);
}

#[test]
fn a_shuffle_is_by_chance_and_the_same_for_the_same_seed() {
    let tags = |seed: u64| {
        let text = format!("seed = {seed}\norder = {{ shuffle = {{ window = 64 }} }}");
        let mut bench = bench(&text, 1);
        bench.submit(0, 64);
        bench.run_until(10);
        bench.drivers[0].used_tags()
    };
    let (first, again, other) = (tags(1), tags(1), tags(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(!first.is_sorted());
    let mut sorted = first;
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=64).collect::<Vec<_>>());
}

#[test]
fn what_is_held_keeps_no_one_waiting() {
    let text = "order = 'fifo'\nlatency = { fixed = '10us' }\n[[rule]]\nlba = '0..1'\nhold = true";
    let mut bench = bench(text, 1);
    bench.submit(0, 3);
    bench.run_until(10);
    assert_eq!(bench.drivers[0].used_tags(), [2, 3]);
    assert_eq!(bench.ask(json!({"cmd": "release"}))["released"], 1);
    assert_eq!(bench.drivers[0].used_tags(), [2, 3, 1]);
}

#[test]
fn holding_by_a_filter_leaves_the_rest_alone_and_ends_as_a_whole() {
    let mut bench = bench("latency = { fixed = '5us' }", 1);
    bench.ask(json!({"cmd": "hold", "lba": "1..2"}));
    bench.ask(json!({"cmd": "hold", "operation": "flush"}));
    bench.submit(0, 3);
    bench.submit_one(0, Operation::Flush, 0, 0);
    bench.run_until(5);
    assert_eq!(bench.drivers[0].used_tags(), [1, 3]);
    let list = bench.ask(json!({"cmd": "list", "operation": "flush"}));
    assert_eq!(
        (&list["total"], list["held"].as_array().unwrap().len()),
        (&json!(2), 1)
    );
    bench.ask(json!({"cmd": "hold", "on": false}));
    bench.submit_one(0, Operation::Flush, 0, 0);
    bench.run_until(20);
    assert_eq!(bench.drivers[0].used_tags(), [1, 3, 5]);
}

#[test]
fn releases_pick_by_place_age_and_end() {
    let mut bench = bench("hold = true", 1);
    bench.submit(0, 3);
    bench.run_until(100);
    bench.submit(0, 3);
    let released = |bench: &mut Bench, pick: serde_json::Value| {
        let mut command = pick;
        command["cmd"] = "release".into();
        bench.ask(command);
        bench.drivers[0].used_tags()
    };
    assert_eq!(
        released(&mut bench, json!({"newest": true, "count": 1})),
        [6]
    );
    assert_eq!(released(&mut bench, json!({"min_age": "200us"})), [6]);
    assert_eq!(
        released(&mut bench, json!({"min_age": "100us", "count": 1})),
        [6, 1]
    );
    assert_eq!(released(&mut bench, json!({"lba": "1..2"})), [6, 1, 2, 5]);
    assert_eq!(
        released(&mut bench, json!({"size": "1KiB.."})),
        [6, 1, 2, 5]
    );
    assert_eq!(
        released(&mut bench, json!({"size": "512B.."})),
        [6, 1, 2, 5, 3, 4]
    );
}

#[test]
fn a_failed_request_never_reaches_the_store() {
    let mut bench = bench("[[rule]]\noperation = 'write'\nfault = 'io-error'", 1);
    bench.submit(0, 1);
    bench.submit_one(0, Operation::Read, 0, 1);
    bench.run_until(1);
    let used = bench.drivers[0].used();
    assert_eq!(used[0].outcome.status, Status::IoError);
    assert_eq!((used[1].outcome.status, used[1].data[0]), (Status::Ok, 0));
}

#[test]
fn a_lost_completion_comes_back_or_is_let_go_once() {
    let mut bench = bench("fault = { lost = { back = '1ms' } }", 1);
    bench.submit(0, 2);
    bench.run_until(999);
    assert_eq!((bench.count("held"), bench.drivers[0].used().len()), (2, 0));
    bench.ask(json!({"cmd": "release", "request": 2}));
    bench.run_until(5_000);
    assert_eq!(bench.drivers[0].used_tags(), [2, 1]);
    let mut for_good = self::bench("fault = { lost = {} }", 1);
    for_good.submit(0, 1);
    for_good.run_until(1_000_000);
    assert_eq!(for_good.pump.next_deadline(), None);
}

#[test]
fn a_hostile_scenario_has_its_lies_told() {
    for (fault, lie) in [
        ("'duplicate-id'", Lie::DuplicateId),
        ("'out-of-range-id'", Lie::OutOfRangeId),
        ("'stale-id'", Lie::StaleId),
        ("{ used-length = 7 }", Lie::Length(7)),
    ] {
        let mut bench = bench(&format!("hostile = true\nfault = {fault}"), 1);
        bench.submit(0, 1);
        bench.run_until(1);
        assert_eq!(bench.drivers[0].lies(), [(1, lie)]);
        assert_eq!(bench.count("lied"), 1);
    }
}

fn phase(bench: &mut Bench) -> String {
    let status = bench.ask(json!({"cmd": "status"}));
    status["phase"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn phases_end_by_time_requests_marks_and_command_and_begin_again() {
    let text = "repeat = 2\n\
        [[phase]]\nname = 'time'\nuntil = { time = '1ms' }\n\
        [[phase]]\nname = 'requests'\nuntil = { requests = 3 }\nlatency = { fixed = '7us' }\n\
        [[phase]]\nname = 'mark'\nuntil = { mark = 'go' }\nhold = true\n\
        [[phase]]\nname = 'control'";
    let mut bench = bench(text, 1);
    for round in 0..2 {
        assert_eq!(phase(&mut bench), "time");
        bench.run_to(bench.now + Nanos::from_micros(999));
        assert_eq!(phase(&mut bench), "time");
        bench.run_to(bench.now + Nanos::from_micros(1));
        assert_eq!(phase(&mut bench), "requests");
        bench.submit(0, 2);
        assert_eq!(phase(&mut bench), "requests");
        bench.submit(0, 2);
        assert_eq!(phase(&mut bench), "mark");
        // The third was the phase's last, the fourth is held.
        assert_eq!(bench.count("held"), 1 + round);
        bench.ask(json!({"cmd": "mark", "name": "stop"}));
        assert_eq!(phase(&mut bench), "mark");
        bench.ask(json!({"cmd": "mark", "name": "go"}));
        assert_eq!(phase(&mut bench), "control");
        let next = bench.try_ask(json!({"cmd": "phase"}));
        assert_eq!(next.is_ok(), round == 0);
    }
    assert_eq!(phase(&mut bench), "control");
    bench.ask(json!({"cmd": "phase", "to": "mark"}));
    assert_eq!(phase(&mut bench), "mark");
    assert!(bench.try_ask(json!({"cmd": "phase", "to": "x"})).is_err());
    let entered = bench
        .events
        .whats()
        .into_iter()
        .filter_map(|what| match what {
            What::PhaseEntered { phase, round, .. } => Some((phase, round)),
            _ => None,
        });
    let expected = [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 0),
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 1),
        (2, 1),
    ];
    assert_eq!(entered.collect::<Vec<_>>(), expected);
}

#[test]
fn a_phase_lets_go_what_was_held_when_it_says_so() {
    let text = "[[phase]]\nhold = true\nuntil = { mark = 'edge' }\n\
        [[phase]]\nrelease = true\nhold = true";
    let mut bench = bench(text, 2);
    bench.submit(0, 3);
    bench.submit(1, 1);
    bench.run_until(100);
    assert_eq!(bench.count("held"), 4);
    bench.ask(json!({"cmd": "mark", "name": "edge"}));
    assert_eq!(bench.drivers[0].used_tags(), [1, 2, 3]);
    assert_eq!((bench.count("held"), bench.drivers[1].signals()), (0, 1));
    bench.submit(0, 1);
    assert_eq!(bench.count("held"), 1);
}

#[test]
fn a_storm_of_all_phases_goes_on_and_one_of_a_phase_ends_with_it() {
    let text = "[[storm]]\nrate = '1kHz'\nqueues = [0]\n\
        [[phase]]\nuntil = { time = '2500us' }\n[[phase.storm]]\nrate = '1kHz'\nqueues = [1]\n\
        [[phase]]\n";
    let mut bench = bench(text, 2);
    bench.run_until(5_400);
    assert_eq!(
        [0, 1].map(|queue: usize| bench.drivers[queue].signals()),
        [6, 3]
    );
}

#[test]
fn a_mark_answers_those_who_wait_and_time_those_who_wait_in_vain() {
    let mut bench = bench(
        "[[phase]]\nmark = 'begun'\nuntil = { time = '5ms' }\n[[phase]]\nmark = 'begun'",
        1,
    );
    let wait = |mark: &str, count: Option<u64>, millis: u64| {
        Command::Wait(Wait {
            mark: mark.into(),
            count,
            timeout: Some(Nanos::from_millis(millis)),
        })
    };
    // Set already: the first phase did it.
    let set = bench.command(wait("begun", Some(1), 1)).unwrap().unwrap();
    assert_eq!(set["count"], 1);
    let second = bench.start(wait("begun", None, 100));
    let other = bench.start(wait("other", None, 3));
    assert!(second.try_recv().is_err() && other.try_recv().is_err());
    bench.run_until(3_000);
    let refusal = other.try_recv().unwrap().unwrap_err();
    assert!(refusal.text.contains("other"), "{}", refusal.text);
    bench.run_until(5_000);
    assert_eq!(second.try_recv().unwrap().unwrap()["count"], 2);
    for mark in ["", "a\nb", &"x".repeat(65)] {
        assert!(bench.try_ask(json!({"cmd": "mark", "name": mark})).is_err());
    }
}

#[test]
fn marks_and_waits_are_bounded() {
    let mut bench = bench("", 1);
    let marks = (0..2_000).filter(|n| {
        let mark = json!({"cmd": "mark", "name": n.to_string()});
        bench.try_ask(mark).is_ok()
    });
    assert_eq!(marks.count(), 1_024);
    assert!(bench.try_ask(json!({"cmd": "mark", "name": "7"})).is_ok());
    let waits: Vec<_> = (0..1_000)
        .map(|_| {
            bench.start(Command::Wait(Wait {
                mark: "never".into(),
                count: None,
                timeout: None,
            }))
        })
        .collect();
    let refused = waits.iter().filter(|wait| wait.try_recv().is_ok());
    assert_eq!(refused.count(), 1_000 - 256);
}

#[test]
fn a_wait_of_someone_who_is_gone_keeps_no_place() {
    let mut bench = bench("", 1);
    let wait = || {
        Command::Wait(Wait {
            mark: "never".into(),
            count: None,
            timeout: None,
        })
    };
    let refused = |bench: &mut Bench, asker: &Arc<()>| {
        let (answer, answered) = mpsc::channel();
        let respond = Respond::new(move |result| drop(answer.send(result)));
        let respond = respond.for_asker(Arc::downgrade(asker));
        let command = wait();
        let message = Message::Command { command, respond };
        bench.pump.handle(message, &bench.now);
        answered.try_recv().is_ok()
    };
    let asker = Arc::new(());
    for _ in 0..256 {
        assert!(!refused(&mut bench, &asker));
    }
    assert!(refused(&mut bench, &asker));
    drop(asker);
    assert!(!refused(&mut bench, &Arc::new(())));
}

#[test]
fn a_knob_turned_under_load_loses_and_reorders_nothing() {
    let text = "latency = { fixed = '100us' }\n[[storm]]\nrate = '1kHz'";
    let mut bench = bench(text, 1);
    bench.submit(0, 2);
    bench.run_until(1_000 / 16);
    let turned = bench.ask(json!({"cmd": "set", "knob": "latency.fixed", "value": "10us"}));
    assert_eq!(
        (&turned["before"], &turned["value"]),
        (&json!("100us"), &json!("10us"))
    );
    bench.submit(0, 1);
    bench.run_until(5_500);
    assert_eq!(bench.drivers[0].used_tags(), [3, 1, 2]);
    // The storm did not begin anew.
    assert_eq!(bench.count("spurious"), 6);
    let got = bench.ask(json!({"cmd": "get", "knob": "latency"}));
    assert_eq!(got["value"], json!({"fixed": "10us"}));
    let refusal = bench.try_ask(json!({"cmd": "set", "knob": "latency.fixed", "value": 7}));
    assert!(refusal.unwrap_err().text.contains("unit"));
    let whole = bench.ask(json!({"cmd": "get"}));
    assert!(whole["value"].as_str().unwrap().contains("10us"));
}

#[test]
fn a_phases_end_can_be_moved_while_it_lasts() {
    let text = "[[phase]]\nname = 'a'\nuntil = { time = '10ms' }\n[[phase]]\nname = 'b'";
    let mut bench = bench(text, 1);
    bench.run_until(1_000);
    bench.ask(json!({"cmd": "set", "knob": "phase.0.until.time", "value": "3ms"}));
    bench.run_until(2_999);
    assert_eq!(phase(&mut bench), "a");
    bench.run_until(3_000);
    assert_eq!(phase(&mut bench), "b");
}

/// The decisions of a bench's device as a recording has them.
fn recording(bench: &Bench) -> String {
    let mut text = String::new();
    for what in bench.events.whats() {
        if let What::Arrived {
            queue,
            nth,
            operation,
            sector,
            bytes,
            plan,
            ..
        } = what
        {
            let recorded = Recorded {
                queue,
                nth,
                operation,
                sector,
                bytes,
                plan,
            };
            writeln!(text, "{}", serde_json::to_string(&recorded).unwrap()).unwrap();
        }
    }
    text
}

const RANDOM: &str = "latency = { exponential = { mean = '50us' } }\n\
    [[rule]]\nprobability = '10%'\nfault = 'io-error'\n\
    [[rule]]\nevery = 7\ninterrupt = 'per-completion'";

#[test]
fn arrivals_of_other_queues_and_times_change_no_decision() {
    let mut together = bench(RANDOM, 2);
    for _ in 0..20 {
        together.submit(0, 3);
        together.submit(1, 5);
        together.run_to(together.now + Nanos::from_micros(20));
    }
    let mut apart = bench(RANDOM, 2);
    apart.run_until(777);
    for _ in 0..20 {
        apart.submit(1, 5);
    }
    for _ in 0..20 {
        apart.submit(0, 3);
    }
    let sorted = |bench: &Bench| {
        let text = recording(bench);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&together), sorted(&apart));
}

#[test]
fn a_recording_is_repeated_under_any_scenario_and_order() {
    let mut first = bench(RANDOM, 2);
    first.submit(0, 40);
    first.submit(1, 40);
    let recorded = recording(&first);
    let mut config = irqstorm_testing::bench::config("hold = true", 2).unwrap();
    config.replay = Some(Replay::read(recorded.as_bytes()).unwrap());
    let mut again = Bench::with(config);
    again.run_until(500);
    again.submit(1, 40);
    again.submit(0, 41);
    let plans = |bench: &Bench| {
        let mut plans: Vec<String> = recording(bench)
            .lines()
            .map(|line| {
                let recorded: Recorded = serde_json::from_str(line).unwrap();
                format!("{:06} {:?}", recorded.sector.0, recorded.plan)
            })
            .collect();
        plans.sort_unstable();
        plans
    };
    let (first, mut again_plans) = (plans(&first), plans(&again));
    let extra = again_plans.pop().unwrap();
    assert!(
        extra.starts_with("000040") && extra.contains("hold: true"),
        "{extra}"
    );
    assert_eq!(again_plans, first);
    let status = again.ask(json!({"cmd": "status"}));
    assert_eq!(status["replay"], json!({"repeated": 80, "unrecorded": 1}));
}

#[test]
fn each_requests_steps_are_found_in_the_stream() {
    let text = "latency = { fixed = '10us' }\ninterrupt = { late = { by = '5us' } }\n\
        [[rule]]\nlba = '1..2'\ninterrupt = { dropped = { rescue = '100us' } }\nlatency = { fixed = '200us' }";
    let mut bench = bench(text, 1);
    bench.submit(0, 2);
    bench.run_until(1_000);
    bench.submit(0, 1);
    let mut steps = Steps::default();
    bench
        .events
        .all()
        .iter()
        .for_each(|event| steps.take(event));
    let finished: Vec<_> = steps.drain().collect();
    assert_eq!(finished.len(), 2);
    let micros = |time: Nanos| time.0 / 1_000;
    let times: Vec<_> = finished
        .iter()
        .map(|journey| {
            let (signalled, cause) = journey.signalled.unwrap();
            (
                journey.latency().map(micros),
                journey.decided.map(|step| micros(step.at)),
                micros(signalled.at),
                cause,
            )
        })
        .collect();
    use irqstorm_core::event::Cause;
    assert_eq!(
        times,
        [
            (Some(10), Some(15), 15, Cause::Completion),
            (Some(200), Some(200), 300, Cause::Rescue)
        ]
    );
    assert!(
        finished
            .iter()
            .all(|j| j.written.unwrap().planned == j.published.unwrap().planned)
    );
    let left = steps.end();
    assert_eq!((left.len(), left[0].written), (1, None));
}

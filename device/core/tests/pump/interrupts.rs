// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interrupt's own timeline.

use irqstorm_core::event::{Cause, What};
use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use serde_json::json;

use super::bench;
use super::storing::detach;

/// The causes and times of a bench's interrupts, in microseconds.
fn interrupts(bench: &Bench) -> Vec<(Cause, u64)> {
    let of = |event: irqstorm_core::event::Event| match event.what {
        What::Signalled { cause, .. } => Some((cause, event.at.0 / 1_000)),
        _ => None,
    };
    bench.events.all().into_iter().filter_map(of).collect()
}

/// Visible completions and interrupts of the first driver.
fn seen(bench: &Bench) -> (usize, u64) {
    (bench.drivers[0].used().len(), bench.drivers[0].signals())
}

const FIXED: &str = "latency = { fixed = '100us' }\n";

#[test]
fn an_early_interrupt_comes_before_its_completion_and_none_with_it() {
    let text = format!("{FIXED}interrupt = {{ early = {{ by = '30us', rescue = '50us' }} }}");
    let mut bench = bench(&text, 1);
    bench.submit(0, 1);
    bench.run_until(69);
    assert_eq!(seen(&bench), (0, 0));
    bench.run_until(70);
    assert_eq!(seen(&bench), (0, 1));
    bench.run_until(149);
    assert_eq!(seen(&bench), (1, 1));
    bench.run_until(1_000);
    assert_eq!(
        interrupts(&bench),
        [(Cause::Early, 70), (Cause::Rescue, 150)]
    );
    assert_eq!((bench.count("early"), bench.count("rescued")), (1, 1));
    assert_eq!(bench.count("signalled"), 0);
}

#[test]
fn an_early_interrupt_of_a_held_request_comes_with_its_release() {
    let text = "hold = true\ninterrupt = { early = { by = '30us' } }";
    let mut bench = bench(text, 1);
    bench.submit(0, 1);
    bench.run_until(500);
    assert_eq!(seen(&bench), (0, 0));
    bench.ask(json!({"cmd": "release"}));
    assert_eq!(seen(&bench), (0, 1));
    bench.run_until(529);
    assert_eq!(seen(&bench), (0, 1));
    bench.run_until(530);
    assert_eq!(seen(&bench), (1, 1));
}

#[test]
fn a_late_interrupt_is_decided_after_its_completion_is_visible() {
    let text = format!("{FIXED}interrupt = {{ late = {{ by = '30us' }} }}");
    let mut bench = bench(&text, 1);
    bench.submit(0, 3);
    bench.run_until(129);
    assert_eq!(seen(&bench), (3, 0));
    assert_eq!(bench.drivers[0].asked(), 0);
    bench.run_until(1_000);
    assert_eq!(interrupts(&bench), [(Cause::Completion, 130)]);
}

#[test]
fn a_dropped_interrupt_is_decided_and_comes_after_its_rescue_time() {
    let text = format!("{FIXED}interrupt = {{ dropped = {{ rescue = '1ms' }} }}");
    let mut bench = bench(&text, 1);
    bench.submit(0, 1);
    bench.run_until(1_099);
    assert_eq!((seen(&bench), bench.drivers[0].asked()), ((1, 0), 1));
    bench.run_until(9_000);
    assert_eq!(interrupts(&bench), [(Cause::Rescue, 1_100)]);
    assert_eq!((bench.count("dropped"), bench.count("wanted")), (1, 1));
}

#[test]
fn no_rescue_comes_where_another_interrupt_had_the_driver_look() {
    let text =
        format!("{FIXED}[[rule]]\nlba = '0..1'\ninterrupt = {{ dropped = {{ rescue = '1ms' }} }}");
    let mut bench = bench(&text, 1);
    // Sector 0's is dropped, and sector 1's comes with it.
    bench.submit(0, 2);
    bench.run_until(9_000);
    assert_eq!(interrupts(&bench), [(Cause::Completion, 100)]);
    bench.submit(0, 1);
    bench.run_until(9_500);
    bench.ask(json!({"cmd": "fire"}));
    bench.run_until(90_000);
    assert_eq!(bench.count("rescued"), 0);
}

#[test]
fn duplicates_follow_at_their_gap_and_nothing_is_behind_them() {
    let text = format!("{FIXED}interrupt = {{ duplicated = {{ count = 3, gap = '10us' }} }}");
    let mut bench = bench(&text, 1);
    bench.submit(0, 2);
    bench.run_until(1_000);
    let times: Vec<u64> = interrupts(&bench).into_iter().map(|(_, at)| at).collect();
    assert_eq!(times, [100, 110, 120, 130]);
    assert_eq!(
        (bench.count("signalled"), bench.count("duplicated")),
        (1, 3)
    );
    // Not wanted: none, and no more of none.
    bench.drivers[0].wants_interrupts(false);
    bench.submit(0, 1);
    bench.run_until(5_000);
    assert_eq!(bench.drivers[0].signals(), 4);
}

#[test]
fn duplicates_end_with_their_driver() {
    let text = "interrupt = { duplicated = { count = 9, gap = '10us' } }";
    let mut bench = bench(text, 1);
    bench.submit(0, 1);
    bench.run_until(25);
    assert_eq!(bench.drivers[0].signals(), 3);
    bench.connect(0);
    bench.run_until(1_000);
    assert_eq!(bench.drivers[0].signals(), 0);
}

#[test]
fn an_interrupt_that_never_comes_is_not_even_decided_until_someone_does() {
    let text = "interrupt = { never = { recovered_by = 'control' } }";
    let mut bench = bench(text, 1);
    bench.submit(0, 3);
    bench.run_until(1_000_000);
    assert_eq!((seen(&bench), bench.drivers[0].asked()), ((3, 0), 0));
    let released = bench.ask(json!({"cmd": "release", "part": "interrupt"}));
    assert_eq!(released["released"], 3);
    assert_eq!(seen(&bench), (3, 1));
}

#[test]
fn interrupts_are_coalesced_by_count_alone_and_by_time_alone() {
    let by_count = "interrupt = { coalesced = { count = 4 } }";
    let mut bench = self::bench(by_count, 1);
    bench.submit(0, 3);
    bench.run_until(1_000_000);
    assert_eq!(seen(&bench), (3, 0));
    bench.submit(0, 1);
    bench.run_until(1_000_001);
    assert_eq!(seen(&bench), (4, 1));

    let by_time = "interrupt = { coalesced = { time = '50us' } }";
    let mut bench = self::bench(by_time, 1);
    for micros in [10, 20, 40] {
        bench.run_until(micros);
        bench.submit(0, 5);
    }
    bench.run_until(59);
    assert_eq!(bench.drivers[0].signals(), 0);
    bench.run_until(60);
    assert_eq!(seen(&bench), (15, 1));
}

#[test]
fn an_interrupt_waits_until_its_driver_has_read_what_the_last_one_told_of() {
    let mut bench = bench("interrupt = 'when-read'", 1);
    bench.submit(0, 1);
    bench.run_until(1);
    assert_eq!(seen(&bench), (1, 1));
    bench.drivers[0].is_behind(true);
    for more in 2..=3 {
        bench.submit(0, 1);
        bench.run_until(more);
    }
    assert_eq!(seen(&bench), (3, 1));
    bench.drivers[0].is_behind(false);
    bench.run_until(1_000_000);
    assert_eq!(seen(&bench), (3, 1), "nobody has looked into the queue");
    for _ in 0..2 {
        bench.kick(0);
        assert_eq!(seen(&bench), (3, 2));
    }
    assert_eq!((bench.count("wanted"), bench.count("signalled")), (2, 2));
}

#[test]
fn a_driver_that_has_read_what_waited_for_it_is_not_interrupted_unless_asked_for() {
    for (text, signals) in [("'when-read'", 0), ("'when-wanted'", 1)] {
        let mut bench = bench(&format!("interrupt = {text}"), 1);
        bench.drivers[0].is_behind(true);
        bench.drivers[0].has_read_all(true);
        bench.submit(0, 1);
        bench.run_until(1);
        bench.drivers[0].is_behind(false);
        bench.kick(0);
        assert_eq!(seen(&bench), (1, signals), "{text}");
        assert_eq!(bench.count("suppressed"), 1 - signals);
    }
}

#[test]
fn an_interrupt_that_waits_for_its_driver_is_spared_by_another_and_owed_to_a_queue_that_stops() {
    let mut bench = bench("interrupt = 'when-read'", 1);
    bench.drivers[0].is_behind(true);
    bench.submit(0, 2);
    bench.run_until(1);
    assert_eq!(seen(&bench), (2, 0));
    let released = bench.ask(json!({"cmd": "release", "part": "interrupt"}));
    assert_eq!(
        (released["released"].as_u64(), seen(&bench)),
        (Some(2), (2, 1))
    );
    bench.drivers[0].is_behind(false);
    bench.kick(0);
    assert_eq!(seen(&bench), (2, 1), "it was told of all there is");
    bench.drivers[0].is_behind(true);
    bench.submit(0, 1);
    bench.run_until(2);
    assert_eq!(seen(&bench), (3, 1));
    detach(&mut bench, 0);
    assert_eq!(seen(&bench), (3, 2));
}

#[test]
fn an_interrupt_due_with_a_completion_is_decided_when_that_is_visible() {
    let text =
        "latency = { fixed = '33us' }\ninterrupt = { coalesced = { count = 4, time = '32us' } }";
    let mut bench = bench(text, 1);
    bench.submit(0, 1);
    bench.run_until(32);
    bench.submit(0, 1);
    bench.run_until(1_000);
    assert_eq!(bench.drivers[0].used().len(), 2);
}

#[test]
fn interrupts_are_stepped_one_at_a_time() {
    let mut bench = bench("hold = true", 1);
    bench.submit(0, 3);
    for step in 1..=3 {
        bench.ask(json!({"cmd": "release", "count": 1}));
        assert_eq!(seen(&bench), (step, step as u64));
    }
    bench.submit(0, 2);
    bench.ask(json!({"cmd": "release", "part": "completion"}));
    assert_eq!(seen(&bench), (5, 3));
    let one = json!({"cmd": "release", "part": "interrupt", "count": 1});
    for _ in 0..2 {
        assert_eq!(bench.ask(one.clone())["released"], 1);
    }
    assert_eq!(bench.ask(one)["released"], 0);
}

#[test]
fn the_guard_withholds_duplicates_and_early_ones_too() {
    let text = "interrupt = { duplicated = { count = 4096 } }";
    let mut bench = bench(text, 1);
    bench.run_until(1_000_000);
    for _ in 0..20 {
        bench.submit(0, 1);
        bench.run_to(bench.now + Nanos::from_micros(10));
    }
    assert!(bench.count("withheld") > 0);
    assert!(bench.count("duplicated") < 50_000);
}

#[test]
fn a_volley_strikes_every_queue_once_and_tells_its_skew() {
    let mut bench = bench(
        "[[storm]]\nrate = '1kHz'\nvolley = true\nqueues = [0, 2]",
        3,
    );
    bench.run_until(2_500);
    let signals: Vec<u64> = bench
        .drivers
        .iter()
        .map(|driver| driver.signals())
        .collect();
    assert_eq!(signals, [3, 0, 3]);
    let reply = bench.ask(json!({"cmd": "volley"}));
    assert_eq!(
        (&reply["queues"], &reply["withheld"]),
        (&json!(3), &json!(0))
    );
    let volleys = bench
        .events
        .whats()
        .into_iter()
        .filter_map(|what| match what {
            What::Volley { queues, .. } => Some(queues),
            _ => None,
        });
    assert_eq!(volleys.collect::<Vec<_>>(), [2, 2, 2, 3]);
}

#[test]
fn a_burst_with_gaps_is_spread_and_keeps_its_rate() {
    let mut bench = bench("[[storm]]\nrate = '3kHz'\nburst = 3\ngap = '100us'", 1);
    let mut at = Vec::new();
    for micros in (0..2_000).step_by(50) {
        bench.run_until(micros);
        at.resize(usize::try_from(bench.drivers[0].signals()).unwrap(), micros);
    }
    assert_eq!(at, [0, 100, 200, 1_000, 1_100, 1_200]);
}

#[test]
fn storms_are_started_and_stopped_by_name_and_run_side_by_side() {
    let text = "[[storm]]\nname = 'a'\nrate = '1kHz'\nqueues = [0]\n[[storm]]\nname = 'b'\nrate = '1kHz'\nqueues = [1]\nactive = false";
    let mut bench = bench(text, 2);
    bench.run_until(1_500);
    let signals = |bench: &Bench| [0, 1].map(|queue: usize| bench.drivers[queue].signals());
    assert_eq!(signals(&bench), [2, 0]);
    bench.ask(json!({"cmd": "storm", "on": true, "name": "b"}));
    bench.ask(json!({"cmd": "storm", "on": false, "name": "a"}));
    bench.run_until(3_200);
    assert_eq!(signals(&bench), [2, 2]);
    let refusal = bench.try_ask(json!({"cmd": "storm", "on": true, "name": "c"}));
    assert!(refusal.unwrap_err().text.contains("name c"));
}

#[test]
fn a_flood_lets_everything_else_have_its_turn() {
    let text = "hostile = true\nlatency = { fixed = '5us' }\n[[storm]]\nrate = 'max'\ncross_kill_line = true";
    let mut bench = bench(text, 1);
    bench.submit(0, 2);
    // The loop comes once a microsecond.
    for micros in 1..=100 {
        bench.now = Nanos::from_micros(micros);
        bench.pump.tick(&bench.now);
    }
    assert_eq!(bench.drivers[0].used().len(), 2);
    assert!(bench.drivers[0].signals() >= 100);
    bench.ask(json!({"cmd": "storm", "on": false}));
    bench.run_until(1_000);
    assert_eq!(bench.pump.next_deadline(), None);
}

#[test]
fn the_configurations_interrupt_has_a_line_of_its_own() {
    let line = irqstorm_testing::bench::CountingLine::default();
    let mut config =
        irqstorm_testing::bench::config("[[storm]]\nconfig = true\nrate = '2kHz'\nburst = 2", 1)
            .unwrap();
    config.config_line = Some(Box::new(line.clone()));
    let mut bench = Bench::with(config);
    bench.run_until(2_500);
    assert_eq!((line.raised(), bench.drivers[0].signals()), (6, 0));
    let fired = bench.ask(json!({"cmd": "fire", "config": true, "count": 3}));
    assert_eq!(fired, json!({"fired": 3, "withheld": 0}));
    assert_eq!(line.raised(), 9);

    let mut without = self::bench("", 1);
    let fired = without.ask(json!({"cmd": "fire", "config": true}));
    assert_eq!(fired, json!({"fired": 0, "withheld": 1}));
    assert!(matches!(
        without.events.whats().last(),
        Some(What::Commanded { .. })
    ));
}

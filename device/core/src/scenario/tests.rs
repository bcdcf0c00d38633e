// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;
use crate::filter::Choice;
use crate::latency::Latency;
use crate::request::{Operation, QueueId};
use crate::units::Nanos;

fn parse(text: &str) -> Scenario {
    Scenario::parse("s.toml", text).unwrap()
}

fn refusal(text: &str) -> String {
    Scenario::parse("s.toml", text).unwrap_err().to_string()
}

fn fixed(micros: u64) -> Latency {
    Latency::Fixed(Nanos::from_micros(micros))
}

#[test]
fn an_empty_scenario_completes_at_once_when_wanted() {
    let scenario = parse("");
    assert_eq!(scenario.phases, [Phase::default()]);
    assert_eq!(scenario.phases[0].script.base, Behaviour::default());
    assert_eq!(scenario.repeat, Repeat::Times(1));
}

#[test]
fn every_key_is_read() {
    let scenario = parse(
        r#"
        description = "everything"
        seed = 3
        hostile = true
        latency = { fixed = "80us" }
        interrupt = { coalesced = { count = 8 } }
        hold = true
        fault = "io-error"
        order = { shuffle = { window = 8, time = "2ms" } }

        [[rule]]
        name = "some"
        operation = ["read", "write"]
        queue = [0, 2]
        lba = "0..8192"
        size = "4KiB..=64KiB"
        every = 10
        probability = "1%"
        interrupt = { duplicated = { count = 3, gap = "10us" } }
        fault = { used-length = 7 }

        [[storm]]
        name = "noise"
        queues = [0, 2]
        rate = "20kHz"
        burst = 8
        gap = "2us"
        duty = "50%"
        period = "20ms"
        active = false
        cross_kill_line = true

        [[storm]]
        config = true
        rate = "10Hz"

        [[storm]]
        rate = "max"
        cross_kill_line = true

        [[storm]]
        rate = "10Hz"
        volley = true
        "#,
    );
    assert_eq!((scenario.seed, scenario.hostile), (Some(3), true));
    let script = &scenario.phases[0].script;
    assert!(script.base.hold && script.base.fault == Some(Fault::IoError));
    let window = Window {
        window: 8,
        time: Nanos::from_millis(2),
    };
    assert_eq!(script.order, Order::Shuffle(window));
    let rule = &script.rules[0];
    assert_eq!(
        (rule.name.as_str(), rule.selector.every),
        ("some", Some(10))
    );
    assert_eq!(rule.behaviour.latency, fixed(80));
    assert_eq!(rule.behaviour.fault, Some(Fault::UsedLength(7)));
    let names: Vec<&str> = script
        .storms
        .iter()
        .map(|storm| storm.name.as_str())
        .collect();
    assert_eq!(names, ["noise", "storm 1", "storm 2", "storm 3"]);
    assert!(script.storms[0].strikes(QueueId(2)) && !script.storms[0].strikes(QueueId(1)));
    assert!(!script.storms[1].strikes(QueueId(0)));
    assert_eq!(script.storms[2].rate, StormRate::Max);
}

#[test]
fn a_scenario_comes_back_from_its_text() {
    let text = "latency = { fixed = '80us' }\n[[phase]]\nname = 'a'\nuntil = { time = '1s' }\n";
    let scenario = parse(text);
    let again = parse(&scenario.document().to_text());
    assert_eq!(again.phases, scenario.phases);
}

#[test]
fn rules_lie_over_profiles_over_the_base() {
    let scenario = parse(
        r#"
        latency = { fixed = "1us" }
        interrupt = "per-completion"
        [profiles.slow]
        latency = { fixed = "9us" }
        hold = true
        [[rule]]
        profile = "slow"
        hold = false
        "#,
    );
    let behaviour = &scenario.phases[0].script.rules[0].behaviour;
    assert_eq!(behaviour.latency, fixed(9));
    assert!(!behaviour.hold);
    assert_eq!(behaviour.interrupt, Interrupt::PerCompletion);
}

#[test]
fn a_fault_is_taken_back_where_it_says_none() {
    let scenario = parse("fault = 'io-error'\n[[rule]]\noperation = 'read'\nfault = 'none'");
    let script = &scenario.phases[0].script;
    assert_eq!(script.base.fault, Some(Fault::IoError));
    assert_eq!(script.rules[0].behaviour.fault, None);
}

#[test]
fn storms_without_a_name_are_told_apart_by_their_phase() {
    let text = "[[storm]]\nrate = '1Hz'\n[[phase]]\nname = 'a'\n[[phase.storm]]\nrate = '1Hz'";
    let scenario = parse(text);
    let storms = &scenario.phases[0].script.storms;
    assert_eq!([&storms[0].name, &storms[1].name], ["a storm 0", "storm 0"]);
}

#[test]
fn a_phase_has_its_own_first_and_then_what_is_common() {
    let scenario = parse(
        r#"
        latency = { fixed = "1us" }
        repeat = "forever"
        [[rule]]
        name = "common"
        operation = "flush"
        [[storm]]
        rate = "1Hz"
        [[phase]]
        name = "a"
        until = { requests = 5 }
        mark = "begun"
        latency = { fixed = "2us" }
        order = "fifo"
        [[phase.rule]]
        name = "own"
        [[phase.storm]]
        rate = "2Hz"
        [[phase]]
        until = { mark = "go" }
        "#,
    );
    assert_eq!(scenario.repeat, Repeat::Forever);
    let [first, second] = scenario.phases.as_slice() else {
        panic!("{:?}", scenario.phases);
    };
    assert_eq!(
        (first.name.as_str(), second.name.as_str()),
        ("a", "phase 1")
    );
    assert_eq!(first.mark.as_deref(), Some("begun"));
    let names: Vec<&str> = first
        .script
        .rules
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(names, ["own", "common"]);
    assert_eq!(first.script.rules[1].behaviour.latency, fixed(2));
    assert_eq!(first.script.storms.len(), 2);
    assert_eq!(
        (first.script.order, second.script.order),
        (Order::Fifo, Order::Due)
    );
    assert_eq!(second.script.rules[0].behaviour.latency, fixed(1));
    assert_eq!(second.until, Until::Mark("go".into()));
}

#[test]
fn a_sweep_becomes_a_phase_for_each_step() {
    let knobs = |text: &str| {
        let phases = parse(text).phases;
        assert!(
            phases
                .iter()
                .all(|phase| phase.mark.as_deref() == Some("sweep"))
        );
        phases
            .into_iter()
            .map(|phase| phase.name)
            .collect::<Vec<_>>()
    };
    let log = "[sweep]\nknob = 'latency.fixed'\nfrom = '10us'\nto = '1ms'\nsteps = 3\nscale = 'log'\neach = { time = '1s' }";
    assert_eq!(
        knobs(log),
        [
            "latency.fixed=10us",
            "latency.fixed=100us",
            "latency.fixed=1ms"
        ]
    );
    let counts = "interrupt = { coalesced = { count = 1, time = '1ms' } }\n[sweep]\nknob = 'interrupt.coalesced.count'\nfrom = 1\nto = 9\nsteps = 5\neach = { requests = 10 }";
    assert_eq!(knobs(counts)[4], "interrupt.coalesced.count=9");
    let scenario = parse(counts);
    let fourth = scenario.phases[3].script.base.interrupt;
    let time = Some(Nanos::from_millis(1));
    assert_eq!(
        fourth,
        Interrupt::Coalesced {
            count: Some(7),
            time
        }
    );
    let values = "[[storm]]\nrate = '1kHz'\n[sweep]\nknob = 'storm.0.rate'\nvalues = ['1kHz', '5kHz']\neach = 'control'";
    assert_eq!(knobs(values), ["storm.0.rate=1kHz", "storm.0.rate=5kHz"]);
}

#[test]
fn a_knob_turns_one_value_and_leaves_the_rest() {
    let scenario = parse(
        "latency = { fixed = '1us' }\ninterrupt = 'per-completion'\n[[rule]]\nname = 'flushes'\noperation = 'flush'\n[[storm]]\nrate = '1kHz'",
    );
    let turned = |knob: &str, value: Value| scenario.with_knob(knob, value);
    let script = |knob: &str, value: Value| turned(knob, value).unwrap().phases[0].script.clone();
    assert_eq!(script("latency.fixed", "2us".into()).base.latency, fixed(2));
    let other = script(
        "latency.uniform",
        toml::from_str("min = '1us'\nmax = '2us'")
            .map(Value::Table)
            .unwrap(),
    );
    assert!(matches!(other.base.latency, Latency::Uniform { .. }));
    let late = script("interrupt.late.by", "5us".into()).base.interrupt;
    assert_eq!(
        late,
        Interrupt::Late {
            by: Nanos::from_micros(5)
        }
    );
    let plain = script("interrupt", "when-wanted".into()).base.interrupt;
    assert_eq!(plain, Interrupt::WhenWanted);
    assert!(
        script("rule.flushes.hold", true.into()).rules[0]
            .behaviour
            .hold
    );
    let rate = script("storm.0.rate", "9kHz".into()).storms[0].rate;
    assert_eq!(rate.to_string(), "9000Hz");
    assert_eq!(
        scenario.document().get("storm.0.rate"),
        Some(&Value::from("1kHz"))
    );
    assert_eq!(scenario.document().get("storm.1.rate"), None);
    for (knob, value) in [
        ("", Value::from(1)),
        ("latencies", Value::from(1)),
        ("latency.fixed", Value::from(1)),
        ("latency.fixed.x", Value::from(1)),
        ("storm.7.rate", Value::from("1kHz")),
        ("storm.0", Value::from("1kHz")),
        ("rule.nosuch.hold", Value::from(true)),
        ("..", Value::from(1)),
    ] {
        assert!(turned(knob, value).is_err(), "{knob} was turned");
    }
}

#[test]
fn files_include_files_below_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "part.toml",
        "latency = { fixed = '9us' }\nhold = true\n[profiles.p]\nhold = true\n[[rule]]\nname = 'part'\n",
    );
    write(
        "top.toml",
        "include = ['part.toml']\nhold = false\n[profiles.q]\nhold = true\n[[rule]]\nname = 'top'\noperation = 'flush'\nprofile = 'p'\n",
    );
    write("circle.toml", "include = ['circle.toml']\n");
    let scenario = Scenario::load(&folder.path().join("top.toml")).unwrap();
    let script = &scenario.phases[0].script;
    assert_eq!((&script.base.latency, script.base.hold), (&fixed(9), false));
    let names: Vec<&str> = script.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["top", "part"]);
    // What is sent to a device needs no file.
    let sent = parse(&scenario.document().to_text());
    assert_eq!(sent.phases, scenario.phases);
    let circle = Scenario::load(&folder.path().join("circle.toml")).unwrap_err();
    assert!(circle.to_string().contains("circle.toml"), "{circle}");
    assert!(refusal("include = ['part.toml']").contains("read from a file"));
}

#[test]
fn a_wrong_key_is_named_with_what_is_allowed() {
    let error = refusal("latencies = 3");
    for word in ["s.toml", "latencies", "latency", "interrupt"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_bare_number_is_refused_with_the_units() {
    let error = refusal("latency = { fixed = 80 }");
    assert!(error.contains("unit"), "{error}");
}

#[test]
fn impossible_values_are_named() {
    for (text, key) in [
        ("latency = { fixed = '3600s' }", "latency.fixed"),
        (
            "interrupt = { coalesced = { count = 0 } }",
            "interrupt.coalesced.count",
        ),
        ("interrupt = { coalesced = {} }", "interrupt.coalesced"),
        (
            "interrupt = { coalesced = { time = '0us' } }",
            "interrupt.coalesced.time",
        ),
        (
            "interrupt = { early = { by = '0us' } }",
            "interrupt.early.by",
        ),
        (
            "interrupt = { dropped = { rescue = '999s' } }",
            "interrupt.dropped.rescue",
        ),
        (
            "interrupt = { duplicated = { count = 0 } }",
            "interrupt.duplicated.count",
        ),
        (
            "interrupt = { never = { recovered_by = 'storm' } }",
            "interrupt.never",
        ),
        ("fault = 'duplicate-id'", "hostile"),
        ("[[rule]]\nfault = { used-length = 1 }", "rule[0].fault"),
        ("order = { lifo = { window = 1 } }", "order.window"),
        ("profile = 'x'", "profile"),
        ("[[rule]]\nevery = 0", "rule[0].every"),
        (
            "[[rule]]\nlatency = { fixed = '700s' }",
            "rule[0].latency.fixed",
        ),
        ("[[storm]]\nrate = '1kHz'\nburst = 0", "storm[0].burst"),
        (
            "[[storm]]\nrate = '1kHz'\nburst = 10\ngap = '2ms'",
            "storm[0].gap",
        ),
        (
            "[[storm]]\nrate = '1kHz'\nqueues = [256]",
            "storm[0].queues",
        ),
        ("[[storm]]\nrate = '1kHz'\nperiod = '0s'", "storm[0].period"),
        ("[[storm]]\nrate = 'max'", "storm[0].rate"),
        (
            "[[storm]]\nrate = '1kHz'\nvolley = true\nburst = 2",
            "storm[0].volley",
        ),
        ("[[phase]]\nuntil = { time = '0s' }", "phase[0].until.time"),
        (
            "[[phase]]\nuntil = { requests = 0 }",
            "phase[0].until.requests",
        ),
        ("[[phase]]\nname = ''", "phase[0].name"),
        ("repeat = 0", "at least 1"),
        (
            "[sweep]\nknob = 'hold'\nvalues = []\neach = 'control'",
            "sweep.steps",
        ),
        (
            "[sweep]\nknob = 'hold'\nfrom = '1us'\nto = '1kHz'\nsteps = 3\neach = 'control'",
            "sweep.from",
        ),
        (
            "[sweep]\nknob = 'hold'\nvalues = [true]\nscale = 'log'\neach = 'control'",
            "sweep.values",
        ),
        ("[sweep]\nknob = 'x.y'\nvalues = [1]\neach = 'control'", "x"),
    ] {
        let error = refusal(text);
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn the_first_rule_that_takes_a_request_is_shown_with_the_chances_before_it() {
    let scenario = parse(
        r#"
        [[rule]]
        name = "rare"
        operation = ["read", "write"]
        probability = "1%"
        [[rule]]
        name = "low"
        lba = "0..100"
        [[rule]]
        name = "never reached"
        lba = "50..60"
        [[rule]]
        name = "tenth"
        queue = 1
        every = 10
        "#,
    );
    let rows = explain(&scenario.phases[0].script).unwrap();
    let takers = |operation, queue: &str, lba: u64| {
        let row = rows.iter().find(|row| {
            row.operations.contains(&operation)
                && row.queues.iter().any(|name| name == queue)
                && row.lba.has(lba)
        });
        row.unwrap().taken_by.clone()
    };
    assert_eq!(takers(Operation::Read, "others", 5), ["1%: rare", "low"]);
    assert_eq!(takers(Operation::Flush, "others", 55), ["low"]);
    assert_eq!(takers(Operation::Flush, "others", 100), ["(base)"]);
    assert_eq!(
        takers(Operation::Write, "1", 100),
        ["1%: rare", "each 10th: tenth", "(base)"]
    );
    assert!(
        rows.iter()
            .all(|row| !row.taken_by.contains(&"never reached".to_owned()))
    );
    assert_eq!(Choice::<QueueId>::default(), Choice::default());
}

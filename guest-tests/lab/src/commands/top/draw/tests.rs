// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Frames for states, on a terminal that is none.

use irqstorm_core::control::{PhaseReply, Precision, Quantiles};
use irqstorm_core::event::Floor;
use irqstorm_core::units::Nanos;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Modifier;

use super::super::state::Change;
use super::*;

fn counters(scale: u64) -> Counters {
    Counters {
        requests: 1_500 * scale,
        in_flight: 3,
        held: 2,
        published: 1_200 * scale,
        wanted: 900 * scale,
        signalled: 800 * scale,
        suppressed: 100 * scale,
        early: 11 * scale,
        dropped: 12 * scale,
        rescued: 13 * scale,
        duplicated: 14 * scale,
        spurious: 15_000 * scale,
        withheld: 16 * scale,
        ..Counters::default()
    }
}

/// A look at a device of so many queues, `scale` seconds after its start.
fn look(scale: u64, queues: usize) -> StatusReply {
    StatusReply {
        at: Nanos::from_millis(1_000 * scale),
        scenario: "calm-then-storm".into(),
        seed: 7,
        phase: PhaseReply {
            index: 1,
            of: 3,
            name: "rough".into(),
            until: "2s".into(),
            round: 0,
            elapsed: Nanos::from_millis(500),
            requests: 40,
        },
        connected: true,
        storming: true,
        total: counters(scale),
        queues: vec![counters(scale); queues],
        latencies: vec![vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 40, 10], vec![0; 3]],
        latency_sums: vec![540_000],
        precision: Precision {
            floor: Floor {
                wakeup_p50: Nanos(50_000),
                wakeup_p99: Nanos(80_000),
                write_p50: Nanos(900),
            },
            published: Quantiles {
                count: 9,
                p50: Nanos(52_000),
                p99: Nanos(85_000),
                ..Quantiles::default()
            },
            ..Precision::default()
        },
        marks: [("go".to_owned(), 2), ("rough".to_owned(), 1)].into(),
        guard_pauses: 4,
        ..StatusReply::default()
    }
}

/// A state after two looks a second apart.
fn state(queues: usize) -> State {
    let mut state = State::new(true);
    state.take(look(1, queues));
    state.take(look(2, queues));
    state
}

fn buffer(state: &State, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(state: &State, width: u16, height: u16) -> Vec<String> {
    let buffer = buffer(state, width, height);
    let line = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

#[test]
fn the_frame_shows_all_there_is() {
    let shown = lines(&state(2), 100, 30);
    let expected = [
        "irqstorm up 2s  calm-then-storm, seed 7  storming",
        "phase   ▕█████               ▏ 25%  rough 2/3, until 2s: 500ms, 40 requests",
        "marks   go 2  rough 1",
        "late    published +2us +5us, signalled -, floor 50us 80us (p50 p99)",
        "storms  4 guard pauses, 0 skipped, 0 of the configuration",
    ];
    assert_eq!(shown[..5], expected);
    let words = |line: usize| shown[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        words(5),
        [
            "queue", "reqs", "fly", "held", "publ", "want", "sign", "supp", "early", "drop",
            "resc", "dupl", "spur", "withh"
        ]
    );
    assert_eq!(
        words(6),
        [
            "all", "3k", "3", "2", "2.4k", "1.8k", "1.6k", "200", "22", "24", "26", "28", "30k",
            "32"
        ]
    );
    assert_eq!(
        words(7),
        [
            "/s", "1.5k", "1.2k", "900", "800", "100", "11", "12", "13", "14", "15k", "16"
        ]
    );
    assert_eq!((words(8)[0], words(10)[0]), ("0", "1"));
    let latency = shown
        .iter()
        .position(|line| line.starts_with("latency"))
        .unwrap();
    assert_eq!(
        shown[latency],
        "latency, from arrival to visible: 54 completions, mean 10us"
    );
    assert!(shown[latency + 1].starts_with("  1.02us - 2.04us  ███"));
    assert!(shown[latency + 2].ends_with("█ 40"));
    assert!(shown[latency + 3].ends_with(" 10"));
    assert!(shown[29].contains("q quit"));
}

#[test]
fn many_queues_have_a_line_each_and_scroll() {
    let mut state = state(40);
    let shown = lines(&state, 80, 30);
    assert!(shown[5].starts_with("/s"), "{}", shown[5]);
    assert!(shown[6].starts_with("all") && shown[7].starts_with("0 "));
    assert!(shown.iter().any(|line| line.starts_with("latency")));
    state.show(Change::Down);
    assert!(lines(&state, 80, 30)[7].starts_with("1 "));
}

#[test]
fn a_narrow_terminal_leaves_out_what_has_counted_nothing() {
    let mut state = State::new(true);
    let mut quiet = look(1, 1);
    quiet.total.early = 0;
    state.take(quiet);
    assert!(!lines(&state, 80, 24)[5].contains("early"));
    assert!(lines(&state, 80, 24)[5].contains("resc"));
    assert!(lines(&state, 100, 24)[5].contains("early"));
}

#[test]
fn t_shows_rates_or_totals_alone() {
    let mut state = state(2);
    state.show(Change::Figures);
    assert!(lines(&state, 100, 30)[6].contains("1.5k"));
    state.show(Change::Figures);
    let totals = lines(&state, 100, 30);
    assert!(totals[5].starts_with("total") && totals[6].contains("3k"));
}

#[test]
fn what_a_command_did_stands_at_the_foot() {
    let mut state = state(1);
    state.say("released: 1".into(), false);
    assert!(lines(&state, 80, 24)[23].starts_with("released: 1"));
    state.say("no phase".into(), true);
    assert_eq!(lines(&state, 80, 24)[23], "no phase");
}

#[test]
fn help_lies_over_the_rest_and_a_pause_is_said() {
    let mut state = state(1);
    state.show(Change::Help);
    state.show(Change::Pause);
    let shown = lines(&state, 80, 24).join("\n");
    for (_, does) in HELP {
        assert!(shown.contains(does), "no '{does}' in\n{shown}");
    }
    assert!(shown.contains("PAUSED"));
}

#[test]
fn any_size_is_drawn() {
    let mut states = vec![State::new(true), State::new(false), state(0), state(64)];
    for state in &mut states {
        state.say("a refusal".into(), true);
        for help in [false, true] {
            if help {
                state.show(Change::Help);
            }
            for width in [1, 2, 7, 20, 79, 300] {
                for height in [1, 2, 5, 6, 7, 9, 24, 100] {
                    buffer(state, width, height);
                }
            }
        }
    }
}

#[test]
fn without_colours_there_are_none() {
    let colours = |plain| {
        let mut state = State::new(plain);
        state.take(look(1, 2));
        state.say("no phase".into(), true);
        let buffer = buffer(&state, 100, 30);
        let coloured = buffer
            .content()
            .iter()
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        let bold = buffer
            .content()
            .iter()
            .any(|cell| cell.modifier.contains(Modifier::BOLD));
        (coloured.count(), bold)
    };
    assert_eq!(colours(true), (0, true));
    assert!(colours(false).0 > 0);
}

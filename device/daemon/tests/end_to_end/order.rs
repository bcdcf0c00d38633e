// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The order in which completions become visible.

use crate::support::Daemon;

/// The order in which eight requests end that came one after the other.
fn order_of_eight(scenario: &str) -> Vec<usize> {
    let daemon = Daemon::follow(scenario, &[]);
    let mut driver = daemon.driver(1);
    for tag in 0..8 {
        driver.flush(0, tag);
    }
    driver.kick(0);
    let ended = driver.wait(0, 8);
    ended.into_iter().map(|(tag, _)| tag).collect()
}

/// Each request is due a little before the one that came before it.
const BACKWARDS: &str = "latency = { trace = { values = ['8ms', '7ms', '6ms', '5ms', '4ms', \
                         '3ms', '2ms', '1ms'] } }\n";

#[test]
fn fifo_keeps_the_order_of_arrival_whatever_the_latencies() {
    let found = order_of_eight(&format!("order = 'fifo'\n{BACKWARDS}"));
    assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn lifo_turns_each_window_round() {
    let found = order_of_eight("order = { lifo = { window = 4, time = '600s' } }");
    assert_eq!(found, [3, 2, 1, 0, 7, 6, 5, 4]);
}

#[test]
fn a_window_that_is_never_full_is_let_go_by_time() {
    let found = order_of_eight("order = { lifo = { window = 100, time = '2ms' } }");
    assert_eq!(found, [7, 6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn shuffle_deals_each_window_by_the_seed() {
    let shuffled = |seed: u64| {
        let text = "order = { shuffle = { window = 4, time = '600s' } }";
        order_of_eight(&format!("seed = {seed}\n{text}"))
    };
    let found = shuffled(5);
    assert_eq!(found, shuffled(5));
    assert_ne!(found, shuffled(6));
    let window = |from: usize| {
        let mut tags = found[from..from + 4].to_vec();
        tags.sort_unstable();
        tags
    };
    assert_eq!((window(0), window(4)), (vec![0, 1, 2, 3], vec![4, 5, 6, 7]));
}

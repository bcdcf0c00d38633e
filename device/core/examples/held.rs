// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a completion costs with few and with many held beside it: the pump
//! alone, with a driver and a disk that do nothing.
//!
//! `cargo run --release --example held -p irqstorm-core`

use std::hint::black_box;
use std::time::Instant;

use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use serde_json::json;

/// Completions to a figure.
const ROUNDS: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:>10} {:>16} {:>16}", "held", "ns/timed", "ns/release");
    let mut first = None;
    for held in [100, 10_000, 100_000] {
        let mut bench = Bench::new("latency = { fixed = '50us' }", 17)?;
        bench.ask(json!({"cmd": "hold"}));
        for queue in 1..17 {
            bench.submit(queue, held / 16);
        }
        bench.ask(json!({"cmd": "hold", "on": false}));
        let timed = cost(|| {
            bench.submit(0, 1);
            bench.run_to(bench.now + Nanos::from_micros(50));
        });
        bench.ask(json!({"cmd": "hold", "queue": 0}));
        let released = cost(|| {
            bench.submit(0, 1);
            bench.run_to(bench.now + Nanos::from_micros(50));
            black_box(bench.ask(json!({"cmd": "release", "queue": 0, "count": 1})));
        });
        let base = *first.get_or_insert((timed, released));
        println!(
            "{held:>10} {timed:>10.0} ({:.2}) {released:>8.0} ({:.2})",
            timed / base.0,
            released / base.1
        );
    }
    Ok(())
}

/// Nanoseconds that each round takes.
fn cost(mut round: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        round();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A device's counters as OpenMetrics text
//! (<https://github.com/prometheus/OpenMetrics>, specification 1.0).

use std::fmt::{self, Write};

use crate::control::{Quantiles, StatusReply};
use crate::units::Nanos;

/// What a status says, as OpenMetrics text with its end mark.
pub fn render(status: &StatusReply) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write_all(&mut text, status);
    text
}

fn write_all(out: &mut String, status: &StatusReply) -> fmt::Result {
    writeln!(out, "# TYPE irqstorm info")?;
    writeln!(
        out,
        "irqstorm_info{{scenario=\"{}\",seed=\"{}\",phase=\"{}\"}} 1",
        escaped(&status.scenario),
        status.seed,
        escaped(&status.phase.name)
    )?;
    write_counters(out, status)?;
    write_latencies(out, status)?;
    for (name, help, value) in [
        (
            "events_dropped",
            "Events that could not be kept.",
            status.events_dropped,
        ),
        (
            "guard_pauses",
            "Pauses that the guard put into storms.",
            status.guard_pauses,
        ),
        (
            "storm_skipped",
            "Instants of storms let go for lateness.",
            status.storm_skipped,
        ),
        (
            "config_signalled",
            "Interrupts of the configuration written.",
            status.config.signalled,
        ),
        (
            "config_refused",
            "Interrupts of the configuration not written.",
            status.config.refused,
        ),
    ] {
        writeln!(out, "# TYPE irqstorm_{name} counter")?;
        writeln!(out, "# HELP irqstorm_{name} {help}")?;
        writeln!(out, "irqstorm_{name}_total {value}")?;
    }
    write_error(out, "publish_error", "visible", &status.precision.published)?;
    write_error(
        out,
        "signal_error",
        "signalled",
        &status.precision.signalled,
    )?;
    writeln!(out, "# EOF")
}

/// Levels among the counters, which may fall.
const LEVELS: [&str; 2] = ["in_flight", "held"];

fn write_counters(out: &mut String, status: &StatusReply) -> fmt::Result {
    for (index, (name, help, _)) in status.total.each().enumerate() {
        let level = LEVELS.contains(&name);
        let (kind, suffix) = if level {
            ("gauge", "")
        } else {
            ("counter", "_total")
        };
        writeln!(out, "# TYPE irqstorm_{name} {kind}")?;
        writeln!(out, "# HELP irqstorm_{name} {}", help.trim())?;
        for (queue, counters) in status.queues.iter().enumerate() {
            if let Some((_, _, value)) = counters.each().nth(index) {
                writeln!(out, "irqstorm_{name}{suffix}{{queue=\"{queue}\"}} {value}")?;
            }
        }
    }
    Ok(())
}

fn write_latencies(out: &mut String, status: &StatusReply) -> fmt::Result {
    writeln!(out, "# TYPE irqstorm_latency_seconds histogram")?;
    writeln!(out, "# UNIT irqstorm_latency_seconds seconds")?;
    writeln!(
        out,
        "# HELP irqstorm_latency_seconds From a request's arrival to its completion becoming visible."
    )?;
    let name = "irqstorm_latency_seconds";
    for (queue, buckets) in status.latencies.iter().enumerate() {
        let mut below = 0u64;
        for (power, count) in (1u32..).zip(buckets) {
            below = below.saturating_add(*count);
            let end = Nanos(1u64.checked_shl(power).unwrap_or(u64::MAX));
            let end = seconds(end);
            writeln!(
                out,
                "{name}_bucket{{queue=\"{queue}\",le=\"{end}\"}} {below}"
            )?;
        }
        writeln!(
            out,
            "{name}_bucket{{queue=\"{queue}\",le=\"+Inf\"}} {below}"
        )?;
        writeln!(out, "{name}_count{{queue=\"{queue}\"}} {below}")?;
        let sum = status.latency_sums.get(queue).copied().unwrap_or(0);
        writeln!(
            out,
            "{name}_sum{{queue=\"{queue}\"}} {}",
            seconds(Nanos(sum))
        )?;
    }
    Ok(())
}

fn write_error(out: &mut String, name: &str, what: &str, error: &Quantiles) -> fmt::Result {
    writeln!(out, "# TYPE irqstorm_{name}_seconds summary")?;
    writeln!(out, "# UNIT irqstorm_{name}_seconds seconds")?;
    writeln!(
        out,
        "# HELP irqstorm_{name}_seconds From when something was to be {what} until it was."
    )?;
    for (quantile, value) in [
        ("0.5", error.p50),
        ("0.99", error.p99),
        ("0.999", error.p999),
    ] {
        let value = seconds(value);
        writeln!(
            out,
            "irqstorm_{name}_seconds{{quantile=\"{quantile}\"}} {value}"
        )?;
    }
    writeln!(out, "irqstorm_{name}_seconds_count {}", error.count)
}

/// A time in seconds, exactly.
fn seconds(time: Nanos) -> String {
    format!("{}.{:09}", time.0 / 1_000_000_000, time.0 % 1_000_000_000)
}

/// A label's value: backslash, quote and newline are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;

    #[test]
    fn every_counter_of_every_queue_is_there_and_the_end_is_marked() {
        let queues = vec![
            Counters {
                requests: 7,
                held: 2,
                ..Counters::default()
            },
            Counters::default(),
        ];
        let status = StatusReply {
            scenario: "a \"b\"".into(),
            latencies: vec![vec![0, 3, 1], vec![]],
            latency_sums: vec![11, 0],
            queues,
            ..StatusReply::default()
        };
        let text = render(&status);
        for line in [
            "irqstorm_info{scenario=\"a \\\"b\\\"\",seed=\"0\",phase=\"\"} 1",
            "irqstorm_requests_total{queue=\"0\"} 7",
            "irqstorm_requests_total{queue=\"1\"} 0",
            "irqstorm_held{queue=\"0\"} 2",
            "# TYPE irqstorm_held gauge",
            "irqstorm_latency_seconds_bucket{queue=\"0\",le=\"0.000000004\"} 3",
            "irqstorm_latency_seconds_bucket{queue=\"0\",le=\"+Inf\"} 4",
            "irqstorm_latency_seconds_sum{queue=\"0\"} 0.000000011",
            "irqstorm_latency_seconds_count{queue=\"1\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}

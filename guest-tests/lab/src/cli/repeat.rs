// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run`, more than once: repetitions, and the search for the fewest
//! decisions that still fail.

use std::time::Duration;

use clap::Args;

/// How often a run is made.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Repetitions")]
pub(crate) struct RepeatArguments {
    /// Run the tests N times, each time in a guest of its own and with a seed of
    /// its own that follows from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: Option<u64>,
    /// Repeat until a test fails; without --repeat or --for until then or ^C
    #[arg(long)]
    pub(crate) until_failure: bool,
    /// Begin no repetition after this time, as in 90s, 30m or 8h
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    pub(crate) span: Option<Span>,
    /// Keep everything of repetitions that passed, not their records alone
    #[arg(long)]
    pub(crate) keep_all: bool,
}

/// How the fewest decisions that still fail are looked for.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shrinking")]
pub(crate) struct ShrinkArguments {
    /// If a test fails, look for the fewest of the device's decisions with which
    /// it fails the same way, all others being plain: complete at once,
    /// interrupt when wanted
    #[arg(long, conflicts_with_all = ["repeat", "until_failure", "span", "keep"])]
    pub(crate) shrink: bool,
    /// Run each candidate so often before it is said to pass
    #[arg(long, value_name = "N", default_value_t = 2, requires = "shrink",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) shrink_tries: u32,
    /// Make at most so many runs
    #[arg(long, value_name = "N", default_value_t = 200, requires = "shrink",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shrink_runs: u32,
    /// Begin no run after this time
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "shrink",
          value_parser = parse_span)]
    pub(crate) shrink_for: Span,
}

impl RepeatArguments {
    /// Whether there is more than the one run.
    pub(crate) fn asked_for(&self) -> bool {
        self.repeat.is_some() || self.until_failure || self.span.is_some()
    }
}

/// A time that people wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// Nobody waits longer than a year.
const MOST_SECONDS: u64 = 366 * 24 * 60 * 60;

fn parse_span(text: &str) -> Result<Span, String> {
    let rule = || "a time above 0 with its unit, s, m, h or d, as in 90s or 8h".to_owned();
    let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let found = units
        .iter()
        .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)));
    let (number, scale) = found.ok_or_else(rule)?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*scale))
        .filter(|seconds| (1..=MOST_SECONDS).contains(seconds))
        .map(|seconds| Span(Duration::from_secs(seconds)))
        .ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_needs_its_unit() {
        let seconds = |text| parse_span(text).map(|span| span.0.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("8h"), Ok(28_800));
        assert_eq!(seconds("1d"), Ok(86_400));
        for text in ["", "90", "s", "0s", "-1s", "1.5h", "999999999d", "1w"] {
            assert!(seconds(text).is_err(), "{text} was taken");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a fault came to, and the table of all.

use irqstorm_agent::protocol::{Finished, endurance};
use serde::Serialize;

use super::Fault;
use super::load::passed;
use super::usage::Growth;
use crate::results::table;

/// What memory may grow by: an allocator's own coming and going.
const MEMORY_KIB: i64 = 4096;

/// What became of everything while one fault happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The fault.
    pub(crate) fault: Fault,
    /// How often it happened.
    pub(crate) times: u32,
    /// Bios that ended in loads that came to their end.
    pub(crate) bios: u64,
    /// Bios that never ended.
    pub(crate) lost: u64,
    /// Bios that ended more than once.
    pub(crate) twice: u64,
    /// Sectors that read back otherwise than written.
    pub(crate) other: u64,
    /// Bios that ended with an error.
    pub(crate) failed: u64,
    /// Complaints of the kernel's.
    pub(crate) complaints: usize,
    /// How much more the device has open, where it was the same all along.
    pub(crate) growth: Option<Growth>,
    /// Why it ended early.
    pub(crate) reason: Option<String>,
}

impl Row {
    pub(super) fn new(fault: Fault) -> Row {
        Row {
            fault,
            times: 0,
            bios: 0,
            lost: 0,
            twice: 0,
            other: 0,
            failed: 0,
            complaints: 0,
            growth: None,
            reason: None,
        }
    }

    /// Counts a load that came to its end.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "counts, as figures have them"
    )]
    pub(super) fn add(&mut self, finished: &Finished) {
        let figure = |name: &str| {
            let mut figures = finished.figures.iter();
            let value = figures.find(|figure| figure.name == name);
            value.map_or(0, |figure| figure.value as u64)
        };
        self.bios += figure(endurance::BIOS);
        self.lost += figure(endurance::LOST);
        self.twice += figure(endurance::TWICE);
        self.other += figure(endurance::OTHER);
        self.failed += figure(endurance::ERRORS);
        if !passed(finished) {
            self.reason = Some(finished.reason.clone());
        }
    }

    /// Whether nothing happened that may not.
    pub(crate) fn is_well(&self) -> bool {
        let none = self.lost + self.twice + self.other + self.failed == 0;
        let quiet = self.complaints == 0 && self.reason.is_none();
        let kept = self.growth.is_some_and(|growth| {
            growth.fds > 0 || growth.threads > 0 || growth.memory_kib > MEMORY_KIB
        });
        none && quiet && !kept && self.bios > 0
    }
}

/// The table, and below it why rows ended early.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut plain = table::new(&[
        "fault", "times", "bios", "lost", "twice", "differ", "failed", "fds", "threads", "memory",
    ]);
    for row in rows {
        let grown = |of: fn(&Growth) -> i64, unit: &str| match &row.growth {
            Some(growth) => format!("{:+}{unit}", of(growth)),
            None => "-".to_owned(),
        };
        plain.add_row([
            row.fault.name().to_owned(),
            row.times.to_string(),
            row.bios.to_string(),
            row.lost.to_string(),
            row.twice.to_string(),
            row.other.to_string(),
            row.failed.to_string(),
            grown(|growth| growth.fds, ""),
            grown(|growth| growth.threads, ""),
            grown(|growth| growth.memory_kib, " KiB"),
        ]);
    }
    table::align_right(&mut plain, 1);
    let mut text = table::text(&plain) + "\n";
    for row in rows {
        if let Some(reason) = &row.reason {
            text += &format!("{}: {reason}\n", row.fault.name());
        }
        if row.complaints > 0 {
            let name = row.fault.name();
            text += &format!(
                "{name}: the kernel complained {} times; console.log says of what\n",
                row.complaints
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use irqstorm_agent::protocol::{Figure, Verdict};

    use super::*;

    fn finished(verdict: Verdict, figures: &[(&str, f64)]) -> Finished {
        let figures = figures.iter().map(|(name, value)| Figure {
            name: (*name).to_owned(),
            value: *value,
            unit: String::new(),
        });
        Finished {
            test: "endurance".into(),
            verdict,
            reason: "2 bios never ended".into(),
            figures: figures.collect(),
            points: Vec::new(),
        }
    }

    fn row(figures: &[(&str, f64)]) -> Row {
        let mut row = Row::new(Fault::GuestPaused);
        row.add(&finished(Verdict::Pass, figures));
        row
    }

    #[test]
    fn a_row_is_well_only_if_bios_ended_and_none_went_wrong() {
        assert!(row(&[(endurance::BIOS, 5.0)]).is_well());
        assert!(!row(&[]).is_well(), "nothing was done");
        for name in [
            endurance::LOST,
            endurance::TWICE,
            endurance::OTHER,
            endurance::ERRORS,
        ] {
            let wrong = row(&[(endurance::BIOS, 5.0), (name, 1.0)]);
            assert!(!wrong.is_well(), "{name}");
        }
        let mut failed = row(&[(endurance::BIOS, 5.0)]);
        failed.add(&finished(Verdict::Fail, &[]));
        assert!(!failed.is_well());
        assert!(text(&[failed]).contains("guest-paused: 2 bios never ended"));
    }

    #[test]
    fn what_the_device_keeps_is_not_well() {
        let grown = |fds, threads, memory_kib| {
            let mut row = row(&[(endurance::BIOS, 5.0)]);
            row.growth = Some(Growth {
                fds,
                threads,
                memory_kib,
            });
            row
        };
        assert!(grown(0, 0, 12).is_well());
        assert!(grown(-1, 0, -8).is_well(), "less is no leak");
        for leaks in [grown(1, 0, 0), grown(0, 1, 0), grown(0, 0, 5000)] {
            assert!(!leaks.is_well(), "{leaks:?}");
        }
        let shown = text(&[grown(0, 0, 12)]);
        assert!(shown.contains("+12 KiB"), "{shown}");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a fault came to, and the table of all.

use irqstorm_agent::protocol::{Finished, endurance};
use serde::Serialize;

use super::Fault;
use super::load::passed;
use super::usage::{Growth, Usage};
use crate::failure::Failure;
use crate::results::table;

/// What memory may grow by. Of what a device takes once and uses bit by bit some
/// is touched only while it works: the batches of its two writers, up to 256 KiB
/// each, and the arenas of its threads, which others use with each connection.
/// Over a hundred pauses that was 150 KiB, in the first half of them; over
/// seventy connections 500 KiB, of which the last third added 12.
const MEMORY_KIB: i64 = 1024;

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
    /// Bios that ended with an error although there was a disk.
    pub(crate) failed: u64,
    /// Bios that ended with an error since their disk was gone.
    pub(crate) refused: u64,
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
            refused: 0,
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
        self.refused += figure(endurance::REFUSED);
        if !passed(finished) {
            self.end(finished.reason.clone());
        }
    }

    /// Ends it early.
    pub(super) fn end(&mut self, why: String) {
        match &mut self.reason {
            Some(reason) => *reason += &format!("; {why}"),
            None => self.reason = Some(why),
        }
    }

    /// Counts a fault. What cannot go on after it is what the fault came to;
    /// what the lab itself cannot do is an error.
    pub(super) fn happened(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        self.times += 1;
        match outcome {
            Err(why @ (Failure::Boot { .. } | Failure::Monitor(_))) => {
                self.end(format!("failed to {why}"));
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Sees that nobody had to connect to the device again.
    pub(super) fn same_connections(&mut self, before: Option<&Usage>, after: Option<&Usage>) {
        let same = before.map(Usage::connections) == after.map(Usage::connections);
        if !same {
            self.end("the device has other connections than before".to_owned());
        }
    }

    /// Whether nothing happened that may not.
    pub(crate) fn is_well(&self) -> bool {
        // If none was refused, the disk did not go amid I/O.
        let unplugged = self.fault == Fault::DiskUnplugged;
        let none_refused = self.refused == 0;
        let none = self.lost + self.twice + self.other + self.failed == 0;
        let quiet = self.complaints == 0 && self.reason.is_none();
        let kept = self.growth.is_some_and(|growth| {
            let open = [growth.fds, growth.threads, growth.shared];
            open.iter().any(|more| *more > 0) || growth.memory_kib > MEMORY_KIB
        });
        none && quiet && !kept && self.bios > 0 && unplugged != none_refused
    }
}

/// The table, and below it why rows ended early.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut plain = table::new(&[
        "fault",
        "times",
        "bios",
        "lost",
        "twice",
        "differ",
        "failed",
        "refused",
        "complaints",
        "fds",
        "threads",
        "shared",
        "memory",
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
            row.refused.to_string(),
            row.complaints.to_string(),
            grown(|growth| growth.fds, ""),
            grown(|growth| growth.threads, ""),
            grown(|growth| growth.shared, ""),
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
        let mut complained = row(&[(endurance::BIOS, 5.0)]);
        complained.complaints = 1;
        assert!(!complained.is_well());
    }

    #[test]
    fn what_the_device_keeps_is_not_well() {
        let grown = |fds, threads, shared, memory_kib| {
            let mut row = row(&[(endurance::BIOS, 5.0)]);
            row.growth = Some(Growth {
                fds,
                threads,
                shared,
                memory_kib,
            });
            row
        };
        assert!(grown(0, 0, 0, 12).is_well());
        assert!(grown(-1, 0, 0, -8).is_well(), "less is no leak");
        for leaks in [
            grown(1, 0, 0, 0),
            grown(0, 1, 0, 0),
            grown(0, 0, 1, 0),
            grown(0, 0, 0, MEMORY_KIB + 1),
        ] {
            assert!(!leaks.is_well(), "{leaks:?}");
        }
        let shown = text(&[grown(0, 0, 0, 12)]);
        assert!(shown.contains("+12 KiB"), "{shown}");
    }

    #[test]
    fn a_disk_that_goes_amid_io_refuses_bios_and_no_other_does() {
        let row = |fault, refused| {
            let mut row = Row::new(fault);
            let figures = [(endurance::BIOS, 5.0), (endurance::REFUSED, refused)];
            row.add(&finished(Verdict::Pass, &figures));
            row.is_well()
        };
        assert!(row(Fault::DiskUnplugged, 9.0));
        assert!(!row(Fault::DiskUnplugged, 0.0), "no I/O was under way");
        assert!(!row(Fault::GuestPaused, 9.0), "nobody took the disk");
    }

    #[test]
    fn a_guest_that_does_not_come_back_is_what_the_fault_came_to() {
        let mut row = row(&[(endurance::BIOS, 5.0)]);
        row.happened(Ok(())).unwrap();
        assert!(row.is_well());
        let failure = Failure::Monitor("the guest keeps its disk".into());
        row.happened(Err(failure)).unwrap();
        assert!(!row.is_well() && row.times == 2);
        assert!(row.happened(Err(Failure::Interrupted)).is_err());
    }

    #[test]
    fn a_connection_made_again_is_told() {
        let usage = || Usage::of(std::process::id()).unwrap();
        let before = usage();
        let mut row = row(&[(endurance::BIOS, 5.0)]);
        row.same_connections(Some(&before), Some(&before));
        assert!(row.is_well());
        let open = std::os::unix::net::UnixStream::pair().unwrap();
        row.same_connections(Some(&before), Some(&usage()));
        assert!(!row.is_well());
        drop(open);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What became of a test's trace.

use irqstorm_core::units::Nanos;
use serde::{Deserialize, Serialize};

use crate::figures::time;

/// A test's trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TraceRecord {
    /// Its folder within the results.
    pub(crate) folder: String,
    /// Records of the guest's kernel in it.
    pub(crate) records: u64,
    /// Records that found no room, or came after one that did not.
    pub(crate) lost: u64,
    /// Lines that could not be read.
    pub(crate) unreadable: u64,
    /// Tracepoints that the kernel does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<String>,
    /// Requests that were followed from their issue on.
    pub(crate) requests: u64,
    /// The guest's clock; `None` if it is not known, and nothing of the guest is
    /// in the timeline then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<ClockRecord>,
    /// Why it is not all that it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// The guest's clock as against the device's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClockRecord {
    /// How many requests bound it.
    pub(crate) requests: u64,
    /// By how much it is ahead when the first of them is taken, in ns.
    pub(crate) ahead_ns: f64,
    /// By how much it goes faster, in parts per million.
    pub(crate) drift_ppm: f64,
    /// How far off that can be.
    pub(crate) drift_error_ppm: f64,
    /// How far off a time of the guest's can be on the device's clock, in ns.
    pub(crate) error_ns: f64,
    /// By how much requests contradict each other about it, in ns.
    pub(crate) contradiction_ns: f64,
}

impl TraceRecord {
    /// For people, in a sentence or two.
    pub(crate) fn summary(&self) -> String {
        let mut parts = vec![format!("{} requests followed", self.requests)];
        if let Some(clock) = &self.clock {
            parts.push(clock.words());
        }
        if self.lost > 0 {
            parts.push(format!(
                "the guest's memory for it was full after {} records, and {} more are not in it",
                self.records, self.lost
            ));
        }
        if self.unreadable > 0 {
            parts.push(format!("{} lines could not be read", self.unreadable));
        }
        parts.extend(self.reason.clone());
        parts.join("; ")
    }
}

impl ClockRecord {
    fn words(&self) -> String {
        let mut words = format!(
            "the guest's times are right to within {} of the device's clock, from which its own drifts by {:.1} (+-{:.1}) ppm",
            nanos(self.error_ns),
            self.drift_ppm,
            self.drift_error_ppm
        );
        if self.contradiction_ns > 0.0 {
            words.push_str(&format!(
                "; but the requests contradict each other about it by {}",
                nanos(self.contradiction_ns)
            ));
        }
        words
    }
}

fn nanos(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float of any size is cut to what fits"
    )]
    let value = value as u64;
    time(Nanos(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_is_said() {
        let mut record = TraceRecord {
            records: 900,
            requests: 80,
            clock: Some(ClockRecord {
                requests: 80,
                error_ns: 12_345.0,
                drift_ppm: -3.21,
                drift_error_ppm: 0.5,
                ..ClockRecord::default()
            }),
            ..TraceRecord::default()
        };
        assert_eq!(
            record.summary(),
            "80 requests followed; the guest's times are right to within 12.3us of the device's \
             clock, from which its own drifts by -3.2 (+-0.5) ppm"
        );
        record.lost = 7;
        record.unreadable = 2;
        record.clock = None;
        record.reason = Some("x".into());
        let summary = record.summary();
        for part in ["900 records, and 7 more", "2 lines", "; x"] {
            assert!(summary.contains(part), "{summary}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! In which ways a test failed, from the reasons that its verdict gives.

use irqstorm_agent::protocol::Verdict;
use serde::{Deserialize, Serialize};

use crate::results::Case;

/// How the reasons begin that are not the test's own.
pub(super) const COMPLAINED: &str = "the kernel complained: ";
pub(super) const MORE: &str = "and ";
pub(super) const MORE_COMPLAINTS: &str = " more complaints";
pub(super) const LIMIT: &str = "not finished within ";
pub(super) const LOST: &str = "the guest was lost: ";
pub(super) const HOLDS: &str = "the device holds ";

/// As the guest's channel says it.
const PANICKED: &str = "the kernel panicked";

/// What gave a failure away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// The test's own check.
    Check,
    /// The kernel complained on its console.
    Complaint,
    /// The test did not end.
    Hang,
    /// The kernel panicked.
    Panic,
    /// The guest went away in another way.
    Lost,
}

impl Way {
    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Way::Check => "its check",
            Way::Complaint => "the kernel's complaint",
            Way::Hang => "a hang",
            Way::Panic => "a panic",
            Way::Lost => "the guest's loss",
        }
    }
}

/// The ways in which a test failed, each once.
pub(crate) fn ways_of(case: &Case) -> Vec<Way> {
    if case.verdict != Verdict::Fail {
        return Vec::new();
    }
    let mut ways: Vec<Way> = case
        .reasons
        .iter()
        .filter_map(|reason| way_of(reason))
        .collect();
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// `None` for what describes another reason.
fn way_of(reason: &str) -> Option<Way> {
    if reason.starts_with(HOLDS) {
        return None;
    }
    let more = reason.starts_with(MORE) && reason.ends_with(MORE_COMPLAINTS);
    Some(match reason {
        _ if more || reason.starts_with(COMPLAINED) => Way::Complaint,
        _ if reason.starts_with(LIMIT) => Way::Hang,
        _ if reason.starts_with(LOST) && reason.ends_with(PANICKED) => Way::Panic,
        _ if reason.starts_with(LOST) => Way::Lost,
        _ => Way::Check,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::case;

    #[test]
    fn a_failure_is_told_by_its_reasons() {
        let ways = |reasons: &[&str]| {
            let mut failed = case("x", Verdict::Fail);
            failed.reasons = reasons.iter().map(|&reason| reason.into()).collect();
            ways_of(&failed)
        };
        assert_eq!(ways(&["3 bios ended twice"]), [Way::Check]);
        assert_eq!(
            ways(&["the kernel complained: BUG: x", "and 2 more complaints"]),
            [Way::Complaint]
        );
        assert_eq!(
            ways(&["not finished within 9 s", "the device holds 0 requests; x"]),
            [Way::Hang]
        );
        assert_eq!(
            ways(&[
                "the guest was lost: the kernel panicked",
                "the kernel complained: Oops"
            ]),
            [Way::Complaint, Way::Panic]
        );
        assert_eq!(ways(&["the guest was lost: QEMU died"]), [Way::Lost]);
    }

    #[test]
    fn what_did_not_fail_failed_in_no_way() {
        let mut skipped = case("x", Verdict::Skip);
        skipped.reasons = vec!["no flag".into()];
        assert_eq!(ways_of(&skipped), []);
    }
}

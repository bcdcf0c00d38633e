// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a verdict means for the run: a failure that was expected does not fail
//! it, a pass that must not be does.

use irqstorm_agent::protocol::Verdict;
use serde::{Deserialize, Serialize};

use super::record::{Case, Record};

/// That a case is expected to fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// Who says so.
    pub(crate) by: Source,
    /// Why; empty if that was not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) why: String,
    /// Where that is written, as FILE:LINE, if it is in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// Whether the run has failed if the case passes.
    pub(crate) must: bool,
}

/// Who expects a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// `--expect-fail`.
    Argument,
    /// The catalogue of tests: the kernel's design breaks the claim.
    Design,
    /// A list of known failures.
    List,
}

/// What a case means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It passed, and nothing else was expected.
    Passed,
    /// It failed, and nothing else was expected of it than to pass.
    Failed,
    /// It could not be settled.
    Skipped,
    /// It failed as expected.
    Known,
    /// It is in a list of known failures, and passed.
    Fixed,
    /// It had to fail, and passed.
    NotFailed,
    /// It had to fail, and was skipped.
    NotRun,
}

impl Outcome {
    /// Whether the run has failed for it.
    pub(crate) fn fails_run(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::NotFailed | Outcome::NotRun)
    }
}

impl Expected {
    /// Why it is to fail, and by whose word.
    pub(crate) fn reason(&self) -> String {
        let word = match self.by {
            Source::Argument => "--expect-fail",
            Source::Design => "by design",
            Source::List => "known",
        };
        let colon = if self.why.is_empty() { "" } else { ": " };
        let place = self.place.as_ref().map(|place| format!(" ({place})"));
        format!("{word}{colon}{}{}", self.why, place.unwrap_or_default())
    }
}

impl Case {
    /// What it means for the run.
    pub(crate) fn outcome(&self) -> Outcome {
        match (self.verdict, &self.expected) {
            (Verdict::Pass, None) => Outcome::Passed,
            (Verdict::Fail, None) => Outcome::Failed,
            (Verdict::Fail, Some(_)) => Outcome::Known,
            (Verdict::Pass, Some(expected)) if expected.must => Outcome::NotFailed,
            (Verdict::Pass, Some(_)) => Outcome::Fixed,
            // Whoever names a test means to see it fail; a design and a list
            // speak of kernels that may lack what the test needs.
            (Verdict::Skip, Some(expected)) if expected.by == Source::Argument => Outcome::NotRun,
            (Verdict::Skip, _) => Outcome::Skipped,
        }
    }

    /// What there is to say where verdict and expectation meet.
    pub(crate) fn remark(&self) -> Option<String> {
        let expected = self.expected.as_ref()?;
        let reason = expected.reason();
        match self.outcome() {
            Outcome::Known => Some(format!("failed as expected, {reason}")),
            Outcome::Fixed => Some(format!("listed as known to fail, passed: {reason}")),
            Outcome::NotFailed => Some(format!("passed, and has to fail, {reason}")),
            Outcome::NotRun => Some(format!("was skipped, and has to fail, {reason}")),
            Outcome::Passed | Outcome::Failed | Outcome::Skipped => None,
        }
    }
}

/// Cases by what they mean for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Passed, those among them that are listed as known to fail.
    pub(crate) passed: usize,
    /// What fails the run.
    pub(crate) failed: usize,
    /// Skipped.
    pub(crate) skipped: usize,
    /// Failed as expected.
    pub(crate) known: usize,
    /// Those of the passed that are listed as known to fail.
    pub(crate) fixed: usize,
}

impl Record {
    /// Its cases by what they mean.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for case in &self.cases {
            match case.outcome() {
                Outcome::Passed => totals.passed += 1,
                Outcome::Fixed => {
                    totals.passed += 1;
                    totals.fixed += 1;
                }
                Outcome::Skipped => totals.skipped += 1,
                Outcome::Known => totals.known += 1,
                Outcome::Failed | Outcome::NotFailed | Outcome::NotRun => totals.failed += 1,
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::samples;
    use super::*;

    fn expected(by: Source, must: bool) -> Expected {
        Expected {
            by,
            why: "it is broken".into(),
            place: None,
            must,
        }
    }

    #[test]
    fn an_expected_failure_does_not_fail_the_run_and_a_pass_may() {
        use Outcome::*;
        use Verdict::{Fail, Pass, Skip};
        let listed = expected(Source::List, false);
        let strict = expected(Source::List, true);
        let design = expected(Source::Design, true);
        let named = expected(Source::Argument, true);
        for (verdict, expected, outcome, fails) in [
            (Pass, None, Passed, false),
            (Fail, None, Failed, true),
            (Skip, None, Skipped, false),
            (Fail, Some(&listed), Known, false),
            (Pass, Some(&listed), Fixed, false),
            (Skip, Some(&listed), Skipped, false),
            (Pass, Some(&strict), NotFailed, true),
            (Fail, Some(&design), Known, false),
            (Pass, Some(&design), NotFailed, true),
            (Skip, Some(&design), Skipped, false),
            (Fail, Some(&named), Known, false),
            (Pass, Some(&named), NotFailed, true),
            (Skip, Some(&named), NotRun, true),
        ] {
            let mut case = samples::case("x", verdict);
            case.expected = expected.cloned();
            let found = case.outcome();
            assert_eq!((found, found.fails_run()), (outcome, fails));
            let remarkable = !matches!(outcome, Passed | Failed | Skipped);
            assert_eq!(case.remark().is_some(), remarkable, "{outcome:?}");
        }
    }

    #[test]
    fn cases_are_counted_by_what_they_mean() {
        let mut record = samples::record();
        let totals = record.totals();
        assert_eq!((totals.passed, totals.failed, totals.skipped), (1, 1, 1));
        for case in &mut record.cases {
            case.expected = Some(expected(Source::List, false));
        }
        let totals = record.totals();
        assert_eq!((totals.passed, totals.fixed, totals.failed), (1, 1, 0));
        assert_eq!((totals.skipped, totals.known), (1, 1));
    }

    #[test]
    fn a_reason_says_who_expects_the_failure_and_where() {
        let mut listed = expected(Source::List, false);
        listed.place = Some("known.txt:3".into());
        assert_eq!(listed.reason(), "known: it is broken (known.txt:3)");
        listed.why.clear();
        assert_eq!(listed.reason(), "known (known.txt:3)");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Names with wildcards, as a shell has them: of tests and of kernels.

use irqstorm_agent::catalogue::TESTS;

use super::QUIET;

/// A name, or a pattern of names: `*`, `?`, `[ab]`.
#[derive(Clone, Debug)]
pub(super) struct Pattern(glob::Pattern);

impl Pattern {
    /// Reads one; the reason if it is none.
    pub(super) fn new(text: &str) -> Result<Pattern, String> {
        glob::Pattern::new(text)
            .map(Pattern)
            .map_err(|error| format!("'{text}' is no pattern: {}", error.msg))
    }

    /// The same for names of tests, of which at least one must fit.
    pub(super) fn of_tests(text: &str) -> Result<Pattern, String> {
        let pattern = Pattern::new(text)?;
        let mut names = all_names();
        match names.any(|name| pattern.takes(name)) {
            true => Ok(pattern),
            false => {
                let names: Vec<&str> = all_names().collect();
                Err(format!(
                    "'{text}' is no test and fits none: there are {}",
                    names.join(", ")
                ))
            }
        }
    }

    /// Whether it takes a name.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

/// Every name that a case can have.
fn all_names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|test| test.name).chain([QUIET])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_itself_alone_and_a_pattern_more() {
        let name = Pattern::of_tests("task-context").unwrap();
        assert!(name.takes("task-context") && !name.takes("softirq-context"));
        let pattern = Pattern::of_tests("*-context").unwrap();
        assert!(pattern.takes("softirq-context") && !pattern.takes("chains"));
        assert!(Pattern::of_tests(QUIET).is_ok());
    }

    #[test]
    fn a_kernels_name_is_no_pattern_by_chance() {
        let kernel = Pattern::new("7.2+v4~never-defers:debug").unwrap();
        assert!(kernel.takes("7.2+v4~never-defers:debug"));
        assert!(!kernel.takes("7.2+v4"));
        assert!(Pattern::new("*").unwrap().takes("/home/me/linux"));
    }

    #[test]
    fn what_fits_no_test_is_refused_with_what_there_is() {
        for text in ["nosuch", "no*such", "[", ""] {
            let reason = Pattern::of_tests(text).unwrap_err();
            assert!(reason.contains(text), "{reason}");
        }
        let reason = Pattern::of_tests("nosuch").unwrap_err();
        assert!(reason.contains("task-context"), "{reason}");
    }
}

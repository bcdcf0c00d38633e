// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps the tables in a file, between comments that name them:
//!
//! ```text
//! <!-- irqstorm mutants: sound -->
//! | test | ...
//! <!-- end -->
//! ```

use std::fs;
use std::path::Path;

use super::report::Report;
use super::show::named_markdown;
use crate::failure::{Failure, io_failure};

const END: &str = "<!-- end -->";

fn begin(name: &str) -> String {
    format!("<!-- irqstorm mutants: {name} -->\n")
}

/// Puts each table of the report for which a file has a place there.
pub(crate) fn put_into(path: &Path, report: &Report) -> Result<(), Failure> {
    let text = fs::read_to_string(path).map_err(io_failure("read", path))?;
    let Some(text) = replaced(&text, report) else {
        return Err(Failure::BadArgument {
            what: format!("--write {}", path.display()),
            reason: format!(
                "it has no place for a table: a line '{}', and '{END}' below it",
                begin("mutants").trim_end()
            ),
        });
    };
    fs::write(path, text).map_err(io_failure("write", path))
}

/// The text with its tables; `None` if it has a place for none.
pub(super) fn replaced(text: &str, report: &Report) -> Option<String> {
    let mut text = text.to_owned();
    let mut found = false;
    for (name, table) in named_markdown(report) {
        let begin = begin(name);
        let Some(start) = text.find(&begin).map(|at| at + begin.len()) else {
            continue;
        };
        let Some(length) = text.get(start..).and_then(|rest| rest.find(END)) else {
            continue;
        };
        text.replace_range(start..start + length, &format!("\n{table}\n"));
        found = true;
    }
    found.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::report::samples::report;
    use super::*;

    #[test]
    fn tables_are_put_where_they_are_named_and_nothing_else_changes() {
        let text = "before\n<!-- irqstorm mutants: sound -->\nold\n<!-- end -->\nafter\n";
        let once = replaced(text, &report()).unwrap();
        assert!(once.starts_with("before\n<!-- irqstorm mutants: sound -->\n\n| test |"));
        assert!(once.ends_with("\n<!-- end -->\nafter\n"), "{once}");
        assert!(
            !once.contains("\nold\n") && !once.contains("~lifo"),
            "{once}"
        );
        assert_eq!(replaced(&once, &report()).unwrap(), once);
    }

    #[test]
    fn a_file_without_a_place_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.md");
        let text = "<!-- irqstorm mutants: sound -->\nno end\n";
        fs::write(&path, text).unwrap();
        let failure = put_into(&path, &report()).unwrap_err();
        assert!(failure.to_string().contains("<!-- end -->"), "{failure}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

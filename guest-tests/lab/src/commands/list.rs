// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm list`: what can be named to `irqstorm run`.

use irqstorm_agent::catalogue::{CORE, Disks, Shape, TESTS, TestInfo};
use serde_json::json;

use crate::cli::ListArguments;
use crate::failure::{Exit, Failure};
use crate::repository::Repository;
use crate::results::table;

/// What a test settles, on what machine if not on the run's, on which disks if
/// not on all, whether it is one of the core, and whether only its name has it
/// run.
fn describe(test: &TestInfo) -> String {
    let mut text = test.claim.to_owned();
    let machine = test.needs.machine;
    if machine != Shape::RUN {
        text.push_str(&format!(" [{machine}]"));
    }
    text.push_str(match test.needs.disks {
        Disks::All => "",
        Disks::Virtio => " (virtio)",
        Disks::Nvme => " (nvme)",
    });
    if CORE.contains(&test.name) {
        text.push_str(" (core)");
    }
    if test.by_name {
        text.push_str(" (run by name only)");
    }
    text
}

/// Prints kernels, tests and scenarios.
pub(crate) fn run(arguments: &ListArguments) -> Result<Exit, Failure> {
    let repository = Repository::find()?;
    let kernels: Vec<(String, String)> = repository
        .images()?
        .list()?
        .into_iter()
        .map(|kernel| (kernel.name, kernel.description))
        .collect();
    let tests: Vec<(String, String)> = TESTS
        .iter()
        .map(|test| (test.name.to_owned(), describe(test)))
        .collect();
    let scenarios = repository
        .scenario_names()?
        .into_iter()
        .map(|name| {
            let found = repository.scenario(&name)?;
            Ok((name, found.scenario.description))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let groups = [
        ("kernels", kernels),
        ("tests", tests),
        ("scenarios", scenarios),
    ];
    if arguments.json {
        let named = |(name, description): &(String, String)| json!({"name": name, "description": description});
        let fields = groups.iter().map(|(group, entries)| {
            let entries: Vec<_> = entries.iter().map(named).collect();
            ((*group).to_owned(), entries.into())
        });
        println!("{:#}", serde_json::Value::Object(fields.collect()));
        return Ok(Exit::Passed);
    }
    for (group, entries) in groups {
        let mut table = table::new(&[group, ""]);
        for (name, description) in entries {
            table.add_row([name, description]);
        }
        println!("{}\n", table::text(&table));
    }
    Ok(Exit::Passed)
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What `--check-scenario` says: phase by phase, which rule takes what.

use comfy_table::{Table, presets};
use irqstorm_core::filter::{LbaRange, SizeRange};
use irqstorm_core::scenario::{self, Phase, Row, Scenario};
use serde::Serialize;

/// A scenario that can be used, for programs.
#[derive(Serialize)]
struct Report<'a> {
    description: &'a str,
    /// Absent if one is chosen by each device.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    hostile: bool,
    phases: Vec<PhaseReport<'a>>,
}

#[derive(Serialize)]
struct PhaseReport<'a> {
    name: &'a str,
    until: String,
    storms: Vec<&'a str>,
    /// Absent if its rules tell too many kinds of request apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<Row>>,
}

/// As JSON, in one line.
pub(crate) fn as_json(scenario: &Scenario) -> Result<String, serde_json::Error> {
    let phases = scenario.phases.iter().map(|phase| PhaseReport {
        name: &phase.name,
        until: phase.until.to_string(),
        storms: storms(phase),
        rows: scenario::explain(&phase.script),
    });
    let report = Report {
        description: &scenario.description,
        seed: scenario.seed,
        hostile: scenario.hostile,
        phases: phases.collect(),
    };
    serde_json::to_string(&report).map(|text| text + "\n")
}

/// As a table for each phase.
pub(crate) fn as_text(file: &str, scenario: &Scenario) -> String {
    let description = match scenario.description.as_str() {
        "" => "it has no description",
        description => description,
    };
    let mut text = format!("{file}: can be used: {description}\n");
    for phase in &scenario.phases {
        text += "\n";
        if !phase.name.is_empty() {
            text += &format!("phase {}, until {}\n", phase.name, phase.until);
        }
        text += &match scenario::explain(&phase.script) {
            Some(rows) => table(&rows),
            None => "  too many kinds of request to lay out\n".to_owned(),
        };
        let storms = storms(phase);
        if !storms.is_empty() {
            text += &format!("  storms: {}\n", storms.join(", "));
        }
    }
    text
}

fn storms(phase: &Phase) -> Vec<&str> {
    let storms = phase.script.storms.iter();
    storms.map(|storm| storm.name.as_str()).collect()
}

/// One row a line, and no space at their ends.
fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["OPERATION", "QUEUE", "SECTORS", "SIZE", "TAKEN BY"]);
    for row in rows {
        let operations: Vec<&str> = row.operations.iter().map(|op| op.name()).collect();
        table.add_row([
            operations.join(" "),
            row.queues.join(" "),
            LbaRange(row.lba).to_string(),
            SizeRange(row.size).to_string(),
            row.taken_by.join("; "),
        ]);
    }
    let lines = table.lines().map(|line| format!(" {}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "description = 'slow flushes'
        [[rule]]
        name = 'slow'
        operation = 'flush'
        latency = { fixed = '5ms' }
        [[rule]]
        name = 'bad blocks'
        lba = '8..16'
        operation = 'read'
        probability = '1%'
        fault = 'io-error'
        [[phase]]
        name = 'calm'
        until = { requests = 9 }
        [[phase]]
        name = 'noise'
        [[phase.storm]]
        name = 'gale'
        rate = '1kHz'";

    fn scenario() -> Scenario {
        Scenario::parse("test", TEXT).unwrap()
    }

    #[test]
    fn each_phase_says_which_rule_takes_what() {
        let text = as_text("s.toml", &scenario());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "s.toml: can be used: slow flushes");
        assert_eq!(lines[2], "phase calm, until 9 requests");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = [
            "OPERATION QUEUE SECTORS SIZE TAKEN BY",
            "flush others 0.. 0B.. slow",
        ];
        for line in wanted {
            let found = lines.iter().filter(|found| words(found) == line).count();
            assert_eq!(found, 2, "{line}\n{text}");
        }
        assert!(text.contains("1%: bad blocks; (base)"), "{text}");
        assert_eq!(lines.last(), Some(&"  storms: gale"));
    }

    #[test]
    fn programs_are_told_the_same() {
        let text = as_json(&scenario()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<_> = (0..2).map(|i| &value["phases"][i]["name"]).collect();
        assert_eq!(names, ["calm", "noise"]);
        let rows = value["phases"][0]["rows"].as_array().unwrap();
        let flush = serde_json::json!(["flush"]);
        let row = rows.iter().find(|row| row["operations"] == flush).unwrap();
        assert_eq!(row["taken_by"], serde_json::json!(["slow"]));
        assert_eq!(value["phases"][1]["storms"], serde_json::json!(["gale"]));
    }
}

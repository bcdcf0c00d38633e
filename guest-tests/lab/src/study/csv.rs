// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A study as CSV (RFC 4180): a line for each setting, measure and subject.

use std::fmt::Write;

use irqstorm_agent::protocol::Figure;

use super::table::{Estimate, Study};

const RESULT: [&str; 11] = [
    "measure",
    "unit",
    "subject",
    "rounds",
    "median",
    "low",
    "high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "effect",
];

/// The table; its first columns are what was set.
pub(crate) fn csv(study: &Study) -> String {
    let set = study.settings.first().map_or(&[][..], Vec::as_slice);
    let heads = set.iter().map(head).chain(RESULT.map(str::to_owned));
    let mut text = line(heads);
    for row in &study.rows {
        let setting = study.settings.get(row.setting).into_iter().flatten();
        let setting: Vec<String> = setting.map(|figure| figure.value.to_string()).collect();
        let Some(measure) = study.measures.get(row.measure) else {
            continue;
        };
        for (subject, estimate) in study.subjects.iter().zip(&row.estimates) {
            let names = [&measure.name, &measure.unit, &subject.name].map(Clone::clone);
            let cells = setting.iter().cloned().chain(names);
            text += &line(cells.chain(values(estimate)));
        }
    }
    text
}

fn head(figure: &Figure) -> String {
    match figure.unit.is_empty() {
        true => figure.name.clone(),
        false => format!("{} [{}]", figure.name, figure.unit),
    }
}

fn values(estimate: &Estimate) -> [String; 8] {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let effect = serde_json::to_value(estimate.effect).ok();
    let effect = effect.as_ref().and_then(|value| value.as_str());
    [
        estimate.values.len().to_string(),
        number(estimate.median),
        number(estimate.interval.map(|interval| interval.low)),
        number(estimate.interval.map(|interval| interval.high)),
        number(estimate.ratio),
        number(estimate.ratio_interval.map(|interval| interval.low)),
        number(estimate.ratio_interval.map(|interval| interval.high)),
        effect.unwrap_or_default().to_owned(),
    ]
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for (index, cell) in cells.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{}", quoted(&cell));
    }
    text + "\r\n"
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn each_setting_measure_and_subject_has_a_line() {
        let study = samples::study();
        let text = csv(&study);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(
            lines[0],
            "rate [/s],completions per interrupt,measure,unit,subject,rounds,median,low,high,\
             ratio,ratio_low,ratio_high,effect"
        );
        assert_eq!(lines.len(), 1 + study.rows.len() * study.subjects.len());
        assert_eq!(
            lines[1],
            "100,1,bios per worker run,,7.2+v4,3,1,1,1,,,,unknown"
        );
        let other = "100,1,bios per worker run,,7.2+llist,3,4,4,4,4,4,4,more";
        assert_eq!(lines[2], other);
    }

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
    }
}

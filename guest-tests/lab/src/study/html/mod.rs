// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A study as one HTML file that needs nothing else: no network, no script. Its
//! charts are SVG within it; colours follow the reader's, and paper has its own.
//!
//! [`plot`] has scales and what is drawn on them, [`curves`], [`cdf`] and
//! [`heat`] make charts of a study, and the templates put it into words and
//! shapes.

mod cdf;
mod curves;
mod heat;
mod plot;

use askama::Template;

use super::figures::number;
use super::table::{Effect, Estimate, Study};
use super::text;
use curves::Curves;
use heat::HeatMap;

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'s> {
    study: &'s Study,
    title: String,
    verdict: Vec<String>,
    conditions: Vec<String>,
    explanation: String,
    rounds: String,
    subjects: Vec<Legend>,
    curves: Vec<Curves>,
    distributions: Vec<Curves>,
    heat_maps: Vec<HeatMap>,
    tables: Vec<MeasureTable>,
}

/// A subject's place in legends and its name.
struct Legend {
    series: usize,
    name: String,
}

/// All values of one measure.
struct MeasureTable {
    name: String,
    rows: Vec<(String, Vec<Cell>)>,
}

/// A value in a table.
struct Cell {
    value: String,
    interval: String,
    ratio: String,
    effect: &'static str,
}

/// The page as text.
pub(crate) fn html(study: &Study) -> askama::Result<String> {
    let page = Page {
        title: text::title(study),
        verdict: text::verdict_lines(study),
        conditions: text::condition_lines(study),
        explanation: text::explanation(study),
        rounds: text::rounds(study),
        subjects: legend(study),
        curves: curves::of(study),
        distributions: cdf::of(study),
        heat_maps: heat::of(study),
        tables: tables(study),
        study,
    };
    page.render()
}

fn legend(study: &Study) -> Vec<Legend> {
    let subjects = study.subjects.iter().enumerate();
    subjects
        .map(|(index, subject)| Legend {
            series: plot::series(index),
            name: subject.name.clone(),
        })
        .collect()
}

fn tables(study: &Study) -> Vec<MeasureTable> {
    let table = |(index, measure): (usize, &super::measure::Measure)| MeasureTable {
        name: text::measure_title(study, measure),
        rows: study
            .rows
            .iter()
            .filter(|row| row.measure == index)
            .map(|row| {
                let cells = row.estimates.iter().map(Cell::of);
                (study.setting(row.setting), cells.collect())
            })
            .collect(),
    };
    study.measures.iter().enumerate().map(table).collect()
}

impl Cell {
    fn of(estimate: &Estimate) -> Cell {
        let interval = estimate.interval.map_or(String::new(), |interval| {
            format!("{} to {}", number(interval.low), number(interval.high))
        });
        Cell {
            value: estimate.median.map_or(String::new(), number),
            interval,
            ratio: estimate
                .ratio
                .map_or(String::new(), |ratio| format!("{}x", number(ratio))),
            effect: match estimate.effect {
                Effect::More => "more",
                Effect::Less => "less",
                Effect::NotTold | Effect::Unknown => "",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_page_is_whole_and_needs_nothing_else() {
        let page = html(&samples::study()).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        for part in [
            "storm-sweep of 7.2+v4, 7.2+llist",
            "a jiffy&#39;s delay ends the storm",
            "prefers-color-scheme: dark",
            "@media print",
            "<svg",
            "irqstorm compare --kernel 7.2+v4",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for outside in ["<script", "http://", "https://", "url(", "@import", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_a_study_names_is_text_and_never_markup() {
        let mut samples = samples::samples();
        for sample in &mut samples.samples {
            sample.conditions.kernel.name += "<img src=x onerror=y>\"'";
        }
        let page = html(&Study::of(&samples, None)).unwrap();
        assert!(!page.contains("<img"), "{page}");
    }
}

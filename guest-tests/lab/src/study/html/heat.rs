// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Heat maps: what a subject is of the first one, for each setting and measure.

use super::super::figures::{number, setting_cells};
use super::super::table::{Effect, Estimate, Study};

/// A ratio of so much, or of one over it, has the strongest colour.
const STRONGEST: f64 = 16.0;

/// One subject's.
pub(super) struct HeatMap {
    pub(super) subject: String,
    pub(super) base: String,
    /// A column for each setting, named by the cells of it.
    pub(super) settings: Vec<Vec<String>>,
    pub(super) rows: Vec<HeatRow>,
}

/// One measure.
pub(super) struct HeatRow {
    pub(super) measure: String,
    pub(super) cells: Vec<HeatCell>,
}

/// One ratio.
pub(super) struct HeatCell {
    pub(super) text: String,
    pub(super) class: &'static str,
    /// How strong its colour is, in percent.
    pub(super) strength: u32,
    pub(super) title: String,
}

/// A map for each subject but the first.
pub(super) fn of(study: &Study) -> Vec<HeatMap> {
    let Some((base, others)) = study.subjects.split_first() else {
        return Vec::new();
    };
    let maps = others.iter().zip(1..).map(|(subject, index)| HeatMap {
        subject: subject.name.clone(),
        base: base.name.clone(),
        settings: study
            .settings
            .iter()
            .map(|setting| setting_cells(setting))
            .collect(),
        rows: rows(study, index),
    });
    maps.collect()
}

fn rows(study: &Study, subject: usize) -> Vec<HeatRow> {
    let measures = study.measures.iter().enumerate();
    let rows = measures.map(|(index, measure)| {
        let rows = study.rows.iter().filter(|row| row.measure == index);
        let cells = rows.map(|row| {
            let place = format!("{} at {}", measure.name, study.setting(row.setting));
            match row.estimates.get(subject) {
                Some(estimate) => cell(estimate, &place),
                None => cell(&Estimate::default(), &place),
            }
        });
        HeatRow {
            measure: measure.name.clone(),
            cells: cells.collect(),
        }
    });
    rows.collect()
}

fn cell(estimate: &Estimate, place: &str) -> HeatCell {
    let class = match estimate.effect {
        Effect::More => "more",
        Effect::Less => "less",
        Effect::NotTold | Effect::Unknown => "same",
    };
    let text = estimate.ratio.map_or(String::new(), number);
    let interval = estimate.ratio_interval.map_or(String::new(), |interval| {
        format!(" ({} to {})", number(interval.low), number(interval.high))
    });
    HeatCell {
        title: format!("{place}: {text}x{interval}"),
        text,
        class,
        strength: estimate.ratio.map_or(0, strength),
    }
}

fn strength(ratio: f64) -> u32 {
    let share = ratio.ln().abs() / STRONGEST.ln();
    let percent = (15.0 + 70.0 * share).clamp(15.0, 85.0);
    // From 15 to 85; a ratio of 0 is as far from 1 as can be.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped above"
    )]
    let percent = percent as u32;
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_as_strong_as_its_inverse() {
        assert_eq!(strength(1.0), 15);
        assert_eq!(strength(4.0), strength(0.25));
        assert_eq!((strength(1e9), strength(0.0)), (85, 85));
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Sweep curves: a measure over what was swept most finely, in a panel for each
//! of the other settings.

use irqstorm_agent::protocol::Figure;

use super::super::figures::{self, number};
use super::super::table::{Row, Study};
use super::super::text::measure_title;
use super::plot::{Chart, Dot, Line, Scale, series};

/// Panels that belong together.
pub(super) struct Curves {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) panels: Vec<Chart>,
}

/// What is swept, and the panels: what else was set, with the settings.
pub(super) struct Axis {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) panels: Vec<(Vec<Figure>, Vec<usize>)>,
}

impl Axis {
    /// Its name and its unit, if it has one.
    fn label(&self) -> String {
        match self.unit.as_str() {
            "" => self.name.clone(),
            unit => format!("{} [{unit}]", self.name),
        }
    }
}

/// `None` if nothing was swept.
pub(super) fn axis(study: &Study) -> Option<Axis> {
    let set = study.settings.first()?;
    let different = |name: &str| {
        let mut values: Vec<f64> = (0..study.settings.len())
            .filter_map(|index| study.set(index, name))
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        values.len()
    };
    // Of several that are as fine, the first.
    let finest = set
        .iter()
        .rev()
        .max_by_key(|figure| different(&figure.name))?;
    if different(&finest.name) < 2 {
        return None;
    }
    let mut panels: Vec<(Vec<Figure>, Vec<usize>)> = Vec::new();
    for (index, setting) in study.settings.iter().enumerate() {
        let others = setting.iter().filter(|figure| figure.name != finest.name);
        let others: Vec<Figure> = others.cloned().collect();
        match panels.iter_mut().find(|(known, _)| *known == others) {
            Some((_, settings)) => settings.push(index),
            None => panels.push((others, vec![index])),
        }
    }
    Some(Axis {
        name: finest.name.clone(),
        unit: finest.unit.clone(),
        panels,
    })
}

/// The curves of every measure.
pub(super) fn of(study: &Study) -> Vec<Curves> {
    let Some(axis) = axis(study) else {
        return Vec::new();
    };
    let measures = study.measures.iter().enumerate();
    measures
        .map(|(index, measure)| {
            let rows: Vec<&Row> = study
                .rows
                .iter()
                .filter(|row| row.measure == index)
                .collect();
            let y = Scale::around(rows.iter().flat_map(|row| ends(row)));
            let panels = axis.panels.iter();
            Curves {
                title: measure_title(study, measure),
                x: axis.label(),
                panels: panels
                    .map(|(others, settings)| panel(study, &axis, (others, settings), &rows, y))
                    .collect(),
            }
        })
        .collect()
}

/// The values of a row with the ends of their intervals.
fn ends(row: &Row) -> impl Iterator<Item = f64> {
    row.estimates.iter().flat_map(|estimate| {
        let ends = estimate
            .interval
            .map(|interval| [interval.low, interval.high]);
        ends.into_iter().flatten().chain(estimate.median)
    })
}

fn panel(
    study: &Study,
    axis: &Axis,
    (others, settings): (&[Figure], &[usize]),
    rows: &[&Row],
    y: Scale,
) -> Chart {
    let swept = |setting: usize| study.set(setting, &axis.name).unwrap_or(0.0);
    let x = Scale::around(settings.iter().map(|&setting| swept(setting)));
    let mut chart = Chart::new(figures::setting(others), x, y);
    for (index, subject) in study.subjects.iter().enumerate() {
        let mut dots = Vec::new();
        for row in rows.iter().filter(|row| settings.contains(&row.setting)) {
            let Some(estimate) = row.estimates.get(index) else {
                continue;
            };
            let Some(median) = estimate.median else {
                continue;
            };
            let interval = estimate.interval;
            dots.push(Dot {
                x: x.x(swept(row.setting)),
                y: y.y(median),
                low: y.y(interval.map_or(median, |interval| interval.low)),
                high: y.y(interval.map_or(median, |interval| interval.high)),
                title: format!(
                    "{}: {} at {}",
                    subject.name,
                    number(median),
                    study.setting(row.setting)
                ),
            });
        }
        let points: Vec<String> = dots
            .iter()
            .map(|dot| format!("{},{}", dot.x, dot.y))
            .collect();
        chart.lines.push(Line {
            series: series(index),
            points: points.join(" "),
            dots,
            title: subject.name.clone(),
        });
    }
    chart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_without_a_unit_has_no_brackets() {
        let axis = |unit: &str| Axis {
            name: "rate".into(),
            unit: unit.into(),
            panels: Vec::new(),
        };
        assert_eq!(axis("").label(), "rate");
        assert_eq!(axis("/s").label(), "rate [/s]");
    }
}

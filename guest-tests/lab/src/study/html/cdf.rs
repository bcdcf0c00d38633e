// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How times are distributed: the share of bios that took no longer, at the
//! lowest and the highest of what was swept.

use std::collections::BTreeSet;

use irqstorm_agent::points::Times;

use super::super::table::{Distribution, Study};
use super::curves::{self, Curves};
use super::plot::{Chart, Line, Scale, series};

/// In the unit of the axis.
fn micros(nanos: u64) -> f64 {
    // Exact enough far beyond any time here.
    #[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53 ns")]
    let nanos = nanos as f64;
    nanos / 1e3
}

/// The charts of every kind of time.
pub(super) fn of(study: &Study) -> Vec<Curves> {
    let shown = shown(study);
    let names: BTreeSet<&str> = study
        .distributions
        .iter()
        .map(|distribution| distribution.times.name.as_str())
        .collect();
    let emulated = if study.emulated() { ", emulated" } else { "" };
    let curves = names.into_iter().map(|name| Curves {
        title: name.to_owned(),
        x: format!("us{emulated}"),
        panels: shown
            .iter()
            .map(|&setting| panel(study, name, setting))
            .collect(),
    });
    curves.collect()
}

/// The settings at both ends of each panel of the curves.
fn shown(study: &Study) -> Vec<usize> {
    let Some(axis) = curves::axis(study) else {
        return (0..study.settings.len()).collect();
    };
    let swept = |setting: &&usize| study.set(**setting, &axis.name).unwrap_or(0.0);
    let ends = axis.panels.iter().flat_map(|(_, settings)| {
        let low = settings.iter().min_by(|a, b| swept(a).total_cmp(&swept(b)));
        let high = settings.iter().max_by(|a, b| swept(a).total_cmp(&swept(b)));
        low.into_iter().chain(high).copied()
    });
    let mut ends: Vec<usize> = ends.collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

fn panel(study: &Study, name: &str, setting: usize) -> Chart {
    let here: Vec<&Distribution> = study
        .distributions
        .iter()
        .filter(|one| one.setting == setting && one.times.name == name)
        .collect();
    let times = || {
        here.iter()
            .flat_map(|one| &one.times.buckets)
            .map(|bucket| micros(bucket.0))
    };
    let low = times().fold(f64::INFINITY, f64::min).clamp(1e-3, 1e12);
    let high = times().fold(0.0, f64::max).min(1e15);
    let x = Scale::log(low, high);
    let y = Scale::share();
    let mut chart = Chart::new(study.setting(setting), x, y);
    for one in here {
        let subject = study.subjects.get(one.subject);
        chart.lines.push(Line {
            series: series(one.subject),
            points: steps(&one.times, x, y),
            dots: Vec::new(),
            title: subject.map_or(String::new(), |subject| subject.name.clone()),
        });
    }
    chart
}

/// A step up at each bucket.
fn steps(times: &Times, x: Scale, y: Scale) -> String {
    let all = times.count().max(1);
    let mut points = Vec::new();
    let mut seen = 0_u64;
    let share = |count: u64| {
        // A share needs no more digits than a screen has points.
        #[expect(clippy::cast_precision_loss, reason = "rounded to a point of a chart")]
        let share = count as f64 / all as f64;
        y.y(share)
    };
    for bucket in &times.buckets {
        let at = x.x(micros(bucket.0));
        points.push(format!("{at},{}", share(seen)));
        seen = seen.saturating_add(bucket.1);
        points.push(format!("{at},{}", share(seen)));
    }
    points.join(" ")
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Scales, and what is drawn on them, in the units of an SVG.

use askama::Template;

use super::super::figures::{number, thousands};

/// Styles that there are for subjects; more share them.
const SERIES: usize = 6;

/// A chart's size, and the room that its labels take.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Labels of a logarithmic axis: at most so many.
const MOST_DECADES: usize = 7;

/// The style of a subject.
pub(super) fn series(index: usize) -> usize {
    index % SERIES
}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

/// A value on an axis.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) label: String,
}

/// A line through points.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) series: usize,
    /// As `points` of an SVG polyline has them.
    pub(super) points: String,
    pub(super) dots: Vec<Dot>,
    /// What a reader is told who points at it.
    pub(super) title: String,
}

/// A point with its interval.
#[derive(Debug)]
pub(super) struct Dot {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) low: String,
    pub(super) high: String,
    pub(super) title: String,
}

/// A chart in a panel of its own.
#[derive(Debug, Template)]
#[template(path = "chart.svg", escape = "html")]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y_ticks: Vec<Tick>,
    pub(super) lines: Vec<Line>,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart {
    /// With axes and nothing on them.
    pub(super) fn new(title: String, x: Scale, y: Scale) -> Chart {
        Chart {
            title,
            x_ticks: x.ticks(|value| Scale::x(x, value)),
            y_ticks: y.ticks(|value| Scale::y(y, value)),
            lines: Vec::new(),
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom: HEIGHT - BOTTOM,
        }
    }
}

impl Scale {
    /// One that has all values: logarithmic if they are above 0 and span more
    /// than a decade.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Scale {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low > 0.0 && high / low > 10.0 {
            return Scale {
                low: 10_f64.powf(low.log10().floor()),
                high: 10_f64.powf(high.log10().ceil()),
                log: true,
            };
        }
        let high = if high > 0.0 { high * 1.08 } else { 1.0 };
        Scale {
            low: low.min(0.0),
            high,
            log: false,
        }
    }

    /// A logarithmic one, to begin and end at these values.
    pub(super) fn log(low: f64, high: f64) -> Scale {
        Scale {
            low,
            high: high.max(low * 10.0),
            log: true,
        }
    }

    /// From 0 to 1.
    pub(super) fn share() -> Scale {
        Scale {
            low: 0.0,
            high: 1.0,
            log: false,
        }
    }

    /// Where a value lies, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        let place = match self.log {
            true => (value / self.low).log10() / (self.high / self.low).log10(),
            false => (value - self.low) / (self.high - self.low),
        };
        if place.is_finite() {
            place.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// Where a value lies on the axis that goes right.
    pub(super) fn x(self, value: f64) -> String {
        format!("{:.1}", LEFT + self.place(value) * (WIDTH - LEFT - RIGHT))
    }

    /// The same on the one that goes up.
    pub(super) fn y(self, value: f64) -> String {
        let room = HEIGHT - TOP - BOTTOM;
        format!("{:.1}", TOP + (1.0 - self.place(value)) * room)
    }

    fn ticks(self, at: impl Fn(f64) -> String) -> Vec<Tick> {
        let values = match self.log {
            true => self.decades(),
            false => self.steps(),
        };
        let tick = |value: f64| Tick {
            at: at(value),
            label: label(value),
        };
        values.into_iter().map(tick).collect()
    }

    fn decades(self) -> Vec<f64> {
        let mut all = Vec::new();
        let mut value = 10_f64.powf(self.low.log10().ceil());
        while value <= self.high * 1.001 && all.len() < 64 {
            all.push(value);
            value *= 10.0;
        }
        let every = all.len().div_ceil(MOST_DECADES).max(1);
        all.into_iter().step_by(every).collect()
    }

    /// Some round values.
    fn steps(self) -> Vec<f64> {
        let raw = (self.high - self.low) / 4.0;
        let decade = 10_f64.powf(raw.log10().floor());
        let fits = |factor: &&f64| **factor * decade >= raw;
        let step = decade * [1.0, 2.0, 5.0].iter().find(fits).unwrap_or(&10.0);
        let mut all = Vec::new();
        let mut value = (self.low / step).ceil() * step;
        while value <= self.high && all.len() < 16 {
            all.push(value);
            value += step;
        }
        all
    }
}

fn label(value: f64) -> String {
    match value {
        value if value >= 1_000.0 => thousands(value.round()),
        value if value >= 1.0 && value.fract() == 0.0 => format!("{value}"),
        value if value > 0.0 && value < 1.0 => format!("{}", (value * 1e6).round() / 1e6),
        value => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_ranges_are_logarithmic_and_have_a_label_for_a_decade() {
        let scale = Scale::around([0.02, 4.0, 700.0].into_iter());
        assert!(scale.log);
        let labels: Vec<String> = scale
            .ticks(|_| String::new())
            .into_iter()
            .map(|t| t.label)
            .collect();
        assert_eq!(labels, ["0.01", "0.1", "1", "10", "100", "1k"]);
    }

    #[test]
    fn narrow_ranges_begin_at_zero() {
        let scale = Scale::around([1.0, 2.0].into_iter());
        assert_eq!((scale.low, scale.log), (0.0, false));
        assert_eq!(scale.y(0.0), format!("{:.1}", HEIGHT - BOTTOM));
    }

    #[test]
    fn nothing_to_draw_is_no_reason_to_fail() {
        for values in [vec![], vec![0.0], vec![f64::NAN, f64::INFINITY]] {
            let scale = Scale::around(values.into_iter());
            assert!(!scale.ticks(|value| scale.x(value)).is_empty());
            assert!(!scale.x(f64::NAN).contains("NaN"));
        }
    }
}

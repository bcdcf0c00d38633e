// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Figures of a study for people.

use irqstorm_agent::points::measures;
use irqstorm_agent::protocol::Figure;

/// A value in three digits or four, as in `0.0891`, `12.5` and `1200k`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if size < 0.001 {
        format!("{value:.1e}")
    } else if size < 0.1 {
        format!("{value:.4}")
    } else if size < 10.0 {
        format!("{value:.2}")
    } else if size < 100.0 {
        format!("{value:.1}")
    } else if size < 100_000.0 {
        format!("{value:.0}")
    } else if size < 1e8 {
        format!("{:.0}k", value / 1e3)
    } else {
        format!("{value:.1e}")
    }
}

/// A setting, short: `1k/s, 8 an interrupt, end_io 50 us`.
pub(super) fn setting(figures: &[Figure]) -> String {
    let parts = figures.iter().map(|figure| {
        let value = figure.value;
        match figure.name.as_str() {
            measures::RATE => format!("{}/s", thousands(value)),
            measures::PER_INTERRUPT => format!("{value} an interrupt"),
            measures::RAW => target(value).to_owned(),
            measures::WRITERS => writers(value),
            name => format!("{name} {value} {}", figure.unit)
                .trim_end()
                .to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// A setting in cells of a table: `1k/s`, `8/irq`, `50us`.
pub(super) fn setting_cells(figures: &[Figure]) -> Vec<String> {
    let cells = figures.iter().map(|figure| {
        let value = thousands(figure.value);
        match figure.name.as_str() {
            measures::RATE => format!("{value}/s"),
            measures::PER_INTERRUPT => format!("{value}/irq"),
            measures::END_IO | measures::BLOCK => format!("{value}{}", figure.unit),
            measures::RAW => target(figure.value).to_owned(),
            measures::WRITERS => format!("{value} at once"),
            name => format!("{name}={value}{}", figure.unit),
        }
    });
    cells.collect()
}

/// What is written to.
fn target(raw: f64) -> &'static str {
    match raw {
        0.0 => "XFS",
        _ => "disk",
    }
}

fn writers(count: f64) -> String {
    match count {
        1.0 => "1 writer".to_owned(),
        _ => format!("{count} writers"),
    }
}

/// `1k` for 1000.
pub(super) fn thousands(value: f64) -> String {
    match value {
        value if value >= 1_000.0 && value % 1_000.0 == 0.0 => format!("{}k", value / 1_000.0),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.08912, "0.0891"),
            (1.0, "1.00"),
            (12.54, "12.5"),
            (4321.4, "4321"),
            (1_234_567.0, "1235k"),
            (0.000_02, "2.0e-5"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_setting_is_short() {
        let figure = |name: &str, value, unit: &str| Figure {
            name: name.into(),
            value,
            unit: unit.into(),
        };
        let figures = [
            figure(measures::RATE, 10_000.0, "/s"),
            figure(measures::PER_INTERRUPT, 8.0, ""),
            figure(measures::END_IO, 50.0, "us"),
        ];
        assert_eq!(setting(&figures), "10k/s, 8 an interrupt, end_io 50 us");
    }
}

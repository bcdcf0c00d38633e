// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Figures for people: the digits that count, and a unit. What is cut off is
//! cut, not rounded.

use irqstorm_core::units::Nanos;

/// Units, the smallest first, each with what it is in the smallest.
type Units = [(u64, &'static str); 4];

const TIMES: Units = [
    (1, "ns"),
    (1_000, "us"),
    (1_000_000, "ms"),
    (1_000_000_000, "s"),
];

const COUNTS: Units = [
    (1, ""),
    (1_000, "k"),
    (1_000_000, "M"),
    (1_000_000_000, "G"),
];

/// A time in three digits, as in `1.23ms`.
pub(crate) fn time(time: Nanos) -> String {
    scaled(time.0, &TIMES, 3)
}

/// A count in two digits or three, as in `1.2k` and `123k`: at most four
/// characters up to a million millions.
pub(crate) fn count(count: u64) -> String {
    scaled(count, &COUNTS, 2)
}

/// `value` in the largest unit of which it is at least one.
fn scaled(value: u64, units: &Units, digits: u32) -> String {
    let fits = |(scale, _): &&(u64, &str)| value >= *scale;
    let (scale, unit) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    let (whole, rest) = (value / scale, value % scale);
    let before_point = whole.checked_ilog10().map_or(1, |digits| digits + 1);
    let decimals = digits.saturating_sub(before_point);
    if rest == 0 || decimals == 0 {
        return format!("{whole}{unit}");
    }
    let part = u128::from(rest) * 10u128.pow(decimals) / u128::from(*scale);
    format!("{whole}.{part:0width$}{unit}", width = decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_their_unit() {
        for (nanos, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1us"),
            (1_049, "1.04us"),
            (12_345, "12.3us"),
            (999_999, "999us"),
            (1_500_000, "1.50ms"),
            (61_000_000_000, "61s"),
        ] {
            assert_eq!(time(Nanos(nanos)), text);
        }
    }

    #[test]
    fn counts_have_two_digits_or_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_234, "1.2k"),
            (12_345, "12k"),
            (999_999, "999k"),
            (5_000_000, "5M"),
            (u64::MAX, "18446744073G"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}

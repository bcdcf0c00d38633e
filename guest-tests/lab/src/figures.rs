// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Figures for people: three digits that count, and a unit.

use irqstorm_core::units::Nanos;

/// A time, as in `1.23ms`.
pub(crate) fn time(time: Nanos) -> String {
    scaled(
        time.0,
        &[
            (1, "ns"),
            (1_000, "us"),
            (1_000_000, "ms"),
            (1_000_000_000, "s"),
        ],
    )
}

/// A count, as in `12.3k`.
pub(crate) fn count(count: u64) -> String {
    scaled(
        count,
        &[
            (1, ""),
            (1_000, "k"),
            (1_000_000, "M"),
            (1_000_000_000, "G"),
        ],
    )
}

/// `value` in the largest of `units` of which it is at least one, cut to three
/// digits.
fn scaled(value: u64, units: &[(u64, &str)]) -> String {
    let fits = |(scale, _): &&(u64, &str)| value >= *scale;
    let (scale, unit) = units.iter().rev().find(fits).copied().unwrap_or((1, ""));
    let (whole, rest) = (value / scale, value % scale);
    let decimals = match whole {
        _ if rest == 0 => 0,
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    if decimals == 0 {
        return format!("{whole}{}", if value == 0 { units[0].1 } else { unit });
    }
    let part = u128::from(rest) * 10u128.pow(decimals) / u128::from(scale);
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
    fn counts_have_three_digits() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_234, "1.23k"),
            (99_999, "99.9k"),
            (5_000_000, "5M"),
            (u64::MAX, "18446744073G"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}

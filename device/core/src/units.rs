// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Values with units, as a scenario, a command and an event carry them.
//!
//! In a file every value says its unit ("80us", "1.5ms", "200kHz"): a bare
//! number is refused, since nobody remembers a year later what it counted.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

/// A value of a scenario or a command that cannot be what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {wanted}")]
pub struct UnitError {
    text: String,
    wanted: &'static str,
}

const NANOS_WANTED: &str = "a time: write a number and a unit, as in \"80us\", \"1.5ms\" or \"2s\"";
const RATE_WANTED: &str =
    "a rate above zero: write a number and a unit, as in \"500Hz\" or \"20kHz\"";
const SHARE_WANTED: &str = "a share: write a percentage from 0 to 100, as in \"99.9%\"";
const BYTES_WANTED: &str = "a size: write a number and B, KiB, MiB, GiB or TiB, as in \"64KiB\"";
const FRACTION_WANTED: &str = "a share: write a percentage above 0 and up to 100, as in \"25%\"";

/// A point on the device's clock or a span of it, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The start of the device's clock, and the empty span.
    pub const ZERO: Nanos = Nanos(0);

    /// So many microseconds.
    pub const fn from_micros(micros: u64) -> Nanos {
        Nanos(micros.saturating_mul(1_000))
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Nanos {
        Nanos(millis.saturating_mul(1_000_000))
    }

    /// The span from `earlier` to `self`, or nothing if `earlier` is later.
    pub const fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Nanos {
    type Output = Nanos;
    fn add(self, span: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(span.0))
    }
}

impl Sub for Nanos {
    type Output = Nanos;
    fn sub(self, span: Nanos) -> Nanos {
        self.since(span)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (divisor, unit) = match self.0 {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "us"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        // Exact: a value written here reads back as the same value.
        let whole = self.0 / divisor;
        let rest = self.0 % divisor;
        if rest == 0 {
            return write!(f, "{whole}{unit}");
        }
        let width = divisor.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        write!(f, "{whole}.{}{unit}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Nanos {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Nanos, UnitError> {
        scaled(
            text,
            &[
                ("ns", 1),
                ("us", 1_000),
                ("ms", 1_000_000),
                ("s", 1_000_000_000),
            ],
        )
        .map(Nanos)
        .ok_or_else(|| UnitError {
            text: text.to_owned(),
            wanted: NANOS_WANTED,
        })
    }
}

/// How often something happens, in events a second, held as thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// So many thousandths of one a second; none at all becomes one.
    pub const fn from_millihertz(millihertz: u64) -> Rate {
        Rate(if millihertz == 0 { 1 } else { millihertz })
    }

    /// How many thousandths of one a second.
    pub const fn millihertz(self) -> u64 {
        self.0
    }

    /// The time that `events` of them take: never less than a nanosecond.
    pub fn period(self, events: u32) -> Nanos {
        let nanos = u128::from(events) * 1_000_000_000_000 / u128::from(self.0);
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / 1_000;
        match self.0 % 1_000 {
            0 => write!(f, "{whole}Hz"),
            rest => write!(
                f,
                "{whole}.{}Hz",
                format!("{rest:03}").trim_end_matches('0')
            ),
        }
    }
}

impl FromStr for Rate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Rate, UnitError> {
        scaled(
            text,
            &[("kHz", 1_000_000), ("MHz", 1_000_000_000), ("Hz", 1_000)],
        )
        .filter(|&millihertz| millihertz > 0)
        .map(Rate)
        .ok_or_else(|| UnitError {
            text: text.to_owned(),
            wanted: RATE_WANTED,
        })
    }
}

/// A share above nothing and up to the whole, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(u32);

impl Fraction {
    /// All of it.
    pub const WHOLE: Fraction = Fraction(1_000_000);

    /// So many millionths, at least one and at most all.
    pub fn from_millionths(millionths: u32) -> Fraction {
        Fraction(millionths.clamp(1, 1_000_000))
    }

    /// How many millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// This share of a span.
    pub fn of(self, span: Nanos) -> Nanos {
        let part = u128::from(span.0) * u128::from(self.0) / 1_000_000;
        Nanos(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / 10_000;
        match self.0 % 10_000 {
            0 => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

impl FromStr for Fraction {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Fraction, UnitError> {
        scaled(text, &[("%", 10_000)])
            .and_then(|millionths| u32::try_from(millionths).ok())
            .filter(|millionths| (1..=1_000_000).contains(millionths))
            .map(Fraction)
            .ok_or_else(|| UnitError {
                text: text.to_owned(),
                wanted: FRACTION_WANTED,
            })
    }
}

/// A share from nothing to the whole, in trillionths: fine enough for every
/// percentile that a tool writes of a latency's tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    /// None of it.
    pub const NONE: Share = Share(0);

    /// All of it.
    pub const WHOLE: Share = Share(1_000_000_000_000);

    /// So many trillionths, or the whole if they are more.
    pub fn from_trillionths(trillionths: u64) -> Share {
        Share(trillionths.min(Share::WHOLE.0))
    }

    /// `part` of `whole`, rounded down, and the whole of nothing.
    pub fn from_counts(part: u64, whole: u64) -> Share {
        (u128::from(part) * u128::from(Share::WHOLE.0))
            .checked_div(u128::from(whole))
            .and_then(|trillionths| u64::try_from(trillionths).ok())
            .map_or(Share::WHOLE, Share::from_trillionths)
    }

    /// How many trillionths.
    pub const fn trillionths(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / 10_000_000_000;
        match self.0 % 10_000_000_000 {
            0 => write!(f, "{whole}%"),
            rest => write!(
                f,
                "{whole}.{}%",
                format!("{rest:010}").trim_end_matches('0')
            ),
        }
    }
}

impl FromStr for Share {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Share, UnitError> {
        scaled(text, &[("%", 10_000_000_000)])
            .filter(|&trillionths| trillionths <= Share::WHOLE.0)
            .map(Share)
            .ok_or_else(|| UnitError {
                text: text.to_owned(),
                wanted: SHARE_WANTED,
            })
    }
}

/// A number of bytes, in powers of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest unit of which it is a whole number.
        let exact = |&&(_, scale): &&(&str, u64)| self.0 >= scale && self.0.is_multiple_of(scale);
        let (unit, scale) = BYTE_UNITS.iter().find(exact).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

impl FromStr for Bytes {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Bytes, UnitError> {
        scaled(text, &BYTE_UNITS)
            .map(Bytes)
            .ok_or_else(|| UnitError {
                text: text.to_owned(),
                wanted: BYTES_WANTED,
            })
    }
}

/// Reads a decimal number followed by one of `units` and scales it, exactly:
/// digits below the scale's last are refused rather than rounded away.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let (number, unit) = text.split_at(unit_at);
    let &(_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    let number = number.replace('_', "");
    let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
    if whole.is_empty() || decimals.contains('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let decimals = decimals.trim_end_matches('0');
    if decimals.is_empty() {
        return Some(whole);
    }
    // As many digits as 128 bits can scale: more are below any unit's last.
    let divisor = 10u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let part = decimals.parse::<u128>().ok()?.checked_mul(scale.into())?;
    if !part.is_multiple_of(divisor) {
        return None;
    }
    whole.checked_add(u64::try_from(part / divisor).ok()?)
}

/// Serde through `Display` and `FromStr`, so that files and the wire read alike.
macro_rules! as_text {
    ($name:ident, $expecting:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<$name, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                input.deserialize_str(Text)
            }
        }
    };
}
pub(crate) use as_text;

as_text!(Nanos, "a quoted number with its unit, as in \"80us\"");
as_text!(Rate, "a quoted number with its unit, as in \"5kHz\"");
as_text!(Fraction, "a quoted number with its unit, as in \"25%\"");
as_text!(Share, "a quoted number with its unit, as in \"99.9%\"");
as_text!(Bytes, "a quoted number with its unit, as in \"64KiB\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_exactly_in_every_unit() {
        assert_eq!("80us".parse(), Ok(Nanos(80_000)));
        assert_eq!("1.5ms".parse(), Ok(Nanos(1_500_000)));
        assert_eq!("2 s".parse(), Ok(Nanos(2_000_000_000)));
        assert_eq!("0ns".parse(), Ok(Nanos::ZERO));
        assert_eq!("1_000ns".parse(), Ok(Nanos(1_000)));
    }

    #[test]
    fn times_print_what_they_read() {
        for nanos in [0, 1, 999, 1_000, 1_001, 1_500_000, 80_000, 3_000_000_007] {
            assert_eq!(Nanos(nanos).to_string().parse(), Ok(Nanos(nanos)));
        }
    }

    #[test]
    fn bare_numbers_and_foreign_units_are_refused() {
        for text in [
            "",
            "80",
            "us",
            "80 minutes",
            "-1us",
            "1.2.3us",
            "0.5ns",
            "99999999999s",
        ] {
            assert!(text.parse::<Nanos>().is_err(), "{text} was taken");
        }
        for text in ["0Hz", "5", "5us", "kHz"] {
            assert!(text.parse::<Rate>().is_err(), "{text} was taken");
        }
        for text in ["0%", "101%", "0.5", "x%"] {
            assert!(text.parse::<Fraction>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn sizes_read_and_print_in_their_largest_whole_unit() {
        for (text, bytes, printed) in [
            ("64KiB", 65_536, "64KiB"),
            ("1.5MiB", 1_572_864, "1536KiB"),
            ("512B", 512, "512B"),
            ("0B", 0, "0B"),
            ("2 TiB", 2 << 40, "2TiB"),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
            assert_eq!(Bytes(bytes).to_string(), printed);
        }
        for text in ["4096", "4K", "0.5B", "99999999TiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_rate_gives_the_time_its_events_take() {
        let rate: Rate = "20kHz".parse().unwrap();
        assert_eq!(rate.period(1), Nanos::from_micros(50));
        assert_eq!(rate.period(8), Nanos::from_micros(400));
    }

    #[test]
    fn a_fraction_takes_its_part_of_a_span() {
        let half: Fraction = "50%".parse().unwrap();
        assert_eq!(half.of(Nanos::from_millis(10)), Nanos::from_millis(5));
        assert_eq!(Fraction::WHOLE.of(Nanos(7)), Nanos(7));
    }

    #[test]
    fn a_share_may_be_nothing_and_prints_what_it_reads() {
        for text in ["0%", "50%", "99.99%", "99.9999999999%", "100%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for text in ["100.1%", "1", "0.00000000001%"] {
            assert!(text.parse::<Share>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_share_of_counts_is_exact() {
        assert_eq!(Share::from_counts(999, 1_000).to_string(), "99.9%");
        assert_eq!(Share::from_counts(u64::MAX, u64::MAX), Share::WHOLE);
        assert_eq!(Share::from_counts(0, u64::MAX), Share::NONE);
        assert_eq!(Share::from_counts(0, 0), Share::WHOLE);
    }

    #[test]
    fn an_error_says_what_to_write() {
        let error = "80".parse::<Nanos>().unwrap_err().to_string();
        assert!(error.contains("'80'") && error.contains("80us"), "{error}");
    }
}

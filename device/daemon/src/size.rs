// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Sizes as people write them.

use std::str::FromStr;

/// Bytes: `512M`, `1G`, `1GiB`, or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A text that is no size.
#[derive(Debug, thiserror::Error)]
#[error("a size is a whole number above zero and K, M, G or T (powers of 1024), as in 512M")]
pub(crate) struct SizeError;

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Size, SizeError> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "" | "B" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            "T" | "TiB" => 40,
            _ => return Err(SizeError),
        };
        let number: u64 = digits.parse().map_err(|_| SizeError)?;
        number
            .checked_mul(1 << shift)
            .filter(|&bytes| bytes > 0)
            .map(Size)
            .ok_or(SizeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_in_powers_of_1024() {
        for (text, bytes) in [
            ("512", 512),
            ("4K", 4096),
            ("1GiB", 1 << 30),
            ("3T", 3 << 40),
        ] {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "G", "0", "-1", "1.5G", "1X", "99999999999T", "1GB", "é"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which part of a large run is asked for: its seeds, and a share of the rest.

use std::str::FromStr;

/// More seeds than that are a mistyped one.
const MOST_SEEDS: u64 = 100;

/// The seeds of `--seeds`: a count, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let rule = || format!("a count from 1 to {MOST_SEEDS}, or seeds as in 1,2,3");
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| rule());
        if !text.contains(',') {
            let count = number(text)?;
            return match (1..=MOST_SEEDS).contains(&count) {
                true => Ok(Seeds((1..=count).collect())),
                false => Err(rule()),
            };
        }
        // A comma at the end makes a list of one.
        let list = text.strip_suffix(',').unwrap_or(text).split(',');
        let mut seeds = list.map(number).collect::<Result<Vec<u64>, _>>()?;
        seeds.sort_unstable();
        seeds.dedup();
        Ok(Seeds(seeds))
    }
}

/// The K-th of N parts, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    part: usize,
    of: usize,
}

impl Share {
    /// Whether what has this place in the whole is in the part.
    pub(crate) fn has(self, place: usize) -> bool {
        place % self.of + 1 == self.part
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((part, of)) if part >= 1 && part <= of => Ok(Share { part, of }),
            _ => Err("a part of the whole as in 1/6, from 1/6 to 6/6".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_list() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("3"), Ok(vec![1, 2, 3]));
        assert_eq!(seeds("9,7,9"), Ok(vec![7, 9]));
        assert_eq!(seeds("7,"), Ok(vec![7]));
        for text in ["", "0", "101", "a", "1,,2", ",", "-1"] {
            assert!(seeds(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn shares_are_disjoint_and_make_the_whole() {
        let shares: Vec<Share> = ["1/3", "2/3", "3/3"]
            .map(|text| text.parse().unwrap())
            .into();
        for place in 0..10 {
            let having = shares.iter().filter(|share| share.has(place));
            assert_eq!(having.count(), 1, "{place}");
        }
        for text in ["", "3", "0/3", "4/3", "1/0", "a/b", "1/2/3"] {
            assert!(text.parse::<Share>().is_err(), "{text} was taken");
        }
    }
}

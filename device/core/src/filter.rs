// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which requests: the one way to name some of them, for a scenario's rules,
//! for `hold`, for `list` and for `release`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::request::{Operation, QueueId, Sector};
use crate::units::Bytes;

/// What a request is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Its queue.
    pub queue: QueueId,
    /// Its kind.
    pub operation: Operation,
    /// Its first sector.
    pub sector: Sector,
    /// Its data bytes.
    pub bytes: u64,
}

/// Requests by what they are. What is absent matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Those of these kinds.
    #[serde(skip_serializing_if = "Choice::is_any")]
    pub operation: Choice<Operation>,
    /// Those of these queues.
    #[serde(skip_serializing_if = "Choice::is_any")]
    pub queue: Choice<QueueId>,
    /// Those that begin in this range of sectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lba: Option<LbaRange>,
    /// Those with so many data bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeRange>,
}

impl Filter {
    /// Whether a request is one of them.
    pub fn takes(&self, traits: &Traits) -> bool {
        self.operation.takes(&traits.operation)
            && self.queue.takes(&traits.queue)
            && self.lba.is_none_or(|lba| lba.0.has(traits.sector.0))
            && self.size.is_none_or(|size| size.0.has(traits.bytes))
    }

    /// Whether it takes every request.
    pub fn is_any(&self) -> bool {
        *self == Filter::default()
    }
}

/// Some values of a kind, or any. Written as one value or a list of them; on a
/// command line as words joined by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T>(Vec<T>);

impl<T> Default for Choice<T> {
    fn default() -> Choice<T> {
        Choice(Vec::new())
    }
}

impl<T: PartialEq> Choice<T> {
    /// One value and no other.
    pub fn one(value: T) -> Choice<T> {
        Choice(vec![value])
    }

    /// Whether any value will do.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this value will do.
    pub fn takes(&self, value: &T) -> bool {
        self.0.is_empty() || self.0.contains(value)
    }

    /// The values, none of them for any.
    pub fn values(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(out),
            many => many.serialize(out),
        }
    }
}

/// What can stand in a [`Choice`].
pub trait Choosable: Sized {
    /// What a value looks like.
    const WANTED: &'static str;

    /// Reads one from a word.
    fn from_word(word: &str) -> Option<Self>;
}

impl Choosable for QueueId {
    const WANTED: &'static str = "a queue's number, or a list of them";

    fn from_word(word: &str) -> Option<QueueId> {
        word.parse().ok().map(QueueId)
    }
}

impl Choosable for Operation {
    const WANTED: &'static str =
        "read, write, flush, discard, write-zeroes, identify or malformed, or a list of them";

    fn from_word(word: &str) -> Option<Operation> {
        Operation::ALL
            .into_iter()
            .find(|operation| operation.name() == word)
    }
}

impl<'de, T: Choosable + Deserialize<'de>> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Choice<T>, D::Error> {
        struct OneOrMany<T>(PhantomData<T>);
        impl<'de, T: Choosable + Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = Choice<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::WANTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Choice<T>, E> {
                let words = text.split(',').map(str::trim);
                let read = |word| {
                    T::from_word(word)
                        .ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &T::WANTED))
                };
                words.map(read).collect::<Result<_, _>>().map(Choice)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Choice<T>, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Choice<T>, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choice<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                match values.is_empty() {
                    true => Err(de::Error::invalid_length(0, &T::WANTED)),
                    false => Ok(Choice(values)),
                }
            }
        }
        input.deserialize_any(OneOrMany(PhantomData))
    }
}

/// A run of whole numbers, its end not included; without one, to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: u64,
    /// The one after the last.
    pub to: Option<u64>,
}

impl Span {
    /// Whether a number is in it.
    pub fn has(&self, number: u64) -> bool {
        number >= self.from && self.to.is_none_or(|to| number < to)
    }

    /// Reads `A..B`, `A..=B`, `A..` or `..B`; not empty.
    fn read(text: &str, number: impl Fn(&str) -> Option<u64>) -> Option<Span> {
        let (from, to) = text.split_once("..")?;
        let from = match from.trim() {
            "" => 0,
            from => number(from)?,
        };
        let to = match (to.trim(), to.trim().strip_prefix('=')) {
            ("", _) => None,
            (_, Some(last)) => Some(number(last.trim())?.checked_add(1)?),
            (end, None) => Some(number(end)?),
        };
        to.is_none_or(|to| to > from).then_some(Span { from, to })
    }
}

/// A range that is not one; the text says which forms there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no range of {of}: write \"A..B\", \"A..=B\", \"A..\" or \"..B\", not empty, as in \"{example}\""
)]
pub struct RangeError {
    text: String,
    of: &'static str,
    example: &'static str,
}

/// A range of sectors of 512 bytes, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LbaRange(pub Span);

/// A range of sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRange(pub Span);

impl FromStr for LbaRange {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<LbaRange, RangeError> {
        Span::read(text, |number| number.parse().ok())
            .map(LbaRange)
            .ok_or_else(|| RangeError {
                text: text.to_owned(),
                of: "sectors",
                example: "2048..4096",
            })
    }
}

impl FromStr for SizeRange {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<SizeRange, RangeError> {
        Span::read(text, |number| {
            number.parse::<Bytes>().ok().map(|bytes| bytes.0)
        })
        .map(SizeRange)
        .ok_or_else(|| RangeError {
            text: text.to_owned(),
            of: "sizes with their units",
            example: "4KiB..=64KiB",
        })
    }
}

impl fmt::Display for LbaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to {
            Some(to) => write!(f, "{}..{to}", self.0.from),
            None => write!(f, "{}..", self.0.from),
        }
    }
}

impl fmt::Display for SizeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to {
            Some(to) => write!(f, "{}..{}", Bytes(self.0.from), Bytes(to)),
            None => write!(f, "{}..", Bytes(self.0.from)),
        }
    }
}

crate::units::as_text!(LbaRange, "a range of sectors, as in \"2048..4096\"");
crate::units::as_text!(SizeRange, "a range of sizes, as in \"4KiB..=64KiB\"");

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(queue: u16, operation: Operation, sector: u64, bytes: u64) -> Traits {
        Traits {
            queue: QueueId(queue),
            operation,
            sector: Sector(sector),
            bytes,
        }
    }

    #[test]
    fn a_filter_takes_what_all_its_parts_take() {
        let filter: Filter = toml::from_str(
            "operation = ['read', 'write']\nqueue = 1\nlba = '8..16'\nsize = '4KiB..=8KiB'",
        )
        .unwrap();
        let good = traits(1, Operation::Read, 8, 8192);
        assert!(filter.takes(&good));
        for bad in [
            Traits {
                queue: QueueId(0),
                ..good
            },
            Traits {
                operation: Operation::Flush,
                ..good
            },
            Traits {
                sector: Sector(16),
                ..good
            },
            Traits {
                sector: Sector(7),
                ..good
            },
            Traits {
                bytes: 8193,
                ..good
            },
            Traits {
                bytes: 4095,
                ..good
            },
        ] {
            assert!(!filter.takes(&bad), "{bad:?}");
        }
        assert!(Filter::default().takes(&good) && Filter::default().is_any());
    }

    #[test]
    fn words_lists_and_numbers_are_choices() {
        let read = |text: &str| serde_json::from_str::<Filter>(text).unwrap();
        assert_eq!(read(r#"{"queue":"0,2"}"#), read(r#"{"queue":[0,2]}"#));
        assert_eq!(read(r#"{"queue":3}"#), read(r#"{"queue":"3"}"#));
        assert_eq!(
            read(r#"{"operation":"read,flush"}"#),
            read(r#"{"operation":["read","flush"]}"#)
        );
    }

    #[test]
    fn choices_and_ranges_come_back_from_their_text() {
        let filter: Filter = toml::from_str(
            "operation = 'write-zeroes'\nqueue = [0, 5]\nlba = '..=9'\nsize = '1MiB..'",
        )
        .unwrap();
        let again = toml::to_string(&filter).unwrap();
        assert_eq!(toml::from_str::<Filter>(&again).unwrap(), filter, "{again}");
    }

    #[test]
    fn what_is_no_choice_or_range_says_what_is() {
        for (text, hint) in [
            ("operation = 'reed'", "write-zeroes"),
            ("operation = []", "list"),
            ("queue = -1", "queue's number"),
            ("queue = 'x'", "queue's number"),
            ("lba = '9..9'", "not empty"),
            ("lba = '5'", "A..B"),
            ("lba = '1KiB..'", "A..B"),
            ("lba = '..=18446744073709551615'", "A..B"),
            ("size = '4096..'", "4KiB..=64KiB"),
        ] {
            let error = toml::from_str::<Filter>(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One knob stepped over a range, a phase for each step: one boot measures a
//! curve.

use serde::Deserialize;
use toml::Value;

use super::{BadValue, Until};
use crate::units::{Bytes, Fraction, Nanos, Rate};

/// The most steps.
pub(super) const MAX_STEPS: u32 = 1_000;

/// The mark that each step sets when it begins.
pub(super) const MARK: &str = "sweep";

/// The `[sweep]` table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sweep {
    /// The path of what is stepped.
    pub(super) knob: String,
    from: Option<Value>,
    to: Option<Value>,
    steps: Option<u32>,
    scale: Option<Scale>,
    values: Option<Vec<Value>>,
    /// What ends a step.
    pub(super) each: Until,
}

/// How the steps lie between the ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scale {
    /// The same difference from each to the next.
    #[default]
    Linear,
    /// The same ratio.
    Log,
}

impl Sweep {
    /// The values, in order.
    pub(super) fn steps(&self) -> Result<Vec<Value>, BadValue> {
        let bad = |key, value: &dyn ToString, allowed: &str| {
            Err(BadValue::at("sweep", key, value.to_string(), allowed))
        };
        let range = (&self.from, &self.to, self.steps, self.scale);
        let steps = match (&self.values, range) {
            (Some(values), (None, None, None, None)) => values.clone(),
            (None, (Some(from), Some(to), Some(steps), _)) => self.between(from, to, steps)?,
            _ => {
                let allowed = "either values, or from, to and steps, with a scale if need be";
                return bad("values", &"...", allowed);
            }
        };
        if steps.is_empty() || steps.len() > MAX_STEPS as usize {
            let allowed = format!("1 to {MAX_STEPS}");
            return bad("steps", &steps.len(), &allowed);
        }
        Ok(steps)
    }

    fn between(&self, from: &Value, to: &Value, steps: u32) -> Result<Vec<Value>, BadValue> {
        if !(2..=MAX_STEPS).contains(&steps) {
            let allowed = format!("2 to {MAX_STEPS}");
            return Err(BadValue::at("sweep", "steps", steps, allowed));
        }
        let unit = Unit::of(from).filter(|unit| Unit::of(to) == Some(*unit));
        let both = unit.and_then(|unit| Some((unit, unit.read(from)?, unit.read(to)?)));
        let Some((unit, first, last)) = both else {
            let allowed = "of one kind: two times, rates, sizes, shares or whole numbers";
            let ends = format!("{from} and to = {to}");
            return Err(BadValue::at("sweep", "from", ends, allowed));
        };
        let scale = self.scale.unwrap_or_default();
        if scale == Scale::Log && (first <= 0.0 || last <= 0.0) {
            let allowed = "above 0 on a log scale";
            return Err(BadValue::at("sweep", "from", from, allowed));
        }
        let place = |step: u32| {
            let share = f64::from(step) / f64::from(steps - 1);
            match scale {
                Scale::Linear => first + (last - first) * share,
                Scale::Log => first * (last / first).powf(share),
            }
        };
        Ok((0..steps).map(|step| unit.write(place(step))).collect())
    }
}

/// What a swept value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Time,
    Rate,
    Size,
    Share,
    Count,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "steps between two values are rounded, and `as` saturates"
)]
impl Unit {
    fn of(value: &Value) -> Option<Unit> {
        match value {
            Value::Integer(_) => Some(Unit::Count),
            Value::String(text) if text.parse::<Nanos>().is_ok() => Some(Unit::Time),
            Value::String(text) if text.parse::<Rate>().is_ok() => Some(Unit::Rate),
            Value::String(text) if text.parse::<Bytes>().is_ok() => Some(Unit::Size),
            Value::String(text) if text.parse::<Fraction>().is_ok() => Some(Unit::Share),
            _ => None,
        }
    }

    fn read(self, value: &Value) -> Option<f64> {
        let text = value.as_str().unwrap_or_default();
        match self {
            Unit::Time => text.parse::<Nanos>().ok().map(|time| time.0 as f64),
            Unit::Rate => text
                .parse::<Rate>()
                .ok()
                .map(|rate| rate.millihertz() as f64),
            Unit::Size => text.parse::<Bytes>().ok().map(|bytes| bytes.0 as f64),
            Unit::Share => text
                .parse::<Fraction>()
                .ok()
                .map(|share| f64::from(share.millionths())),
            Unit::Count => value.as_integer().map(|count| count as f64),
        }
    }

    fn write(self, number: f64) -> Value {
        let whole = number.round() as u64;
        match self {
            Unit::Time => Value::from(Nanos(whole).to_string()),
            Unit::Rate => Value::from(Rate::from_millihertz(whole).to_string()),
            Unit::Size => Value::from(Bytes(whole).to_string()),
            Unit::Share => {
                let millionths = u32::try_from(whole).unwrap_or(u32::MAX);
                Value::from(Fraction::from_millionths(millionths).to_string())
            }
            Unit::Count => Value::from(number.round() as i64),
        }
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which requests are treated otherwise than the rest.

use super::Behaviour;
use crate::filter::Filter;
use crate::units::Fraction;

/// The most rules that apply at a time.
pub const MAX_RULES: usize = 1_000;

/// One rule: the first whose selector takes a request decides about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What lists and events call it.
    pub name: String,
    /// Which requests it is for.
    pub selector: Selector,
    /// What becomes of them.
    pub behaviour: Behaviour,
}

/// Requests by what they are, and of these some.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    /// What they are.
    pub filter: Filter,
    /// Each n-th of these on each queue, at least 1.
    pub every: Option<u64>,
    /// By chance, of what is left.
    pub probability: Option<Fraction>,
}

impl Selector {
    /// Whether it takes all that its filter takes.
    pub fn is_certain(&self) -> bool {
        self.every.is_none_or(|every| every == 1)
            && self
                .probability
                .is_none_or(|share| share == Fraction::WHOLE)
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What runs of many parts have in common: a [`Ledger`] that knows what became
//! of each part, so that the same command goes on where it stopped; the
//! [`Builds`] that a part was made with; which [`Share`] of the parts is asked
//! for, and how long the rest will take.

mod builds;
mod cells;
mod eta;
mod share;

pub(crate) use builds::Builds;
pub(crate) use cells::{Entry, Ledger};
pub(crate) use eta::Eta;
pub(crate) use share::{Seeds, Share};

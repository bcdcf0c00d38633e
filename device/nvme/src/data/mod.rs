// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where a command's data lies: its data pointer made into segments of guest
//! memory, all of them there and of as many bytes as the command says.

mod found;
pub(crate) mod prp;
pub(crate) mod sgl;

#[cfg(test)]
mod random;

#[cfg(test)]
pub(crate) mod reference;

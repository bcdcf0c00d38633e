// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The formats of commands and completions. Sections are of the NVM Express
//! Base Specification 2.0, or of the NVM Command Set Specification 1.0 where
//! they say so.

mod completion;
mod status;
mod submission;

pub(crate) use completion::{CQE_LEN, Completion};
pub(crate) use status::StatusCode;
pub(crate) use submission::{Command, SQE_LEN};

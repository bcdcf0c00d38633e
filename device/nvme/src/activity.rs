// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a controller did and what went wrong, as its logs tell it: shared
//! between the queues and whoever reads the logs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::wire::StatusCode;

/// Errors that are remembered, the newest (5.17.2.1, ELPE counts from 0).
pub(crate) const MAX_ERRORS: u8 = 64;

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One error (5.16.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorEntry {
    pub(crate) sq_id: u16,
    /// All ones where no command is to blame.
    pub(crate) command_id: u16,
    pub(crate) status: StatusCode,
    pub(crate) block: u64,
    pub(crate) namespace: u32,
}

/// Everything that is told.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    pub(crate) reads: Count,
    pub(crate) writes: Count,
    pub(crate) sectors_read: Count,
    pub(crate) sectors_written: Count,
    pub(crate) media_errors: Count,
    pub(crate) errors: Count,
    recent: Mutex<VecDeque<(u64, ErrorEntry)>>,
}

impl Activity {
    /// Counts and remembers an error.
    pub(crate) fn failed(&self, entry: ErrorEntry) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        self.errors.add(1);
        recent.push_front((self.errors.get(), entry));
        recent.truncate(MAX_ERRORS.into());
    }

    /// The errors that are remembered, the newest first, with their numbers.
    pub(crate) fn recent_errors(&self) -> Vec<(u64, ErrorEntry)> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().copied().collect()
    }
}

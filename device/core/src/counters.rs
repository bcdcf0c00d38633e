// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a queue did so far.
//!
//! These are what the device *wrote*. What the guest got is in its
//! /proc/interrupts: eventfd writes merge on the way.

use serde::{Deserialize, Serialize};

/// Makes the counters' fields once: for the struct, for sums, for lists.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $field:ident,)*) => {
        /// Counts of one queue, or sums over queues. They only grow while a
        /// device runs, reconnections included; `held` and `in_flight` are
        /// levels.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $field: u64,)*
        }

        impl Counters {
            /// What was counted since an earlier look; of the levels, by how
            /// much they have risen.
            #[must_use]
            pub fn since(&self, before: &Counters) -> Counters {
                Counters { $($field: self.$field.saturating_sub(before.$field),)* }
            }

            /// Adds another queue's counts to these.
            pub fn add(&mut self, other: &Counters) {
                $(self.$field += other.$field;)*
            }

            /// Each of them with its name and what it counts.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($field), concat!($($doc),*), self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Requests taken from the ring.
    requests,
    /// Requests taken and not yet completed, held ones included.
    in_flight,
    /// Of these, the ones waiting for a release.
    held,
    /// Completions written into the ring.
    completed,
    /// Of these, the ones with an error status.
    failed,
    /// Requests given up because their connection went.
    abandoned,
    /// Times that completions were made visible.
    published,
    /// Times that the driver was asked whether it wants an interrupt and did.
    wanted,
    /// Interrupts written for completions that had become visible.
    signalled,
    /// Publications that ended in no interrupt since the driver wanted none.
    suppressed,
    /// Interrupts written before the completion that they are for.
    early,
    /// Interrupts decided and not written.
    dropped,
    /// Interrupts written since none had come for too long.
    rescued,
    /// Interrupts written again with nothing more behind them.
    duplicated,
    /// Interrupts written with no completion behind them: storms, volleys, fire.
    spurious,
    /// Interrupts that the guard kept from being written.
    withheld,
    /// Completions that told the driver something untrue.
    lied,
    /// Completions that were due before the store had their data.
    overdue,
}

impl Counters {
    /// Interrupts written, whatever for.
    pub fn written(&self) -> u64 {
        self.signalled + self.early + self.rescued + self.duplicated + self.spurious
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_since_is_the_difference_of_each() {
        let before = Counters {
            requests: 3,
            held: 2,
            ..Counters::default()
        };
        let mut after = before;
        after.add(&Counters {
            requests: 4,
            rescued: 1,
            ..Counters::default()
        });
        after.held = 0;
        let since = after.since(&before);
        assert_eq!((since.requests, since.rescued, since.held), (4, 1, 0));
        assert_eq!(since.written(), 1);
    }
}

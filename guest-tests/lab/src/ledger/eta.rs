// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How much is left, from how long what has been done took.

use std::time::Duration;

/// Counts what has been done.
#[derive(Clone, Debug)]
pub(crate) struct Eta {
    done: usize,
    total: usize,
    spent: Duration,
    worked: usize,
}

impl Eta {
    /// Nothing of so much.
    pub(crate) fn new(total: usize) -> Eta {
        Eta {
            done: 0,
            total,
            spent: Duration::ZERO,
            worked: 0,
        }
    }

    /// So much was there already, or came to nothing.
    pub(crate) fn skip(&mut self, count: usize) {
        self.done += count;
    }

    /// So much was done, in this time.
    pub(crate) fn work(&mut self, count: usize, took: Duration) {
        self.done += count;
        self.worked += count;
        self.spent += took;
    }

    /// "[3/40, 12 min left] "; without a time as long as that is unknown.
    pub(crate) fn text(&self) -> String {
        let (done, total) = (self.done, self.total);
        let Ok(worked @ 1..) = u32::try_from(self.worked) else {
            return format!("[{done}/{total}] ");
        };
        let left = u32::try_from(total.saturating_sub(done)).unwrap_or(u32::MAX);
        let left = (self.spent / worked).saturating_mul(left).as_secs();
        let left = match left {
            0..=90 => format!("{left} s"),
            91..=5_400 => format!("{} min", left.div_ceil(60)),
            _ => format!("{} h {} min", left / 3_600, left % 3_600 / 60),
        };
        format!("[{done}/{total}, {left} left] ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_says_nothing_about_the_time_that_the_rest_takes() {
        let mut eta = Eta::new(10);
        eta.skip(4);
        assert_eq!(eta.text(), "[4/10] ");
        eta.work(2, Duration::from_secs(20));
        assert_eq!(eta.text(), "[6/10, 40 s left] ");
        eta.work(1, Duration::from_secs(1_000));
        assert_eq!(eta.text(), "[7/10, 17 min left] ");
        eta.work(1, Duration::from_secs(40_000));
        assert_eq!(eta.text(), "[8/10, 5 h 41 min left] ");
    }
}

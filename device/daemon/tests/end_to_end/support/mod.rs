// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The two ends of a test: the device as a process, and its driver.

mod control;
mod daemon;
mod driver;

/// A driver that looks at its rings itself, and can be lied to.
#[path = "../../../../vhost-blk/tests/support/driver.rs"]
#[allow(dead_code, reason = "written for more than is looked at here")]
pub(crate) mod raw;

use std::fmt::Debug;
use std::time::{Duration, Instant};

pub(crate) use control::Control;
pub(crate) use daemon::{Daemon, Scratch, is_gone, program, run};
pub(crate) use driver::{Driver, EVENT_IDX, FEATURES, IO_ERROR, OK, PIECE};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer; fails the test if there never is.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Asks until the answer is the expected one; fails the test if it never is.
pub(crate) fn eventually_is<T: PartialEq + Debug>(expected: &T, mut ask: impl FnMut() -> T) {
    let start = Instant::now();
    loop {
        let found = ask();
        if found == *expected {
            return;
        }
        let patient = start.elapsed() < PATIENCE;
        assert!(patient, "it stays {found:#?}, and never is {expected:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

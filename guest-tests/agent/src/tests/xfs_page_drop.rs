// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 26, XFS: uncached writes leave no pages behind, and each bio goes to a
//! task once. What extends a file goes there on XFS' own workqueue, and must not
//! be deferred on its way; what overwrites is deferred, and goes nowhere else.

use super::fs_page_drop::{Written, on_file_system};
use super::{Bench, Stop, fail};

/// Where XFS takes a bio to its own workqueue.
const TAKES: &str = "xfs_end_bio";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let [fresh, over] = on_file_system(bench, "xfs", TAKES)?;
    for (name, written) in [("new blocks", fresh), ("overwritten blocks", over)] {
        one_hop(name, &written)?;
    }
    Ok(())
}

fn one_hop(name: &str, written: &Written) -> Result<(), Stop> {
    let Some(taken) = written.taken else {
        return Ok(());
    };
    if taken.tasks > 0 {
        return fail(format!(
            "{} bios of {name} were deferred and then went to XFS' own workqueue: two hops",
            taken.tasks
        ));
    }
    let deferred = written.deferred.map_or(0, |calls| calls.interrupts);
    if taken.interrupts + deferred == 0 {
        return fail(format!(
            "no bio of {name} went to a task: nothing ended in an interrupt"
        ));
    }
    Ok(())
}

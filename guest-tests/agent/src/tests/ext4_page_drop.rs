// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 26, ext4: uncached writes leave no pages behind. What extends a file goes
//! to a task on ext4's own workqueue; what overwrites ends in the interrupt, and
//! its pages stay, unless it is tagged.

use super::fs_page_drop::on_file_system;
use super::{Bench, Stop};

/// Where ext4's bios end, wherever that is.
const ENDS: &str = "ext4_end_bio";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    on_file_system(bench, "ext4", ENDS).map(drop)
}

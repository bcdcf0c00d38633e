// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! All windows of a function, one instruction after the other.

use super::{Bench, Stop, fail};
use crate::guest::deferral::{self, Between, Found};

/// A bio that has not ended by then is lost.
pub(super) const PATIENCE_MS: u32 = 4_000;

/// No function of a deferral is longer.
const MOST_BYTES: u32 = 4_096;

/// What came of all windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sweep {
    /// Instructions at which something came in between.
    pub(super) windows: u64,
    /// Bios deferred.
    pub(super) deferred: u64,
    /// Bios that one CPU's worker ended on another CPU.
    pub(super) elsewhere: u64,
    /// The first instruction at which a bio was lost; the sweep ends there.
    pub(super) lost_at: Option<u32>,
}

/// Has something come in between at each instruction of the function that has
/// such windows; nothing comes of it in a kernel without one.
pub(super) fn each_instruction(bench: &mut Bench, between: Between) -> Result<Sweep, Stop> {
    let probe = bench.probe()?;
    let last = bench.cpus() - 1;
    let mut sweep = Sweep::default();
    for offset in 0..MOST_BYTES {
        match deferral::window(&probe, between, (last, last - 1), offset, PATIENCE_MS)? {
            Found::Window(window) => {
                sweep.windows += u64::from(window.hit);
                sweep.deferred += u64::from(window.deferred);
                sweep.elsewhere += u64::from(window.elsewhere);
                if window.never_ended > 0 {
                    sweep.lost_at = Some(offset);
                    return Ok(sweep);
                }
            }
            Found::NoInstruction => {}
            Found::End | Found::NoFunction => return Ok(sweep),
        }
    }
    fail(format!(
        "a function of the deferral is longer than {MOST_BYTES} bytes"
    ))
}

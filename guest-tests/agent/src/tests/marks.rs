// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest moves the device's script on: a phase ends with the guest's mark,
//! and a mark that the device sets answers who waits for it.
//!
//! The first phase stays whatever is read, until the guest sets its mark. The
//! second ends with its third request, and the phase after it sets a mark: a
//! wait for that is answered when the third read has been submitted and not
//! before, and from then on completions are held. A wait for a mark that nobody
//! sets is refused when its time is over.

use std::time::Duration;

use super::sides;
use super::{Bench, Stop, fail};

const SCRIPT: &str = "\
[[phase]]
name = 'calm'
until = { mark = 'arm' }

[[phase]]
name = 'counting'
until = { requests = 3 }

[[phase]]
name = 'holding'
mark = 'holding'
hold = true

[[phase]]
name = 'over'
";

/// For marks that come.
const LONG: Duration = Duration::from_secs(30);

/// For a mark that does not.
const SHORT: Duration = Duration::from_millis(100);

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    let read = |n| queue.read(n).map_err(|e| Stop::Fail(format!("read: {e}")));
    let holding = bench.device()?.status()?.marks.get("holding").copied();
    let holding = holding.unwrap_or(0) + 1;
    bench.scenario(SCRIPT)?;
    (0..10).try_for_each(read)?;
    in_phase(bench, "calm")?;
    let armed = bench.device()?.mark("arm")?;
    in_phase(bench, "counting")?;
    let seen = bench.device()?.wait("arm", armed.count, LONG)?;
    sides::exactly("times the mark was set", seen.count, armed.count)?;
    (0..2).try_for_each(read)?;
    if bench.device()?.wait("holding", holding, SHORT).is_ok() {
        return fail("a wait was answered before its mark was set");
    }
    in_phase(bench, "counting")?;
    // From another thread: this one waits meanwhile.
    let third = queue.start_read(2);
    let woken = bench.device()?.wait("holding", holding, LONG)?;
    sides::exactly("times the device set its mark", woken.count, holding)?;
    in_phase(bench, "holding")?;
    sides::end(third)?;
    let held = queue.start_read(3);
    sides::wait_until("a request to be held", || Ok(bench.device()?.held()? == 1))?;
    bench.device()?.next_phase()?;
    in_phase(bench, "over")?;
    read(4)?;
    if held.is_done() {
        return fail("what was held went with its phase");
    }
    bench.device()?.release_all()?;
    sides::end(held)?;
    bench.figure("phases gone through", 4);
    bench.figure("marks set by the guest", 1);
    bench.figure("marks set by the device and waited for", 1);
    Ok(())
}

fn in_phase(bench: &mut Bench, name: &str) -> Result<(), Stop> {
    let phase = bench.device()?.status()?.phase;
    match phase.name == name {
        true => Ok(()),
        false => fail(format!(
            "the device is in phase {} and not in {name}",
            phase.name
        )),
    }
}

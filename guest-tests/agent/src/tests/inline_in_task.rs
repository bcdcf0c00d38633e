// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 7: tagged bios for which a preemptible kernel thread calls bio_endio()
//! end there and then, on that thread's stack, and no work is queued for them.

use super::{Bench, Stop, fail};
use crate::guest::deferral;
use irqstorm_agent::protocol::figures;

const BIOS: u32 = 2_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let cpu = bench.cpus() - 1;
    let bios = bench.param("bios", BIOS)?;
    let ended = deferral::end_in_task(&bench.probe()?, cpu, bios)?;
    bench.figure(figures::TAGGED, ended.ended_in_call + ended.ended_elsewhere);
    bench.figure("ended within bio_endio()", ended.ended_in_call);
    bench.figure("works queued by bio_endio()", ended.queue_calls);
    if ended.never_ended > 0 {
        return fail("a tagged bio that completed in a preemptible thread never ended");
    }
    if ended.ended_in_call != u64::from(bios) || ended.queue_calls > 0 {
        return fail(format!(
            "of {bios} tagged bios that completed in a preemptible thread {} ended elsewhere, and \
             {} works were queued for them",
            ended.ended_elsewhere, ended.queue_calls
        ));
    }
    Ok(())
}

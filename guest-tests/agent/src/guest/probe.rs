// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The probe module's ABI: the same structures as in
//! `guest-tests/probe/irqstorm_probe.h`.

use std::fs::{File, OpenOptions};
use std::sync::Arc;

use irqstorm_agent::points::{BUCKETS, Bucket, buckets};
use irqstorm_agent::protocol::{Disk, Probe};
use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Setter, Updater, opcode};

const DEVICE: &str = "/dev/irqstorm_probe";

const ABI: u32 = 4;

const RUN: Opcode = opcode::read_write::<Run>(b'q', 1);
const INFO: Opcode = opcode::read::<Info>(b'q', 2);
const BLOCK: Opcode = opcode::write::<Block>(b'q', 3);
const LATENCIES: Opcode = opcode::read::<RawLatencies>(b'q', 4);

/// Writes carry a pattern, reads check it.
pub(crate) const VERIFY: u32 = 2;
/// Calls that queue the deferral's work are counted, at some cost.
pub(crate) const CALLS: u32 = 4;
/// Children of chains are tagged.
pub(crate) const TAG_CHILDREN: u32 = 8;
/// A submitter waits until all that it has in flight has ended.
pub(crate) const BURSTS: u32 = 16;

/// Index of untagged bios in the pairs of [`Summary`].
pub(crate) const UNTAGGED: usize = 0;
/// Index of tagged ones.
pub(crate) const TAGGED: usize = 1;

/// A run of bios: `struct irqstorm_run`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Run {
    disk: [u8; 32],
    /// How many in all.
    pub(crate) bios: u64,
    /// The first sector of the area that they go to.
    pub(crate) first_sector: u64,
    /// Its size in sectors.
    pub(crate) span_sectors: u64,
    /// The CPUs that submit, as a mask; 0 for all.
    pub(crate) cpus: u64,
    /// Of each 64 pieces of the area, of a bio's size, those that end with EIO.
    pub(crate) io_error: u64,
    /// Those that end with EOPNOTSUPP.
    pub(crate) unsupported: u64,
    /// Bytes of each.
    pub(crate) bytes: u32,
    /// In flight for each submitter.
    pub(crate) depth: u32,
    /// 0 to read, 1 to write.
    pub(crate) op: u32,
    /// 0 tags none, 1 all, n every n-th.
    pub(crate) tag_every: u32,
    /// Work in bi_end_io, in nanoseconds.
    pub(crate) end_io_busy_ns: u32,
    /// Sleep in bi_end_io of tagged bios, in microseconds.
    pub(crate) end_io_sleep_us: u32,
    /// [`VERIFY`], [`CALLS`], [`TAG_CHILDREN`] and [`BURSTS`], or 0.
    pub(crate) flags: u32,
    /// Seed of the pattern.
    pub(crate) seed: u32,
    /// Without progress for so long, the run gives up.
    pub(crate) timeout_ms: u32,
    /// Pause between submissions, in microseconds.
    pub(crate) pause_us: u32,
    /// Children chained to each bio, submitted before it from other CPUs.
    pub(crate) chain: u32,
    reserved: u32,
    /// What was counted.
    pub(crate) summary: Summary,
}

/// What was counted: `struct irqstorm_summary`. Pairs are for untagged and
/// tagged bios.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) submitted: [u64; 2],
    pub(crate) ended: [u64; 2],
    pub(crate) errors: [u64; 2],
    pub(crate) endio_hardirq: [u64; 2],
    pub(crate) endio_softirq: [u64; 2],
    pub(crate) endio_task: [u64; 2],
    pub(crate) endio_task_atomic: [u64; 2],
    pub(crate) endio_away: [u64; 2],
    pub(crate) end_hardirq: [u64; 2],
    pub(crate) end_softirq: [u64; 2],
    pub(crate) end_task_atomic: [u64; 2],
    pub(crate) end_task: [u64; 2],
    pub(crate) ended_again: u64,
    pub(crate) ended_late: u64,
    pub(crate) never_ended: u64,
    pub(crate) slept: u64,
    pub(crate) sleep_refused: u64,
    pub(crate) bad_sectors: u64,
    pub(crate) wrong_status: u64,
    pub(crate) children: u64,
    pub(crate) children_hardirq: u64,
    pub(crate) children_away: u64,
    pub(crate) out_of_order: u64,
    pub(crate) migrated: u64,
    pub(crate) queue_work_calls: u64,
    pub(crate) worker_runs: u64,
    pub(crate) worker_bios: u64,
    pub(crate) worker_bios_max: u64,
    pub(crate) switches: u64,
    pub(crate) switches_to_worker: u64,
    pub(crate) latency_ns_sum: u64,
    pub(crate) latency_ns_max: u64,
    pub(crate) elapsed_ns: u64,
    pub(crate) queue_calls: u64,
    pub(crate) interrupts: u64,
    pub(crate) switches_there: u64,
    pub(crate) busy_ns: u64,
    pub(crate) bursts: u64,
    pub(crate) completing_ns: u64,
    pub(crate) draining_ns: u64,
    pub(crate) tagged_hardirq: u64,
    pub(crate) tagged_elsewhere: u64,
}

/// `struct irqstorm_latencies`.
#[repr(C)]
struct RawLatencies {
    interrupt: [u64; BUCKETS],
    completion: [u64; BUCKETS],
}

/// How long the bios of a run took to their bi_end_io().
#[derive(Clone, Debug)]
pub(crate) struct RunLatencies {
    /// From the interrupt that completed them.
    pub(crate) interrupt: Vec<Bucket>,
    /// From bio_endio().
    pub(crate) completion: Vec<Bucket>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    abi: u32,
    has_flag: u32,
    has_endio_trace: u32,
    has_work_trace: u32,
    worker_function: [u8; 64],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Block {
    cpu: u32,
    ms: u32,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunResult {
    pub(crate) summary: Summary,
    /// Whether bios were still missing when it gave up.
    pub(crate) timed_out: bool,
}

/// The probe, ready for one run at a time.
#[derive(Clone)]
pub(crate) struct ProbeDevice(Arc<File>);

impl Run {
    /// Reads of 4 KiB, none tagged, 32 in flight on each CPU, over the whole
    /// disk; two minutes without progress end it.
    pub(crate) fn new(disk: &Disk, bios: u64) -> Run {
        let mut path = [0; 32];
        let name = format!("/dev/{}", disk.name);
        for (byte, letter) in path.iter_mut().zip(name.bytes().take(31)) {
            *byte = letter;
        }
        Run {
            disk: path,
            bios,
            first_sector: 0,
            span_sectors: disk.sectors / 8 * 8,
            cpus: 0,
            io_error: 0,
            unsupported: 0,
            bytes: 4096,
            depth: 32,
            op: 0,
            tag_every: 0,
            end_io_busy_ns: 0,
            end_io_sleep_us: 0,
            flags: 0,
            seed: 0,
            timeout_ms: 20_000,
            pause_us: 0,
            chain: 0,
            reserved: 0,
            summary: Summary::default(),
        }
    }
}

impl ProbeDevice {
    /// Opens the probe and checks that both sides mean the same.
    pub(crate) fn open() -> Result<(ProbeDevice, Probe), String> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(DEVICE)
            .map_err(|e| format!("open {DEVICE}: {e}"))?;
        let mut info = Info {
            abi: 0,
            has_flag: 0,
            has_endio_trace: 0,
            has_work_trace: 0,
            worker_function: [0; 64],
        };
        // SAFETY: the opcode is the probe's, and `Info` is what it fills.
        let asked = unsafe { ioctl::ioctl(&file, Updater::<INFO, Info>::new(&mut info)) };
        asked.map_err(|e| format!("ask {DEVICE} what it is: {e}"))?;
        if info.abi != ABI {
            return Err(format!(
                "the probe speaks ABI {} and this agent {ABI}",
                info.abi
            ));
        }
        let probe = Probe {
            has_flag: info.has_flag != 0,
            sees_endio: info.has_endio_trace != 0,
            sees_work: info.has_work_trace != 0,
        };
        Ok((ProbeDevice(Arc::new(file)), probe))
    }

    /// For the probe's other requests.
    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Runs bios to their end, or until they make no progress.
    pub(crate) fn run(&self, run: &mut Run) -> Result<RunResult, String> {
        // SAFETY: the opcode is the probe's, and `Run` is what it reads and
        // fills; the structure outlives the call.
        let ran = unsafe { ioctl::ioctl(&*self.0, Updater::<RUN, Run>::new(run)) };
        let timed_out = match ran {
            Ok(()) => false,
            Err(Errno::TIMEDOUT) => true,
            Err(e) => return Err(format!("have the probe submit bios: {e}")),
        };
        Ok(RunResult {
            summary: run.summary,
            timed_out,
        })
    }

    /// How long the bios of the last run took.
    pub(crate) fn latencies(&self) -> Result<RunLatencies, String> {
        let mut raw = Box::new(RawLatencies {
            interrupt: [0; BUCKETS],
            completion: [0; BUCKETS],
        });
        // SAFETY: the opcode is the probe's, and `RawLatencies` is what it
        // fills; the structure outlives the call.
        let asked =
            unsafe { ioctl::ioctl(&*self.0, Updater::<LATENCIES, RawLatencies>::new(&mut raw)) };
        asked.map_err(|e| format!("ask the probe how long bios took: {e}"))?;
        Ok(RunLatencies {
            interrupt: buckets(&raw.interrupt),
            completion: buckets(&raw.completion),
        })
    }

    /// Keeps the per-CPU workers of a CPU busy for so long, or, for 0, no
    /// longer.
    pub(crate) fn block_workers(&self, cpu: u32, ms: u32) -> Result<(), String> {
        // SAFETY: the opcode is the probe's, and `Block` is what it reads.
        let asked =
            unsafe { ioctl::ioctl(&*self.0, Setter::<BLOCK, Block>::new(Block { cpu, ms })) };
        asked.map_err(|e| format!("have the probe block the workers of CPU {cpu}: {e}"))
    }
}

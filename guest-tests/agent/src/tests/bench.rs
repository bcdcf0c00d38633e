// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What every test has at hand, and what they all do alike.

use std::collections::BTreeMap;
use std::str::FromStr;

use irqstorm_agent::catalogue::TestInfo;
use irqstorm_agent::interrupts::Interrupts;
use irqstorm_agent::points::Point;
use irqstorm_agent::protocol::{Disk, Figure, Hello, ToLab, figures};
use irqstorm_core::control::StatusReply;

use crate::guest::boot;
use crate::guest::cpu;
use crate::guest::device::Device;
use crate::guest::disk::{self, Affinity};
use crate::guest::probe::{ProbeDevice, Run, RunResult, Summary, TAGGED, UNTAGGED};
use crate::guest::queue;
use crate::guest::serve::Reporter;

/// Why a test ends without its claim settled for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The claim does not hold, or nothing could be said although all was there.
    Fail(String),
    /// Something is missing without which nothing can be said.
    Skip(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Stop {
        Stop::Fail(reason)
    }
}

/// Ends a test: its claim does not hold.
pub(crate) fn fail<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fail(reason.into()))
}

/// Ends a test: it cannot be settled here.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Skip(reason.into()))
}

/// What a test has at hand.
pub(crate) struct Bench {
    hello: Hello,
    probe: Option<ProbeDevice>,
    device: Option<Device>,
    reporter: Reporter,
    test: String,
    params: BTreeMap<String, String>,
    figures: Vec<Figure>,
    points: Vec<Point>,
    /// The seed of this run's random choices.
    pub(crate) seed: u64,
}

/// Interrupts on both sides at one moment.
pub(crate) struct InterruptCount {
    delivered: u64,
    written: Option<StatusReply>,
}

impl InterruptCount {
    /// Interrupts delivered between an earlier count and this one.
    pub(crate) fn delivered_since(&self, before: &InterruptCount) -> u64 {
        self.delivered.saturating_sub(before.delivered)
    }

    /// Spurious interrupts that the device wrote in between.
    pub(crate) fn spurious_since(&self, before: &InterruptCount) -> u64 {
        match (&before.written, &self.written) {
            (Some(before), Some(after)) => {
                after.total.spurious.saturating_sub(before.total.spurious)
            }
            _ => 0,
        }
    }
}

impl Bench {
    pub(crate) fn new(
        hello: Hello,
        probe: Option<ProbeDevice>,
        device: Option<Device>,
        reporter: Reporter,
    ) -> Bench {
        Bench {
            hello,
            probe,
            device,
            reporter,
            test: String::new(),
            params: BTreeMap::new(),
            figures: Vec::new(),
            points: Vec::new(),
            seed: 0,
        }
    }

    /// Lets go of probe and device: no test follows.
    pub(crate) fn release(&mut self) {
        self.probe = None;
        self.device = None;
    }

    pub(super) fn begin(&mut self, test: &str, seed: u64, params: BTreeMap<String, String>) {
        self.test = test.to_owned();
        self.seed = seed;
        self.params = params;
        self.figures.clear();
        self.points.clear();
    }

    pub(super) fn take_figures(&mut self) -> Vec<Figure> {
        std::mem::take(&mut self.figures)
    }

    pub(super) fn take_points(&mut self) -> Vec<Point> {
        std::mem::take(&mut self.points)
    }

    /// Skips what this guest lacks the means for.
    pub(super) fn check_needs(&self, info: &TestInfo) -> Result<(), Stop> {
        let needs = info.needs;
        let Some(disk) = &self.hello.disk else {
            return fail("the guest has no disk: neither vda nor nvme0n1");
        };
        if !needs.disks.have(queue::is_nvme(disk)) {
            return skip(format!(
                "it is about another kind of disk than {}",
                disk.name
            ));
        }
        if self.hello.cpus < needs.cpus {
            return skip(format!(
                "it needs {} CPUs and the guest has {}",
                needs.cpus, self.hello.cpus
            ));
        }
        if needs.probe && self.probe.is_none() {
            let why = self.hello.no_probe.as_deref().unwrap_or("unknown");
            return skip(format!("it needs the probe, which is not there: {why}"));
        }
        if needs.flag && !self.has_flag() {
            return skip("this kernel has no BIO_COMPLETE_IN_TASK");
        }
        if needs.control && self.device.is_none() {
            return skip("nobody here scripts the disk: there is no control port that answers");
        }
        Ok(())
    }

    /// The disk under test.
    pub(crate) fn disk(&self) -> Result<Disk, Stop> {
        self.hello
            .disk
            .clone()
            .ok_or_else(|| Stop::Skip("no disk".into()))
    }

    /// The disk under test is this one from now on.
    pub(crate) fn disk_is(&mut self, disk: Disk) {
        self.hello.disk = Some(disk);
    }

    /// CPUs online.
    pub(crate) fn cpus(&self) -> u32 {
        self.hello.cpus
    }

    /// The device under control.
    pub(crate) fn device(&mut self) -> Result<&mut Device, Stop> {
        self.device
            .as_mut()
            .ok_or_else(|| Stop::Skip("no control port".into()))
    }

    /// The probe.
    pub(crate) fn probe(&self) -> Result<ProbeDevice, Stop> {
        self.probe
            .clone()
            .ok_or_else(|| Stop::Skip("no probe".into()))
    }

    /// Closes the probe, as far as the bench has it open.
    pub(crate) fn close_probe(&mut self) {
        self.probe = None;
    }

    /// Loads the probe and opens it, when it has been closed.
    pub(crate) fn load_probe(&mut self) -> Result<(), Stop> {
        boot::load_probe()?;
        let (probe, _) = ProbeDevice::open()?;
        self.probe = Some(probe);
        Ok(())
    }

    /// A parameter of the lab's, or its default.
    pub(crate) fn param<T: FromStr>(&self, name: &str, default: T) -> Result<T, Stop> {
        let Some(text) = self.params.get(name) else {
            return Ok(default);
        };
        text.parse().map_err(|_| {
            Stop::Fail(format!(
                "parameter {name}={text} is no number that it takes"
            ))
        })
    }

    /// Counts something.
    pub(crate) fn figure(&mut self, name: &str, value: u64) {
        self.measure(name, precise(value), "");
    }

    /// Measures something, in a unit.
    pub(crate) fn measure(&mut self, name: &str, value: f64, unit: &str) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        });
    }

    /// Keeps what was measured at a setting.
    pub(crate) fn point(&mut self, point: Point) {
        self.points.push(point);
    }

    /// Says where the test is.
    pub(crate) fn progress(&self, text: impl Into<String>) {
        self.reporter.say(&ToLab::Progress {
            test: self.test.clone(),
            text: text.into(),
        });
    }

    /// Sets the disk up for completions in hardirq and skips where its queues
    /// cannot give them (block/blk-mq.c, blk_mq_complete_need_ipi() and
    /// blk_mq_complete_request_remote()).
    pub(crate) fn prepare_hardirq(&mut self) -> Result<Disk, Stop> {
        let disk = self.disk()?;
        if disk.queues < self.hello.cpus || self.hello.cpus < 2 {
            return fail(format!(
                "{} has {} queues for {} CPUs: completions come in hardirq only with a queue for \
                 each of two CPUs or more",
                disk.name, disk.queues, self.hello.cpus
            ));
        }
        if cpu::kernel_is_rt() {
            return skip("PREEMPT_RT handles interrupts in tasks: no completion comes in hardirq");
        }
        self.prepare(Affinity::Group)
    }

    /// Sets the disk up, whatever context that gives.
    pub(crate) fn prepare(&mut self, affinity: Affinity) -> Result<Disk, Stop> {
        let disk = self.disk()?;
        disk::prepare(&disk, affinity).map_err(|e| format!("set up {}: {e}", disk.name))?;
        self.learn_deferral(&disk)?;
        Ok(disk)
    }

    /// Every n-th bio is tagged where the kernel has the flag.
    pub(crate) fn tag_every(&self, nth: u32) -> u32 {
        match self.has_flag() {
            true => nth,
            false => 0,
        }
    }

    fn has_flag(&self) -> bool {
        let probe = self.hello.probe.as_ref();
        probe.is_some_and(|probe| probe.has_flag)
    }

    /// Lets the probe see a deferral once: it learns the worker's function from
    /// the first, and counts completely from then on.
    fn learn_deferral(&mut self, disk: &Disk) -> Result<(), Stop> {
        if self.has_flag() {
            let mut run = Run::new(disk, 64);
            run.tag_every = 1;
            self.run(&mut run)?;
        }
        Ok(())
    }

    /// Runs bios and sees that each ended, once and without an error.
    pub(crate) fn run(&mut self, run: &mut Run) -> Result<Summary, Stop> {
        let result = self.probe()?.run(run)?;
        all_ended(&result)?;
        Ok(result.summary)
    }

    /// Puts another scenario in force, until the lab sets the next test's.
    pub(crate) fn scenario(&mut self, toml: &str) -> Result<(), Stop> {
        let name = self.test.clone();
        self.device()?.scenario(&name, toml)?;
        Ok(())
    }

    /// Interrupts so far, delivered and written.
    pub(crate) fn count_interrupts(&mut self) -> Result<InterruptCount, Stop> {
        let interrupts = Interrupts::now().map_err(|e| format!("read /proc/interrupts: {e}"))?;
        let written = match self.device.as_mut() {
            Some(device) => Some(device.status()?),
            None => None,
        };
        Ok(InterruptCount {
            delivered: interrupts.of_disk_queues(),
            written,
        })
    }

    /// Reports the interrupts since `before`; how many were delivered.
    pub(crate) fn interrupts_since(&mut self, before: &InterruptCount) -> Result<u64, Stop> {
        let after = self.count_interrupts()?;
        if let (Some(before), Some(after)) = (&before.written, &after.written) {
            let (before, after) = (before.total, after.total);
            self.figure(
                figures::SIGNALLED,
                after.signalled.saturating_sub(before.signalled),
            );
            self.figure(
                figures::SPURIOUS,
                after.spurious.saturating_sub(before.spurious),
            );
        }
        let delivered = after.delivered_since(before);
        self.figure(figures::DELIVERED, delivered);
        Ok(delivered)
    }

    /// Reports where bios ended.
    pub(crate) fn report_contexts(&mut self, summary: &Summary) {
        self.figure(figures::TAGGED, summary.ended[TAGGED]);
        self.figure(figures::TAGGED_FROM_HARDIRQ, summary.endio_hardirq[TAGGED]);
        self.figure(figures::TAGGED_IN_TASK, summary.end_task[TAGGED]);
        self.figure(figures::UNTAGGED, summary.ended[UNTAGGED]);
        self.figure(figures::UNTAGGED_IN_HARDIRQ, summary.end_hardirq[UNTAGGED]);
    }

    /// Reports what the deferral's worker did.
    pub(crate) fn report_worker(&mut self, summary: &Summary) {
        self.figure(figures::QUEUE_WORK, summary.queue_work_calls);
        self.figure(figures::WORKER_RUNS, summary.worker_runs);
        self.figure(figures::WORKER_BIOS, summary.worker_bios);
        self.figure(figures::SWITCHES, summary.switches);
        self.figure(figures::SWITCHES_TO_WORKER, summary.switches_to_worker);
    }
}

/// The script of a disk on which so many completions share an interrupt, which
/// comes with fewer after `time`, as a scenario has it ("2ms").
pub(crate) fn coalesced(completions: u32, time: &str) -> String {
    format!(
        "latency = {{ fixed = '100us' }}\n\
         interrupt = {{ coalesced = {{ count = {completions}, time = '{time}' }} }}\n"
    )
}

/// A count as a figure: exact up to 2^53, which no count here reaches.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

/// How many of one thing there are to each of another; 0 if there is none.
pub(crate) fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 {
        0.0
    } else {
        precise(of) / precise(to)
    }
}

/// Fails if a bio is missing, ended more than once, or ended with an error.
pub(crate) fn all_ended(result: &RunResult) -> Result<(), Stop> {
    let summary = &result.summary;
    let submitted = summary.submitted[UNTAGGED] + summary.submitted[TAGGED];
    let errors = summary.errors[UNTAGGED] + summary.errors[TAGGED];
    if summary.never_ended > 0 || result.timed_out {
        return fail(format!(
            "{} of {submitted} bios never ended",
            summary.never_ended
        ));
    }
    if summary.ended_again > 0 {
        return fail(format!("{} bios ended more than once", summary.ended_again));
    }
    if errors > 0 {
        return fail(format!("{errors} of {submitted} bios ended with an error"));
    }
    Ok(())
}

/// Fails if bios of a class were not completed in hardirq: then the run has not
/// driven what it was to drive, and says nothing about deferral.
pub(crate) fn completed_in_hardirq(summary: &Summary, class: usize) -> Result<(), Stop> {
    let ended = summary.ended[class];
    let seen =
        summary.endio_hardirq[class] + summary.endio_softirq[class] + summary.endio_task[class];
    if seen == 0 {
        // A kernel without the tracepoint: the untagged side has to tell.
        return Ok(());
    }
    if summary.endio_hardirq[class] != ended {
        return fail(format!(
            "the run was to complete bios in hardirq, and {} of {ended} were: {} came in softirq, \
             {} in task context",
            summary.endio_hardirq[class], summary.endio_softirq[class], summary.endio_task[class]
        ));
    }
    Ok(())
}

/// Fails if untagged bios ended anywhere but in hardirq.
pub(crate) fn untagged_in_hardirq(summary: &Summary) -> Result<(), Stop> {
    let ended = summary.ended[UNTAGGED];
    if summary.end_hardirq[UNTAGGED] == ended {
        return Ok(());
    }
    fail(format!(
        "{} of {ended} untagged bios ended in hardirq; {} ended in softirq, {} in atomic task \
         context, {} in task context",
        summary.end_hardirq[UNTAGGED],
        summary.end_softirq[UNTAGGED],
        summary.end_task_atomic[UNTAGGED],
        summary.end_task[UNTAGGED]
    ))
}

/// Fails if tagged bios ended anywhere but in preemptible task context.
pub(crate) fn tagged_in_task(summary: &Summary) -> Result<(), Stop> {
    let ended = summary.ended[TAGGED];
    if summary.end_task[TAGGED] == ended {
        return Ok(());
    }
    fail(format!(
        "{} of {ended} tagged bios ended in task context; {} ended in hardirq, {} in softirq, {} \
         in atomic task context",
        summary.end_task[TAGGED],
        summary.end_hardirq[TAGGED],
        summary.end_softirq[TAGGED],
        summary.end_task_atomic[TAGGED]
    ))
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The tests, one file each. A test gets a [`Bench`], counts what it sees into
//! it, and says that its claim holds by returning.

mod alone_in_time;
mod baseline_io;
mod bdev_page_drop;
mod bench;
mod chains;
mod command_aborted;
mod command_lost;
mod completion_polled;
mod config_vector;
mod contexts;
mod controller_fatal;
mod controller_reset;
mod dontcache;
mod endurance;
mod exact_status;
mod exactly_once;
mod ext4_page_drop;
mod failed_offline;
mod fifo_per_cpu;
mod forced_threading;
mod foreign_work;
mod fs_page_drop;
mod gives_way;
mod gone;
mod guarded_million;
mod hardirq_inline;
mod held;
mod hotplug_drain;
mod inline_in_task;
mod interrupt_coalesced;
mod interrupt_dropped;
mod interrupt_duplicated;
mod interrupt_early;
mod interrupt_late;
mod interrupt_when_read;
mod ipi_context;
mod kill_line;
mod late_cpus;
mod lateness;
mod marks;
mod module_gone;
mod moved_caller;
mod no_lost_wakeup;
mod no_starvation;
mod owner_gone;
mod page_drop;
mod preempt_rt;
mod queue_calls;
mod reclaim_progress;
mod replug;
mod same_decisions;
mod sides;
mod softirq_context;
mod spurious_storm;
mod stacked;
mod stacked_mirror;
mod stepped_release;
mod storm_sweep;
mod sweep;
mod switch_count;
mod task_context;
mod threaded_nvme;
mod timeout;
mod unmount_burst;
mod unplug;
mod untagged_inline;
mod volley;
mod whole_batches;
mod xfs_page_drop;

use std::collections::BTreeMap;

use irqstorm_agent::catalogue::TestInfo;
use irqstorm_agent::protocol::{Finished, Verdict};

pub(crate) use bench::{Bench, Stop, fail, skip};

/// What a test is: `Ok` if the claim holds.
type Test = fn(&mut Bench) -> Result<(), Stop>;

/// What each name of the catalogue runs.
const IMPLEMENTATIONS: &[(&str, Test)] = &[
    ("baseline-io", baseline_io::run),
    ("hardirq-inline", hardirq_inline::run),
    ("task-context", task_context::run),
    ("untagged-inline", untagged_inline::run),
    ("fifo-per-cpu", fifo_per_cpu::run),
    ("exactly-once", exactly_once::run),
    ("hotplug-drain", hotplug_drain::run),
    ("switch-count", switch_count::run),
    ("storm-sweep", storm_sweep::run),
    ("dontcache", dontcache::run),
    ("endurance", endurance::run),
    ("spurious-storm", spurious_storm::run),
    ("interrupt-early", interrupt_early::run),
    ("interrupt-late", interrupt_late::run),
    ("interrupt-dropped", interrupt_dropped::run),
    ("interrupt-duplicated", interrupt_duplicated::run),
    ("interrupt-coalesced", interrupt_coalesced::run),
    ("interrupt-when-read", interrupt_when_read::run),
    ("stepped-release", stepped_release::run),
    ("config-vector", config_vector::run),
    ("volley", volley::run),
    ("marks", marks::run),
    ("same-decisions", same_decisions::run),
    ("guarded-million", guarded_million::run),
    ("kill-line", kill_line::run),
    ("controller-reset", controller_reset::run),
    ("completion-polled", completion_polled::run),
    ("command-lost", command_lost::run),
    ("command-aborted", command_aborted::run),
    ("controller-fatal", controller_fatal::run),
    ("inline-in-task", inline_in_task::run),
    ("no-lost-wakeup", no_lost_wakeup::run),
    ("gives-way", gives_way::run),
    ("moved-caller", moved_caller::run),
    ("failed-offline", failed_offline::run),
    ("foreign-work", foreign_work::run),
    ("reclaim-progress", reclaim_progress::run),
    ("queue-calls", queue_calls::run),
    ("no-starvation", no_starvation::run),
    ("alone-in-time", alone_in_time::run),
    ("whole-batches", whole_batches::run),
    ("chains", chains::run),
    ("stacked", stacked::run),
    ("stacked-mirror", stacked_mirror::run),
    ("exact-status", exact_status::run),
    ("bdev-page-drop", bdev_page_drop::run),
    ("xfs-page-drop", xfs_page_drop::run),
    ("ext4-page-drop", ext4_page_drop::run),
    ("owner-gone", owner_gone::run),
    ("unmount-burst", unmount_burst::run),
    ("module-gone", module_gone::run),
    ("unplug", unplug::run),
    ("preempt-rt", preempt_rt::run),
    ("softirq-context", softirq_context::run),
    ("ipi-context", ipi_context::run),
    ("forced-threading", forced_threading::run),
    ("late-cpus", late_cpus::run),
    ("threaded-nvme", threaded_nvme::run),
];

/// Runs one test to its verdict.
pub(crate) fn run(
    bench: &mut Bench,
    info: &TestInfo,
    seed: u64,
    params: BTreeMap<String, String>,
) -> Finished {
    bench.begin(info.name, seed, params);
    let outcome = bench
        .check_needs(info)
        .and_then(|()| implementation(info.name)?(bench));
    let (verdict, reason) = match outcome {
        Ok(()) => (Verdict::Pass, String::new()),
        Err(Stop::Fail(reason)) => (Verdict::Fail, reason),
        Err(Stop::Skip(reason)) => (Verdict::Skip, reason),
    };
    Finished {
        test: info.name.to_owned(),
        verdict,
        reason,
        figures: bench.take_figures(),
        points: bench.take_points(),
    }
}

fn implementation(name: &str) -> Result<Test, Stop> {
    let found = IMPLEMENTATIONS.iter().find(|(known, _)| *known == name);
    found
        .map(|&(_, test)| test)
        .ok_or_else(|| Stop::Fail("the agent has no code for this test".into()))
}

#[cfg(test)]
mod agreement {
    use super::*;
    use irqstorm_agent::catalogue::TESTS;

    #[test]
    fn every_test_of_the_catalogue_has_its_code_and_the_other_way_round() {
        let named: Vec<&str> = TESTS.iter().map(|test| test.name).collect();
        let written: Vec<&str> = IMPLEMENTATIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, written);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How many system calls a program makes: the kernel's own count, of the
//! tracepoint raw_syscalls:sys_enter, for each of its threads. That needs
//! tracefs and the right to trace; where either is missing nothing is counted,
//! and the table says so.

use std::fs;

use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};

/// Counts the calls of the threads that a program has as this is made.
pub(crate) struct Syscalls(Vec<Counter>);

impl Syscalls {
    /// `None` where the kernel does not let them be counted.
    pub(crate) fn of(pid: u32) -> Option<Syscalls> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let counters = tasks.map(|task| count_of(task.ok()?.file_name().to_str()?.parse().ok()?));
        counters.collect::<Option<Vec<_>>>().map(Syscalls)
    }

    /// How many so far.
    pub(crate) fn count(&mut self) -> Option<u64> {
        let counts = self.0.iter_mut().map(|counter| counter.read().ok());
        counts.sum()
    }
}

/// Where tracefs may be; perf-event2 knows the second only.
const EVENTS: [&str; 2] = [
    "/sys/kernel/tracing/events",
    "/sys/kernel/debug/tracing/events",
];

fn count_of(thread: i32) -> Option<Counter> {
    let id = |events| fs::read_to_string(format!("{events}/raw_syscalls/sys_enter/id")).ok();
    let id = EVENTS.into_iter().find_map(id)?.trim().parse().ok()?;
    let mut counter = Builder::new(Tracepoint::with_id(id))
        .observe_pid(thread)
        .any_cpu()
        .include_kernel()
        .build()
        .ok()?;
    counter.enable().ok()?;
    Some(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_one_by_one_or_not_at_all() {
        let Some(mut calls) = Syscalls::of(std::process::id()) else {
            return;
        };
        let before = calls.count().unwrap();
        for _ in 0..100 {
            let _ = rustix::process::getppid();
        }
        let made = calls.count().unwrap() - before;
        assert!(made >= 100, "{made}");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernel's own trace around a test (Documentation/trace/events.rst): turned
//! on before it, and sent to the lab after it.
//!
//! An instance of tracefs is ours alone and goes with all of its memory. Its
//! rings keep what came first: so the records that are there are without a gap
//! from the test's begin on, and the lab can count requests on both sides. What
//! came after a ring was full is counted.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use irqstorm_agent::protocol::{Disk, LostRecords, ToLab, Tracing};

use super::serve::Reporter;

const INSTANCES: &str = "/sys/kernel/tracing/instances";
const NAME: &str = "irqstorm";

/// Text of one message to the lab, in bytes: as JSON it is longer, and must
/// stay below the protocol's longest line.
const PART: usize = 128 << 10;

/// Which records of a tracepoint are kept.
enum Kept {
    All,
    /// Those of the disk under test.
    OfDisk,
    /// Switches from and to tasks that handle completions.
    OfHandlers,
}

/// The tracepoints that are turned on.
const EVENTS: [(&str, Kept); 10] = [
    ("irq/irq_handler_entry", Kept::All),
    ("irq/irq_handler_exit", Kept::All),
    ("block/block_rq_issue", Kept::OfDisk),
    ("block/block_rq_requeue", Kept::OfDisk),
    ("block/block_rq_complete", Kept::OfDisk),
    ("workqueue/workqueue_queue_work", Kept::All),
    ("workqueue/workqueue_execute_start", Kept::All),
    ("workqueue/workqueue_execute_end", Kept::All),
    ("sched/sched_switch", Kept::OfHandlers),
    // The probe's.
    ("irqstorm/irqstorm_bio_end", Kept::All),
];

/// Kernel workers and the threads of interrupts.
const HANDLERS: &str = "prev_comm ~ \"kworker*\" || next_comm ~ \"kworker*\" \
                        || prev_comm ~ \"irq/*\" || next_comm ~ \"irq/*\"";

/// Turns the trace on, with so much memory on each CPU, and says which
/// tracepoints the kernel does not have.
pub(crate) fn begin(disk: Option<&Disk>, kib_per_cpu: u32) -> Tracing {
    // Of a test that hung, the one before may be there.
    let _ = fs::remove_dir(instance());
    let mut tracing = Tracing::default();
    match set_up(disk, kib_per_cpu) {
        Ok(missing) => tracing.missing = missing,
        Err(error) => tracing.failed = Some(error.to_string()),
    }
    tracing
}

/// Turns the trace off and sends it.
pub(crate) fn end(reporter: &Reporter) {
    let sent = send(reporter);
    let lost = lost_records().unwrap_or_default();
    let _ = fs::remove_dir(instance());
    reporter.say(&ToLab::Traced {
        lost,
        failed: sent.err().map(|error| error.to_string()),
    });
}

fn instance() -> PathBuf {
    Path::new(INSTANCES).join(NAME)
}

/// Writes one of the instance's files.
fn set(name: &str, value: &str) -> io::Result<()> {
    let path = instance().join(name);
    fs::write(&path, value)
        .map_err(|error| io::Error::other(format!("write {}: {error}", path.display())))
}

fn set_up(disk: Option<&Disk>, kib_per_cpu: u32) -> io::Result<Vec<String>> {
    fs::create_dir(instance())
        .map_err(|error| io::Error::other(format!("make an instance of tracefs: {error}")))?;
    set("tracing_on", "0")?;
    // One clock for all CPUs, in nanoseconds.
    set("trace_clock", "mono")?;
    set("buffer_size_kb", &kib_per_cpu.to_string())?;
    set("options/overwrite", "0")?;
    let mut missing = Vec::new();
    for (event, kept) in EVENTS {
        if enable(event, &kept, disk).is_err() {
            missing.push(event.to_owned());
        }
    }
    set("tracing_on", "1")?;
    Ok(missing)
}

fn enable(event: &str, kept: &Kept, disk: Option<&Disk>) -> io::Result<()> {
    let filter = match kept {
        Kept::All => None,
        Kept::OfDisk => disk.and_then(of_disk),
        Kept::OfHandlers => Some(HANDLERS.to_owned()),
    };
    if let Some(filter) = filter {
        set(&format!("events/{event}/filter"), &filter)?;
    }
    set(&format!("events/{event}/enable"), "1")
}

fn of_disk(disk: &Disk) -> Option<String> {
    let numbers = fs::read_to_string(format!("/sys/block/{}/dev", disk.name)).ok()?;
    Some(format!("dev == {}", device_number(&numbers)?))
}

/// `MAJOR:MINOR` as the kernel has it inside (include/linux/kdev_t.h).
fn device_number(text: &str) -> Option<u64> {
    let (major, minor) = text.trim().split_once(':')?;
    let (major, minor): (u64, u64) = (major.parse().ok()?, minor.parse().ok()?);
    (major < 1 << 12 && minor < 1 << 20).then_some(major << 20 | minor)
}

/// Sends what was recorded, as the kernel prints it.
fn send(reporter: &Reporter) -> io::Result<()> {
    set("tracing_on", "0")?;
    let mut lines = BufReader::new(File::open(instance().join("trace"))?);
    let mut text = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = lines.read_until(b'\n', &mut line)? == 0;
        if end || text.len() + line.len() > PART {
            reporter.say(&ToLab::TracePart {
                text: std::mem::take(&mut text),
            });
        }
        if end {
            return Ok(());
        }
        text.push_str(&String::from_utf8_lossy(&line));
    }
}

/// Records that found no room, of each CPU that has any.
fn lost_records() -> io::Result<Vec<LostRecords>> {
    let mut lost = Vec::new();
    for entry in fs::read_dir(instance().join("per_cpu"))?.flatten() {
        let name = entry.file_name();
        let cpu = name.to_str().and_then(|name| name.strip_prefix("cpu"));
        let Some(cpu) = cpu.and_then(|cpu| cpu.parse().ok()) else {
            continue;
        };
        let stats = fs::read_to_string(entry.path().join("stats")).unwrap_or_default();
        let records = dropped(&stats);
        if records > 0 {
            lost.push(LostRecords { cpu, records });
        }
    }
    lost.sort_unstable_by_key(|lost| lost.cpu);
    Ok(lost)
}

/// What a ring says it has dropped.
fn dropped(stats: &str) -> u64 {
    let count = |line: &str| -> Option<u64> {
        let (name, value) = line.split_once(':')?;
        matches!(name, "dropped events" | "overrun").then(|| value.trim().parse().ok())?
    };
    stats.lines().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_number_that_the_kernel_compares_with() {
        assert_eq!(device_number("254:0\n"), Some(266_338_304));
        assert_eq!(device_number("259:3\n"), Some(259 << 20 | 3));
        for text in ["", "254", "254:", "4096:0", "0:1048576", "a:b"] {
            assert_eq!(device_number(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_ring_lost_is_what_it_overwrote_and_what_it_refused() {
        let stats = "entries: 9\noverrun: 2\ncommit overrun: 7\nbytes: 400\n\
                     oldest event ts:    12.5\ndropped events: 30\nread events: 0\n";
        assert_eq!(dropped(stats), 32);
        assert_eq!(dropped("dropped events: many\n"), 0);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernel's trace as it prints it (kernel/trace/trace_output.c,
//! trace_print_context(), and the `TP_printk` of each tracepoint), read line by
//! line. It comes from a guest: what does not read as it should is counted and
//! left out, whatever it is.
//!
//! ```text
//!      kworker/1:1-31      [001] d.h1.    12.345678: irq_handler_entry: irq=26 name=virtio0-req.1
//! ```

use irqstorm_core::units::Nanos;

/// The kernel pads a task's name to this (TASK_COMM_LEN).
const NAME_WIDTH: usize = 16;

/// More than any record of the tracepoints that are on takes, in bytes.
const LONGEST: usize = 2048;

/// More CPUs than any guest has.
const MOST_CPUS: u32 = 8192;

/// Something that the guest's kernel traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// When, on the guest's clock, to the next microsecond.
    pub(super) at: Nanos,
    /// On which CPU.
    pub(super) cpu: u32,
    /// The task that ran there.
    pub(super) task: Task,
    /// What.
    pub(super) what: What,
}

/// A task of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// A request where the guest's block layer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Whether it writes; `None` if it moves no data.
    pub(super) write: Option<bool>,
    /// Where on the disk, in sectors of 512 bytes.
    pub(super) sector: u64,
}

/// The kinds of record that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An interrupt's handler was called.
    Entry { irq: u32, name: String },
    /// It has returned.
    Exit { irq: u32, handled: bool },
    /// A request goes to the driver.
    Issued { place: Place, bytes: u64 },
    /// The driver could not take it.
    Requeued { place: Place },
    /// A request was completed, with this error.
    Completed { place: Place, error: i32 },
    /// A work was queued.
    Queued { function: String },
    /// A worker has begun a work.
    Began { function: String },
    /// It has ended it.
    Ended,
    /// A CPU went from one task to another.
    Switched { from: Task, to: Task },
    /// A bio of the probe has ended.
    BioEnded { place: Place, tagged: bool },
}

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// In the order in which it came.
    pub(super) records: Vec<Record>,
    /// Lines that could not be read.
    pub(super) unreadable: u64,
}

impl Text {
    /// Takes whole lines.
    pub(super) fn take(&mut self, text: &str) {
        for line in text.lines() {
            let remark = line.starts_with('#') || line.starts_with("CPU:");
            if remark || line.trim().is_empty() {
                continue;
            }
            match record(line) {
                Some(record) => self.records.push(record),
                None => self.unreadable += 1,
            }
        }
    }
}

fn record(line: &str) -> Option<Record> {
    let line = (line.len() <= LONGEST).then_some(line)?;
    let name = line.get(..NAME_WIDTH)?.trim_start();
    let rest = line.get(NAME_WIDTH..)?.strip_prefix('-')?;
    let (pid, rest) = rest.split_once(' ')?;
    let rest = rest.trim_start().strip_prefix('[')?;
    let (cpu, rest) = rest.split_once(']')?;
    // The context's flags come before the time.
    let (head, rest) = rest.split_once(": ")?;
    let at = time(head.split_whitespace().last()?)?;
    let (event, fields) = rest.split_once(": ")?;
    Some(Record {
        at,
        cpu: cpu.parse().ok().filter(|cpu| *cpu < MOST_CPUS)?,
        task: Task {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
        },
        what: what(event, fields)?,
    })
}

/// Seconds with six decimals.
fn time(text: &str) -> Option<Nanos> {
    let (seconds, micros) = text.split_once('.')?;
    let digits = micros.len() == 6 && micros.bytes().all(|byte| byte.is_ascii_digit());
    let micros: u64 = micros.parse().ok().filter(|_| digits)?;
    let seconds: u64 = seconds.parse().ok()?;
    let nanos = seconds.checked_mul(1_000_000_000)?;
    // Sums with it stay in 64 bits, with a sign.
    nanos
        .checked_add(micros.checked_mul(1_000)?)
        .filter(|nanos| *nanos < 1 << 62)
        .map(Nanos)
}

fn what(event: &str, fields: &str) -> Option<What> {
    match event {
        "irq_handler_entry" => Some(What::Entry {
            irq: number(fields, "irq=")?,
            name: fields.split_once("name=")?.1.trim().to_owned(),
        }),
        "irq_handler_exit" => Some(What::Exit {
            irq: number(fields, "irq=")?,
            handled: word(fields, "ret=")? == "handled",
        }),
        "block_rq_issue" => issued(fields),
        "block_rq_requeue" => completed(fields).map(|(place, _)| What::Requeued { place }),
        "block_rq_complete" => {
            completed(fields).map(|(place, error)| What::Completed { place, error })
        }
        "workqueue_queue_work" => {
            let (_, rest) = fields.split_once("function=")?;
            let (function, _) = rest.split_once(" workqueue=")?;
            let function = function.trim().to_owned();
            Some(What::Queued { function })
        }
        "workqueue_execute_start" => {
            let (_, function) = fields.split_once(": function ")?;
            let function = function.trim().to_owned();
            Some(What::Began { function })
        }
        "workqueue_execute_end" => Some(What::Ended),
        "sched_switch" => switched(fields),
        "irqstorm_bio_end" => Some(What::BioEnded {
            place: Place {
                write: Some(word(fields, "write=")? == "1"),
                sector: number(fields, "sector=")?,
            },
            tagged: word(fields, "tagged=")? == "1",
        }),
        _ => None,
    }
}

/// `MAJOR,MINOR FLAGS BYTES () SECTOR + SECTORS ...`
fn issued(fields: &str) -> Option<What> {
    let mut words = fields.split_whitespace().skip(1);
    let flags = words.next()?;
    let bytes = words.next()?.parse().ok()?;
    let sector = words.nth(1)?.parse().ok()?;
    let write = direction(flags);
    let place = Place { write, sector };
    Some(What::Issued { place, bytes })
}

/// `MAJOR,MINOR FLAGS () SECTOR + SECTORS ... [ERROR]`
fn completed(fields: &str) -> Option<(Place, i32)> {
    let mut words = fields.split_whitespace().skip(1);
    let flags = words.next()?;
    let sector = words.nth(1)?.parse().ok()?;
    let error = words.last()?.strip_prefix('[')?.strip_suffix(']')?;
    let write = direction(flags);
    let place = Place { write, sector };
    Some((place, error.parse().ok()?))
}

/// As blk_fill_rwbs() writes it: an `F` for a flush before it, the operation, and
/// what it is else.
fn direction(flags: &str) -> Option<bool> {
    let operation = flags.strip_prefix('F').unwrap_or(flags);
    match operation.bytes().next()? {
        b'R' => Some(false),
        b'W' => Some(true),
        _ => None,
    }
}

fn switched(fields: &str) -> Option<What> {
    let (from, to) = fields.split_once(" ==> next_comm=")?;
    let (name, rest) = from.strip_prefix("prev_comm=")?.rsplit_once(" prev_pid=")?;
    let pid = rest.split_whitespace().next()?.parse().ok()?;
    let name = name.to_owned();
    let from = Task { pid, name };
    let (name, rest) = to.rsplit_once(" next_pid=")?;
    let pid = rest.split_whitespace().next()?.parse().ok()?;
    let name = name.to_owned();
    let to = Task { pid, name };
    Some(What::Switched { from, to })
}

/// The word behind a field's name.
fn word<'t>(fields: &'t str, name: &str) -> Option<&'t str> {
    let found = fields.split_whitespace();
    found.filter_map(|word| word.strip_prefix(name)).next()
}

fn number<T: std::str::FromStr>(fields: &str, name: &str) -> Option<T> {
    word(fields, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "\
# tracer: nop
#
# entries-in-buffer/entries-written: 10/10   #P:2
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
           agent-42      [000] .....    12.000001: block_rq_issue: 254,0 WS 4096 () 2048 + 8 none,0,0 [agent]
          <idle>-0       [001] d.h1.    12.000080: irq_handler_entry: irq=26 name=virtio0-req.1
          <idle>-0       [001] d.h2.    12.000084: block_rq_complete: 254,0 WS () 2048 + 8 none,0,0 [0]
          <idle>-0       [001] d.h2.    12.000085: workqueue_queue_work: work struct=00000000 function=bio_complete_work_fn workqueue=events req_cpu=1 cpu=1
          <idle>-0       [001] d.h1.    12.000086: irq_handler_exit: irq=26 ret=handled
          <idle>-0       [001] d..2.    12.000090: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=kworker/1:1 next_pid=31 next_prio=120
     kworker/1:1-31      [001] .....    12.000091: workqueue_execute_start: work struct 00000000: function bio_complete_work_fn
     kworker/1:1-31      [001] .....    12.000095: irqstorm_bio_end: sector=2048 write=1 tagged=1
     kworker/1:1-31      [001] .....    12.000096: workqueue_execute_end: work struct 00000000: function bio_complete_work_fn
          <idle>-0       [000] d.h1.    13.000000: irq_handler_exit: irq=25 ret=unhandled
##### CPU 1 buffer started ####
CPU:1 [LOST 3 EVENTS]
";

    fn read(text: &str) -> Text {
        let mut read = Text::default();
        read.take(text);
        read
    }

    #[test]
    fn each_tracepoint_is_read_as_the_kernel_prints_it() {
        let read = read(TRACE);
        assert_eq!(read.unreadable, 0);
        let place = Place {
            write: Some(true),
            sector: 2048,
        };
        let function = "bio_complete_work_fn".to_owned();
        let task = |pid, name: &str| Task {
            pid,
            name: name.into(),
        };
        let whats: Vec<What> = read.records.iter().map(|one| one.what.clone()).collect();
        assert_eq!(
            whats,
            [
                What::Issued { place, bytes: 4096 },
                What::Entry {
                    irq: 26,
                    name: "virtio0-req.1".into()
                },
                What::Completed { place, error: 0 },
                What::Queued {
                    function: function.clone()
                },
                What::Exit {
                    irq: 26,
                    handled: true
                },
                What::Switched {
                    from: task(0, "swapper/1"),
                    to: task(31, "kworker/1:1")
                },
                What::Began { function },
                What::BioEnded {
                    place,
                    tagged: true
                },
                What::Ended,
                What::Exit {
                    irq: 25,
                    handled: false
                },
            ]
        );
        let first = &read.records[0];
        assert_eq!((first.at, first.cpu), (Nanos(12_000_001_000), 0));
        assert_eq!(first.task, task(42, "agent"));
    }

    #[test]
    fn requests_that_move_no_data_have_no_direction() {
        for (flags, direction_of) in [
            ("R", Some(false)),
            ("RA", Some(false)),
            ("FWS", Some(true)),
            ("FF", None),
            ("D", None),
            ("", None),
        ] {
            assert_eq!(direction(flags), direction_of, "{flags}");
        }
    }

    #[test]
    fn a_module_may_stand_behind_a_function() {
        let fields = "work struct=0 function=work_fn [md_mod] workqueue=md req_cpu=1 cpu=1";
        let Some(What::Queued { function }) = what("workqueue_queue_work", fields) else {
            panic!("not read");
        };
        assert_eq!(function, "work_fn [md_mod]");
    }

    #[test]
    fn what_cannot_be_is_counted_and_left_out() {
        let good = TRACE.lines().nth(7).unwrap();
        for (from, to) in [
            ("[001]", "[9999]"),
            ("[001]", "[-1]"),
            ("12.000080", "12.00008"),
            ("12.000080", "18446744073.000000"),
            ("12.000080", "x"),
            ("irq=26", "irq=x"),
            ("irq_handler_entry", "sys_enter"),
            ("<idle>-0 ", "<idle>-a "),
        ] {
            let bad = good.replace(from, to);
            let read = read(&bad);
            assert_eq!((read.records.len(), read.unreadable), (0, 1), "{bad}");
        }
        assert_eq!(read(&"x".repeat(LONGEST + 1)).unreadable, 1);
    }

    proptest! {
        #[test]
        fn anything_at_all_is_taken(text in "\\PC{0,400}") {
            read(&text);
        }

        #[test]
        fn damaged_lines_are_records_or_counted(
            which in 6usize..16,
            at in 0usize..160,
            byte in any::<char>(),
        ) {
            let line = TRACE.lines().nth(which).unwrap();
            let kept: String = line.chars().take(at).collect();
            let rest: String = line.chars().skip(at + 1).collect();
            let damaged = format!("{kept}{byte}{rest}").replace(['\n', '\r'], " ");
            let read = read(&damaged);
            let remark = damaged.starts_with('#') || damaged.starts_with("CPU:");
            let count = read.records.len() as u64 + read.unreadable;
            prop_assert_eq!(count, u64::from(!remark));
            let sane = |record: &Record| record.cpu < MOST_CPUS && record.at.0 < 1 << 62;
            prop_assert!(read.records.iter().all(sane));
        }
    }
}

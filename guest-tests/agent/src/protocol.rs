// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the agent in the guest and the lab on the host say to each other.
//!
//! Newline-delimited JSON, both ways, over the virtio-serial port
//! [`REPORT_PORT`]. The agent speaks first:
//!
//! ```text
//! agent  {"say":"hello","kernel":"7.2.12","cpus":2,...}
//! lab    {"do":"run","test":"task-context","seed":7,"params":{}}
//! agent  {"say":"started","test":"task-context"}
//! agent  {"say":"progress","test":"task-context","text":"4000 of 20000 bios"}
//! agent  {"say":"finished","test":"task-context","verdict":"pass","figures":[...]}
//! lab    {"do":"power-off"}
//! ```
//!
//! In place of tests the lab may have a program of the host executed, on its
//! own files ([`crate::program`]):
//!
//! ```text
//! lab    {"do":"execute","command":["fio","job.fio"],"folder":"/home/me",...}
//! agent  {"say":"executing"}
//! lab    {"do":"input-end","bytes":0}
//! agent  {"say":"exited","code":0,"stdout":1834,"stderr":0}
//! lab    {"do":"power-off"}
//! ```
//!
//! Around a test the lab may have the kernel's trace taken, and then gets it in
//! parts, as the kernel prints it:
//!
//! ```text
//! lab    {"do":"trace","kib_per_cpu":2048}
//! agent  {"say":"tracing","missing":[]}
//! ...
//! lab    {"do":"trace-end"}
//! agent  {"say":"trace-part","text":"..."}
//! agent  {"say":"traced","lost":[{"cpu":1,"records":812}]}
//! ```
//!
//! A test runs on a thread of its own: the agent answers `dump` and `trace-end`
//! while one runs.
//! The begin and end of each test are also written to /dev/kmsg, as
//! [`marker`] says, so that a kernel message on the console can be told to
//! belong to a test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::points::Point;
use crate::program::{Execute, Refusal, Stream, Window};

/// The virtio-serial port between agent and lab.
pub const REPORT_PORT: &str = "irqstorm.report";

/// The virtio-serial port that leads to the device's control socket.
pub const CONTROL_PORT: &str = "irqstorm.control";

/// The longest line either side takes, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// What the lab tells the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToAgent {
    /// Run a test; one at a time.
    Run {
        /// Its name in the catalogue.
        test: String,
        /// The seed of its random choices.
        seed: u64,
        /// Its own parameters, as `bios=1000000`.
        #[serde(default)]
        params: BTreeMap<String, String>,
    },
    /// Execute a program of the host; once, in a guest that ran no test.
    Execute(Execute),
    /// What the program reads ends after so many bytes.
    InputEnd {
        /// Bytes sent in all.
        bytes: u64,
    },
    /// Nobody reads this output of the program any more.
    CloseOutput {
        /// Which.
        stream: Stream,
    },
    /// Send the program a signal.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Its terminal has another size.
    Resize(Window),
    /// Trace what the kernel does from now on: answered with
    /// [`ToLab::Tracing`].
    Trace {
        /// Memory for it on each CPU, in KiB: what comes when that is full is
        /// lost, and counted.
        kib_per_cpu: u32,
    },
    /// Trace no more, and send what there is: answered with
    /// [`ToLab::TracePart`]s and [`ToLab::Traced`].
    TraceEnd,
    /// Say what hangs: answered with [`ToLab::Dumped`], and by the kernel with
    /// its list of blocked tasks on the console.
    Dump,
    /// Power the guest off.
    PowerOff,
}

/// What the agent tells the lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ToLab {
    /// The guest is up.
    Hello(Hello),
    /// A test begins.
    Started {
        /// Its name.
        test: String,
    },
    /// A test is where it says.
    Progress {
        /// Its name.
        test: String,
        /// For people.
        text: String,
    },
    /// A test has ended.
    Finished(Finished),
    /// Answer to [`ToAgent::Dump`].
    Dumped {
        /// /proc/interrupts.
        interrupts: String,
        /// Tasks in uninterruptible sleep.
        blocked: Vec<BlockedTask>,
    },
    /// Answer to [`ToAgent::Trace`].
    Tracing(Tracing),
    /// Lines of the kernel's trace, whole ones.
    TracePart {
        /// As the kernel prints them.
        text: String,
    },
    /// The trace has been sent.
    Traced {
        /// What found no room.
        lost: Vec<LostRecords>,
        /// Why there is no more of it, if that is not all there was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// The program runs.
    Executing,
    /// The program could not be executed.
    NotExecuted(Refusal),
    /// The program has ended.
    Exited {
        /// As a shell has it: its exit code, or 128 and the signal that killed
        /// it.
        code: u8,
        /// Bytes of its output on the way to the lab.
        stdout: u64,
        /// The same of its errors.
        stderr: u64,
    },
    /// The agent itself cannot go on; the guest powers off.
    Broken {
        /// Why.
        reason: String,
    },
}

/// What the guest's kernel traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracing {
    /// Tracepoints that it does not have.
    pub missing: Vec<String>,
    /// Why it traces nothing; `None` if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Records of the kernel's trace that found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRecords {
    /// On which CPU.
    pub cpu: u32,
    /// How many.
    pub records: u64,
}

/// What the guest is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The agent's version.
    pub agent: String,
    /// `uname -r`.
    pub kernel: String,
    /// CPUs online.
    pub cpus: u32,
    /// The disk under test; `None` if there is none.
    pub disk: Option<Disk>,
    /// The probe; `None` if it is not loaded.
    pub probe: Option<Probe>,
    /// Why the probe is not loaded.
    pub no_probe: Option<String>,
    /// Whether the device's control port is there and answers.
    pub control: bool,
}

/// The disk under test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its name, as `vda`.
    pub name: String,
    /// Its size in sectors of 512 bytes.
    pub sectors: u64,
    /// Its hardware queues (hctx).
    pub queues: u32,
}

/// The probe module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Whether the kernel has BIO_COMPLETE_IN_TASK.
    pub has_flag: bool,
    /// Whether it can see bio_endio() being called.
    pub sees_endio: bool,
    /// Whether it can see workqueues at work.
    pub sees_work: bool,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Its name.
    pub test: String,
    /// How.
    pub verdict: Verdict,
    /// Why it failed or was skipped; one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What was counted, in the order in which to show it.
    pub figures: Vec<Figure>,
    /// Of an experiment: what was measured at each of its settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
}

/// The verdict of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The claim holds.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be settled here.
    Skip,
}

/// Something counted. The names that the summary looks for are in [`figures`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What, in lower case: "tagged bios ended in task".
    pub name: String,
    /// How many or how much.
    pub value: f64,
    /// In what; empty for a count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// Names of figures that more than one test has and the summary adds up.
pub mod figures {
    /// Tagged bios that ended.
    pub const TAGGED: &str = "tagged bios";
    /// Of these, in preemptible task context.
    pub const TAGGED_IN_TASK: &str = "tagged bios ended in task";
    /// Of the tagged ones, whose bio_endio() was called in hardirq.
    pub const TAGGED_FROM_HARDIRQ: &str = "tagged bios completed in hardirq";
    /// Untagged bios that ended.
    pub const UNTAGGED: &str = "untagged bios";
    /// Of these, in hardirq.
    pub const UNTAGGED_IN_HARDIRQ: &str = "untagged bios ended in hardirq";
    /// Runs of the deferral's worker.
    pub const WORKER_RUNS: &str = "worker runs";
    /// Deferred bios that these runs ended.
    pub const WORKER_BIOS: &str = "bios ended by the worker";
    /// Works queued for the deferral.
    pub const QUEUE_WORK: &str = "works queued";
    /// Context switches while the test ran, all CPUs.
    pub const SWITCHES: &str = "context switches";
    /// Of these, to the deferral's worker.
    pub const SWITCHES_TO_WORKER: &str = "context switches to the worker";
    /// Interrupts of the disk's queues, from /proc/interrupts.
    pub const DELIVERED: &str = "interrupts delivered";
    /// Interrupts that the device wrote for completions meanwhile.
    pub const SIGNALLED: &str = "interrupts written for completions";
    /// Interrupts that the device wrote with no completion behind them.
    pub const SPURIOUS: &str = "spurious interrupts written";
    /// Interrupts that it wrote ahead of their completion.
    pub const EARLY: &str = "early interrupts written";
    /// Interrupts that it decided and did not write.
    pub const DROPPED: &str = "interrupts dropped";
    /// Interrupts that it wrote since none had come for too long.
    pub const RESCUED: &str = "rescues written";
    /// Interrupts that it wrote once more.
    pub const DUPLICATED: &str = "duplicates written";
    /// Delivered interrupts for which the handler found nothing.
    pub const UNCLAIMED: &str = "delivered interrupts unclaimed";
}

/// The parameters and the figures of `endurance`, during which `irqstorm faults`
/// lets things happen.
pub mod endurance {
    /// The parameter: how long it goes on, in milliseconds.
    pub const MS: &str = "ms";
    /// The parameter: with 1 it goes on until the disk was taken out of its slot
    /// and has come back.
    pub const UNPLUG: &str = "unplug";
    /// Rounds of writing and reading back.
    pub const ROUNDS: &str = "rounds";
    /// Bios that ended.
    pub const BIOS: &str = "bios ended";
    /// Bios that never did.
    pub const LOST: &str = "bios lost";
    /// Ends of bios that had ended before.
    pub const TWICE: &str = "bios ended twice";
    /// Sectors that read back otherwise than written.
    pub const OTHER: &str = "sectors read differently";
    /// Bios that ended with an error although there was a disk.
    pub const ERRORS: &str = "bios failed";
    /// Bios that ended with an error since the disk was gone.
    pub const REFUSED: &str = "bios refused";
}

/// A task in uninterruptible sleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedTask {
    /// Its pid.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Where it sleeps: /proc/PID/stack, or wchan.
    pub stack: String,
}

/// The line in the kernel's log at a test's begin or end.
pub fn marker(test: &str, edge: Edge) -> String {
    let edge = match edge {
        Edge::Begin => "begin",
        Edge::End => "end",
    };
    format!("irqstorm: test {test} {edge}")
}

/// The edges of a test in the kernel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It begins.
    Begin,
    /// It has ended.
    End,
}

/// The test and edge of a line of the console, if it is a marker.
pub fn parse_marker(line: &str) -> Option<(&str, Edge)> {
    let (_, rest) = line.split_once("irqstorm: test ")?;
    let (test, edge) = rest.trim_end().split_once(' ')?;
    match edge {
        "begin" => Some((test, Edge::Begin)),
        "end" => Some((test, Edge::End)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_reads_as_documented() {
        let run = r#"{"do":"run","test":"task-context","seed":7,"params":{}}"#;
        let parsed: ToAgent = serde_json::from_str(run).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), run);
        let finished = ToLab::Finished(Finished {
            test: "x".into(),
            verdict: Verdict::Pass,
            reason: String::new(),
            figures: vec![Figure {
                name: figures::TAGGED.into(),
                value: 3.0,
                unit: String::new(),
            }],
            points: Vec::new(),
        });
        let line = serde_json::to_string(&finished).unwrap();
        assert!(line.starts_with(r#"{"say":"finished","test":"x","verdict":"pass""#));
        assert_eq!(serde_json::from_str::<ToLab>(&line).unwrap(), finished);
        let hello = ToLab::Hello(Hello::default());
        let line = serde_json::to_string(&hello).unwrap();
        assert_eq!(serde_json::from_str::<ToLab>(&line).unwrap(), hello);
    }

    #[test]
    fn unknown_fields_of_the_lab_are_refused() {
        let line = r#"{"do":"run","test":"x","seed":1,"sede":2}"#;
        assert!(serde_json::from_str::<ToAgent>(line).is_err());
    }

    #[test]
    fn markers_come_back_from_the_console() {
        let line = format!("[    3.14] {}\r", marker("fifo-per-cpu", Edge::End));
        assert_eq!(parse_marker(&line), Some(("fifo-per-cpu", Edge::End)));
        assert_eq!(parse_marker("irqstorm: test x middle"), None);
        assert_eq!(parse_marker("[ 1.0] random: crng init done"), None);
    }
}

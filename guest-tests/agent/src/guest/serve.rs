// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The report protocol's loop: one test at a time on a thread of its own, while
//! this one goes on listening.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use irqstorm_agent::catalogue;
use irqstorm_agent::protocol::{
    BlockedTask, Edge, Finished, Hello, MAX_LINE, REPORT_PORT, ToAgent, ToLab, Verdict, marker,
};

use super::ports::Lines;
use super::program::{self, Program};
use super::{boot, cpu, device::Device, disk, ports, probe::ProbeDevice, trace};
use crate::tests::{self, Bench};

/// The way to the lab, shared by the loop and the test that runs.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<Mutex<File>>);

impl Reporter {
    /// Sends one message; with nobody to send it to, there is nobody to tell.
    pub(crate) fn say(&self, message: &ToLab) {
        let Ok(mut line) = serde_json::to_string(message) else {
            return;
        };
        line.push('\n');
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = port.write_all(line.as_bytes());
    }
}

/// Serves the lab until it says to power off. Returns only when that cannot
/// go on.
pub(crate) fn serve() -> Result<(), String> {
    let port = ports::open(REPORT_PORT, Duration::from_secs(30)).map_err(|e| e.to_string())?;
    let writer = port
        .try_clone()
        .map_err(|e| format!("share the report port: {e}"))?;
    let reporter = Reporter(Arc::new(Mutex::new(writer)));
    report_panics(reporter.clone());
    let guest = Guest::look();
    let disk = guest.hello.disk.clone();
    reporter.say(&ToLab::Hello(guest.hello.clone()));
    let bench = Arc::new(Mutex::new(guest.bench(reporter.clone())));
    let running = Arc::new(AtomicBool::new(false));
    let mut program = None;
    let mut lines = Lines::new(port, MAX_LINE);
    loop {
        let line = lines
            .read(None)
            .map_err(|e| format!("listen to the lab: {e}"))?;
        let message = serde_json::from_str(&line).map_err(|e| {
            let reason = format!("understand the lab's {line}: {e}");
            reporter.say(&ToLab::Broken {
                reason: reason.clone(),
            });
            reason
        })?;
        match message {
            ToAgent::Run { test, seed, params } => {
                start(&reporter, &bench, &running, test, seed, params);
            }
            ToAgent::Execute(order) => {
                // Its ports are the program's now.
                lock(&bench).release();
                program = Program::start(&reporter, &order);
            }
            ToAgent::Trace { kib_per_cpu } => {
                reporter.say(&ToLab::Tracing(trace::begin(disk.as_ref(), kib_per_cpu)));
            }
            ToAgent::TraceEnd => trace::end(&reporter),
            ToAgent::Dump => dump(&reporter),
            ToAgent::PowerOff => {
                if program.is_some() {
                    program::tidy();
                }
                boot::power_off();
            }
            message => {
                if let Some(program) = &program {
                    steer(program, &message);
                }
            }
        }
    }
}

/// What concerns a program that runs.
fn steer(program: &Program, message: &ToAgent) {
    match message {
        ToAgent::InputEnd { bytes } => program.input_ends(*bytes),
        ToAgent::CloseOutput { stream } => program.close(*stream),
        ToAgent::Signal { signal } => program.signal(*signal),
        ToAgent::Resize(window) => program.resize(*window),
        _ => {}
    }
}

fn lock(bench: &Mutex<Bench>) -> MutexGuard<'_, Bench> {
    bench.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A panic anywhere in the agent is told to the lab and ends the guest: what it
/// would say afterwards could not be believed.
fn report_panics(reporter: Reporter) {
    std::panic::set_hook(Box::new(move |info| {
        boot::log(&format!("irqstorm: the agent panicked: {info}"));
        reporter.say(&ToLab::Broken {
            reason: format!("the agent panicked: {info}"),
        });
        boot::power_off();
    }));
}

/// What was found at start.
struct Guest {
    hello: Hello,
    probe: Option<ProbeDevice>,
    device: Option<Device>,
}

impl Guest {
    fn look() -> Guest {
        let found = boot::load_probe().and_then(|()| ProbeDevice::open());
        let (probe, described, no_probe) = match found {
            Ok((probe, described)) => (Some(probe), Some(described), None),
            Err(reason) => (None, None, Some(reason)),
        };
        let device = Device::open();
        if let Err(reason) = &device {
            boot::log(&format!("irqstorm: no control of the device: {reason}"));
        }
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let hello = Hello {
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: release.trim().to_owned(),
            cpus: cpu::online(),
            disk: disk::find(),
            probe: described,
            no_probe,
            control: device.is_ok(),
        };
        Guest {
            hello,
            probe,
            device: device.ok(),
        }
    }

    fn bench(self, reporter: Reporter) -> Bench {
        Bench::new(self.hello, self.probe, self.device, reporter)
    }
}

fn start(
    reporter: &Reporter,
    bench: &Arc<Mutex<Bench>>,
    running: &Arc<AtomicBool>,
    test: String,
    seed: u64,
    params: BTreeMap<String, String>,
) {
    let refuse = |reason: String| {
        reporter.say(&ToLab::Finished(Finished {
            test: test.clone(),
            verdict: Verdict::Fail,
            reason,
            figures: Vec::new(),
            points: Vec::new(),
        }));
    };
    let Some(info) = catalogue::find(&test) else {
        return refuse("the agent knows no such test".into());
    };
    if running.swap(true, Ordering::AcqRel) {
        return refuse("another test is still running".into());
    }
    let (reporter, bench, running) = (reporter.clone(), Arc::clone(bench), Arc::clone(running));
    let body = move || {
        reporter.say(&ToLab::Started { test: test.clone() });
        boot::log(&marker(&test, Edge::Begin));
        let mut bench = lock(&bench);
        let finished = tests::run(&mut bench, info, seed, params);
        boot::log(&marker(&test, Edge::End));
        running.store(false, Ordering::Release);
        reporter.say(&ToLab::Finished(finished));
    };
    // Without a thread there is nothing left to test: the hook says so.
    std::thread::spawn(body);
}

fn dump(reporter: &Reporter) {
    let interrupts = fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let blocked = blocked_tasks().unwrap_or_default();
    boot::show_blocked();
    reporter.say(&ToLab::Dumped {
        interrupts,
        blocked,
    });
}

/// The tasks in uninterruptible sleep, threads of processes included.
fn blocked_tasks() -> io::Result<Vec<BlockedTask>> {
    let mut blocked = Vec::new();
    for process in numbered(Path::new("/proc"))? {
        // One that has gone meanwhile is not blocked.
        for task in numbered(&process.join("task")).unwrap_or_default() {
            blocked.extend(blocked_task(&task));
        }
    }
    Ok(blocked)
}

/// The entries of a folder of /proc that are named by a pid.
fn numbered(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_pid = |name: &OsStr| {
        name.to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir(folder)?.flatten();
    Ok(entries
        .filter(|entry| is_pid(&entry.file_name()))
        .map(|entry| entry.path())
        .collect())
}

/// The task of a folder, if its state in `stat` is "D" (proc_pid_stat(5)).
fn blocked_task(folder: &Path) -> Option<BlockedTask> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    if !tail.trim_start().starts_with('D') {
        return None;
    }
    let read = |name| fs::read_to_string(folder.join(name)).ok();
    let stack = read("stack").filter(|text| !text.trim().is_empty());
    Some(BlockedTask {
        pid: pid.trim().parse().ok()?,
        name: name.to_owned(),
        stack: stack.or_else(|| read("wchan")).unwrap_or_default(),
    })
}

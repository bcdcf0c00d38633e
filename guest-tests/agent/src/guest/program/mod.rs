// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A program of the host, executed in the guest.
//!
//! The guest's root becomes the host's files ([`root`]), the program is started
//! ([`spawn`]), and a thread for each of its streams passes bytes between it
//! and a port ([`input`], [`output`]). One more thread waits for its end. With
//! the guest everything goes that the program leaves behind; file systems on
//! disks are unmounted before ([`tidy`]).

mod input;
mod output;
mod root;
mod spawn;
mod tidy;
mod wake;

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use irqstorm_agent::program::{Execute, NAME, Refusal, STREAM_PORTS, Stream, Window};
use irqstorm_agent::protocol::{Edge, ToLab, marker};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group};

use super::serve::Reporter;
use super::{boot, ports};
use input::InputEnd;
use output::OutputState;
use spawn::{Spawned, Terminal, spawn};

pub(crate) use tidy::tidy;

/// The driver has set the ports up within this.
const PORT_WAIT: Duration = Duration::from_secs(10);

/// A program that runs, or has run.
pub(crate) struct Program {
    /// `None` once it has ended: its number may then be another's.
    pid: Arc<Mutex<Option<Pid>>>,
    terminal: Option<Terminal>,
    input: Arc<InputEnd>,
    outputs: [Arc<OutputState>; 2],
}

impl Program {
    /// Starts it, and tells the lab how that went and, later, how it ended.
    pub(crate) fn start(reporter: &Reporter, order: &Execute) -> Option<Program> {
        match Program::prepare(reporter, order) {
            Ok(program) => Some(program),
            Err(refusal) => {
                boot::log(&marker(NAME, Edge::End));
                reporter.say(&ToLab::NotExecuted(refusal));
                None
            }
        }
    }

    fn prepare(reporter: &Reporter, order: &Execute) -> Result<Program, Refusal> {
        let machine = |reason: String| Refusal { code: None, reason };
        let system = |what: &str, error: std::io::Error| machine(format!("{what}: {error}"));
        let [input, output, errors] = STREAM_PORTS.map(|name| ports::open(name, PORT_WAIT));
        let port = |port: std::io::Result<File>| port.map_err(|e| system("open a port", e));
        let (input, output, errors) = (port(input)?, port(output)?, port(errors)?);
        root::enter(&order.writable).map_err(machine)?;
        let state = || OutputState::new().map(Arc::new);
        let eventfd = |e| system("make an eventfd", e);
        let program = Program {
            pid: Arc::default(),
            terminal: None,
            input: Arc::new(InputEnd::new().map_err(eventfd)?),
            outputs: [state().map_err(eventfd)?, state().map_err(eventfd)?],
        };
        boot::log(&marker(NAME, Edge::Begin));
        let spawned = spawn(order)?;
        reporter.say(&ToLab::Executing);
        Ok(program.follow(reporter.clone(), spawned, [input, output, errors]))
    }

    /// Passes its bytes on, and waits for its end.
    fn follow(mut self, reporter: Reporter, spawned: Spawned, ports: [File; 3]) -> Program {
        let pid = spawned.pid;
        *lock(&self.pid) = Some(pid);
        self.terminal = spawned.terminal;
        let [input, output, errors] = ports;
        let end = Arc::clone(&self.input);
        thread::spawn(move || input::pass(input, spawned.input, &end));
        let [out_state, error_state] = self.outputs.clone();
        let sources = [
            (Some(spawned.output), output, out_state),
            (spawned.errors, errors, error_state),
        ];
        let passers = sources.map(|(source, port, state)| {
            let source = source?;
            Some(thread::spawn(move || output::pass(source, port, &state)))
        });
        let (running, outputs) = (Arc::clone(&self.pid), self.outputs.clone());
        thread::spawn(move || {
            let code = wait_for(pid, &running);
            outputs.iter().for_each(|output| output.end());
            let [stdout, stderr] = passers.map(count);
            boot::log(&marker(NAME, Edge::End));
            reporter.say(&ToLab::Exited {
                code,
                stdout,
                stderr,
            });
        });
        self
    }

    /// What it reads ends after so many bytes.
    pub(crate) fn input_ends(&self, bytes: u64) {
        self.input.set(bytes);
    }

    /// Nobody reads this of it any more.
    pub(crate) fn close(&self, stream: Stream) {
        let [output, errors] = &self.outputs;
        match stream {
            Stream::Stdout => output.close(),
            Stream::Stderr => errors.close(),
        }
    }

    /// Signals it and its like, or who has its terminal.
    pub(crate) fn signal(&self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else {
            return;
        };
        let held = lock(&self.pid);
        let foreground = self.terminal.as_ref().and_then(Terminal::foreground);
        if let Some(pid) = *held {
            // Gone meanwhile is as good.
            let _ = kill_process_group(foreground.unwrap_or(pid), signal);
        }
    }

    /// Gives its terminal another size.
    pub(crate) fn resize(&self, window: Window) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.resize(window);
        }
    }
}

fn lock(pid: &Mutex<Option<Pid>>) -> std::sync::MutexGuard<'_, Option<Pid>> {
    pid.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread has passed on.
fn count(passer: Option<JoinHandle<u64>>) -> u64 {
    passer.map_or(0, |thread| thread.join().unwrap_or(0))
}

/// Waits for the program, and as PID 1 for the orphans that it leaves. Returns
/// its exit code as a shell has it.
fn wait_for(program: Pid, running: &Mutex<Option<Pid>>) -> u8 {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => {
                *lock(running) = None;
                let killed = status.terminating_signal().map(|signal| 128 + signal);
                let code = killed.or(status.exit_status()).unwrap_or_default();
                return u8::try_from(code).unwrap_or(u8::MAX);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Nobody left to wait for, and it was not seen: cannot be.
            Err(_) => return u8::MAX,
        }
    }
}

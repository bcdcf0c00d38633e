// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest: QEMU's process, the agent's reports, and the console.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_agent::protocol::{Hello, MAX_LINE, ToAgent, ToLab};

use crate::console::Console;
use crate::failure::{Failure, io_failure};
use crate::interrupt;
use crate::process::{Process, describe};
use crate::qemu::{Accel, Machine, PACKAGE, Plug, Qmp};
use crate::results::Folder;

/// Between two looks at everything else while waiting for a report.
const POLL: Duration = Duration::from_millis(50);

/// A boot is given up after so many limits, although its kernel still talks.
const MOST_LIMITS: u32 = 5;

/// A guest that was told to power off does so within this.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(20);

/// The console has said what it has to say about a panic within this.
const PANIC_LIMIT: Duration = Duration::from_secs(5);

/// Where a guest's outputs go.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    /// The console.
    pub(crate) console: Console,
    /// What QEMU itself says.
    pub(crate) qemu_log: PathBuf,
}

impl Outputs {
    /// To console.log and qemu.log of a results folder.
    pub(crate) fn create(folder: &Folder) -> Result<Outputs, Failure> {
        Ok(Outputs {
            console: Console::create(&folder.join("console.log"))?,
            qemu_log: folder.join("qemu.log"),
        })
    }
}

/// A guest whose agent has reported.
#[derive(Debug)]
pub(crate) struct Guest {
    hello: Hello,
    channels: Channels,
}

/// What came from the guest.
#[derive(Debug)]
pub(crate) enum Received {
    /// The agent said something.
    Said(Box<ToLab>),
    /// There will be no more, for this reason.
    Ended(String),
    /// Nothing until the deadline.
    TimedOut,
}

#[derive(Debug)]
struct Channels {
    qemu: Process,
    report: UnixStream,
    incoming: Receiver<Result<ToLab, String>>,
    console_input: Option<ChildStdin>,
    monitor: PathBuf,
    outputs: Outputs,
}

impl Guest {
    /// Starts QEMU and waits for the agent's hello, as long as the kernel says
    /// something on its console within each `limit`: one that is emulated, and
    /// looks at itself with every check there is, may need minutes on a machine
    /// that does something else.
    pub(crate) fn boot(
        qemu: &Path,
        machine: &Machine,
        kernel: &str,
        outputs: &Outputs,
        limit: Duration,
    ) -> Result<Guest, Failure> {
        let begun = Instant::now();
        let failed = |reason| boot_failure(kernel, reason, outputs);
        let mut channels = Channels::open(qemu, machine, outputs, begun + limit, &failed)?;
        let hello = channels.meet(machine, kernel, limit)?;
        Ok(Guest { hello, channels })
    }

    /// Resets the machine, whatever its guest is at: the agent is to be met again.
    pub(crate) fn reset(&mut self, machine: &Machine) -> Result<(), Failure> {
        Qmp::connect(&self.channels.monitor)?.reset()?;
        self.channels.outputs.console.restart();
        // What the agent of before has said goes with the connection to it; the
        // next one waits until there is another.
        self.channels.connect_again(&machine.sockets.report)
    }

    /// Waits for the agent after a reset. Meanwhile QEMU does not end with a guest
    /// that panics; the console tells.
    pub(crate) fn meet(
        &mut self,
        machine: &Machine,
        kernel: &str,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.hello = self.channels.meet(machine, kernel, limit)?;
        Qmp::connect(&self.channels.monitor)?.end_at_restart()
    }

    /// What the guest is.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Tells the agent something.
    pub(crate) fn tell(&mut self, message: &ToAgent) -> Result<(), String> {
        let mut line = serde_json::to_string(message).map_err(|error| error.to_string())?;
        line.push('\n');
        let written = self.channels.report.write_all(line.as_bytes());
        written.map_err(|error| format!("the agent does not listen: {error}"))
    }

    /// What comes next, until the deadline.
    pub(crate) fn receive(&mut self, deadline: Instant) -> Result<Received, Failure> {
        self.channels.receive(deadline)
    }

    /// Makes the kernel list its blocked tasks on the console, with no help
    /// from inside the guest.
    pub(crate) fn sysrq_blocked(&mut self) {
        // All of it is best effort: the guest is broken already, and what does
        // not come is missing from the console in plain sight.
        if let Ok(mut monitor) = Qmp::connect(&self.channels.monitor)
            && monitor.send_break().is_ok()
            && let Some(input) = &mut self.channels.console_input
        {
            let _ = input.write_all(b"w").and_then(|()| input.flush());
        }
    }

    /// Pauses the guest for a while.
    pub(crate) fn pause(&mut self, time: Duration) -> Result<(), Failure> {
        let mut monitor = Qmp::connect(&self.channels.monitor)?;
        monitor.pause()?;
        thread::sleep(time);
        monitor.resume()
    }

    /// Has the disk unplugged, and plugged in again.
    pub(crate) fn replug(&mut self, plug: &Plug) -> Result<(), Failure> {
        let mut monitor = Qmp::connect(&self.channels.monitor)?;
        monitor.unplug()?;
        monitor.plug(plug)
    }

    /// Powers the guest off; ends QEMU if it does not.
    pub(crate) fn power_off(mut self) {
        if self.tell(&ToAgent::PowerOff).is_ok() {
            self.channels.qemu.wait(POWER_OFF_LIMIT);
        }
    }
}

impl Channels {
    fn open(
        qemu: &Path,
        machine: &Machine,
        outputs: &Outputs,
        deadline: Instant,
        failed: &dyn Fn(String) -> Failure,
    ) -> Result<Channels, Failure> {
        let sockets = &machine.sockets;
        for socket in [&sockets.report, &sockets.monitor] {
            // Left by the guest before this one.
            let _ = fs::remove_file(socket);
        }
        let log =
            File::create(&outputs.qemu_log).map_err(io_failure("create", &outputs.qemu_log))?;
        let mut command = Command::new(qemu);
        command.args(machine.arguments());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut qemu = Process::start(PACKAGE, &mut command)?;
        let console_input = qemu.child().stdin.take();
        if let Some(output) = qemu.child().stdout.take() {
            outputs.console.follow(output);
        }
        let report = loop {
            interrupt::check()?;
            match UnixStream::connect(&sockets.report) {
                Ok(stream) => break stream,
                Err(_) => {
                    if let Some(reason) = end_of(&mut qemu, outputs) {
                        return Err(failed(reason));
                    }
                    if Instant::now() >= deadline {
                        return Err(failed("QEMU opened no report socket".into()));
                    }
                    thread::sleep(POLL);
                }
            }
        };
        let incoming = read_reports(&report).map_err(io_failure("read", &sockets.report))?;
        Ok(Channels {
            qemu,
            report,
            incoming,
            console_input,
            monitor: sockets.monitor.clone(),
            outputs: outputs.clone(),
        })
    }

    /// Lets go of the connection to the agent, and makes another one. QEMU takes
    /// one at a time.
    fn connect_again(&mut self, socket: &Path) -> Result<(), Failure> {
        let _ = self.report.shutdown(Shutdown::Both);
        self.report = UnixStream::connect(socket).map_err(io_failure("connect to", socket))?;
        self.incoming = read_reports(&self.report).map_err(io_failure("read", socket))?;
        Ok(())
    }

    /// Waits for the agent's hello, as long as the kernel says something on its
    /// console within each `limit`.
    fn meet(&mut self, machine: &Machine, kernel: &str, limit: Duration) -> Result<Hello, Failure> {
        let begun = Instant::now();
        let outputs = self.outputs.clone();
        let failed = |reason| boot_failure(kernel, reason, &outputs);
        let deadline = || (outputs.console.last_said() + limit).min(begun + limit * MOST_LIMITS);
        loop {
            match self.receive(deadline())? {
                Received::Said(said) => match *said {
                    ToLab::Hello(hello) => return Ok(hello),
                    ToLab::Broken { reason } => return Err(failed(reason)),
                    _ => {}
                },
                Received::Ended(reason) => return Err(failed(reason)),
                // The kernel has said something meanwhile.
                Received::TimedOut if Instant::now() < deadline() => {}
                Received::TimedOut => {
                    return Err(failed(silence(begun.elapsed(), machine, &outputs)));
                }
            }
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Received, Failure> {
        loop {
            interrupt::check()?;
            match self.incoming.recv_timeout(POLL) {
                Ok(Ok(said)) => return Ok(Received::Said(Box::new(said))),
                Ok(Err(garbled)) => {
                    return Ok(Received::Ended(format!("the agent said '{garbled}'")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Received::Ended(self.last_words()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.outputs.console.panicked() {
                // What it has to say about it comes after the first line.
                let console = &self.outputs.console;
                console.wait_for_quiet(PANIC_LIMIT / 5, PANIC_LIMIT);
                return Ok(Received::Ended("the kernel panicked".into()));
            }
            if Instant::now() >= deadline {
                return Ok(Received::TimedOut);
            }
        }
    }

    /// Why the reports have ended.
    fn last_words(&mut self) -> String {
        self.qemu.wait(PANIC_LIMIT);
        if self.outputs.console.panicked() {
            return "the kernel panicked".into();
        }
        end_of(&mut self.qemu, &self.outputs).unwrap_or_else(|| "the agent closed its port".into())
    }
}

fn boot_failure(kernel: &str, reason: String, outputs: &Outputs) -> Failure {
    Failure::Boot {
        kernel: kernel.to_owned(),
        reason,
        tail: outputs.console.tail(),
    }
}

/// Why nothing may have come from a guest, and what to do.
fn silence(waited: Duration, machine: &Machine, outputs: &Outputs) -> String {
    let advice = match machine.accel {
        Accel::Kvm => "KVM may not run guests here, try --accel tcg",
        Accel::Tcg | Accel::TcgByTurns => {
            "is the kernel built with virtio-console and an initramfs?"
        }
    };
    let said = fs::read_to_string(&outputs.qemu_log).unwrap_or_default();
    let first = said
        .lines()
        .next()
        .map(|line| format!("; QEMU says: {line}"));
    let first = first.unwrap_or_default();
    format!(
        "no agent reported within {} s; {advice}{first}",
        waited.as_secs()
    )
}

/// How QEMU ended and what it said, if it has ended.
fn end_of(qemu: &mut Process, outputs: &Outputs) -> Option<String> {
    let status = qemu.ended()?;
    let said = fs::read_to_string(&outputs.qemu_log).unwrap_or_default();
    let said = said.trim_end();
    let colon = if said.is_empty() { "" } else { ": " };
    Some(format!("QEMU {}{colon}{said}", describe(status)))
}

/// Reads the agent's lines on a thread of its own. What a guest sends is not
/// trusted: lines are bounded, and one that cannot be read ends it all.
fn read_reports(stream: &UnixStream) -> std::io::Result<Receiver<Result<ToLab, String>>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    // Bounded: a guest that floods waits for the lab.
    let (sender, receiver) = mpsc::sync_channel(256);
    thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut reader).take(MAX_LINE as u64);
            match limited.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            if text.trim().is_empty() {
                continue;
            }
            let parsed = serde_json::from_str(&text)
                .map_err(|_| text.trim().chars().take(120).collect::<String>());
            let garbled = parsed.is_err();
            if sender.send(parsed).is_err() || garbled {
                break;
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn reports_are_read_line_by_line_and_garbage_ends_them() {
        let (mut agent, lab) = UnixStream::pair().unwrap();
        let incoming = read_reports(&lab).unwrap();
        agent
            .write_all(b"{\"say\":\"started\",\"test\":\"x\"}\n\nnonsense\n{\"say\":\"started\",\"test\":\"y\"}\n")
            .unwrap();
        let first = incoming.recv_timeout(SOON).unwrap();
        assert_eq!(first, Ok(ToLab::Started { test: "x".into() }));
        assert_eq!(incoming.recv_timeout(SOON).unwrap(), Err("nonsense".into()));
        assert!(incoming.recv_timeout(SOON).is_err());
    }

    #[test]
    fn a_line_without_end_is_cut_and_ends_the_reports() {
        let (mut agent, lab) = UnixStream::pair().unwrap();
        let incoming = read_reports(&lab).unwrap();
        let writer = thread::spawn(move || {
            let _ = agent.write_all(&vec![b'x'; 2 * MAX_LINE]);
        });
        let garbled = incoming.recv_timeout(SOON).unwrap().unwrap_err();
        assert_eq!(garbled.len(), 120);
        drop(lab);
        drop(incoming);
        let _ = writer.join();
    }
}

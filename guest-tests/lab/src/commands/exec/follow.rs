// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The program, from its start to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_agent::program::{Execute, NAME, Refusal};
use irqstorm_agent::protocol::{ToAgent, ToLab};
use irqstorm_images::Progress;
use signal_hook::consts::SIGWINCH;

use super::streams::{Happening, Streams};
use crate::failure::{Failure, io_failure};
use crate::guest::Received;
use crate::interrupt;
use crate::qemu::HostFiles;
use crate::suite::Bench;
use crate::terminal::{self, RawTerminal};

/// Between two looks at the user's signals and streams.
const POLL: Duration = Duration::from_millis(20);

/// Between two looks whether the device still runs.
const DEVICE_LOOK: Duration = Duration::from_secs(1);

/// The guest has the host's files mounted within this.
const MOUNT_LIMIT: Duration = Duration::from_secs(60);

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// With this exit code, as a shell has it.
    Exited(u8),
    /// It was not executed.
    Refused(Refusal),
    /// The guest went away.
    Lost(String),
}

/// Has it executed and follows it.
pub(super) fn follow(bench: &mut Bench, order: &Execute) -> Result<End, Failure> {
    let files = bench.machine().host_files.clone();
    let Some(files) = files else {
        return Ok(End::Lost("the machine has none of the host's files".into()));
    };
    bench.stages.begin("mount this machine's files", None);
    let (sender, happenings) = mpsc::channel();
    let started = start(bench, order, &files, &sender);
    bench.stages.end();
    let (streams, raw) = match started? {
        Start::Begun(streams, raw) => (streams, raw),
        Start::Not(end) => return Ok(end),
    };
    let (interrupts, first) = mpsc::channel();
    interrupt::give_first_to(Some(interrupts));
    let ended = watch(bench, order, &streams, &happenings, &first);
    interrupt::give_first_to(None);
    // The terminal is the user's again before anything is said.
    drop(raw);
    if let Some(error) = streams.refusal() {
        return Err(io_failure("write", "what the program put out".as_ref())(
            error,
        ));
    }
    ended
}

enum Start {
    Begun(Streams, Option<RawTerminal>),
    Not(End),
}

fn start(
    bench: &mut Bench,
    order: &Execute,
    files: &HostFiles,
    happenings: &mpsc::Sender<Happening>,
) -> Result<Start, Failure> {
    let guest = bench.present_guest()?;
    if let Err(reason) = guest.tell(&ToAgent::Execute(order.clone())) {
        return Ok(Start::Not(End::Lost(reason)));
    }
    let deadline = Instant::now() + MOUNT_LIMIT;
    loop {
        let end = match guest.receive(deadline)? {
            Received::TimedOut => {
                let limit = MOUNT_LIMIT.as_secs();
                End::Lost(format!("the program did not begin within {limit} s"))
            }
            Received::Ended(reason) => End::Lost(reason),
            Received::Said(said) => match *said {
                ToLab::Executing => break,
                ToLab::NotExecuted(refusal) => End::Refused(refusal),
                ToLab::Broken { reason } => End::Lost(reason),
                _ => continue,
            },
        };
        return Ok(Start::Not(end));
    }
    bench.stages.end();
    let raw = match order.terminal {
        Some(_) => RawTerminal::enter().map_err(io_failure("set up", "the terminal".as_ref()))?,
        None => None,
    };
    // What the program writes before this waits in its port.
    let streams = Streams::start(&files.streams, raw.is_some(), happenings)?;
    Ok(Start::Begun(streams, raw))
}

/// Until it has ended and all that it wrote has arrived.
fn watch(
    bench: &mut Bench,
    order: &Execute,
    streams: &Streams,
    happenings: &Receiver<Happening>,
    signals: &Receiver<i32>,
) -> Result<End, Failure> {
    let resized = Arc::new(AtomicBool::new(false));
    if order.terminal.is_some() {
        signal_hook::flag::register(SIGWINCH, Arc::clone(&resized))
            .map_err(io_failure("listen for", "changes of the terminal".as_ref()))?;
    }
    let mut looked = Instant::now();
    loop {
        let happened = happenings.try_iter().map(|happening| match happening {
            Happening::InputEnded(bytes) => ToAgent::InputEnd { bytes },
            Happening::Unread(stream) => ToAgent::CloseOutput { stream },
        });
        let mut messages: Vec<ToAgent> = happened.collect();
        for signal in signals.try_iter() {
            bench
                .stages
                .note("sent to the program; once more ends the guest");
            messages.push(ToAgent::Signal { signal });
        }
        if resized.swap(false, Ordering::AcqRel) {
            messages.push(ToAgent::Resize(terminal::window()));
        }
        if looked.elapsed() >= DEVICE_LOOK {
            bench.check_device(NAME)?;
            looked = Instant::now();
        }
        let guest = bench.present_guest()?;
        for message in messages {
            // Why it does not listen, what comes from it says.
            let _ = guest.tell(&message);
        }
        let (code, counts) = match guest.receive(Instant::now() + POLL)? {
            Received::TimedOut => continue,
            Received::Ended(reason) => return Ok(End::Lost(reason)),
            Received::Said(said) => match *said {
                ToLab::Exited {
                    code,
                    stdout,
                    stderr,
                } => (code, [stdout, stderr]),
                ToLab::Broken { reason } => return Ok(End::Lost(reason)),
                _ => continue,
            },
        };
        // Who does not read keeps only irqstorm waiting.
        interrupt::give_first_to(None);
        while !streams.have_passed(counts) {
            interrupt::check()?;
            thread::sleep(POLL);
        }
        return Ok(End::Exited(code));
    }
}

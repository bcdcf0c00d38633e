// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! ^C at any stage leaves nothing behind.
//!
//! A thread takes SIGINT, SIGQUIT, SIGTERM and SIGHUP. It notes the wish and ends every
//! process below this one, so that whatever the main thread waits for returns;
//! the main thread then unwinds through its guards, which remove sockets and
//! folders. As a subreaper the lab inherits the orphans of what it started, so
//! that "below this one" is all of them. A main thread that does not unwind in
//! time is left, with its folder removed and its terminal restored for it.
//!
//! While a program of the user's runs in the guest, the first ^C is the
//! program's ([`give_first_to`]).

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_child_subreaper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{Exit, Failure};
use crate::process::descendants;
use crate::terminal;

/// Between the request to end and the end without asking.
const GRACE: Duration = Duration::from_secs(2);

static REQUESTED: AtomicBool = AtomicBool::new(false);
static RUN_DIR: Mutex<Option<PathBuf>> = Mutex::new(None);
static FIRST: Mutex<Option<Sender<i32>>> = Mutex::new(None);

/// Whether the user wants out.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Ends a stage early when the user wants out.
pub(crate) fn check() -> Result<(), Failure> {
    if requested() {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

/// Names the folder to remove should the main thread be stuck.
pub(crate) fn set_run_dir(path: Option<PathBuf>) {
    if let Ok(mut held) = RUN_DIR.lock() {
        *held = path;
    }
}

/// Has the next SIGINT or SIGQUIT sent there, and nothing ended for it; that
/// after it is the lab's again. With `None`, the next already is.
pub(crate) fn give_first_to(receiver: Option<Sender<i32>>) {
    if let Ok(mut held) = FIRST.lock() {
        *held = receiver;
    }
}

/// Whether somebody else has taken this signal.
fn given_away(signal: i32) -> bool {
    let first = match FIRST.lock() {
        Ok(mut held) if [SIGINT, SIGQUIT].contains(&signal) => held.take(),
        _ => None,
    };
    first.is_some_and(|receiver| receiver.send(signal).is_ok())
}

/// Starts to listen for signals. Called once, before anything is started.
pub(crate) fn install() -> Result<(), Failure> {
    let refused = |source: std::io::Error| Failure::Io {
        action: "listen for",
        path: "signals".into(),
        source,
    };
    set_child_subreaper(Some(Pid::INIT)).map_err(|errno| refused(errno.into()))?;
    let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP]).map_err(refused)?;
    thread::spawn(move || {
        if signals.forever().any(|signal| !given_away(signal)) {
            REQUESTED.store(true, Ordering::Relaxed);
            end_everything();
        }
    });
    Ok(())
}

fn end_everything() {
    end_descendants(Signal::TERM);
    thread::sleep(GRACE);
    end_descendants(Signal::KILL);
    thread::sleep(GRACE);
    // The main thread waits for something that is no process: a lock held by
    // another one's build, most likely.
    if let Ok(held) = RUN_DIR.lock()
        && let Some(folder) = held.as_ref()
    {
        let _ = std::fs::remove_dir_all(folder);
    }
    terminal::restore();
    std::process::exit(Exit::Interrupted.code().into());
}

fn end_descendants(signal: Signal) {
    for process in descendants() {
        // Gone meanwhile is as good.
        let _ = kill_process(process, signal);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The thread that reads a guest's console.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::splat::{Splat, Watch};
use crate::failure::{Failure, io_failure};

/// Lines kept for the message of a boot that failed.
const TAIL_LINES: usize = 25;

/// The longest line taken as one; a longer one is cut.
const LONGEST_LINE: u64 = 64 * 1024;

/// The console of all guests of one run, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    file: File,
    watch: Watch,
    tail: VecDeque<String>,
    last_said: Instant,
}

impl Console {
    /// Begins the file.
    pub(crate) fn create(path: &Path) -> Result<Console, Failure> {
        let file = File::create(path).map_err(io_failure("create", path))?;
        let state = State {
            file,
            watch: Watch::default(),
            tail: VecDeque::new(),
            last_said: Instant::now(),
        };
        Ok(Console {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        })
    }

    /// Reads a new guest's console to its end, on a thread of its own.
    pub(crate) fn follow(&self, output: impl Read + Send + 'static) {
        self.restart();
        let console = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            loop {
                line.clear();
                let mut limited = (&mut reader).take(LONGEST_LINE);
                match limited.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => console.take(&String::from_utf8_lossy(&line)),
                }
            }
        });
    }

    /// What comes from now on is of a guest that has just been started.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.watch.restart();
        state.tail.clear();
        state.last_said = Instant::now();
    }

    fn take(&self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        let mut state = self.state();
        // A disk that is full must not end the run: the report says enough.
        let _ = writeln!(state.file, "{line}");
        state.watch.line(line);
        state.last_said = Instant::now();
        if state.tail.len() == TAIL_LINES {
            state.tail.pop_front();
        }
        state.tail.push_back(line.to_owned());
        self.shared.changed.notify_all();
    }

    /// Waits until the console has the marker of the test's end, at most so
    /// long: the console lags behind the report.
    pub(crate) fn wait_for_end(&self, test: &str, limit: Duration) -> bool {
        self.wait(limit, |watch| {
            watch.ended() == Some(test) && watch.running().is_none()
        })
    }

    /// Waits until nothing new has come for `quiet`, at most `limit`.
    pub(crate) fn wait_for_quiet(&self, quiet: Duration, limit: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let silent = self.last_said().max(begun).elapsed();
            if silent >= quiet {
                return;
            }
            thread::sleep(quiet - silent);
        }
    }

    fn wait(&self, limit: Duration, mut until: impl FnMut(&Watch) -> bool) -> bool {
        let state = self.state();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| !until(&state.watch));
        match waited {
            Ok((_, timeout)) => !timeout.timed_out(),
            Err(_) => false,
        }
    }

    /// The complaints that came during a test, or outside of all.
    pub(crate) fn splats_of(&self, test: Option<&str>) -> Vec<Splat> {
        let state = self.state();
        let splats = state.watch.splats().iter();
        splats
            .filter(|splat| splat.test.as_deref() == test)
            .cloned()
            .collect()
    }

    /// Whether the present guest's kernel has panicked.
    pub(crate) fn panicked(&self) -> bool {
        self.state().watch.panicked()
    }

    /// When the present guest last said something, or was started.
    pub(crate) fn last_said(&self) -> Instant {
        self.state().last_said
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let state = self.state();
        match state.tail.is_empty() {
            true => "(nothing came)".to_owned(),
            false => Vec::from_iter(state.tail.iter().map(String::as_str)).join("\n"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A reader that panicked has left lines behind, not broken ones.
        self.shared
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn the_console_is_kept_and_its_complaints_found() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::create(&folder.path().join("console.log")).unwrap();
        console.follow(&b"irqstorm: test a begin\r\nBUG: x\r\nirqstorm: test a end\r\n"[..]);
        assert!(console.wait_for_end("a", SOON));
        assert_eq!(console.splats_of(Some("a")).len(), 1);
        assert!(console.splats_of(None).is_empty());
        let text = std::fs::read_to_string(folder.path().join("console.log")).unwrap();
        assert_eq!(
            text,
            "irqstorm: test a begin\nBUG: x\nirqstorm: test a end\n"
        );
        assert_eq!(console.tail().lines().count(), 3);
    }

    #[test]
    fn a_test_that_begins_again_has_not_ended() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::create(&folder.path().join("console.log")).unwrap();
        console.take("irqstorm: test a begin");
        console.take("irqstorm: test a end");
        console.take("irqstorm: test a begin");
        assert!(!console.wait_for_end("a", Duration::ZERO));
    }
}

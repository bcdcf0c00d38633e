// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Takes the trace of one test after the other.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_agent::protocol::{LostRecords, ToAgent, ToLab};
use irqstorm_core::event::Event;
use irqstorm_core::units::Nanos;
use serde_json::json;

use super::clock::GuestClock;
use super::join::{self, Joined};
use super::text::Text;
use super::{guest, page, perfetto};
use crate::failure::{Failure, io_failure};
use crate::guest::{Guest, Received};
use crate::results::{ClockRecord, TRACES, TraceRecord};

/// An agent that is alive answers within this.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The device has written its events down within this.
const EVENTS_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks whether it has.
const POLL: Duration = Duration::from_millis(50);

/// A record takes at most so many bytes of text for one of the guest's memory.
const MOST_TEXT: u64 = 16;

/// The kernel gives no ring less.
const LEAST_KIB: u32 = 64;

/// Takes traces.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    /// The results folder.
    results: PathBuf,
    /// Where the device writes its events.
    events: PathBuf,
    /// The guest's memory for a trace, all CPUs together, in KiB.
    memory_kib: u32,
}

/// A trace under way.
#[derive(Debug)]
pub(crate) struct Tracing {
    test: String,
    /// Where the test's events begin in the device's file.
    events_from: u64,
    missing: Vec<String>,
    /// Why the guest takes none.
    failed: Option<String>,
}

/// What the guest sent.
#[derive(Debug, Default)]
struct Sent {
    text: Text,
    lost: Vec<LostRecords>,
    failed: Option<String>,
}

impl Tracer {
    /// One that leaves its files in the results folder, and takes so much of the
    /// guest's memory.
    pub(crate) fn new(results: &Path, events: &Path, memory_mib: u32) -> Tracer {
        Tracer {
            results: results.to_owned(),
            events: events.to_owned(),
            memory_kib: memory_mib.saturating_mul(1024),
        }
    }

    /// Turns the trace on.
    pub(crate) fn begin(&self, guest: &mut Guest, test: &str) -> Result<Tracing, Failure> {
        let cpus = guest.hello().cpus.max(1);
        let mut tracing = Tracing {
            test: test.to_owned(),
            events_from: fs::metadata(&self.events).map_or(0, |events| events.len()),
            missing: Vec::new(),
            failed: None,
        };
        let order = ToAgent::Trace {
            kib_per_cpu: (self.memory_kib / cpus).max(LEAST_KIB),
        };
        let deadline = Instant::now() + ANSWER_LIMIT;
        let answer = ask(guest, &order, deadline, &mut |said| match said {
            ToLab::Tracing(state) => Some(state),
            _ => None,
        })?;
        match answer {
            Ok(state) => {
                tracing.missing = state.missing;
                tracing.failed = state.failed;
            }
            Err(reason) => tracing.failed = Some(reason),
        }
        Ok(tracing)
    }

    /// Turns it off, and joins it with what the device did until `until`, on the
    /// device's clock, and somewhat longer. The guest may be gone.
    pub(crate) fn end(
        &self,
        guest: Option<&mut Guest>,
        tracing: Tracing,
        until: Nanos,
        kernel: &str,
    ) -> Result<TraceRecord, Failure> {
        let folder = self.results.join(TRACES).join(&tracing.test);
        fs::create_dir_all(&folder).map_err(io_failure("create folder", &folder))?;
        let mut sent = match (guest, &tracing.failed) {
            (Some(guest), None) => self.fetch(guest, &folder.join("guest.txt"))?,
            (None, None) => Sent {
                failed: Some("the guest was lost, and its trace with it".into()),
                ..Sent::default()
            },
            (_, Some(_)) => Sent::default(),
        };
        let lossy: Vec<u32> = sent.lost.iter().map(|lost| lost.cpu).collect();
        let taken = sent.text.records.len();
        guest::cut(&mut sent.text.records, &lossy);
        let events = self.device_events(tracing.events_from, until)?;
        let joined = join::join(guest::follow(&sent.text.records), &events);
        let lost = sent.lost.iter().map(|lost| lost.records).sum::<u64>();
        let beyond = taken.saturating_sub(sent.text.records.len());
        let record = TraceRecord {
            folder: format!("{TRACES}/{}", tracing.test),
            records: count(sent.text.records.len()),
            lost: lost.saturating_add(count(beyond)),
            unreadable: sent.text.unreadable,
            missing: tracing.missing,
            requests: count(joined.timeline.requests.len()),
            clock: joined.clock.as_ref().map(clock_record),
            reason: tracing
                .failed
                .or(sent.failed)
                .or_else(|| why_apart(&joined)),
        };
        write(&folder, &joined, &record, &tracing.test, kernel)?;
        Ok(record)
    }

    /// Has the agent send its trace, which is kept as it is, too.
    fn fetch(&self, guest: &mut Guest, path: &Path) -> Result<Sent, Failure> {
        let mut sent = Sent::default();
        let file = File::create(path).map_err(io_failure("create", path))?;
        let mut file = BufWriter::new(file);
        let mut room = u64::from(self.memory_kib) * 1024 * MOST_TEXT;
        let mut written = Ok(());
        let deadline = Instant::now() + ANSWER_LIMIT;
        let answer = ask(
            guest,
            &ToAgent::TraceEnd,
            deadline,
            &mut |said| match said {
                ToLab::TracePart { text } => {
                    let fits = room.checked_sub(count(text.len()));
                    if let (Some(left), Ok(())) = (fits, &written) {
                        room = left;
                        sent.text.take(&text);
                        written = file.write_all(text.as_bytes());
                    } else {
                        // A guest that sends more than it can have is not heard.
                        room = 0;
                    }
                    None
                }
                ToLab::Traced { lost, failed } => Some((lost, failed)),
                _ => None,
            },
        )?;
        match answer {
            Ok((lost, failed)) => {
                sent.lost = lost;
                sent.failed = failed;
            }
            Err(reason) => sent.failed = Some(reason),
        }
        written
            .and_then(|()| file.flush())
            .map_err(io_failure("write", path))?;
        Ok(sent)
    }

    /// The device's events from a place in its file on, until one is later than
    /// `until`: it writes them with a little delay.
    fn device_events(&self, from: u64, until: Nanos) -> Result<Vec<Event>, Failure> {
        let failed = || io_failure("read", &self.events);
        let deadline = Instant::now() + EVENTS_LIMIT;
        let mut file = BufReader::new(File::open(&self.events).map_err(failed())?);
        file.seek(SeekFrom::Start(from)).map_err(failed())?;
        let mut events = Vec::new();
        loop {
            read_lines(&mut file, &mut events).map_err(failed())?;
            let late = |event: &Event| event.at > until;
            if events.last().is_some_and(late) || Instant::now() >= deadline {
                return Ok(events);
            }
            thread::sleep(POLL);
        }
    }
}

/// Reads the whole lines that are there. The first may be the rest of one, and
/// is then no event.
fn read_lines(file: &mut BufReader<File>, events: &mut Vec<Event>) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        let length = file.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            // Not all of it has been written yet.
            return file.seek_relative(-i64::try_from(length).unwrap_or(0));
        }
        events.extend(serde_json::from_slice::<Event>(&line).ok());
    }
}

/// Tells the agent something and waits until `heard` makes an answer of what it
/// says; if none comes, why.
fn ask<T>(
    guest: &mut Guest,
    order: &ToAgent,
    deadline: Instant,
    heard: &mut dyn FnMut(ToLab) -> Option<T>,
) -> Result<Result<T, String>, Failure> {
    if let Err(reason) = guest.tell(order) {
        return Ok(Err(reason));
    }
    loop {
        match guest.receive(deadline)? {
            Received::Said(said) => {
                if let Some(answer) = heard(*said) {
                    return Ok(Ok(answer));
                }
            }
            Received::Ended(reason) => return Ok(Err(reason)),
            Received::TimedOut => return Ok(Err("the agent does not answer".into())),
        }
    }
}

/// Why the two sides are not on one clock.
fn why_apart(joined: &Joined) -> Option<String> {
    match joined.clock {
        Some(_) => None,
        None => Some("no request was seen from both sides: their clocks cannot be joined".into()),
    }
}

fn clock_record(clock: &GuestClock) -> ClockRecord {
    let ppm = |drift: f64| (drift * 1e9).round() / 1e3;
    ClockRecord {
        requests: count(clock.exchanges),
        ahead_ns: clock.ahead.round(),
        drift_ppm: ppm(clock.drift),
        drift_error_ppm: ppm(clock.drift_error),
        error_ns: clock.error.ceil(),
        contradiction_ns: clock.contradiction.ceil(),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn write(
    folder: &Path,
    joined: &Joined,
    record: &TraceRecord,
    test: &str,
    kernel: &str,
) -> Result<(), Failure> {
    let title = format!("{test} on {kernel}");
    let about = about(joined, record);
    let path = folder.join("trace.json");
    let facts = json!({ "title": title, "about": about, "irqstorm": env!("CARGO_PKG_VERSION") });
    File::create(&path)
        .and_then(|file| {
            let mut file = BufWriter::new(file);
            perfetto::write(&joined.timeline, &facts, &mut file)?;
            file.flush()
        })
        .map_err(io_failure("write", &path))?;
    let path = folder.join("timeline.html");
    page::html(&joined.timeline, &title, &about)
        .map_err(io::Error::other)
        .and_then(|page| fs::write(&path, page))
        .map_err(io_failure("write", &path))
}

/// What a reader of the timeline has to know.
fn about(joined: &Joined, record: &TraceRecord) -> Vec<String> {
    let mut lines = vec![record.summary()];
    let slices = joined.timeline.slices.len();
    if slices > page::MOST_SLICES {
        lines.push(format!(
            "this page draws the first {} of {slices} slices; trace.json has all of them",
            page::MOST_SLICES
        ));
    }
    if !record.missing.is_empty() {
        let missing = record.missing.join(", ");
        lines.push(format!(
            "not traced, since the kernel does not have it: {missing}"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn tracer(folder: &Path) -> Tracer {
        Tracer::new(folder, &folder.join("events.ndjson"), 4)
    }

    fn lines() -> String {
        let lines = samples::events().into_iter();
        lines
            .map(|event| serde_json::to_string(&event).unwrap() + "\n")
            .collect()
    }

    #[test]
    fn events_are_read_from_the_middle_of_a_line_to_the_last_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let tracer = tracer(folder.path());
        let text = format!("{{\"at\":1,\"event\":\"held\"}}\n{}{{\"at\":", lines());
        fs::write(&tracer.events, text).unwrap();
        let events = tracer.device_events(5, Nanos(0)).unwrap();
        assert_eq!(events, samples::events());
    }

    #[test]
    fn events_that_are_still_to_be_written_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let tracer = tracer(folder.path());
        let lines = lines();
        let (first, rest) = lines.split_at(700);
        fs::write(&tracer.events, first).unwrap();
        let (path, rest) = (tracer.events.clone(), rest.to_owned());
        let writer = thread::spawn(move || {
            thread::sleep(3 * POLL);
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(rest.as_bytes()).unwrap();
        });
        let events = tracer.device_events(0, Nanos(1_243_999)).unwrap();
        writer.join().unwrap();
        assert_eq!(events, samples::events());
    }

    #[test]
    fn without_a_guest_the_devices_side_is_left_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let tracer = tracer(folder.path());
        fs::write(&tracer.events, lines()).unwrap();
        let tracing = Tracing {
            test: "x".into(),
            events_from: 0,
            missing: vec!["irq/irq_handler_entry".into()],
            failed: None,
        };
        let record = tracer.end(None, tracing, Nanos(0), "7.2").unwrap();
        assert!(
            record.reason.as_ref().unwrap().contains("lost"),
            "{record:?}"
        );
        let page = fs::read_to_string(folder.path().join("trace/x/timeline.html")).unwrap();
        assert!(page.contains("<h1>x on 7.2</h1>") && page.contains("irq_handler_entry"));
        assert!(folder.path().join("trace/x/trace.json").is_file());
    }
}

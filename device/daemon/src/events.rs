// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The event stream's way to a file: a bounded channel from the pump's thread,
//! a thread that writes. The data path never waits for it; what does not fit,
//! or cannot be written, is counted, and said in the stream itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use irqstorm_core::event::{Event, EventSink, What};
use irqstorm_core::units::Nanos;
use rustix::fs::OFlags;

/// Events on their way, at about 100 bytes each.
const CAPACITY: usize = 1 << 16;

/// The writer's rest after a batch: to be woken for each event would cost the
/// pump a system call each.
const PERIOD: Duration = Duration::from_millis(5);

/// Bytes that are written at once at the latest.
const BATCH: usize = 1 << 18;

/// How long the device's end waits for a pipe's reader to take the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// How every line begins, and thereby every file that may be replaced.
const BEGINNING: &[u8] = b"{\"at\":";

/// A file that cannot take events.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// The operating system's refusal.
    #[error("write events to {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else is in it.
    #[error(
        "write events to {0}: what is in it are no events, so it is left alone; choose another file"
    )]
    Precious(PathBuf),
    /// A disk.
    #[error("write events to {0}: it is a block device; choose a file")]
    BlockDevice(PathBuf),
}

/// The pump's end.
pub(crate) struct FileSink {
    events: SyncSender<Event>,
    lost: Arc<AtomicU64>,
    /// Lost since the stream was last told.
    untold: u64,
}

/// The writer's thread.
pub(crate) struct WriterThread {
    path: PathBuf,
    ended: Receiver<()>,
}

/// Opens a file for events and starts its writer, which ends with the sink.
/// A file of earlier events is replaced, one of anything else refused. A pipe
/// or a terminal is written to as it is.
pub(crate) fn to_file(path: &Path) -> Result<(FileSink, WriterThread), EventsError> {
    let file = open(path)?;
    let (sender, receiver) = mpsc::sync_channel(CAPACITY);
    let (end, ended) = mpsc::channel();
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        path: path.to_owned(),
        file,
        batch: Batch::default(),
        lost: Arc::clone(&lost),
        broken: false,
    };
    let body = move || {
        writer.run(&receiver);
        drop(end);
    };
    thread::Builder::new()
        .name("events".to_owned())
        .spawn(body)
        .map_err(|source| EventsError::Io {
            path: path.to_owned(),
            source,
        })?;
    let sink = FileSink {
        events: sender,
        lost,
        untold: 0,
    };
    let path = path.to_owned();
    Ok((sink, WriterThread { path, ended }))
}

fn open(path: &Path) -> Result<File, EventsError> {
    let failed = |source| EventsError::Io {
        path: path.to_owned(),
        source,
    };
    // Not to wait for the reader of a pipe that has none.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_block_device() {
        return Err(EventsError::BlockDevice(path.to_owned()));
    }
    if kind.is_file() {
        if !is_replaceable(path).map_err(failed)? {
            return Err(EventsError::Precious(path.to_owned()));
        }
        file.set_len(0).map_err(failed)?;
    }
    let flags = rustix::fs::fcntl_getfl(&file).map_err(|e| failed(e.into()))?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
    Ok(file)
}

/// Whether a file is empty or holds events.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?
        .take(BEGINNING.len() as u64)
        .read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == BEGINNING)
}

impl EventSink for FileSink {
    fn record(&mut self, event: Event) {
        if self.untold > 0 {
            let what = What::Dropped {
                events: self.untold,
            };
            if self.events.try_send(Event { at: event.at, what }).is_ok() {
                self.untold = 0;
            }
        }
        if self.events.try_send(event).is_err() {
            self.untold += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn dropped(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Takes nothing: for a device without `--events`.
pub(crate) struct NoSink;

impl EventSink for NoSink {
    fn record(&mut self, _: Event) {}

    fn listens(&self) -> bool {
        false
    }
}

impl WriterThread {
    /// Waits until everything is written; not for ever, should a pipe's reader
    /// have stopped reading.
    pub(crate) fn finish(self) {
        if self.ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(
                "{} takes no more events: some are lost",
                self.path.display()
            );
        }
    }
}

/// Lines on their way to the file.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// How many of the bytes tell of events lost before.
    notice: usize,
    /// The events in the others.
    events: u64,
    /// Those told of in the notice.
    told: u64,
    /// Whether the file ends within a line.
    torn: bool,
    /// The last event's time.
    at: Nanos,
}

impl Batch {
    fn push(&mut self, event: &Event) {
        self.at = event.at;
        self.events += 1;
        // Into memory, and of a type that has a JSON form: never fails.
        let _ = serde_json::to_writer(&mut self.bytes, event);
        self.bytes.push(b'\n');
    }

    /// After all of it is written.
    fn clear(&mut self) {
        *self = Batch {
            bytes: std::mem::take(&mut self.bytes),
            at: self.at,
            ..Batch::default()
        };
        self.bytes.clear();
    }

    /// After only `written` bytes could be: what is left is lost, and the next
    /// batch begins by saying so. Returns how many events that are.
    fn give_up(&mut self, written: usize) -> u64 {
        let told = if written < self.notice { self.told } else { 0 };
        let of_events = self.bytes.get(self.notice..written).unwrap_or_default();
        let kept = of_events.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let lost = self.events.saturating_sub(kept);
        let torn = match written.checked_sub(1) {
            Some(last) => self.bytes.get(last) != Some(&b'\n'),
            None => self.torn,
        };
        self.clear();
        self.torn = torn;
        if torn {
            self.bytes.push(b'\n');
        }
        let events = told + lost;
        let at = self.at;
        self.push(&Event {
            at,
            what: What::Dropped { events },
        });
        self.events = 0;
        self.told = events;
        self.notice = self.bytes.len();
        lost
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    batch: Batch,
    lost: Arc<AtomicU64>,
    broken: bool,
}

impl Writer {
    fn run(mut self, events: &Receiver<Event>) {
        while let Ok(event) = events.recv() {
            self.take(&event);
            while let Ok(event) = events.try_recv() {
                self.take(&event);
            }
            self.write();
            thread::sleep(PERIOD);
        }
    }

    fn take(&mut self, event: &Event) {
        self.batch.push(event);
        if self.batch.bytes.len() >= BATCH {
            self.write();
        }
    }

    fn write(&mut self) {
        let (written, result) = write_all(&mut self.file, &self.batch.bytes);
        let Err(error) = result else {
            return self.batch.clear();
        };
        let lost = self.batch.give_up(written);
        self.lost.fetch_add(lost, Ordering::Relaxed);
        // Once: a full disk stays full.
        if !std::mem::replace(&mut self.broken, true) {
            tracing::error!(
                "failed to write events to {}: {error}; the device goes on, and 'irqstorm ctl \
                 status' counts what is lost",
                self.path.display()
            );
        }
    }
}

/// Writes as much as goes, and says how much that was.
fn write_all(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (written, Err(e)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64) -> Event {
        Event {
            at: Nanos(at),
            what: What::Disconnected { abandoned: 0 },
        }
    }

    /// What a disk has that fills up after `room` bytes and is then freed.
    fn written_with(room: usize) -> (Vec<Event>, u64) {
        let (mut file, mut batch) = (Vec::new(), Batch::default());
        (1..=3).for_each(|at| batch.push(&event(at)));
        file.extend_from_slice(&batch.bytes[..room]);
        let mut lost = batch.give_up(room);
        batch.push(&event(4));
        lost += batch.give_up(0);
        batch.push(&event(5));
        file.extend_from_slice(&batch.bytes);
        batch.clear();
        assert!(batch.bytes.is_empty());
        let text = String::from_utf8(file).unwrap();
        let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        (lines.collect(), lost)
    }

    #[test]
    fn what_a_full_disk_cost_is_told_once_it_is_free() {
        let dropped = |events| Event {
            at: Nanos(4),
            what: What::Dropped { events },
        };
        let line = serde_json::to_string(&event(1)).unwrap().len() + 1;
        assert_eq!(written_with(0), (vec![dropped(4), event(5)], 4));
        let torn = (vec![event(1), dropped(3), event(5)], 3);
        assert_eq!(written_with(line + 5), torn);
        let whole = (vec![event(1), event(2), dropped(2), event(5)], 2);
        assert_eq!(written_with(2 * line), whole);
    }

    #[test]
    fn events_replace_events_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for _ in 0..2 {
            let (mut sink, writer) = to_file(&path).unwrap();
            sink.record(event(7));
            drop(sink);
            writer.finish();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event(7));
        }
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(to_file(&path), Err(EventsError::Precious(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}

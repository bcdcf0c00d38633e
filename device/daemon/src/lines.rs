// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The way of the pump's lines, one JSON object each, to a file: a bounded
//! channel from the pump's thread, a thread that writes. The data path never
//! waits for it; what does not fit, or cannot be written, is counted, and said
//! in the file itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use serde::Serialize;

/// Lines on their way, at about 100 bytes each.
const CAPACITY: usize = 1 << 16;

/// The writer's rest after a batch: to be woken for each line would cost the
/// pump a system call each.
const PERIOD: Duration = Duration::from_millis(5);

/// Bytes that are written at once at the latest.
const BATCH: usize = 1 << 18;

/// How long the device's end waits for a pipe's reader to take the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a file can be made of.
pub(crate) trait Line: Serialize + Send + 'static {
    /// What many of them are called.
    const NAME: &'static str;

    /// How a file of them begins, and thereby every file that may be replaced.
    const BEGINNING: &'static str;

    /// What is known of where a line belongs.
    type Place: Copy + Default + Send;

    /// Where this one does.
    fn place(&self) -> Self::Place;

    /// The line that tells of `count` lost ones.
    fn lost(count: u64, place: Self::Place) -> Self;
}

/// A file that cannot take lines.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinesError {
    /// The operating system's refusal.
    #[error("write {what} to {path}: {source}")]
    Io {
        /// What was to be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else is in it.
    #[error(
        "write {what} to {path}: what is in it are no {what}, so it is left alone; choose another file"
    )]
    Precious {
        /// What was to be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A disk.
    #[error("write {what} to {path}: it is a block device; choose a file")]
    BlockDevice {
        /// What was to be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Another writer's.
    #[error("write {what} to {path}: it is in use by this device or another; choose another file")]
    InUse {
        /// What was to be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// The pump's end.
pub(crate) struct LineSink<T> {
    lines: SyncSender<T>,
    lost: Arc<AtomicU64>,
    /// Lost since the file was last told.
    untold: u64,
}

/// The writer's thread.
pub(crate) struct WriterThread {
    what: &'static str,
    path: PathBuf,
    ended: Receiver<()>,
}

/// Opens a file for lines and starts its writer, which ends with the sink. A
/// file of earlier lines is replaced, one of anything else refused. A pipe or a
/// terminal is written to as it is. `ready` is called on the writer's thread.
pub(crate) fn to_file<T: Line>(
    path: &Path,
    ready: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(LineSink<T>, WriterThread), LinesError> {
    let file = open::<T>(path)?;
    let (sender, receiver) = mpsc::sync_channel(CAPACITY);
    let (end, ended) = mpsc::channel();
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        path: path.to_owned(),
        file,
        batch: Batch::<T>::default(),
        lost: Arc::clone(&lost),
        broken: false,
    };
    let body = move || {
        match ready() {
            Ok(()) => writer.run(&receiver),
            Err(e) => tracing::error!("failed to write {}: {e}", T::NAME),
        }
        drop(end);
    };
    thread::Builder::new()
        .name(T::NAME.to_owned())
        .spawn(body)
        .map_err(|source| LinesError::Io {
            what: T::NAME,
            path: path.to_owned(),
            source,
        })?;
    let sink = LineSink {
        lines: sender,
        lost,
        untold: 0,
    };
    let thread = WriterThread {
        what: T::NAME,
        path: path.to_owned(),
        ended,
    };
    Ok((sink, thread))
}

fn open<T: Line>(path: &Path) -> Result<File, LinesError> {
    let what = T::NAME;
    let failed = |source| LinesError::Io {
        what,
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
    let path = path.to_owned();
    if kind.is_block_device() {
        return Err(LinesError::BlockDevice { what, path });
    }
    if kind.is_file() {
        // Two writers would tear each other's lines; a reader of a recording
        // would see it cut off.
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(LinesError::InUse { what, path }),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
            Ok(()) => {}
        }
        if !is_replaceable(&path, T::BEGINNING).map_err(failed)? {
            return Err(LinesError::Precious { what, path });
        }
        file.set_len(0).map_err(failed)?;
    }
    let flags = rustix::fs::fcntl_getfl(&file).map_err(|e| failed(e.into()))?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
    Ok(file)
}

/// Whether a file is empty or begins as it would if it were written here.
fn is_replaceable(path: &Path, expected: &str) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?
        .take(expected.len() as u64)
        .read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == expected.as_bytes())
}

impl<T: Line> LineSink<T> {
    /// Takes a line; never waits.
    pub(crate) fn send(&mut self, line: T) {
        if self.untold > 0 {
            let notice = T::lost(self.untold, line.place());
            if self.lines.try_send(notice).is_ok() {
                self.untold = 0;
            }
        }
        if self.lines.try_send(line).is_err() {
            self.untold += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that are not, or will not be, in the file.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl WriterThread {
    /// Waits until everything is written; not for ever, should a pipe's reader
    /// have stopped reading.
    pub(crate) fn finish(self) {
        if self.ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(
                "{} takes no more {}: some are lost",
                self.path.display(),
                self.what
            );
        }
    }
}

/// Lines on their way to the file.
struct Batch<T: Line> {
    bytes: Vec<u8>,
    /// How many of the bytes tell of lines lost before.
    notice: usize,
    /// The lines in the others.
    lines: u64,
    /// Those told of in the notice.
    told: u64,
    /// Whether the file ends within a line.
    torn: bool,
    /// The last line's.
    place: T::Place,
}

impl<T: Line> Default for Batch<T> {
    fn default() -> Batch<T> {
        Batch {
            bytes: Vec::new(),
            notice: 0,
            lines: 0,
            told: 0,
            torn: false,
            place: T::Place::default(),
        }
    }
}

impl<T: Line> Batch<T> {
    fn push(&mut self, line: &T) {
        self.place = line.place();
        self.lines += 1;
        // Into memory, and of a type that has a JSON form: never fails.
        let _ = serde_json::to_writer(&mut self.bytes, line);
        self.bytes.push(b'\n');
    }

    /// After all of it is written.
    fn clear(&mut self) {
        *self = Batch {
            bytes: std::mem::take(&mut self.bytes),
            place: self.place,
            ..Batch::default()
        };
        self.bytes.clear();
    }

    /// After only `written` bytes could be: what is left is lost, and the next
    /// batch begins by saying so. Returns how many lines that are.
    fn give_up(&mut self, written: usize) -> u64 {
        let told = if written < self.notice { self.told } else { 0 };
        let of_lines = self.bytes.get(self.notice..written).unwrap_or_default();
        let kept = of_lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let lost = self.lines.saturating_sub(kept);
        let torn = match written.checked_sub(1) {
            Some(last) => self.bytes.get(last) != Some(&b'\n'),
            None => self.torn,
        };
        self.clear();
        self.torn = torn;
        if torn {
            self.bytes.push(b'\n');
        }
        let told = told + lost;
        self.push(&T::lost(told, self.place));
        self.lines = 0;
        self.told = told;
        self.notice = self.bytes.len();
        lost
    }
}

struct Writer<T: Line> {
    path: PathBuf,
    file: File,
    batch: Batch<T>,
    lost: Arc<AtomicU64>,
    broken: bool,
}

impl<T: Line> Writer<T> {
    fn run(mut self, lines: &Receiver<T>) {
        while let Ok(line) = lines.recv() {
            self.take(&line);
            while let Ok(line) = lines.try_recv() {
                self.take(&line);
            }
            self.write();
            thread::sleep(PERIOD);
        }
    }

    fn take(&mut self, line: &T) {
        self.batch.push(line);
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
                "failed to write {} to {}: {error}; the device goes on, and 'irqstorm ctl \
                 status' counts what is lost",
                T::NAME,
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
    use irqstorm_core::event::{Event, What};
    use irqstorm_core::units::Nanos;

    fn event(at: u64) -> Event {
        Event {
            at: Nanos(at),
            what: What::Disconnected { abandoned: 0 },
        }
    }

    /// What a disk has that fills up after `room` bytes and is then freed.
    fn written_with(room: usize) -> (Vec<Event>, u64) {
        let (mut file, mut batch) = (Vec::new(), Batch::<Event>::default());
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
            let (mut sink, writer) = to_file(&path, || Ok(())).unwrap();
            sink.send(event(7));
            drop(sink);
            writer.finish();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event(7));
        }
        std::fs::write(&path, "precious").unwrap();
        let refused = to_file::<Event>(&path, || Ok(()));
        assert!(matches!(refused, Err(LinesError::Precious { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_file_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let (sink, writer) = to_file::<Event>(&path, || Ok(())).unwrap();
        let refused = to_file::<Event>(&path, || Ok(()));
        assert!(matches!(refused, Err(LinesError::InUse { .. })));
        drop(sink);
        writer.finish();
        to_file::<Event>(&path, || Ok(())).unwrap();
    }
}

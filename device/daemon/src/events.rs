// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The event stream's way to a file: a bounded channel from the pump's thread,
//! a thread that writes. The data path never waits for it; what does not fit
//! is counted, and said in the stream itself.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use irqstorm_core::event::{Event, EventSink, What};

/// Events on their way, at about 100 bytes each.
const CAPACITY: usize = 1 << 16;

/// How often the writer looks: to be woken for each event would cost the pump
/// a system call each.
const PERIOD: Duration = Duration::from_millis(5);

/// The pump's end.
pub(crate) struct FileSink {
    events: SyncSender<Event>,
    lost: Arc<AtomicU64>,
    /// Lost since the stream was last told.
    untold: u64,
}

/// Opens a file for events and starts its writer, which ends with the sink.
/// An earlier file of events is replaced; what is no regular file (a pipe, a
/// terminal) is written to as it is, a folder or disk is refused.
pub(crate) fn to_file(path: &Path) -> io::Result<(FileSink, JoinHandle<()>)> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    if file.metadata()?.file_type().is_block_device() {
        return Err(io::Error::other("it is a block device"));
    }
    let (sender, receiver) = mpsc::sync_channel(CAPACITY);
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        path: path.to_owned(),
        file: BufWriter::with_capacity(1 << 18, file),
        lost: Arc::clone(&lost),
        broken: false,
    };
    let handle = thread::Builder::new()
        .name("events".to_owned())
        .spawn(move || writer.run(&receiver))?;
    let sink = FileSink {
        events: sender,
        lost,
        untold: 0,
    };
    Ok((sink, handle))
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
}

struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    lost: Arc<AtomicU64>,
    broken: bool,
}

impl Writer {
    fn run(mut self, events: &Receiver<Event>) {
        loop {
            match events.try_recv() {
                Ok(event) => self.write(&event),
                Err(TryRecvError::Empty) => {
                    self.flush();
                    thread::sleep(PERIOD);
                }
                Err(TryRecvError::Disconnected) => return self.flush(),
            }
        }
    }

    fn write(&mut self, event: &Event) {
        let written = serde_json::to_writer(&mut self.file, event)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"));
        self.judge(written);
    }

    fn flush(&mut self) {
        let flushed = self.file.flush();
        self.judge(flushed);
    }

    /// Counts a failure, and says so once: a full disk stays full.
    fn judge(&mut self, result: io::Result<()>) {
        let Err(error) = result else {
            return;
        };
        self.lost.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.broken, true) {
            tracing::error!(
                "failed to write events to {}: {error}; the device goes on, and 'irqstorm ctl \
                 status' counts what is lost",
                self.path.display()
            );
        }
    }
}

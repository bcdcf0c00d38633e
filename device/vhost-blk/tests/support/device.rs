// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A server with the simplest of loops behind it: every request is executed
//! and completed at once, unless the test holds completions.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use irqstorm_core::inbox::{Inbox, Message};
use irqstorm_core::queue::{ConfigLine, RequestQueue, Taken};
use irqstorm_core::request::{Outcome, QueueId};
use irqstorm_core::store::ram::RamStore;
use irqstorm_core::store::{Geometry, Store};
use irqstorm_front_end::{CacheMode, FrontEnd, StopHandle, WriteCache};
use irqstorm_vhost_blk::{Options, Server, VirtioQueue};
use rustix::event::{EventfdFlags, PollFd, PollFlags};

type Token = <VirtioQueue as RequestQueue>::Token;

/// A disk of a size that is a multiple of nothing nice.
pub(crate) fn options() -> Options {
    Options::new(Geometry {
        sectors: 2049,
        block_size: 512,
        read_only: false,
    })
}

/// Seconds after which a test has failed: no test passes by this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the loop has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Queues attached.
    pub(crate) attached: u64,
    /// Requests taken from their queue.
    pub(crate) taken: u64,
    /// Requests completed because their queue was stopped.
    pub(crate) drained: u64,
    /// Requests given up because their connection was gone.
    pub(crate) abandoned: u64,
}

/// What a test can see of the loop and tell it.
#[derive(Default)]
struct Shared {
    hold: AtomicBool,
    counts: Mutex<Counts>,
    counted: Condvar,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap());
        self.counted.notify_all();
    }
}

pub(crate) struct Device {
    directory: tempfile::TempDir,
    handle: StopHandle,
    cache_mode: CacheMode,
    config_line: Box<dyn ConfigLine>,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
    run: Option<JoinHandle<()>>,
    inbox: Inbox<VirtioQueue>,
}

impl Device {
    /// One that listens.
    pub(crate) fn listening(options: Options) -> Device {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        Device::start(options, directory, move |server| {
            server.serve_listener(listener).unwrap();
        })
    }

    /// One that is given a connected socket.
    pub(crate) fn connected(options: Options, stream: UnixStream) -> Device {
        Device::start(options, tempfile::tempdir().unwrap(), move |server| {
            server.serve_stream(stream).unwrap();
        })
    }

    fn start(
        options: Options,
        directory: tempfile::TempDir,
        serve: impl FnOnce(Server) + Send + 'static,
    ) -> Device {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let waker = wake.try_clone().unwrap();
        let (inbox, messages) = Inbox::new(move || {
            rustix::io::write(&waker, &1u64.to_ne_bytes()).unwrap();
        });
        let geometry = options.geometry;
        let server = Server::new(options, inbox.clone()).unwrap();
        let cache_mode = server.cache_mode();
        let config_line = server.config_line().unwrap();
        let store = WriteCache::new(RamStore::new(geometry), cache_mode.clone());
        let handle = server.handle();
        let shared = Arc::new(Shared::default());
        let run = Loop {
            store,
            shared: Arc::clone(&shared),
            lanes: Vec::new(),
        };
        Device {
            directory,
            handle,
            cache_mode,
            config_line,
            shared,
            server: Some(std::thread::spawn(move || serve(server))),
            run: Some(std::thread::spawn(move || run.run(wake, &messages))),
            inbox,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub(crate) fn cache_mode(&self) -> &CacheMode {
        &self.cache_mode
    }

    pub(crate) fn config_line(&self) -> &dyn ConfigLine {
        &*self.config_line
    }

    /// From now on completions are kept back, or not.
    pub(crate) fn hold(&self, on: bool) {
        self.shared.hold.store(on, Ordering::SeqCst);
    }

    /// What the loop has done so far.
    pub(crate) fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap()
    }

    /// Waits until the loop has done what `enough` asks for.
    pub(crate) fn wait_until(&self, enough: impl Fn(&Counts) -> bool) {
        let counts = self.shared.counts.lock().unwrap();
        let (counts, waited) = self
            .shared
            .counted
            .wait_timeout_while(counts, PATIENCE, |counts| !enough(counts))
            .unwrap();
        assert!(
            !waited.timed_out(),
            "the loop came no further than {counts:?}"
        );
    }

    /// Stops the server and waits until it has ended.
    pub(crate) fn stop(&mut self) {
        self.handle.stop();
        self.wait();
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait(&mut self) {
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.handle.stop();
        let server = self.server.take().map(JoinHandle::join);
        let _ = self.inbox.send(Message::Stop);
        let run = self.run.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(server.is_none_or(|ended| ended.is_ok()), "server panicked");
            assert!(run.is_none_or(|ended| ended.is_ok()), "loop panicked");
        }
    }
}

struct Lane {
    id: QueueId,
    queue: VirtioQueue,
    kick: OwnedFd,
    held: Vec<(Token, Outcome)>,
}

struct Loop {
    store: WriteCache<RamStore>,
    shared: Arc<Shared>,
    lanes: Vec<Lane>,
}

impl Loop {
    fn run(mut self, wake: OwnedFd, messages: &Receiver<Message<VirtioQueue>>) {
        loop {
            let mut fds = vec![PollFd::new(&wake, PollFlags::IN)];
            fds.extend(
                self.lanes
                    .iter()
                    .map(|lane| PollFd::new(&lane.kick, PollFlags::IN)),
            );
            rustix::event::poll(&mut fds, None).unwrap();
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            let (woken, kicked) = ready.split_first().unwrap();
            for (lane, _) in self.lanes.iter().zip(kicked).filter(|(_, kicked)| **kicked) {
                let _ = rustix::io::read(&lane.kick, &mut [0; 8]);
            }
            if *woken {
                let _ = rustix::io::read(&wake, &mut [0; 8]);
                if !self.take_messages(messages) {
                    return;
                }
            }
            self.serve();
        }
    }

    fn take_messages(&mut self, messages: &Receiver<Message<VirtioQueue>>) -> bool {
        loop {
            match messages.try_recv() {
                Ok(Message::Attach {
                    queue,
                    requests,
                    kick,
                }) => {
                    self.shared.count(|counts| counts.attached += 1);
                    self.lanes.push(Lane {
                        id: queue,
                        queue: requests,
                        kick: kick.unwrap(),
                        held: Vec::new(),
                    });
                }
                Ok(Message::Detach { queue, done }) => {
                    let drained = self.detach(queue);
                    self.shared.count(|counts| counts.drained += drained);
                    done.send(drained).unwrap();
                }
                Ok(Message::Disconnect { done }) => {
                    let mut given_up = 0;
                    for mut lane in self.lanes.drain(..) {
                        given_up += lane.held.len() as u64;
                        lane.held
                            .drain(..)
                            .for_each(|(token, _)| lane.queue.abandon(token));
                    }
                    self.shared.count(|counts| counts.abandoned += given_up);
                    done.send(given_up).unwrap();
                }
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
                Ok(Message::Kick(_) | Message::Command { .. } | Message::Abort { .. }) => {}
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn detach(&mut self, queue: QueueId) -> u64 {
        let Some(at) = self.lanes.iter().position(|lane| lane.id == queue) else {
            return 0;
        };
        let mut lane = self.lanes.remove(at);
        let drained = lane.held.len() as u64;
        lane.complete_held();
        drained
    }

    fn serve(&mut self) {
        let (store, shared) = (&mut self.store, &self.shared);
        self.lanes.retain_mut(|lane| lane.serve(store, shared));
    }
}

impl Lane {
    /// False once the ring cannot be believed any more.
    fn serve(&mut self, store: &mut dyn Store, shared: &Shared) -> bool {
        loop {
            let Taken { token, request } = match self.queue.next() {
                Ok(Some(taken)) => taken,
                Ok(None) => break,
                Err(broken) => {
                    eprintln!("{broken}");
                    return false;
                }
            };
            let outcome = match request {
                Ok(request) => self
                    .queue
                    .with_buffers(&token, |buffers| store.execute(&request, buffers)),
                Err(status) => Outcome::failed(status),
            };
            self.held.push((token, outcome));
            shared.count(|counts| counts.taken += 1);
        }
        // Asked only now: what was made available after hold() is held, even if
        // it was taken before its kick came.
        if !shared.hold.load(Ordering::SeqCst) {
            self.complete_held();
        }
        true
    }

    fn complete_held(&mut self) {
        for (token, outcome) in self.held.drain(..) {
            self.queue.complete(token, outcome, None).unwrap();
        }
        self.queue.publish().unwrap();
        if self.queue.wants_interrupt().unwrap() {
            self.queue.signal();
        }
    }
}

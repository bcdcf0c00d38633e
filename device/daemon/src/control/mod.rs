// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The control plane: the control socket's clients and the word to stop, on
//! event-manager.
//!
//! A client's line becomes a command for the pump; the answer comes back
//! through a channel and an eventfd. A client has one command under way: its
//! next line is read when the answer has been written, so that answers keep
//! their order and nobody who does not read can make the device hoard.

mod client;

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use irqstorm_core::control::{self, Code, Greeting, Refusal, Reply};
use irqstorm_core::inbox::{Inbox, Message};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use client::{Client, Next};

/// Clients at once: a lab, a guest, and people.
const MAX_CLIENTS: usize = 64;

/// Before the next try after a client could not be accepted.
const BREATHER: Duration = Duration::from_millis(100);

/// What an event is about: these, or a client's number.
const LISTENER: u32 = 0;
const ANSWERS: u32 = 1;
const STOP: u32 = 2;
const FIRST_CLIENT: u32 = 3;

/// Serves the control socket, if there is one, until `stop` has something to
/// read or ends.
pub(crate) fn serve<Q: 'static>(
    listener: Option<UnixListener>,
    inbox: Inbox<Q>,
    stop: UnixStream,
) -> io::Result<()> {
    let plane = Plane::new(listener, inbox, stop)?;
    let mut manager = EventManager::new().map_err(io::Error::other)?;
    let id = manager.add_subscriber(plane);
    loop {
        manager.run().map_err(io::Error::other)?;
        let plane = manager.subscriber_mut(id).map_err(io::Error::other)?;
        if plane.stopped {
            return Ok(());
        }
    }
}

/// An answer on its way back: the client's number and the line's content.
type Answered = (u32, Reply);

struct Plane<Q> {
    listener: Option<UnixListener>,
    inbox: Inbox<Q>,
    stop: UnixStream,
    stopped: bool,
    clients: HashMap<u32, Client>,
    next_client: u32,
    answers: mpsc::Receiver<Answered>,
    answer_to: mpsc::Sender<Answered>,
    bell: Arc<EventFd>,
}

impl<Q: 'static> Plane<Q> {
    fn new(
        listener: Option<UnixListener>,
        inbox: Inbox<Q>,
        stop: UnixStream,
    ) -> io::Result<Plane<Q>> {
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
        }
        stop.set_nonblocking(true)?;
        let (answer_to, answers) = mpsc::channel();
        Ok(Plane {
            listener,
            inbox,
            stop,
            stopped: false,
            clients: HashMap::new(),
            next_client: FIRST_CLIENT,
            answers,
            answer_to,
            bell: Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?),
        })
    }

    fn accept_one(&self) -> Option<UnixStream> {
        match self.listener.as_ref()?.accept() {
            Ok((stream, _)) => Some(stream),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(e) => {
                tracing::warn!("failed to accept a control client: {e}");
                // Out of fds, most likely: epoll says at once that somebody
                // still waits.
                std::thread::sleep(BREATHER);
                None
            }
        }
    }

    /// Takes every client that waits.
    fn accept(&mut self, ops: &mut EventOps) {
        while let Some(stream) = self.accept_one() {
            if self.clients.len() >= MAX_CLIENTS {
                tracing::warn!("refused a control client: there are {MAX_CLIENTS} already");
                continue;
            }
            let id = self.next_client;
            self.next_client = id.checked_add(1).unwrap_or(FIRST_CLIENT);
            let watched = stream.set_nonblocking(true).is_ok()
                && ops
                    .add(Events::with_data(&stream, id, EventSet::IN))
                    .is_ok();
            if !watched {
                continue;
            }
            let mut client = Client::new(stream);
            client.say(&Greeting::new());
            self.clients.insert(id, client);
            self.go_on(id, ops);
        }
    }

    /// Moves one client on as far as it goes: writes what it is owed, takes
    /// its next line, watches for what it waits for.
    fn go_on(&mut self, id: u32, ops: &mut EventOps) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        loop {
            match client.next() {
                Next::Line(line) => {
                    client.busy = true;
                    let bell = Arc::clone(&self.bell);
                    command(&self.inbox, &self.answer_to, bell, id, &line);
                }
                Next::TooLong => {
                    let text = format!("a line is longer than {} bytes", control::MAX_LINE);
                    client.say(&Reply::new(0, Err(Refusal::new(Code::BadRequest, text))));
                    client.close_when_told();
                }
                // Its answer comes by another way, and there is nothing to watch.
                Next::Wait(_) if client.hung && client.busy => return,
                Next::Wait(_) if client.hung => break,
                Next::Wait(interest) => {
                    let events = Events::with_data_raw(client.fd(), id, interest);
                    if ops.modify(events).is_ok() {
                        return;
                    }
                    break;
                }
                Next::Gone => break,
            }
        }
        self.forget(id, ops);
    }

    /// Watches a client no longer whose other side has closed: epoll would not
    /// stop saying so. What it has sent is still carried out.
    fn hang_up(&mut self, id: u32, ops: &mut EventOps) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.hung = true;
            let _ = ops.remove(Events::empty_raw(client.fd()));
        }
    }

    fn forget(&mut self, id: u32, ops: &mut EventOps) {
        if let Some(client) = self.clients.remove(&id)
            && !client.hung
        {
            let _ = ops.remove(Events::empty_raw(client.fd()));
        }
    }

    fn take_answers(&mut self, ops: &mut EventOps) {
        let _ = self.bell.read();
        while let Ok((id, reply)) = self.answers.try_recv() {
            if let Some(client) = self.clients.get_mut(&id) {
                client.busy = false;
                client.say(&reply);
            }
            self.go_on(id, ops);
        }
    }
}

/// Sends a line's command to the pump, or its refusal straight back.
fn command<Q: 'static>(
    inbox: &Inbox<Q>,
    answers: &mpsc::Sender<Answered>,
    bell: Arc<EventFd>,
    client: u32,
    line: &str,
) {
    let answers = answers.clone();
    let answer = move |reply: Reply| {
        // With the plane gone nobody waits any more.
        let _ = answers.send((client, reply));
        let _ = bell.write(1);
    };
    let (id, command) = match control::parse_line(line) {
        Ok(parsed) => parsed,
        Err((id, refusal)) => return answer(Reply::new(id, Err(refusal))),
    };
    let stopping = answer.clone();
    let respond = Box::new(move |result| answer(Reply::new(id, result)));
    if inbox.send(Message::Command { command, respond }).is_err() {
        let refusal = Refusal::new(Code::Stopping, "the device is stopping");
        stopping(Reply::new(id, Err(refusal)));
    }
}

impl<Q: 'static> MutEventSubscriber for Plane<Q> {
    fn init(&mut self, ops: &mut EventOps) {
        let mut add = |fd, data| {
            if let Err(e) = ops.add(Events::with_data_raw(fd, data, EventSet::IN)) {
                tracing::error!("failed to watch the control plane: {e:?}");
                self.stopped = true;
            }
        };
        add(self.stop.as_raw_fd(), STOP);
        add(self.bell.as_raw_fd(), ANSWERS);
        if let Some(listener) = &self.listener {
            add(listener.as_raw_fd(), LISTENER);
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            LISTENER => self.accept(ops),
            ANSWERS => self.take_answers(ops),
            STOP => {
                let _ = self.stop.read(&mut [0; 64]);
                self.stopped = true;
            }
            id => {
                let closed = EventSet::HANG_UP | EventSet::ERROR;
                if events.event_set().intersects(closed) {
                    self.hang_up(id, ops);
                }
                self.go_on(id, ops);
            }
        }
    }
}

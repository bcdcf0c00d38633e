// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The control plane: the control socket's clients and the word to stop, on
//! event-manager.
//!
//! A client's line becomes a command for the pump; the answer comes back
//! through a channel and an eventfd. A client has one command under way: its
//! next line is read when the answer has been written, so that answers keep
//! their order and nobody who does not read can make the device hoard. Events
//! that a client has subscribed to come through the tap and go between its
//! answers, as far as they fit. The protocol is written down in PROTOCOL.md.

mod client;
mod peer;
mod subscriptions;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use irqstorm_core::control::{self, Code, Command, Greeting, Refusal, Reply};
use irqstorm_core::inbox::{Inbox, Message, Respond};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use client::{Client, Next, UnderWay};

use crate::tap::Tapped;

/// Clients at once: a lab, a guest, and people.
const MAX_CLIENTS: usize = 64;
const TOO_MANY: &str = "there are 64 clients already; close one, or try again";

/// Answers handed out before anything else has its turn.
const ANSWERS_AT_ONCE: usize = 64;

/// Before the next try after a client could not be accepted.
const BREATHER: Duration = Duration::from_millis(100);

/// What an event is about: these, or a client's number.
const LISTENER: u32 = 0;
const ANSWERS: u32 = 1;
const STOP: u32 = 2;
const TAP: u32 = 3;
const FIRST_CLIENT: u32 = 4;

/// Serves the control socket, if there is one, until `stop` has something to
/// read or ends.
pub(crate) fn serve<Q: 'static>(
    listener: Option<UnixListener>,
    inbox: Inbox<Q>,
    tapped: Tapped,
    stop: UnixStream,
) -> io::Result<()> {
    let plane = Plane::new(listener, inbox, tapped, stop)?;
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
    tapped: Tapped,
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
        tapped: Tapped,
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
            tapped,
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
            if let Err(stranger) = peer::check(&stream) {
                turn_away(stream, Code::Forbidden, &stranger.to_string());
                continue;
            }
            if self.clients.len() >= MAX_CLIENTS {
                turn_away(stream, Code::Busy, TOO_MANY);
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
        while let Some(client) = self.clients.get_mut(&id) {
            match client.next() {
                Next::Line(line) => self.command(id, &line),
                Next::TooLong => {
                    let text = format!("a line is longer than {} bytes", control::MAX_LINE);
                    client.say(&Reply::new(0, Err(Refusal::new(Code::BadRequest, text))));
                    client.close_when_told();
                }
                // Its answer comes by another way, and there is nothing to
                // watch; but nobody waits any more.
                Next::Wait(_) if client.is_hung() => {
                    if client.under_way == Some(UnderWay::Usual) {
                        return;
                    }
                    break;
                }
                Next::Wait(interest) if interest == client.watched => return,
                Next::Wait(interest) => {
                    client.watched = interest;
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
    /// stop saying so.
    fn hang_up(&mut self, id: u32, ops: &mut EventOps) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.hang_up();
            let _ = ops.remove(Events::empty_raw(client.fd()));
        }
    }

    fn forget(&mut self, id: u32, ops: &mut EventOps) {
        if let Some(client) = self.clients.remove(&id)
            && !client.is_hung()
        {
            let _ = ops.remove(Events::empty_raw(client.fd()));
        }
        self.tapped.want(self.wanted());
    }

    fn take_answers(&mut self, ops: &mut EventOps) {
        let _ = self.bell.read();
        for _ in 0..ANSWERS_AT_ONCE {
            let Ok((id, reply)) = self.answers.try_recv() else {
                return;
            };
            if let Some(client) = self.clients.get_mut(&id) {
                client.under_way = None;
                client.say(&reply);
            }
            self.go_on(id, ops);
        }
        let _ = self.bell.write(1);
    }

    /// Carries a line out: here, if it is about the connection, or by sending
    /// its command to the pump.
    fn command(&mut self, client: u32, line: &str) {
        let parsed = control::parse_line(line);
        let waits = matches!(parsed, Ok((_, Command::Wait(_))));
        let mut asker = Weak::new();
        if let Some(client) = self.clients.get_mut(&client) {
            asker = client.presence();
            client.under_way = Some(if waits {
                UnderWay::Wait
            } else {
                UnderWay::Usual
            });
        }
        let answers = self.answer_to.clone();
        let bell = Arc::clone(&self.bell);
        let answer = move |reply: Reply| {
            // With the plane gone nobody waits any more.
            let _ = answers.send((client, reply));
            let _ = bell.write(1);
        };
        match parsed {
            Ok((id, Command::Subscribe(wish))) => {
                answer(Reply::new(id, self.subscribe(client, &wish)));
            }
            Ok((id, command)) => send(&self.inbox, id, command, asker, answer),
            Err((id, refusal)) => answer(Reply::new(id, Err(refusal))),
        }
    }
}

/// Sends a command to the pump, and its answer, or that there can be none, to
/// `answer`.
fn send<Q: 'static>(
    inbox: &Inbox<Q>,
    id: u64,
    command: Command,
    asker: Weak<()>,
    answer: impl FnOnce(Reply) + Clone + Send + 'static,
) {
    let stopping = answer.clone();
    let respond = Respond::new(move |result| answer(Reply::new(id, result))).for_asker(asker);
    if inbox.send(Message::Command { command, respond }).is_err() {
        let refusal = Refusal::new(Code::Stopping, "the device is stopping");
        stopping(Reply::new(id, Err(refusal)));
    }
}

/// Tells a client why it is not served. A connection that is new has room for
/// a line.
fn turn_away(mut stream: UnixStream, code: Code, why: &str) {
    tracing::warn!("refused a control client: {why}");
    let reply = Reply::new(0, Err(Refusal::new(code, why)));
    if let Ok(line) = serde_json::to_string(&reply)
        && stream.set_nonblocking(true).is_ok()
    {
        let _ = writeln!(stream, "{line}");
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
        add(self.tapped.bell().as_raw_fd(), TAP);
        if let Some(listener) = &self.listener {
            add(listener.as_raw_fd(), LISTENER);
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            LISTENER => self.accept(ops),
            ANSWERS => self.take_answers(ops),
            TAP => self.take_events(ops),
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

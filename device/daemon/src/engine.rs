// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The loop that drives the pump: kicks, messages and deadlines, on a thread of
//! its own.
//!
//! Deadlines are kept by a timerfd rather than by a timeout of epoll's, which
//! is subject to the thread's timer slack (50 us unless the process changes
//! it), even where epoll_pwait2 takes nanoseconds. The loop sleeps until the
//! timer fires and pays the wake-up's latency, or sleeps a little less and
//! spins through the rest of the wait; `spin` says which. After a request it
//! may look for the next ones itself instead of sleeping until their kick;
//! `poll` says for how long, and how often where no kick comes.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use irqstorm_core::clock::{Clock, Monotonic};
use irqstorm_core::inbox::{Inbox, Message};
use irqstorm_core::pump::{Flow, Pump};
use irqstorm_core::queue::RequestQueue;
use irqstorm_core::request::QueueId;
use irqstorm_core::units::Nanos;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use vmm_sys_util::timerfd::TimerFd;

use crate::poll::Polling;
use crate::spin::Spinning;

/// What epoll says was ready: a queue's number, or one of these.
const INBOX: u64 = 1 << 32;
const TIMER: u64 = INBOX + 1;
const STORE: u64 = INBOX + 2;

/// Events taken from epoll at once.
const EVENTS: usize = 64;

/// Messages carried out before what is due has its turn again.
const MESSAGES: usize = 64;

/// Looks at the clock, while spinning, to one at epoll: a microsecond's worth.
const LOOKS: u32 = 16;

/// Looks at the queues, while polling, to one at epoll: some microseconds'
/// worth.
const POLLS: u32 = 128;

/// Looks at the queues to one at the clock.
const TIMES: u32 = 4;

/// For how long what is there to be done goes before a look at epoll.
const AHEAD: Nanos = Nanos(5_000);

/// Timeouts of epoll's, in milliseconds.
const AT_ONCE: i32 = 0;
const FOR_EVER: i32 = -1;

/// An inbox whose messages wake an engine, and the engine's end of it.
pub(crate) struct Mailbox<Q> {
    messages: mpsc::Receiver<Message<Q>>,
    bell: Arc<EventFd>,
}

/// Makes an inbox before there is a pump to read it.
pub(crate) fn mailbox<Q>() -> io::Result<(Inbox<Q>, Mailbox<Q>)> {
    let bell = Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?);
    let ring = Arc::clone(&bell);
    // A counter that is full wakes as well as one more.
    let (inbox, messages) = Inbox::new(move || drop(ring.write(1)));
    Ok((inbox, Mailbox { messages, bell }))
}

/// How the loop waits.
pub(crate) struct Waiting {
    /// For what is due.
    pub(crate) spinning: Spinning,
    /// For requests.
    pub(crate) polling: Polling,
}

/// The loop's state.
struct Engine<Q: RequestQueue> {
    pump: Pump<Q>,
    clock: Monotonic,
    mailbox: Mailbox<Q>,
    epoll: Epoll,
    timer: TimerFd,
    /// What the timer is set to.
    armed: Option<Nanos>,
    /// When epoll was last looked at with something to be done.
    looked: Nanos,
    kicks: HashMap<QueueId, File>,
    spinning: Spinning,
    polling: Polling,
}

/// Runs a pump on a thread of its own until it is told to stop. `make` makes
/// it there, since queues stay on one thread, and `ready` is called when
/// everything is open. `ended` is dropped with the thread, however it ends.
pub(crate) fn spawn<Q: RequestQueue + 'static>(
    mailbox: Mailbox<Q>,
    waiting: Waiting,
    make: impl FnOnce(&Monotonic) -> Pump<Q> + Send + 'static,
    ready: impl FnOnce() -> io::Result<()> + Send + 'static,
    ended: impl Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>>
where
    Message<Q>: Send,
{
    let body = move || {
        let _ended = ended;
        let clock = Monotonic::start();
        let pump = make(&clock);
        let mut engine = Engine::new(pump, clock, mailbox, waiting)?;
        ready()?;
        engine.run()
    };
    thread::Builder::new().name("pump".to_owned()).spawn(body)
}

impl<Q: RequestQueue> Engine<Q> {
    fn new(
        pump: Pump<Q>,
        clock: Monotonic,
        mailbox: Mailbox<Q>,
        waiting: Waiting,
    ) -> io::Result<Engine<Q>> {
        let engine = Engine {
            pump,
            clock,
            mailbox,
            epoll: Epoll::new()?,
            timer: TimerFd::new()?,
            armed: None,
            looked: Nanos::ZERO,
            kicks: HashMap::new(),
            spinning: waiting.spinning,
            polling: waiting.polling,
        };
        engine.watch(engine.mailbox.bell.as_raw_fd(), INBOX, EventSet::IN)?;
        // Told once of each time that it fires, the loop need not read it.
        let once = EventSet::IN | EventSet::EDGE_TRIGGERED;
        engine.watch(engine.timer.as_raw_fd(), TIMER, once)?;
        if let Some(store) = engine.pump.store_wakes() {
            engine.watch(store.as_raw_fd(), STORE, once)?;
        }
        Ok(engine)
    }

    fn watch(&self, fd: RawFd, data: u64, interest: EventSet) -> io::Result<()> {
        let event = EpollEvent::new(interest, data);
        self.epoll.ctl(ControlOperation::Add, fd, event)
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::default(); EVENTS];
        loop {
            self.pump.tick(&self.clock);
            self.look();
            let ready = match self.wait(&mut events) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                ready => ready?,
            };
            for (index, event) in events[..ready].iter().enumerate() {
                if index > 0 {
                    // Other queues' requests may take long to execute: what has
                    // come due meanwhile is not kept waiting for them.
                    self.pump.tick(&self.clock);
                }
                match event.data() {
                    INBOX => {
                        if self.read_messages() == Flow::Stop {
                            return Ok(());
                        }
                    }
                    TIMER => self.armed = None,
                    // The next tick looks.
                    STORE => {}
                    queue => self.kicked(queue),
                }
            }
        }
    }

    /// Waits for what is first: a kick, a message, or the next deadline.
    /// Returns how many events there are.
    fn wait(&mut self, events: &mut [EpollEvent]) -> io::Result<usize> {
        if self.polling.is_on() {
            return self.poll(events);
        }
        let look = self
            .polling
            .next_look()
            .filter(|_| self.pump.attached() > 0);
        let due = self.pump.next_deadline();
        let Some(deadline) = [due, look].into_iter().flatten().min() else {
            if self.armed.take().is_some() {
                self.timer.clear()?;
            }
            return self.epoll.wait(FOR_EVER, events);
        };
        let now = self.clock.now();
        let left = deadline.since(now);
        // A look may come late.
        let window = match due == Some(deadline) {
            true => self.spinning.window(),
            false => Nanos::ZERO,
        };
        if left == Nanos::ZERO {
            self.peek(now, events)
        } else if left <= window {
            self.spin(deadline, events)
        } else {
            self.arm(deadline - window, left - window)?;
            self.epoll.wait(FOR_EVER, events)
        }
    }

    /// Looks at epoll now and then, there being something to be done.
    fn peek(&mut self, now: Nanos, events: &mut [EpollEvent]) -> io::Result<usize> {
        if now.since(self.looked) < AHEAD {
            return Ok(0);
        }
        self.looked = now;
        self.epoll.wait(AT_ONCE, events)
    }

    /// Sets the timer to a time that is `left` away.
    fn arm(&mut self, at: Nanos, left: Nanos) -> io::Result<()> {
        if self.armed != Some(at) {
            self.armed = None;
            self.timer.reset(Duration::from_nanos(left.0), None)?;
            self.armed = Some(at);
        }
        Ok(())
    }

    /// Waits without sleeping. Kicks and messages end it as they end a sleep.
    fn spin(&self, deadline: Nanos, events: &mut [EpollEvent]) -> io::Result<usize> {
        loop {
            match self.epoll.wait(AT_ONCE, events)? {
                0 => {}
                ready => return Ok(ready),
            }
            for _ in 0..LOOKS {
                if self.clock.now() >= deadline {
                    return Ok(0);
                }
                std::hint::spin_loop();
            }
        }
    }

    /// Looks once for requests of a driver that does not kick, if it is time to.
    fn look(&mut self) {
        if self.polling.next_look().is_none() {
            return;
        }
        let now = self.clock.now();
        if !self.polling.is_time_to_look(now) {
            return;
        }
        let found = self.pump.poll(&self.clock);
        if found > 0 && self.polling.begin(now, found) {
            self.pump.set_polled(true, &self.clock);
        }
    }

    /// Looks for requests without sleeping, until there are some, something is
    /// due or said, or none have come for a while.
    fn poll(&mut self, events: &mut [EpollEvent]) -> io::Result<usize> {
        self.polling.look_afresh();
        for look in 0..POLLS {
            let found = self.pump.poll(&self.clock);
            if found > 0 {
                let now = self.clock.now();
                self.polling.extend(now, found);
                return self.peek(now, events);
            }
            if look % TIMES == 0 {
                let now = self.clock.now();
                if self.is_time(now) {
                    return self.peek(now, events);
                }
                if self.polling.is_shared(now) {
                    thread::yield_now();
                }
            }
            std::hint::spin_loop();
        }
        self.epoll.wait(AT_ONCE, events)
    }

    /// Whether something is due, or requests are to be looked for no longer.
    fn is_time(&mut self, now: Nanos) -> bool {
        let over = self.polling.is_over(now);
        if over {
            self.pump.set_polled(false, &self.clock);
        }
        over || self.pump.next_deadline().is_some_and(|due| due <= now)
    }

    fn read_messages(&mut self) -> Flow {
        let flow = self.carry_out_messages();
        self.spinning.attached(self.pump.attached());
        if self.polling.is_on() {
            // Queues that have just come are polled with the others.
            self.pump.set_polled(true, &self.clock);
        }
        flow
    }

    fn carry_out_messages(&mut self) -> Flow {
        let _ = self.mailbox.bell.read();
        for _ in 0..MESSAGES {
            let Ok(mut message) = self.mailbox.messages.try_recv() else {
                return Flow::Continue;
            };
            self.follow_kicks(&mut message);
            if self.pump.handle(message, &self.clock) == Flow::Stop {
                return Flow::Stop;
            }
        }
        // There may be more: after what has come due.
        let _ = self.mailbox.bell.write(1);
        Flow::Continue
    }

    /// Watches the kick fd of a queue that comes, and no longer that of one
    /// that goes. Closing an fd takes it out of epoll only with its last
    /// duplicate, and the front-end has one.
    fn follow_kicks<M>(&mut self, message: &mut Message<M>) {
        match message {
            Message::Attach { queue, kick, .. } => {
                self.forget_kick(*queue);
                let Some(kick) = kick.take().map(File::from) else {
                    return;
                };
                match self.watch_kick(*queue, &kick) {
                    Ok(()) => drop(self.kicks.insert(*queue, kick)),
                    Err(e) => tracing::warn!("cannot watch the kick fd of queue {}: {e}", queue.0),
                }
            }
            Message::Detach { queue, .. } => self.forget_kick(*queue),
            Message::Disconnect { .. } => {
                let queues: Vec<QueueId> = self.kicks.keys().copied().collect();
                for queue in queues {
                    self.forget_kick(queue);
                }
            }
            _ => {}
        }
    }

    fn watch_kick(&self, queue: QueueId, kick: &File) -> io::Result<()> {
        // Told once of each kick, the loop need not read them.
        let once = EventSet::IN | EventSet::EDGE_TRIGGERED;
        self.watch(kick.as_raw_fd(), u64::from(queue.0), once)
    }

    fn forget_kick(&mut self, queue: QueueId) {
        if let Some(kick) = self.kicks.remove(&queue) {
            let none = EpollEvent::default();
            let _ = self
                .epoll
                .ctl(ControlOperation::Delete, kick.as_raw_fd(), none);
        }
    }

    fn kicked(&mut self, queue: u64) {
        let Ok(queue) = u16::try_from(queue).map(QueueId) else {
            return;
        };
        if self.polling.begin(self.clock.now(), 0) {
            self.pump.set_polled(true, &self.clock);
        }
        self.pump.kick(queue, &self.clock);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How everyone but the pump's own thread reaches the pump: by value.
//!
//! A front-end attaches and detaches queues, the control plane sends commands;
//! each message wakes the loop that drives the pump. Nobody shares a lock with
//! the data path.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::sync::{Arc, Weak};

use serde_json::Value;

use crate::control::{Command, Refusal};
use crate::request::QueueId;

/// Where the answer to a command goes, and whether anybody still wants it.
pub struct Respond {
    answer: Box<dyn FnOnce(Result<Value, Refusal>) + Send>,
    asker: Option<Weak<()>>,
}

impl Respond {
    /// Hands the answer to `answer`, once, on the pump's thread.
    pub fn new(answer: impl FnOnce(Result<Value, Refusal>) + Send + 'static) -> Respond {
        Respond {
            answer: Box::new(answer),
            asker: None,
        }
    }

    /// The same, wanted only as long as the asker is there.
    pub fn for_asker(mut self, asker: Weak<()>) -> Respond {
        self.asker = Some(asker);
        self
    }

    /// Whether the asker is still there.
    pub fn is_wanted(&self) -> bool {
        self.asker
            .as_ref()
            .is_none_or(|asker| asker.strong_count() > 0)
    }

    /// Answers.
    pub fn send(self, answer: Result<Value, Refusal>) {
        (self.answer)(answer);
    }
}

/// Told, when a message was carried out, with how many requests it concerned.
/// Dropped unused when the loop is gone.
pub type Done = mpsc::SyncSender<u64>;

/// What the pump's loop can be told.
pub enum Message<Q> {
    /// The driver set a queue up. `kick` becomes readable when requests arrive;
    /// without one the front-end sends [`Message::Kick`] instead.
    Attach {
        /// Which queue.
        queue: QueueId,
        /// The queue itself: the pump owns it until it is detached.
        requests: Q,
        /// An eventfd that the driver kicks.
        kick: Option<OwnedFd>,
    },
    /// The driver stops a queue: everything in flight on it is completed and
    /// published at once, whatever was planned, then the queue is dropped and
    /// `done` told how many there were.
    Detach {
        /// Which queue.
        queue: QueueId,
        /// Told when no more guest memory is touched for this queue.
        done: Done,
    },
    /// The driver takes a request back: if it is in flight, and not lost, it is
    /// completed as aborted, whatever was planned: at once, or as soon as the
    /// store is done with it.
    Abort {
        /// Which queue.
        queue: QueueId,
        /// The name that its driver has for it.
        name: u16,
        /// Told how many there were of the name.
        done: Done,
    },
    /// The connection is gone: everything in flight is given up without
    /// touching guest memory, every queue dropped.
    Disconnect {
        /// Told when that is so.
        done: Done,
    },
    /// There may be requests in this queue.
    Kick(QueueId),
    /// A command of the control protocol.
    Command {
        /// What to do.
        command: Command,
        /// Takes the answer.
        respond: Respond,
    },
    /// The loop ends, after giving up what is in flight.
    Stop,
}

/// The loop is gone: nothing can be sent to it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device's pump has ended")]
pub struct Gone;

/// The sending end, cheap to clone.
pub struct Inbox<Q> {
    messages: mpsc::Sender<Message<Q>>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl<Q> Clone for Inbox<Q> {
    fn clone(&self) -> Inbox<Q> {
        Inbox {
            messages: self.messages.clone(),
            wake: Arc::clone(&self.wake),
        }
    }
}

impl<Q> Inbox<Q> {
    /// An inbox and its receiving end; `wake` makes the loop look into it.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> (Inbox<Q>, mpsc::Receiver<Message<Q>>) {
        let (messages, receiver) = mpsc::channel();
        let inbox = Inbox {
            messages,
            wake: Arc::new(wake),
        };
        (inbox, receiver)
    }

    /// Sends a message and wakes the loop.
    pub fn send(&self, message: Message<Q>) -> Result<(), Gone> {
        self.messages.send(message).map_err(|_| Gone)?;
        (self.wake)();
        Ok(())
    }

    /// Detaches a queue and waits until that is done. Zero if the loop is gone.
    pub fn detach(&self, queue: QueueId) -> u64 {
        self.send_and_wait(|done| Message::Detach { queue, done })
    }

    /// Aborts a request and waits until that is done; whether it was in flight.
    pub fn abort(&self, queue: QueueId, name: u16) -> bool {
        self.send_and_wait(|done| Message::Abort { queue, name, done }) > 0
    }

    /// Disconnects and waits until that is done. Zero if the loop is gone.
    pub fn disconnect(&self) -> u64 {
        self.send_and_wait(|done| Message::Disconnect { done })
    }

    fn send_and_wait(&self, message: impl FnOnce(Done) -> Message<Q>) -> u64 {
        let (done, wait) = mpsc::sync_channel(1);
        if self.send(message(done)).is_err() {
            return 0;
        }
        wait.recv().unwrap_or(0)
    }
}

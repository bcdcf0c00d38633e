// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interrupt of the configuration vector.
//!
//! vhost-user has no fd for it: the device says on the back-end channel, a
//! socket that the front-end hands over at set-up, that its config space
//! changed. The front-end reads the config and raises the interrupt. A message
//! is written or not and never waited for: no answer is asked for, and what
//! the front-end has not taken yet is kept to a few messages by the socket's
//! send buffer. The rest of a burst is refused rather than raised later.
//!
//! What QEMU does with a message: 10.0 raises the interrupt for each; 7.2 only
//! if the config that it then reads has another capacity than before. Neither
//! does before the driver has started the device. Hence [`ConfigChange`].
//!
//! What this does not do: it cannot know whether an interrupt was raised, and
//! the front-end's main loop takes a message at a time of its own. Linux logs
//! a line for almost every one of these interrupts.

use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use irqstorm_core::queue::ConfigLine;
use rustix::net::SendFlags;
use vhost::vhost_user::message::BackendReq;

/// In the flags of every vhost-user message: the protocol's version. No reply
/// is asked for.
const VERSION: u32 = 1;

/// How a front-end is brought to raise the interrupt of the configuration
/// vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigChange {
    /// By being told. The config is what it was. QEMU 10.0 needs no more.
    #[default]
    Told,
    /// By being told, and a capacity that is one logical block larger than the
    /// disk, or again the right one, in turn: an older QEMU looks for that.
    /// Requests go by the disk's own size: one for the block that is not there
    /// ends with an I/O error. When no one has read the config for a second the
    /// disk gets its own size again, by one interrupt more where their number
    /// was odd.
    Resized,
}

/// A name that is no such way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no way to say that the config changed: told or resized")]
pub struct UnknownConfigChange(String);

impl FromStr for ConfigChange {
    type Err = UnknownConfigChange;

    /// `told` or `resized`.
    fn from_str(name: &str) -> Result<ConfigChange, UnknownConfigChange> {
        match name {
            "told" => Ok(ConfigChange::Told),
            "resized" => Ok(ConfigChange::Resized),
            _ => Err(UnknownConfigChange(name.to_owned())),
        }
    }
}

/// The configuration vector of whoever is connected; clones are the same one.
#[derive(Clone)]
pub(crate) struct ConfigVector {
    change: ConfigChange,
    state: Arc<Mutex<State>>,
}

/// The lock is held for one write that does not block, or less.
#[derive(Default)]
struct State {
    channel: Option<OwnedFd>,
    /// Messages that no reading of the config has followed yet.
    unread: u32,
    /// Whether the capacity last read was one block too large.
    grown: bool,
}

impl ConfigVector {
    /// One that no one is connected to.
    pub(crate) fn new(change: ConfigChange) -> ConfigVector {
        ConfigVector {
            change,
            state: Arc::default(),
        }
    }

    /// From now on, messages go over `channel`.
    pub(crate) fn connect(&self, channel: OwnedFd) {
        // The smallest there is: more would have the front-end raise
        // interrupts long after they were asked for. What is no socket fails
        // here, and then at every message.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&channel, 0);
        *self.state() = State {
            channel: Some(channel),
            ..State::default()
        };
    }

    /// The front-end is gone; the next one finds the config unchanged.
    pub(crate) fn disconnect(&self) {
        *self.state() = State::default();
    }

    /// Whether the config that is now read shows the disk one block larger.
    pub(crate) fn reading(&self) -> bool {
        let mut state = self.state();
        if state.unread > 0 {
            state.unread -= 1;
            state.grown ^= self.change == ConfigChange::Resized;
        }
        state.grown
    }

    /// Whether the disk is shown one block larger.
    pub(crate) fn is_grown(&self) -> bool {
        self.state().grown
    }

    /// Shows the disk as it is again. Messages that the front-end did not read
    /// the config for by now were of no interest to it.
    pub(crate) fn settle(&self) {
        let mut state = self.state();
        if state.grown {
            state.unread = 0;
            state.tell();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConfigLine for ConfigVector {
    fn signal(&self) -> bool {
        self.state().tell()
    }
}

impl State {
    /// Writes one message, if that can be done now.
    fn tell(&mut self) -> bool {
        let Some(channel) = &self.channel else {
            return false;
        };
        let message = message();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(channel.as_fd(), &message, flags) {
            Ok(sent) if sent == message.len() => {
                self.unread = self.unread.saturating_add(1);
                true
            }
            // Half a message makes nonsense of all that follow. The kernel
            // writes so few bytes at once or not at all.
            Ok(_) => {
                self.channel = None;
                false
            }
            Err(_) => false,
        }
    }
}

/// Request, flags, and the length of the body, which is empty; in the host's
/// order.
fn message() -> [u8; 12] {
    let mut bytes = [0; 12];
    let words = [u32::from(BackendReq::CONFIG_CHANGE_MSG), VERSION, 0];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;

    /// A connected vector and the front-end's end of its channel.
    fn connected(change: ConfigChange) -> (ConfigVector, UnixStream) {
        let vector = ConfigVector::new(change);
        let (ours, theirs) = UnixStream::pair().unwrap();
        vector.connect(ours.into());
        theirs.set_nonblocking(true).unwrap();
        (vector, theirs)
    }

    /// Takes one message, if there is one.
    fn take(channel: &mut UnixStream) -> Option<[u32; 3]> {
        let mut bytes = [0; 12];
        match channel.read_exact(&mut bytes) {
            Ok(()) => {
                let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
                Some([word(0), word(4), word(8)])
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) => panic!("{e}"),
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        assert_eq!("told".parse(), Ok(ConfigChange::default()));
        assert_eq!("resized".parse(), Ok(ConfigChange::Resized));
        let error = "loud".parse::<ConfigChange>().unwrap_err().to_string();
        assert!(error.contains("'loud'") && error.contains("resized"));
    }

    #[test]
    fn a_signal_is_one_message_that_asks_for_no_reply() {
        let (vector, mut channel) = connected(ConfigChange::Told);
        assert!(vector.signal());
        assert_eq!(take(&mut channel), Some([2, 1, 0]));
        assert_eq!(take(&mut channel), None);
    }

    #[test]
    fn without_a_connection_nothing_is_written() {
        let vector = ConfigVector::new(ConfigChange::Told);
        assert!(!vector.signal());
        let (ours, theirs) = UnixStream::pair().unwrap();
        vector.connect(ours.into());
        assert!(vector.signal());
        vector.disconnect();
        assert!(!vector.signal());
        drop(theirs);
    }

    #[test]
    fn a_front_end_that_closed_its_end_or_gave_no_socket_is_told_nothing() {
        let (vector, channel) = connected(ConfigChange::Told);
        drop(channel);
        assert!(!vector.signal());
        let file = tempfile::tempfile().unwrap();
        vector.connect(file.try_clone().unwrap().into());
        assert!(!vector.signal());
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn only_a_few_messages_wait_for_a_front_end_that_takes_none() {
        let (vector, mut channel) = connected(ConfigChange::Told);
        let written = (0..1000).filter(|_| vector.signal()).count();
        assert!((1..64).contains(&written), "{written}");
        for _ in 0..written {
            assert_eq!(take(&mut channel), Some([2, 1, 0]));
        }
        assert_eq!(take(&mut channel), None, "none was written in part");
        assert!(vector.signal(), "there is room again");
    }

    #[test]
    fn told_leaves_the_capacity_as_it_is() {
        let (vector, _channel) = connected(ConfigChange::Told);
        assert!(vector.signal());
        assert!(!vector.reading());
        assert!(!vector.is_grown());
    }

    #[test]
    fn resized_changes_the_capacity_once_for_each_message() {
        let (vector, _channel) = connected(ConfigChange::Resized);
        assert!(!vector.reading(), "not told yet");
        assert!(vector.signal() && vector.signal() && vector.signal());
        let read: Vec<bool> = (0..5).map(|_| vector.reading()).collect();
        assert_eq!(read, [true, false, true, true, true]);
    }

    #[test]
    fn what_is_settled_has_its_own_size_again() {
        let (vector, mut channel) = connected(ConfigChange::Resized);
        vector.settle();
        assert_eq!(take(&mut channel), None, "it has that already");
        assert!(vector.signal());
        assert!(vector.reading());
        take(&mut channel);
        vector.settle();
        assert_eq!(take(&mut channel), Some([2, 1, 0]));
        assert!(!vector.reading());
    }

    #[test]
    fn the_next_front_end_finds_the_disk_as_it_is() {
        let (vector, _channel) = connected(ConfigChange::Resized);
        assert!(vector.signal() && vector.signal());
        assert!(vector.reading());
        vector.disconnect();
        assert!(!vector.reading());
    }
}

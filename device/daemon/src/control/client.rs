// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One client of the control socket: lines in, lines out.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};

use irqstorm_core::control::{MAX_LINE, Pushed};
use serde::Serialize;
use vmm_sys_util::epoll::EventSet;

use crate::tap::Kinds;

/// Bytes of events that wait for a client to read them.
pub(super) const MAX_PUSHED: usize = 256 * 1024;

/// What there is to do for a client next.
pub(super) enum Next {
    /// Carry this line out.
    Line(String),
    /// Tell it that its line is too long.
    TooLong,
    /// Wait until the socket is ready for this.
    Wait(EventSet),
    /// Nothing any more.
    Gone,
}

/// Reads before another client has its turn.
const READS_AT_ONCE: u32 = 64;

/// A command that the pump has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnderWay {
    /// Answered at once.
    Usual,
    /// Answered when a mark comes.
    Wait,
}

/// A connection and what is buffered of it: a line, and what one read brought
/// with it; one answer, and events up to a bound.
pub(super) struct Client {
    stream: UnixStream,
    /// Gone when the client is.
    presence: Arc<()>,
    input: Vec<u8>,
    /// Whole lines, but for the first, part of which may be written.
    output: Vec<u8>,
    /// How much of the output goes up to the end of the last answer in it.
    answers: usize,
    /// The events that it has subscribed to.
    pub(super) kinds: Kinds,
    /// Events that there was no room for.
    missed: u64,
    /// No more comes in.
    ended: bool,
    /// Takes no answers; what it has asked is carried out nevertheless.
    deaf: bool,
    closing: bool,
    /// A command of its that is not answered yet.
    pub(super) under_way: Option<UnderWay>,
    /// Whether the other side has closed, so that there is nothing to watch.
    hung: bool,
    /// What epoll has been told to watch for.
    pub(super) watched: EventSet,
}

impl Client {
    /// Tells the pump for how long answers are wanted.
    pub(super) fn presence(&self) -> Weak<()> {
        Arc::downgrade(&self.presence)
    }

    pub(super) fn new(stream: UnixStream) -> Client {
        Client {
            stream,
            presence: Arc::new(()),
            input: Vec::new(),
            output: Vec::new(),
            answers: 0,
            kinds: Kinds::NONE,
            missed: 0,
            ended: false,
            deaf: false,
            closing: false,
            under_way: None,
            hung: false,
            watched: EventSet::IN,
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Puts an answer into what is owed.
    pub(super) fn say(&mut self, message: &impl Serialize) {
        self.put(message);
        self.answers = self.output.len();
    }

    fn put(&mut self, message: &impl Serialize) {
        if serde_json::to_writer(&mut self.output, message).is_err() {
            self.closing = true;
        }
        self.output.push(b'\n');
    }

    /// Puts an event's line, newline included, behind what is owed, if there is
    /// room.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.tell_missed();
        if self.missed > 0 || self.output.len() + line.len() > MAX_PUSHED {
            return self.miss(1);
        }
        self.output.extend_from_slice(line);
    }

    /// Events were lost on their way here.
    pub(super) fn miss(&mut self, events: u64) {
        self.missed = self.missed.saturating_add(events);
    }

    /// Says how many events there was no room for, once half of it is free: to
    /// say so for each would leave no room for events.
    fn tell_missed(&mut self) {
        if self.missed > 0 && self.output.len() <= MAX_PUSHED / 2 {
            let missed = std::mem::take(&mut self.missed);
            self.put(&Pushed::Missed(missed));
        }
    }

    /// Ends the connection once everything owed is written.
    pub(super) fn close_when_told(&mut self) {
        self.closing = true;
    }

    /// The other side has closed: nothing reaches it any more. What it has sent
    /// is carried out nevertheless.
    pub(super) fn hang_up(&mut self) {
        self.hung = true;
        self.be_deaf();
    }

    pub(super) fn is_hung(&self) -> bool {
        self.hung
    }

    fn be_deaf(&mut self) {
        self.deaf = true;
        self.kinds = Kinds::NONE;
        self.missed = 0;
        self.output.clear();
        self.answers = 0;
    }

    /// Writes what is owed and reads on, as far as both go, and says what is
    /// next. A line is taken when the answer to the one before it is written;
    /// events need not be.
    pub(super) fn next(&mut self) -> Next {
        self.drain();
        self.tell_missed();
        self.drain();
        let writing = match self.output.is_empty() {
            true => EventSet::empty(),
            false => EventSet::OUT,
        };
        if self.under_way.is_some() || self.answers > 0 {
            return Next::Wait(writing);
        }
        let mut reads = 0;
        while !self.closing {
            if let Some(line) = self.line() {
                return Next::Line(line);
            }
            if self.input.len() > MAX_LINE {
                return Next::TooLong;
            }
            if self.ended {
                break;
            }
            // One could send nothing but empty lines.
            if reads == READS_AT_ONCE || !self.fill() {
                return Next::Wait(EventSet::IN | writing);
            }
            reads += 1;
        }
        // One that sends no more may still listen.
        let listens = !self.closing && !self.kinds.is_none();
        match listens || !self.output.is_empty() {
            true => Next::Wait(writing),
            false => Next::Gone,
        }
    }

    /// The next line that says anything. Empty ones are for a client that
    /// cannot know whether one before it has left half a line behind.
    fn line(&mut self) -> Option<String> {
        loop {
            let end = self.input.iter().position(|&byte| byte == b'\n')?;
            let line: Vec<u8> = self.input.drain(..=end).collect();
            if !line.trim_ascii().is_empty() {
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    /// Takes some of what has arrived; `false` if that is nothing so far.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => self.ended = true,
            }
            return true;
        }
    }

    /// Writes what is owed, as far as the other side takes it.
    fn drain(&mut self) {
        while !self.output.is_empty() && !self.deaf {
            match self.stream.write(&self.output) {
                Ok(count) if count > 0 => {
                    self.output.drain(..count);
                    self.answers = self.answers.saturating_sub(count);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => self.be_deaf(),
            }
        }
        if self.deaf {
            self.be_deaf();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn pair() -> (Client, BufReader<UnixStream>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut client = Client::new(ours);
        client.kinds = Kinds::all();
        (client, BufReader::new(theirs))
    }

    fn line(reader: &mut BufReader<UnixStream>) -> String {
        let mut text = String::new();
        reader.read_line(&mut text).unwrap();
        text
    }

    #[test]
    fn one_that_does_not_read_misses_events_and_is_told_how_many() {
        let (mut client, mut theirs) = pair();
        let event = format!("{}\n", "x".repeat(999));
        for _ in 0..2_000 {
            client.push(event.as_bytes());
            assert!(matches!(client.next(), Next::Wait(_)));
            assert!(client.output.len() <= MAX_PUSHED);
        }
        client.say(&"answer");
        assert!(client.missed > 0);
        let (mut whole, mut missed) = (0, 0);
        loop {
            assert!(matches!(client.next(), Next::Wait(_)));
            match line(&mut theirs) {
                text if text == event => whole += 1,
                text if text == "\"answer\"\n" => assert_eq!(missed, 0),
                text => match serde_json::from_str(&text).unwrap() {
                    Pushed::Missed(count) => missed += count,
                    Pushed::Event(event) => panic!("{event:?}"),
                },
            }
            if whole + missed == 2_000 {
                break;
            }
        }
        assert!(missed > 0 && client.missed == 0);
    }

    #[test]
    fn events_that_are_not_read_keep_no_command_waiting() {
        let (mut client, mut theirs) = pair();
        for _ in 0..1_000 {
            client.push(format!("{}\n", "x".repeat(999)).as_bytes());
            assert!(matches!(client.next(), Next::Wait(_)));
        }
        assert!(!client.output.is_empty());
        theirs.get_mut().write_all(b"command\nanother\n").unwrap();
        assert!(matches!(client.next(), Next::Line(line) if line == "command\n"));
        client.say(&"answer");
        let mut read = String::new();
        let next = loop {
            match client.next() {
                Next::Line(line) => break line,
                Next::Wait(_) => read = line(&mut theirs),
                _ => panic!("gone"),
            }
        };
        assert_eq!(next, "another\n");
        while read != "\"answer\"\n" {
            read = line(&mut theirs);
        }
    }

    #[test]
    fn one_that_sends_no_more_still_listens_until_it_closes() {
        let (mut client, theirs) = pair();
        theirs
            .get_ref()
            .shutdown(std::net::Shutdown::Write)
            .unwrap();
        assert!(matches!(client.next(), Next::Wait(_)));
        drop(theirs);
        client.push(b"event\n");
        assert!(matches!(client.next(), Next::Gone));
    }
}

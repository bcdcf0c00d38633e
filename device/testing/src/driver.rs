// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A driver and its queue, both fake, that keep the four steps of a completion
//! apart as a real ring does and notice when they come in the wrong order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use irqstorm_core::queue::{BrokenQueue, GuestBuffers, Lie, RequestQueue, Taken};
use irqstorm_core::request::{Outcome, Request, Status};

use crate::buffers::Bytes;

/// What a driver saw of one completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The number that [`FakeDriver::submit`] gave.
    pub tag: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The request's data afterwards.
    pub data: Vec<u8>,
}

#[derive(Debug, Default)]
struct Ring {
    submitted: VecDeque<FakeToken>,
    next_tag: u64,
    /// Written and not yet visible.
    written: Vec<Used>,
    /// Visible.
    used: Vec<Used>,
    published: u64,
    asked: u64,
    wants: bool,
    behind: bool,
    read_all: bool,
    signals: u64,
    taken: u64,
    abandoned: u64,
    depth: u32,
    lies: Vec<(u64, Lie)>,
    break_on: Option<&'static str>,
}

/// A request on its way through a fake queue.
#[derive(Debug)]
pub struct FakeToken {
    tag: u64,
    request: Result<Request, Status>,
    data: Bytes,
}

/// The driver's end.
#[derive(Clone, Debug)]
pub struct FakeDriver(Rc<RefCell<Ring>>);

/// The device's end, for the pump.
#[derive(Debug)]
pub struct FakeQueue(Rc<RefCell<Ring>>);

/// A driver that wants every interrupt, and its queue, of 128 requests.
pub fn connect() -> (FakeDriver, FakeQueue) {
    let ring = Rc::new(RefCell::new(Ring {
        wants: true,
        depth: 128,
        ..Ring::default()
    }));
    (FakeDriver(Rc::clone(&ring)), FakeQueue(ring))
}

impl FakeDriver {
    /// Puts a request with its data into the queue; returns its tag.
    pub fn submit(&self, request: Request, data: Vec<u8>) -> u64 {
        self.push(Ok(request), data)
    }

    /// Puts something into the queue that the front-end could not parse.
    pub fn submit_malformed(&self, status: Status) -> u64 {
        self.push(Err(status), Vec::new())
    }

    fn push(&self, request: Result<Request, Status>, data: Vec<u8>) -> u64 {
        let mut ring = self.0.borrow_mut();
        ring.next_tag += 1;
        let tag = ring.next_tag;
        let data = Bytes::new(data);
        ring.submitted.push_back(FakeToken { tag, request, data });
        tag
    }

    /// Whether it asks for interrupts from now on.
    pub fn wants_interrupts(&self, wants: bool) {
        self.0.borrow_mut().wants = wants;
    }

    /// Whether it has yet to read, from now on, what it was told of.
    pub fn is_behind(&self, behind: bool) {
        self.0.borrow_mut().behind = behind;
    }

    /// Whether it has read, from now on, all there is.
    pub fn has_read_all(&self, read_all: bool) {
        self.0.borrow_mut().read_all = read_all;
    }

    /// Says that the queue holds this many requests.
    pub fn set_depth(&self, depth: u32) {
        self.0.borrow_mut().depth = depth;
    }

    /// Makes the named step find broken rings: `next`, `complete` or `publish`.
    pub fn break_on(&self, step: &'static str) {
        self.0.borrow_mut().break_on = Some(step);
    }

    /// What has become visible so far, in order.
    pub fn used(&self) -> Vec<Used> {
        self.0.borrow().used.clone()
    }

    /// The tags of what has become visible so far, in order.
    pub fn used_tags(&self) -> Vec<u64> {
        self.0.borrow().used.iter().map(|used| used.tag).collect()
    }

    /// The lies written so far, with the tags of what they are about. They are
    /// not among what is used.
    pub fn lies(&self) -> Vec<(u64, Lie)> {
        self.0.borrow().lies.clone()
    }

    /// Completions in the ring that are not visible yet.
    pub fn unpublished(&self) -> usize {
        self.0.borrow().written.len()
    }

    /// Interrupts raised so far.
    pub fn signals(&self) -> u64 {
        self.0.borrow().signals
    }

    /// How often completions were made visible so far.
    pub fn published(&self) -> u64 {
        self.0.borrow().published
    }

    /// How often it was asked whether it wants an interrupt.
    pub fn asked(&self) -> u64 {
        self.0.borrow().asked
    }

    /// Requests given up so far.
    pub fn abandoned(&self) -> u64 {
        self.0.borrow().abandoned
    }

    /// Requests taken from the queue so far.
    pub fn taken(&self) -> u64 {
        self.0.borrow().taken
    }
}

impl Ring {
    fn check(&self, step: &'static str) -> Result<(), BrokenQueue> {
        match self.break_on {
            Some(broken) if broken == step => Err(BrokenQueue(format!("told to break on {step}"))),
            _ => Ok(()),
        }
    }
}

impl RequestQueue for FakeQueue {
    type Token = FakeToken;

    fn depth(&self) -> u32 {
        self.0.borrow().depth
    }

    fn next(&mut self) -> Result<Option<Taken<FakeToken>>, BrokenQueue> {
        let mut ring = self.0.borrow_mut();
        ring.check("next")?;
        let Some(token) = ring.submitted.pop_front() else {
            return Ok(None);
        };
        ring.taken += 1;
        let request = token.request.clone();
        Ok(Some(Taken { token, request }))
    }

    fn known(&self) -> u32 {
        u32::try_from(self.0.borrow().submitted.len()).unwrap_or(u32::MAX)
    }

    fn with_buffers<R>(
        &self,
        token: &FakeToken,
        use_buffers: impl FnOnce(&dyn GuestBuffers) -> R,
    ) -> R {
        use_buffers(&token.data)
    }

    fn complete(
        &mut self,
        token: FakeToken,
        outcome: Outcome,
        lie: Option<Lie>,
    ) -> Result<(), BrokenQueue> {
        let mut ring = self.0.borrow_mut();
        ring.check("complete")?;
        ring.lies.extend(lie.map(|lie| (token.tag, lie)));
        ring.written.push(Used {
            tag: token.tag,
            outcome,
            data: token.data.take(),
        });
        Ok(())
    }

    fn publish(&mut self) -> Result<(), BrokenQueue> {
        let mut ring = self.0.borrow_mut();
        ring.check("publish")?;
        assert!(!ring.written.is_empty(), "published nothing");
        let written = std::mem::take(&mut ring.written);
        ring.used.extend(written);
        ring.published += 1;
        Ok(())
    }

    fn is_yet_to_read(&mut self) -> bool {
        self.0.borrow().behind
    }

    fn has_been_read(&mut self) -> bool {
        self.0.borrow().read_all
    }

    fn wants_interrupt(&mut self) -> Result<bool, BrokenQueue> {
        let mut ring = self.0.borrow_mut();
        assert!(ring.written.is_empty(), "asked before it published");
        ring.asked += 1;
        Ok(ring.wants)
    }

    fn signal(&self) {
        self.0.borrow_mut().signals += 1;
    }

    fn name(token: &FakeToken) -> Option<u16> {
        u16::try_from(token.tag).ok()
    }

    fn abandon(&mut self, _: FakeToken) {
        self.0.borrow_mut().abandoned += 1;
    }
}

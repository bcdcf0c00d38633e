// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Stores whose requests end later: one that ends them when a test says so, and
//! one that waits for each, so that what is asked of every store can be asked of
//! it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use irqstorm_core::queue::GuestBuffers;
use irqstorm_core::request::{Operation, Outcome, Request, RequestId, Status};
use irqstorm_core::store::{Ended, Geometry, RamStore, Store, Submitted, Ticket};

use crate::store::odd_geometry;

/// What a disk is doing.
#[derive(Debug, Default)]
struct Work {
    /// What it was given, in its order.
    taken: VecDeque<(Ticket, Request)>,
    /// Of these, what it is to end, in this order, and how.
    to_end: VecDeque<(RequestId, Status)>,
    ended: VecDeque<Ended>,
    pushes: u64,
    /// What it has carried out, in the order of their ends.
    done: Vec<Operation>,
    forgotten: u64,
    waits: u64,
}

/// The test's hand on a [`Slow`] store.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Work>>);

impl Disk {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a request, with the next look at the store.
    pub fn end(&self, request: u64) {
        self.end_as(request, Status::Ok);
    }

    /// Ends it so.
    pub fn end_as(&self, request: u64, status: Status) {
        self.work().to_end.push_back((RequestId(request), status));
    }

    /// The requests that it is at, in the order in which they came.
    pub fn at_work(&self) -> Vec<u64> {
        let work = self.work();
        let taken = work.taken.iter();
        taken.map(|(ticket, _)| ticket.request.0).collect()
    }

    /// What it has carried out so far, in the order of their ends.
    pub fn done(&self) -> Vec<Operation> {
        self.work().done.clone()
    }

    /// Requests whose results nobody wanted.
    pub fn forgotten(&self) -> u64 {
        self.work().forgotten
    }

    /// How often it was handed what had been submitted.
    pub fn pushes(&self) -> u64 {
        self.work().pushes
    }

    /// How often it was waited for.
    pub fn waits(&self) -> u64 {
        self.work().waits
    }
}

/// A disk in memory whose requests end when its [`Disk`] says so, or all of
/// them when it is waited for. A write has its data from the beginning, as the
/// contract has it; a read looks at the disk when it is finished.
pub struct Slow {
    disk: Disk,
    content: RamStore,
    unsent: bool,
}

impl Slow {
    /// An empty disk, and the hand on it.
    pub fn new() -> (Slow, Disk) {
        let disk = Disk::default();
        let slow = Slow {
            disk: disk.clone(),
            content: RamStore::new(odd_geometry()),
            unsent: false,
        };
        (slow, disk)
    }
}

impl Work {
    fn end_one(&mut self, request: RequestId, status: Status) {
        let is_it = |(ticket, _): &(Ticket, Request)| ticket.request == request;
        let Some(place) = self.taken.iter().position(is_it) else {
            return;
        };
        if let Some((ticket, request)) = self.taken.remove(place) {
            self.done.push(request.operation);
            let ended = Ended::new(ticket, &request, status);
            let slot = (request.operation == Operation::Read).then_some(0);
            self.ended.push_back(Ended { slot, ..ended });
        }
    }
}

impl Store for Slow {
    fn geometry(&self) -> Geometry {
        self.content.geometry()
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        self.content.execute(request, buffers)
    }

    fn submit(
        &mut self,
        ticket: Ticket,
        request: &Request,
        buffers: &dyn GuestBuffers,
    ) -> Submitted {
        if request.operation != Operation::Read {
            let outcome = self.content.execute(request, buffers);
            if outcome.status != Status::Ok {
                return Submitted::Done(outcome);
            }
        }
        self.unsent = true;
        self.disk.work().taken.push_back((ticket, request.clone()));
        Submitted::Later
    }

    fn push(&mut self) {
        let mut work = self.disk.work();
        work.pushes += u64::from(std::mem::take(&mut self.unsent));
        while let Some((request, status)) = work.to_end.pop_front() {
            work.end_one(request, status);
        }
    }

    fn has_unsent(&self) -> bool {
        self.unsent
    }

    fn ended(&mut self) -> Option<Ended> {
        self.disk.work().ended.pop_front()
    }

    /// A read of a run of sectors, the one whose buffers these are.
    fn finish(&mut self, ended: &Ended, buffers: &dyn GuestBuffers) -> Outcome {
        match ended.slot {
            Some(_) if ended.status == Status::Ok => {
                let bytes = vec![0xda; usize::try_from(buffers.len()).unwrap_or(0)];
                match buffers.write(0, &bytes) {
                    Ok(()) => Outcome::ok(buffers.len()),
                    Err(_) => Outcome::failed(Status::IoError),
                }
            }
            _ => ended.outcome(),
        }
    }

    fn forget(&mut self, _: &Ended) {
        self.disk.work().forgotten += 1;
    }

    fn pending(&self) -> usize {
        let work = self.disk.work();
        work.taken.len() + work.ended.len()
    }

    fn wait(&mut self) {
        self.push();
        let mut work = self.disk.work();
        work.waits += 1;
        let rest: Vec<RequestId> = work.taken.iter().map(|(t, _)| t.request).collect();
        rest.into_iter().for_each(|r| work.end_one(r, Status::Ok));
    }
}

/// A store whose requests go all the way that they go under the pump, one after
/// the other.
pub struct Waited<S>(S);

impl<S: Store> Waited<S> {
    /// A store that is used on this thread.
    pub fn new(mut store: S) -> Waited<S> {
        store.begin();
        Waited(store)
    }
}

impl<S: Store> Store for Waited<S> {
    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    /// # Panics
    ///
    /// If the store tells of another request than the one that it was given.
    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        let ticket = Ticket {
            request: RequestId(7),
            ..Ticket::default()
        };
        if let Submitted::Done(outcome) = self.0.submit(ticket, request, buffers) {
            return outcome;
        }
        loop {
            assert_eq!(self.0.pending(), 1);
            self.0.wait();
            if let Some(ended) = self.0.ended() {
                assert_eq!(ended.ticket, ticket);
                assert_eq!(self.0.pending(), 0);
                return self.0.finish(&ended, buffers);
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What passes between the pump and a store that carries requests out later.

use crate::request::{Operation, Outcome, QueueId, Request, RequestId, Status};

/// By what the pump knows a request again that a store has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Its queue.
    pub queue: QueueId,
    /// Its number.
    pub request: RequestId,
}

/// What a store has made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It has ended.
    Done(Outcome),
    /// It ends later: [`Store::ended`](super::Store::ended) says so, once.
    Later,
}

/// A request that has ended. It is to be finished or forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it was submitted with.
    pub ticket: Ticket,
    /// What it did.
    pub operation: Operation,
    /// Whether it was to be durable.
    pub durable: bool,
    /// How it ended, as far as that is known with its data still to be moved.
    pub status: Status,
    /// The store's own: where it has what it knows of it, if anywhere.
    pub slot: Option<usize>,
}

impl Ended {
    /// One of which nothing more is known.
    pub fn new(ticket: Ticket, request: &Request, status: Status) -> Ended {
        Ended {
            ticket,
            operation: request.operation,
            durable: request.durable,
            status,
            slot: None,
        }
    }

    /// How it ended if it moved no data to the guest.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            status: self.status,
            written: 0,
        }
    }
}

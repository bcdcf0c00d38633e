// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Completions that wait for a release instead of a time.

use std::collections::BTreeMap;

use crate::request::{QueueId, RequestId};

/// Which requests are held, oldest first, and on which queue each is.
#[derive(Debug, Default)]
pub struct Held {
    requests: BTreeMap<RequestId, QueueId>,
}

impl Held {
    /// Holds a request.
    pub fn insert(&mut self, request: RequestId, queue: QueueId) {
        self.requests.insert(request, queue);
    }

    /// Lets one go.
    pub fn remove(&mut self, request: RequestId) -> Option<QueueId> {
        self.requests.remove(&request)
    }

    /// Lets the oldest go.
    pub fn pop_oldest(&mut self) -> Option<(RequestId, QueueId)> {
        self.requests.pop_first()
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (RequestId, QueueId)> {
        self.requests
            .iter()
            .map(|(&request, &queue)| (request, queue))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.requests.clear();
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps events where a test can look at them while the pump runs.

use std::sync::{Arc, Mutex, PoisonError};

use irqstorm_core::event::{Event, EventSink, What};

/// A sink whose clones share what was recorded.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Recorder {
    /// Everything so far.
    pub fn all(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What happened so far, without the times.
    pub fn whats(&self) -> Vec<What> {
        self.all().into_iter().map(|event| event.what).collect()
    }
}

impl EventSink for Recorder {
    fn record(&mut self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }
}

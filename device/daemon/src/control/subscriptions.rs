// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Events for the clients that have asked for them.

use event_manager::EventOps;
use irqstorm_core::control::{Code, Pushed, Refusal, Subscribe, SubscribeReply};
use irqstorm_core::event::What;
use serde_json::Value;

use super::Plane;
use crate::tap::Kinds;

impl<Q: 'static> Plane<Q> {
    /// Carries the command `subscribe` out.
    pub(super) fn subscribe(&mut self, client: u32, wish: &Subscribe) -> Result<Value, Refusal> {
        let bad = |text: String| Refusal::new(Code::BadRequest, text);
        let kinds = match &wish.events {
            None => Kinds::all(),
            Some(names) => Kinds::named(names).map_err(|unknown| {
                let known = What::NAMES.join(", ");
                bad(format!("there is no event {unknown}: {known}"))
            })?,
        };
        // What has happened before is for those who have asked before.
        self.distribute();
        if let Some(client) = self.clients.get_mut(&client) {
            client.kinds = kinds;
        }
        self.tapped.want(self.wanted());
        // What was distributed is still to be written.
        self.tapped.ring();
        let events = kinds.names();
        serde_json::to_value(SubscribeReply { events }).map_err(|e| bad(e.to_string()))
    }

    /// What any client has subscribed to.
    pub(super) fn wanted(&self) -> Kinds {
        let clients = self.clients.values();
        clients.fold(Kinds::NONE, |kinds, client| kinds.and(client.kinds))
    }

    /// Hands out the events that there are.
    pub(super) fn take_events(&mut self, ops: &mut EventOps) {
        self.tapped.hear();
        self.distribute();
        let listening = |(id, client): (&u32, &super::Client)| {
            let listens = !client.kinds.is_none();
            listens.then_some(*id)
        };
        let ids: Vec<u32> = self.clients.iter().filter_map(listening).collect();
        for id in ids {
            self.go_on(id, ops);
        }
    }

    /// Puts the events that there are into the buffers of those who want them.
    fn distribute(&mut self) {
        let mut line = Vec::new();
        for (kind, event) in self.tapped.take() {
            let mut takers = self.clients.values_mut().filter(|c| c.kinds.has(kind));
            let Some(first) = takers.next() else {
                continue;
            };
            line.clear();
            // Into memory, and of a type that has a JSON form: never fails.
            let _ = serde_json::to_writer(&mut line, &Pushed::Event(event));
            line.push(b'\n');
            first.push(&line);
            takers.for_each(|client| client.push(&line));
        }
        for (kind, count) in self.tapped.missed() {
            let takers = self.clients.values_mut().filter(|c| c.kinds.has(kind));
            takers.for_each(|client| client.miss(count));
        }
    }
}

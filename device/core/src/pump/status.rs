// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the pump says of itself.

use super::{Lane, Pump};
use crate::control::{HeldEntry, Precision, ReplayStatus, StatusReply};
use crate::counters::Counters;
use crate::filter::Traits;
use crate::held::HeldRequest;
use crate::queue::RequestQueue;
use crate::request::RequestId;
use crate::storm::Course;
use crate::units::Nanos;

impl<Q: RequestQueue> Pump<Q> {
    /// Whether any storm runs.
    pub(super) fn is_storming(&self) -> bool {
        self.storms.iter().any(Course::is_running)
    }

    /// The answer to the command `status`.
    pub(super) fn status(&self, now: Nanos) -> StatusReply {
        let idle = |lane: &&Lane<Q>| lane.counters == Counters::default();
        let used = self.lanes.iter().rposition(|lane| !idle(&lane));
        let lanes = &self.lanes[..used.map_or(0, |last| last + 1)];
        let mut total = Counters::default();
        for lane in lanes {
            total.add(&lane.counters);
        }
        let [published, signalled] = self.desk.measured.quantiles();
        StatusReply {
            at: now,
            scenario: self.scenario_name.clone(),
            seed: self.seed,
            phase: self.phase_reply(now),
            holding: self.is_holding(),
            storming: self.is_storming(),
            connected: self.lanes.iter().any(Lane::is_attached),
            total,
            queues: lanes.iter().map(|lane| lane.counters).collect(),
            latencies: lanes.iter().map(|lane| lane.latencies.buckets()).collect(),
            latency_sums: lanes.iter().map(|lane| lane.latencies.sum()).collect(),
            config: self.config,
            precision: Precision {
                floor: self.floor,
                published,
                signalled,
            },
            marks: self.marks.counts().clone(),
            replay: self.replay.as_ref().map(|replay| ReplayStatus {
                repeated: replay.repeated(),
                unrecorded: replay.unrecorded(),
            }),
            events_dropped: self.desk.events.dropped(),
            guard_pauses: self.guard_pauses,
            storm_skipped: self.storm_skipped,
        }
    }
}

/// A held request as a list shows it.
pub(super) fn entry(request: RequestId, held: &HeldRequest, now: Nanos) -> HeldEntry {
    let Traits {
        queue,
        operation,
        sector,
        bytes,
    } = held.traits;
    HeldEntry {
        request,
        queue,
        operation,
        sector,
        bytes,
        age: now - held.arrived,
    }
}

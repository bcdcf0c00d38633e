// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What ends before its time: a request that its driver takes back, and a
//! device that fails.

use super::turn::Moment;
use super::{Answer, Pump, reply};
use crate::control::{Code, FailReply, Refusal};
use crate::queue::{BrokenQueue, RequestQueue};
use crate::request::{Outcome, QueueId, RequestId, Status};
use crate::scenario::{Fault, Scenario};

/// What queues of a failed device are stopped for.
const FAILED: &str = "the device has failed, as it was told to";

impl<Q: RequestQueue> Pump<Q> {
    /// Completes a request as aborted, whatever it waits for; false if it is not
    /// in flight, or lost, which to the driver is the same.
    pub(super) fn abort(&mut self, queue: QueueId, name: u16, moment: Moment) -> bool {
        let Some(lane) = self.lane(queue) else {
            return false;
        };
        let Some(request) = lane.named(name) else {
            return false;
        };
        lane.end_as(request, Outcome::failed(Status::Aborted));
        lane.hold(request, false);
        self.held.remove(request);
        self.complete(queue, request, moment.now, false, moment);
        self.flush_dirty(moment);
        true
    }

    /// Carries the command `fail` out.
    pub(super) fn fail(&mut self, moment: Moment) -> Answer {
        if self.failure_line.is_none() {
            return Err(Refusal::new(Code::BadRequest, CANNOT_FAIL));
        }
        let (queues, requests) = self.fail_device(moment);
        reply(FailReply { queues, requests })
    }

    /// The device fails: its driver is told, and its queues are stopped with what
    /// is in flight. How many these are, and how many requests.
    pub(super) fn fail_device(&mut self, moment: Moment) -> (u32, u64) {
        // First what is visible to the driver, then the word for it.
        self.flush_dirty(moment);
        if let Some(line) = &self.failure_line {
            line.fail();
        }
        let attached = self.lanes.iter().filter(|lane| lane.is_attached());
        let queues: Vec<QueueId> = attached.map(|lane| lane.id).collect();
        let mut requests = 0;
        for &queue in &queues {
            requests += self.lane(queue).map_or(0, |lane| lane.counters.in_flight);
            self.break_queue(queue, &BrokenQueue(FAILED.to_owned()), moment);
        }
        (u32::try_from(queues.len()).unwrap_or(u32::MAX), requests)
    }

    /// Whether the device is to fail in place of a request's completion.
    pub(super) fn is_failure(&mut self, queue: QueueId, request: RequestId) -> bool {
        let in_flight = self.lane(queue).and_then(|lane| lane.get(request));
        in_flight.is_some_and(|in_flight| in_flight.plan.fault == Some(Fault::DeviceFailure))
    }

    /// Refuses a scenario with a failure that this device cannot tell of.
    pub(super) fn check_failures(&self, scenario: &Scenario) -> Result<(), Refusal> {
        match scenario.fails_device() && self.failure_line.is_none() {
            true => Err(Refusal::new(Code::BadScenario, CANNOT_FAIL)),
            false => Ok(()),
        }
    }
}

/// Why a virtio disk does not fail: the status is in QEMU's keeping.
pub const CANNOT_FAIL: &str = "this device cannot say that it has failed: the status of a \
     virtio device (DEVICE_NEEDS_RESET) is the VMM's, which asks nobody; an NVMe controller can";

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Two requests, made up: one whose bio is deferred to a worker that is preempted
//! amid it, one whose bio ends in the handler; and a spurious interrupt. The
//! guest's clock is 12 s less 1 ms ahead.

use irqstorm_core::event::{Cause, Event, What as Did};
use irqstorm_core::plan::Plan;
use irqstorm_core::request::{Operation, QueueId, RequestId, Sector, Status};
use irqstorm_core::units::Nanos;

use super::text::{Record, Text};

/// As the kernel would print them.
pub(super) const TRACE: &str = "\
# tracer: nop
           agent-42      [000] .....    12.000001: block_rq_issue: 254,0 WS 4096 () 2048 + 8 none,0,0 [agent]
          <idle>-0       [001] d.h1.    12.000080: irq_handler_entry: irq=26 name=virtio0-req.1
          <idle>-0       [001] d.h2.    12.000084: block_rq_complete: 254,0 WS () 2048 + 8 none,0,0 [0]
          <idle>-0       [001] d.h2.    12.000085: workqueue_queue_work: work struct=0 function=bio_complete_work_fn workqueue=events req_cpu=1 cpu=1
          <idle>-0       [001] d.h1.    12.000086: irq_handler_exit: irq=26 ret=handled
          <idle>-0       [001] d..2.    12.000089: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=kworker/1:1 next_pid=31 next_prio=120
     kworker/1:1-31      [001] .....    12.000091: workqueue_execute_start: work struct 0: function bio_complete_work_fn
     kworker/1:1-31      [001] d..2.    12.000092: sched_switch: prev_comm=kworker/1:1 prev_pid=31 prev_prio=120 prev_state=R+ ==> next_comm=hog next_pid=50 next_prio=49
             hog-50      [001] d..2.    12.000094: sched_switch: prev_comm=hog prev_pid=50 prev_prio=49 prev_state=S ==> next_comm=kworker/1:1 next_pid=31 next_prio=120
     kworker/1:1-31      [001] .....    12.000095: irqstorm_bio_end: sector=2048 write=1 tagged=1
     kworker/1:1-31      [001] .....    12.000096: workqueue_execute_end: work struct 0: function bio_complete_work_fn
           agent-42      [000] .....    12.000100: block_rq_issue: 254,0 R 4096 () 64 + 8 none,0,0 [agent]
          <idle>-0       [001] d.h1.    12.000150: irq_handler_entry: irq=26 name=virtio0-req.1
          <idle>-0       [001] d.h1.    12.000152: irq_handler_exit: irq=26 ret=unhandled
          <idle>-0       [001] d.h1.    12.000250: irq_handler_entry: irq=26 name=virtio0-req.1
          <idle>-0       [001] d.h2.    12.000253: block_rq_complete: 254,0 R () 64 + 8 none,0,0 [0]
          <idle>-0       [001] d.h2.    12.000254: irqstorm_bio_end: sector=64 write=0 tagged=0
          <idle>-0       [001] d.h1.    12.000256: irq_handler_exit: irq=26 ret=handled
";

/// The guest's.
pub(super) fn records() -> Vec<Record> {
    let mut text = Text::default();
    text.take(TRACE);
    assert_eq!(text.unreadable, 0);
    text.records
}

/// The device's.
pub(super) fn events() -> Vec<Event> {
    let queue = QueueId(1);
    let at = |micros: u64, what| Event {
        at: Nanos(micros * 1_000),
        what,
    };
    let arrived = |request, operation, sector| Did::Arrived {
        request: RequestId(request),
        queue,
        nth: request,
        operation,
        sector: Sector(sector),
        bytes: 4096,
        plan: Plan::default(),
        due: None,
    };
    let planned = Nanos(0);
    let completed = |request| Did::Completed {
        request: RequestId(request),
        queue,
        status: Status::Ok,
        planned,
    };
    let published = Did::Published {
        queue,
        count: 1,
        planned,
    };
    let decided = Did::Decided {
        queue,
        wanted: true,
        count: 1,
        planned,
    };
    let signalled = Did::Signalled {
        queue,
        cause: Cause::Completion,
        planned,
    };
    vec![
        at(1_010, arrived(7, Operation::Write, 2048)),
        at(1_070, completed(7)),
        at(1_071, published.clone()),
        at(1_072, decided.clone()),
        at(1_074, signalled.clone()),
        at(1_108, arrived(8, Operation::Read, 64)),
        at(
            1_140,
            Did::Spurious {
                queue,
                count: 1,
                planned,
            },
        ),
        at(1_240, completed(8)),
        at(1_241, published),
        at(1_242, decided),
        at(1_244, signalled),
    ]
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Recorded latencies in their order.

use irqstorm_core::event::{Event, What};
use irqstorm_core::latency::Latency;
use irqstorm_core::plan::Plan;
use irqstorm_core::request::{Operation, QueueId, RequestId, Sector, Status};
use irqstorm_core::units::Nanos;

use crate::{FIO_LOG, latency, refusal, resolve, values};

#[test]
fn a_trace_of_times_is_read_in_order() {
    let text = "# from the field\n80us\n\n1.5ms  # a hiccup\n  7ns\n";
    assert_eq!(
        values("trace = { file = 'x' }", text.as_bytes()),
        [80_000, 1_500_000, 7]
    );
}

#[test]
fn fios_log_is_read_in_order_and_by_operation() {
    let all = values("trace = { file = 'x' }", FIO_LOG.as_bytes());
    assert_eq!(all.len(), 40);
    assert_eq!(all[..3], [14_982, 2_954, 197_014]);
    let reads = values(
        "trace = { file = 'x', operation = 'read' }",
        FIO_LOG.as_bytes(),
    );
    assert_eq!((reads.len(), reads[0]), (27, 197_014));
    let error = refusal(
        "trace = { file = 'x', operation = 'trim' }",
        FIO_LOG.as_bytes(),
    );
    assert!(error.contains("trim"), "{error}");
}

#[test]
fn this_devices_events_give_latencies_in_the_order_of_arrival() {
    let arrived = |at, request, operation| Event {
        at: Nanos(at),
        what: What::Arrived {
            request: RequestId(request),
            queue: QueueId(0),
            operation,
            sector: Sector(0),
            bytes: 0,
            nth: 0,
            plan: Plan::default(),
            due: None,
        },
    };
    let completed = |at, request| Event {
        at: Nanos(at),
        what: What::Completed {
            request: RequestId(request),
            queue: QueueId(0),
            status: Status::Ok,
            planned: Nanos(at),
        },
    };
    let events = [
        completed(50, 9),
        arrived(100, 10, Operation::Read),
        arrived(150, 11, Operation::Flush),
        arrived(200, 12, Operation::Read),
        completed(400, 12),
        completed(900, 10),
        completed(1_000, 11),
        arrived(2_000, 13, Operation::Read),
    ];
    let lines: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    let text = lines.join("\n");
    assert_eq!(
        values("trace = { file = 'x' }", text.as_bytes()),
        [800, 850, 200]
    );
    let flushes = values(
        "trace = { file = 'x', operation = 'flush' }",
        text.as_bytes(),
    );
    assert_eq!(flushes, [850]);
}

#[test]
fn files_are_resolved_inside_a_mixture() {
    let keys = "mixture = [{ share = '60%', latency = { trace = { file = 'x' } } },
                           { share = '40%', latency = { fixed = '1us' } }]";
    let Latency::Mixture(parts) = resolve(keys, b"5us\n").unwrap() else {
        panic!("no mixture");
    };
    assert_eq!(parts[0].latency, latency("trace = { values = ['5us'] }"));
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The timeline as trace events in JSON (the "Trace Event Format" of Chromium),
//! which ui.perfetto.dev opens.
//!
//! A group of rows is a process, a row a thread of it. What is on a row is a
//! complete event (`X`), the way of a request a flow (`s`, `t`, `f`) that is
//! bound to the slices around its steps, and what a queue has in flight a
//! counter (`C`). Times are in microseconds, on the device's clock.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::timeline::{GROUPS, Row, Slice, Timeline};

/// One event.
#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    ph: &'static str,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// Where a flow's step is bound: at the slice around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
}

/// Nanoseconds, written as microseconds.
struct Micros(i64);

impl Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        // To the nanosecond within the first hundred days.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are enough for that")]
        let micros = self.0 as f64 / 1e3;
        out.serialize_f64(micros)
    }
}

/// What comes in the order of time.
enum Item {
    Slice(usize),
    /// Of this request, this step.
    Step(usize, usize),
    /// So many are in flight on this queue now.
    InFlight(u16, i64),
}

/// The name and the category of all flows.
const FLOW: &str = "request";

/// Writes the timeline; `about` is what else is to be known of it.
pub(super) fn write(timeline: &Timeline, about: &Value, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{\"displayTimeUnit\":\"ns\",\"otherData\":")?;
    serde_json::to_writer(&mut *out, about)?;
    out.write_all(b",\"traceEvents\":[")?;
    let mut list = List { out, first: true };
    names(timeline, &mut list)?;
    for (at, item) in in_order(timeline) {
        match item {
            Item::Slice(index) => {
                if let Some(slice) = timeline.slices.get(index) {
                    list.add(&of_slice(timeline, slice))?;
                }
            }
            Item::Step(request, step) => {
                if let Some(event) = of_step(timeline, request, step) {
                    list.add(&event)?;
                }
            }
            Item::InFlight(queue, count) => {
                let (pid, tid) = ids(Row::Queue(queue));
                list.add(&Event {
                    args: Some(json!({ "requests": count })),
                    ts: Some(Micros(at)),
                    ..event(&format!("queue {queue} in flight"), "C", pid, tid)
                })?;
            }
        }
    }
    list.out.write_all(b"\n]}\n")
}

/// JSON's commas.
struct List<'a, W: Write> {
    out: &'a mut W,
    first: bool,
}

impl<W: Write> List<'_, W> {
    fn add(&mut self, event: &Event<'_>) -> io::Result<()> {
        let comma: &[u8] = if self.first { b"\n" } else { b",\n" };
        self.first = false;
        self.out.write_all(comma)?;
        serde_json::to_writer(&mut *self.out, event)?;
        Ok(())
    }
}

/// Process and thread of a row. Threads are told apart by their number alone in
/// some readers, so that no two groups share one.
fn ids(row: Row) -> (u32, u32) {
    /// Above the largest number that a row has within its group (a pid).
    const EACH: u32 = 1 << 23;
    let (group, number) = row.place();
    let group = u32::from(group) + 1;
    (group, group * EACH + number % EACH)
}

fn event<'a>(name: &'a str, ph: &'static str, pid: u32, tid: u32) -> Event<'a> {
    Event {
        name,
        cat: None,
        ph,
        pid,
        tid,
        ts: None,
        dur: None,
        id: None,
        bp: None,
        args: None,
    }
}

/// The names of groups and rows, and their order.
fn names<W: Write>(timeline: &Timeline, list: &mut List<'_, W>) -> io::Result<()> {
    let mut groups: Vec<u8> = timeline.rows.keys().map(|row| row.place().0).collect();
    groups.dedup();
    for group in groups {
        let name = GROUPS.get(usize::from(group)).copied().unwrap_or_default();
        let pid = u32::from(group) + 1;
        for (what, args) in [
            ("process_name", json!({ "name": name })),
            ("process_sort_index", json!({ "sort_index": group })),
        ] {
            let args = Some(args);
            list.add(&Event {
                args,
                ..event(what, "M", pid, 0)
            })?;
        }
    }
    for (place, (row, name)) in timeline.rows.iter().enumerate() {
        let (pid, tid) = ids(*row);
        for (what, args) in [
            ("thread_name", json!({ "name": name })),
            ("thread_sort_index", json!({ "sort_index": place })),
        ] {
            let args = Some(args);
            list.add(&Event {
                args,
                ..event(what, "M", pid, tid)
            })?;
        }
    }
    Ok(())
}

/// Everything by its time; a step right behind the slice that begins with it, so
/// that it is bound to that one.
fn in_order(timeline: &Timeline) -> Vec<(i64, Item)> {
    let mut items = Vec::new();
    for (index, slice) in timeline.slices.iter().enumerate() {
        items.push(((slice.begin, index, 0), Item::Slice(index)));
    }
    for (number, request) in timeline.requests.iter().enumerate() {
        if request.way.len() < 2 {
            continue;
        }
        for (step, &(index, at)) in request.way.iter().enumerate() {
            let begins = timeline.slices.get(index).map(|slice| slice.begin);
            let behind = if begins == Some(at) {
                index
            } else {
                usize::MAX
            };
            items.push(((at, behind, 1 + step), Item::Step(number, step)));
        }
    }
    let mut counts = std::collections::BTreeMap::new();
    for &(at, queue, change) in &timeline.in_flight {
        let count = counts.entry(queue).or_insert(0_i64);
        *count += change;
        items.push(((at, usize::MAX, usize::MAX), Item::InFlight(queue, *count)));
    }
    // The slices are in their order already, the outer before the inner.
    items.sort_by_key(|(key, _)| *key);
    items.into_iter().map(|(key, item)| (key.0, item)).collect()
}

fn of_slice<'a>(timeline: &'a Timeline, slice: &'a Slice) -> Event<'a> {
    let (pid, tid) = ids(slice.row);
    let request = slice
        .request
        .and_then(|number| timeline.requests.get(number));
    let args = request.map(|request| {
        json!({
            "request": request.number,
            "operation": request.operation.name(),
            "sector": request.sector,
            "bytes": request.bytes,
        })
    });
    Event {
        cat: Some(slice.kind.name()),
        ts: Some(Micros(slice.begin)),
        dur: Some(Micros(slice.end - slice.begin)),
        args,
        ..event(&slice.name, "X", pid, tid)
    }
}

fn of_step(timeline: &Timeline, number: usize, step: usize) -> Option<Event<'static>> {
    let request = timeline.requests.get(number)?;
    let &(index, at) = request.way.get(step)?;
    let (pid, tid) = ids(timeline.slices.get(index)?.row);
    let ph = match step {
        0 => "s",
        _ if step + 1 == request.way.len() => "f",
        _ => "t",
    };
    Some(Event {
        cat: Some(FLOW),
        ts: Some(Micros(at)),
        id: Some(request.number),
        bp: (ph != "s").then_some("e"),
        ..event(FLOW, ph, pid, tid)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::{guest, join, samples};
    use super::*;
    use proptest::prelude::*;

    fn written(timeline: &Timeline) -> Value {
        let mut json = Vec::new();
        write(timeline, &json!({"test": "x"}), &mut json).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    fn sample() -> Timeline {
        join::join(guest::follow(&samples::records()), &samples::events()).timeline
    }

    type Thread = (u64, u64);

    fn thread(event: &Value) -> Thread {
        (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        )
    }

    /// As readers take microseconds with decimals.
    fn nanos(micros: &Value) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        let nanos = (micros.as_f64().unwrap() * 1e3).round() as i64;
        nanos
    }

    /// Checks what a reader of the format relies on.
    fn check(trace: &Value) {
        let events = trace["traceEvents"].as_array().unwrap();
        let mut named = BTreeSet::new();
        let mut last = i64::MIN;
        let mut open: BTreeMap<Thread, Vec<(i64, i64)>> = BTreeMap::new();
        let mut flows: BTreeMap<u64, String> = BTreeMap::new();
        for event in events {
            let ph = event["ph"].as_str().unwrap();
            if ph == "M" {
                if event["name"] == "thread_name" {
                    assert!(named.insert(thread(event)), "named twice: {event}");
                }
                continue;
            }
            let ts = nanos(&event["ts"]);
            assert!(ts >= last, "goes back: {event}");
            last = ts;
            let stack = open.entry(thread(event)).or_default();
            match ph {
                "X" => {
                    assert!(named.contains(&thread(event)), "no such row: {event}");
                    let end = ts + nanos(&event["dur"]);
                    while stack.last().is_some_and(|(_, end)| *end <= ts) {
                        stack.pop();
                    }
                    if let Some((_, around)) = stack.last() {
                        assert!(end <= *around, "ends outside: {event}");
                    }
                    stack.push((ts, end));
                }
                "s" | "t" | "f" => {
                    while stack.last().is_some_and(|(_, end)| *end < ts) {
                        stack.pop();
                    }
                    assert!(!stack.is_empty(), "not in a slice: {event}");
                    assert_eq!(event["bp"] == "e", ph != "s");
                    let flow = flows.entry(event["id"].as_u64().unwrap()).or_default();
                    flow.push_str(ph);
                }
                "C" => assert!(event["args"]["requests"].as_i64().unwrap() >= 0),
                other => panic!("unknown phase {other}"),
            }
        }
        for (id, phases) in flows {
            let steps = phases
                .strip_prefix('s')
                .and_then(|rest| rest.strip_suffix('f'));
            assert!(
                steps.is_some_and(|steps| steps.bytes().all(|step| step == b't')),
                "flow {id}: {phases}"
            );
        }
    }

    #[test]
    fn a_trace_is_what_a_reader_of_the_format_relies_on() {
        let trace = written(&sample());
        check(&trace);
        let events = trace["traceEvents"].as_array().unwrap();
        let count = |ph: &str| events.iter().filter(|event| event["ph"] == ph).count();
        assert_eq!((count("s"), count("t"), count("f")), (2, 6, 2));
        let name = |name: &str| events.iter().any(|event| event["args"]["name"] == name);
        for row in ["queue 1", "irq 26 virtio0-req.1", "CPU 0", "kworker/1:1"] {
            assert!(name(row), "{row}");
        }
    }

    #[test]
    fn an_empty_timeline_is_a_trace_too() {
        check(&written(&Timeline::default()));
    }

    proptest! {
        #[test]
        fn records_in_any_order_make_a_trace_all_the_same(
            order in prop::collection::vec(0usize..18, 0..60),
            step in 0u64..40_000,
        ) {
            let all = samples::records();
            let records = order.iter().zip(0u64..).map(|(&index, number)| {
                let mut record = all[index].clone();
                record.at.0 = 12_000_000_000 + number * step;
                record
            });
            let records: Vec<_> = records.collect();
            let joined = join::join(guest::follow(&records), &samples::events());
            check(&written(&joined.timeline));
        }
    }
}

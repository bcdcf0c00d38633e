// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From the records of the guest's kernel to what was on its rows and to its
//! requests. All times are still the guest's.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::text::{Place, Record, Task, What};
use super::timeline::{Kind, Row, Slice};

/// A full ring may still take the odd small record: the last few of a CPU that
/// lost some are not known to be without a gap.
const UNSURE: usize = 16;

/// A request as the guest saw it.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) place: Place,
    pub(super) bytes: u64,
    pub(super) at: i64,
    /// Where it was issued: a slice.
    pub(super) slice: usize,
    /// When it was found completed, and where: the handler, or else the moment.
    pub(super) completed: Option<(i64, usize)>,
    /// When its bio ended, where, and whether it was tagged.
    pub(super) ended: Option<(i64, usize, bool)>,
}

/// What the guest did.
#[derive(Debug, Default)]
pub(super) struct Guest {
    pub(super) rows: BTreeMap<Row, String>,
    pub(super) slices: Vec<Slice>,
    pub(super) requests: Vec<Issued>,
}

/// Keeps what is known to be without a gap: until the first CPU lost a record.
pub(super) fn cut(records: &mut Vec<Record>, lossy: &[u32]) {
    let last_sure = |cpu: &u32| {
        let of_cpu = records.iter().rev().filter(|record| record.cpu == *cpu);
        of_cpu.skip(UNSURE).map(|record| record.at).next()
    };
    if let Some(end) = lossy.iter().filter_map(last_sure).min() {
        records.retain(|record| record.at <= end);
    }
}

/// Reads the records, which come in their order.
pub(super) fn follow(records: &[Record]) -> Guest {
    let mut walk = Walk::default();
    for record in records {
        walk.take(record);
    }
    let end = records.last().map_or(0, |record| nanos(record.at.0));
    walk.end(end)
}

/// What is under way while records are read.
#[derive(Default)]
struct Walk {
    guest: Guest,
    /// Handlers on each CPU, the innermost last: the slices of vector and CPU.
    handlers: HashMap<u32, Vec<(u32, usize, usize)>>,
    /// The task that each CPU runs, if it is one that handles completions.
    running: HashMap<u32, usize>,
    /// What each worker is at.
    works: HashMap<u32, usize>,
    /// Since when each worker has no CPU amid a work.
    off: HashMap<u32, usize>,
    /// Requests by their place: issued, and completed without their bio's end.
    under_way: HashMap<Place, VecDeque<usize>>,
    unended: HashMap<Place, VecDeque<usize>>,
    requeued: HashSet<usize>,
}

impl Walk {
    fn take(&mut self, record: &Record) {
        let (at, cpu) = (nanos(record.at.0), record.cpu);
        match &record.what {
            What::Entry { irq, name } => self.enter(at, cpu, *irq, name),
            What::Exit { irq, handled } => self.leave(at, cpu, *irq, *handled),
            What::Issued { place, bytes } => self.issue(at, cpu, *place, *bytes),
            What::Requeued { place } => {
                // Not the device's yet: it will be issued again.
                let last = self.under_way.get_mut(place).and_then(VecDeque::pop_back);
                self.requeued.extend(last);
            }
            What::Completed { place, error } => self.complete(at, cpu, *place, *error),
            What::Queued { function } => {
                self.moment(at, Row::Cpu(cpu), Kind::Queued, function);
            }
            What::Began { function } => self.begin_work(at, &record.task, function),
            What::Ended => self.end_work(at, record.task.pid),
            What::Switched { from, to } => self.switch(at, cpu, from, to),
            What::BioEnded { place, tagged } => {
                self.end_bio(at, cpu, record.task.pid, *place, *tagged);
            }
        }
    }

    fn open(&mut self, at: i64, row: Row, kind: Kind, name: &str) -> usize {
        self.guest.slices.push(Slice {
            row,
            begin: at,
            end: at,
            kind,
            name: name.to_owned(),
            request: None,
        });
        self.guest.slices.len() - 1
    }

    fn moment(&mut self, at: i64, row: Row, kind: Kind, name: &str) -> usize {
        if let Row::Cpu(cpu) = row {
            let rows = &mut self.guest.rows;
            rows.entry(row).or_insert_with(|| format!("CPU {cpu}"));
        }
        self.open(at, row, kind, name)
    }

    fn close(&mut self, at: i64, slice: usize) {
        if let Some(slice) = self.guest.slices.get_mut(slice) {
            slice.end = at.max(slice.begin);
        }
    }

    fn enter(&mut self, at: i64, cpu: u32, irq: u32, name: &str) {
        let row = Row::Vector(irq);
        self.guest
            .rows
            .entry(row)
            .or_insert_with(|| format!("irq {irq} {name}"));
        let vector = self.open(at, row, Kind::Handler, name);
        let on_cpu = self.moment(at, Row::Cpu(cpu), Kind::Handler, name);
        self.handlers
            .entry(cpu)
            .or_default()
            .push((irq, vector, on_cpu));
    }

    fn leave(&mut self, at: i64, cpu: u32, irq: u32, handled: bool) {
        let handlers = self.handlers.entry(cpu).or_default();
        let Some(place) = handlers.iter().rposition(|(open, ..)| *open == irq) else {
            return;
        };
        for (_, vector, on_cpu) in handlers.split_off(place) {
            for slice in [vector, on_cpu] {
                self.close(at, slice);
                if !handled && let Some(slice) = self.guest.slices.get_mut(slice) {
                    slice.kind = Kind::Unclaimed;
                }
            }
        }
    }

    fn issue(&mut self, at: i64, cpu: u32, place: Place, bytes: u64) {
        let name = match place.write {
            Some(true) => "issue write",
            Some(false) => "issue read",
            None => "issue",
        };
        let slice = self.moment(at, Row::Cpu(cpu), Kind::Issue, name);
        let number = self.guest.requests.len();
        self.under_way.entry(place).or_default().push_back(number);
        self.guest.requests.push(Issued {
            place,
            bytes,
            at,
            slice,
            completed: None,
            ended: None,
        });
    }

    fn complete(&mut self, at: i64, cpu: u32, place: Place, error: i32) {
        let name = match error {
            0 => "complete".to_owned(),
            error => format!("complete, error {error}"),
        };
        let moment = self.moment(at, Row::Cpu(cpu), Kind::Complete, &name);
        let first = self.under_way.get_mut(&place).and_then(VecDeque::pop_front);
        let Some(number) = first else { return };
        let handler = self.handlers.get(&cpu).and_then(|open| open.last());
        let slice = handler.map_or(moment, |(_, vector, _)| *vector);
        if let Some(request) = self.guest.requests.get_mut(number) {
            request.completed = Some((at, slice));
            self.unended.entry(place).or_default().push_back(number);
        }
    }

    fn begin_work(&mut self, at: i64, task: &Task, function: &str) {
        self.end_work(at, task.pid);
        let row = Row::Task(task.pid);
        self.name_task(task);
        let work = self.open(at, row, Kind::Work, function);
        self.works.insert(task.pid, work);
    }

    /// A name may be unknown for a while, as `<...>`.
    fn name_task(&mut self, task: &Task) {
        let name = self.guest.rows.entry(Row::Task(task.pid)).or_default();
        if name.is_empty() || name.starts_with('<') {
            task.name.clone_into(name);
        }
    }

    fn end_work(&mut self, at: i64, pid: u32) {
        for slice in [self.off.remove(&pid), self.works.remove(&pid)] {
            slice.into_iter().for_each(|slice| self.close(at, slice));
        }
    }

    fn switch(&mut self, at: i64, cpu: u32, from: &Task, to: &Task) {
        if let Some(run) = self.running.remove(&cpu) {
            self.close(at, run);
        }
        if self.works.contains_key(&from.pid) {
            let off = self.open(at, Row::Task(from.pid), Kind::Off, "off CPU");
            self.off.insert(from.pid, off);
        }
        if let Some(off) = self.off.remove(&to.pid).filter(|_| to.pid != from.pid) {
            self.close(at, off);
        }
        if handles_completions(to) {
            if self.guest.rows.contains_key(&Row::Task(to.pid)) {
                self.name_task(to);
            }
            let run = self.moment(at, Row::Cpu(cpu), Kind::Run, &to.name);
            self.running.insert(cpu, run);
        }
    }

    fn end_bio(&mut self, at: i64, cpu: u32, pid: u32, place: Place, tagged: bool) {
        let in_handler = self.handlers.get(&cpu).is_some_and(|open| !open.is_empty());
        let row = match self.works.contains_key(&pid) && !in_handler {
            true => Row::Task(pid),
            false => Row::Cpu(cpu),
        };
        let name = if tagged {
            "tagged bio ends"
        } else {
            "bio ends"
        };
        let slice = self.moment(at, row, Kind::End, name);
        let first = self.unended.get_mut(&place).and_then(VecDeque::pop_front);
        let request = first.and_then(|number| self.guest.requests.get_mut(number));
        if let Some(request) = request {
            request.ended = Some((at, slice, tagged));
        }
    }

    /// What is under way at the end lasts until then.
    fn end(mut self, at: i64) -> Guest {
        let handlers = self.handlers.values().flatten();
        let open: Vec<usize> = handlers
            .flat_map(|&(_, vector, on_cpu)| [vector, on_cpu])
            .chain(self.running.values().copied())
            .chain(self.works.values().copied())
            .chain(self.off.values().copied())
            .collect();
        for slice in open {
            self.close(at, slice);
        }
        let numbered = (0..).zip(self.guest.requests);
        let kept = numbered.filter(|(number, _)| !self.requeued.contains(number));
        self.guest.requests = kept.map(|(_, request)| request).collect();
        self.guest
    }
}

fn handles_completions(task: &Task) -> bool {
    task.name.starts_with("kworker") || task.name.starts_with("irq/")
}

/// With a sign: a record's time fits.
pub(super) fn nanos(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn kinds(guest: &Guest, row: Row) -> Vec<(Kind, i64, i64)> {
        let slices = guest.slices.iter().filter(|slice| slice.row == row);
        slices
            .map(|slice| (slice.kind, slice.begin, slice.end))
            .collect()
    }

    #[test]
    fn a_handler_is_on_its_vectors_row_and_its_cpus() {
        let guest = follow(&samples::records());
        let handlers = kinds(&guest, Row::Vector(26));
        assert_eq!(handlers[0], (Kind::Handler, 12_000_080_000, 12_000_086_000));
        assert_eq!(handlers[1].0, Kind::Unclaimed);
        let on_cpu = kinds(&guest, Row::Cpu(1));
        assert!(on_cpu.contains(&handlers[0]), "{on_cpu:?}");
        assert_eq!(guest.rows[&Row::Vector(26)], "irq 26 virtio0-req.1");
    }

    #[test]
    fn a_tagged_bio_ends_with_its_worker_and_an_untagged_one_in_the_handler() {
        let guest = follow(&samples::records());
        let ends: Vec<(Row, bool)> = guest
            .requests
            .iter()
            .map(|request| {
                let (_, slice, tagged) = request.ended.unwrap();
                (guest.slices[slice].row, tagged)
            })
            .collect();
        assert_eq!(ends, [(Row::Task(31), true), (Row::Cpu(1), false)]);
        assert_eq!(guest.rows[&Row::Task(31)], "kworker/1:1");
    }

    #[test]
    fn a_worker_that_loses_its_cpu_is_off_until_it_is_back() {
        let guest = follow(&samples::records());
        let worker = kinds(&guest, Row::Task(31));
        let off = worker.iter().find(|one| one.0 == Kind::Off).unwrap();
        assert_eq!((off.1, off.2), (12_000_092_000, 12_000_094_000));
    }

    #[test]
    fn what_was_requeued_is_no_request_until_it_is_issued_again() {
        let mut records = samples::records();
        let issued = records[0].clone();
        let What::Issued { place, .. } = issued.what else {
            panic!("{issued:?}");
        };
        let back = Record {
            what: What::Requeued { place },
            ..issued.clone()
        };
        records.splice(0..0, [issued, back]);
        let guest = follow(&records);
        assert_eq!(guest.requests.len(), 2);
        assert!(guest.requests.iter().all(|one| one.completed.is_some()));
    }

    #[test]
    fn nothing_is_believed_beyond_the_first_gap() {
        let mut records: Vec<Record> = (0..100)
            .map(|number| Record {
                at: irqstorm_core::units::Nanos(number * 1_000),
                cpu: u32::try_from(number % 2).unwrap(),
                ..samples::records()[0].clone()
            })
            .collect();
        let all = records.clone();
        cut(&mut records, &[]);
        assert_eq!(records, all);
        cut(&mut records, &[1, 7]);
        assert_eq!(records.last().unwrap().at.0, 67_000);
    }
}

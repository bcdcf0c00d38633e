// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which rule takes what: every kind of request that a script tells apart, and
//! the rules that may decide about it, in the order in which they are tried.

use serde::Serialize;

use super::{Rule, Script};
use crate::filter::{LbaRange, SizeRange, Span, Traits};
use crate::request::{Operation, QueueId, Sector};

/// Kinds of request that are laid out; a script can tell more apart than
/// anyone would read.
const MAX_CELLS: usize = 100_000;

/// Requests that all meet the same rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Their kinds.
    pub operations: Vec<Operation>,
    /// Their queues: those that the script names, and `others`.
    pub queues: Vec<String>,
    /// Where they begin.
    #[serde(serialize_with = "as_text")]
    pub lba: Span,
    /// Their data bytes, as a range of sizes.
    #[serde(serialize_with = "as_sizes")]
    pub size: Span,
    /// Who takes them: `each 10th: NAME`, `1%: NAME`, and last who takes the
    /// rest, `(base)` if no rule does.
    pub taken_by: Vec<String>,
}

fn as_text<S: serde::Serializer>(span: &Span, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&LbaRange(*span))
}

fn as_sizes<S: serde::Serializer>(span: &Span, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&SizeRange(*span))
}

/// The rows of a script; `None` if it tells too many kinds apart.
pub fn explain(script: &Script) -> Option<Vec<Row>> {
    let filters = || script.rules.iter().map(|rule| &rule.selector.filter);
    let places = cuts(filters().filter_map(|filter| filter.lba).map(|lba| lba.0));
    let sizes = cuts(
        filters()
            .filter_map(|filter| filter.size)
            .map(|size| size.0),
    );
    let mut queues: Vec<u16> = filters()
        .flat_map(|filter| filter.queue.values().iter().map(|queue| queue.0))
        .collect();
    queues.sort_unstable();
    queues.dedup();
    let other = (0..=u16::MAX).find(|queue| !queues.contains(queue))?;
    let named = queues.iter().map(|&queue| (queue, queue.to_string()));
    let queues: Vec<(u16, String)> = named.chain([(other, "others".to_owned())]).collect();

    let kinds = [places.len(), sizes.len(), queues.len()];
    let cells = kinds
        .iter()
        .try_fold(Operation::ALL.len(), |product, &n| product.checked_mul(n))?;
    if cells > MAX_CELLS {
        return None;
    }
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        for (queue, name) in &queues {
            for &lba in &places {
                for &size in &sizes {
                    let traits = Traits {
                        queue: QueueId(*queue),
                        operation,
                        sector: Sector(lba.from),
                        bytes: size.from,
                    };
                    rows.push(Row {
                        operations: vec![operation],
                        queues: vec![name.clone()],
                        lba,
                        size,
                        taken_by: takers(&script.rules, &traits),
                    });
                }
            }
        }
    }
    Some(merged(rows))
}

/// Those who may take a request, up to the first that is sure to.
fn takers(rules: &[Rule], traits: &Traits) -> Vec<String> {
    let mut takers = Vec::new();
    for rule in rules {
        let selector = &rule.selector;
        if !selector.filter.takes(traits) {
            continue;
        }
        if selector.is_certain() {
            takers.push(rule.name.clone());
            return takers;
        }
        let every = selector.every.map(|n| format!("each {n}th"));
        let chance = selector.probability.map(|share| share.to_string());
        let how: Vec<String> = every.into_iter().chain(chance).collect();
        takers.push(format!("{}: {}", how.join(", "), rule.name));
    }
    takers.push("(base)".to_owned());
    takers
}

/// The stretches between all ends of some ranges, from 0 on.
fn cuts(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut ends: Vec<u64> = spans
        .flat_map(|span| [Some(span.from), span.to])
        .flatten()
        .collect();
    ends.push(0);
    ends.sort_unstable();
    ends.dedup();
    let next = ends.iter().skip(1).map(|&end| Some(end)).chain([None]);
    ends.iter()
        .zip(next)
        .map(|(&from, to)| Span { from, to })
        .collect()
}

/// Rows that differ in one thing only and meet the same rules become one.
fn merged(mut rows: Vec<Row>) -> Vec<Row> {
    rows = join(rows, |row, next| {
        let adjacent = row.size.to == Some(next.size.from);
        let alike =
            (&row.operations, &row.queues, row.lba) == (&next.operations, &next.queues, next.lba);
        adjacent && alike && {
            row.size.to = next.size.to;
            true
        }
    });
    rows = join(rows, |row, next| {
        let adjacent = row.lba.to == Some(next.lba.from);
        let alike =
            (&row.operations, &row.queues, row.size) == (&next.operations, &next.queues, next.size);
        adjacent && alike && {
            row.lba.to = next.lba.to;
            true
        }
    });
    rows = join(rows, |row, next| {
        (&row.operations, row.lba, row.size) == (&next.operations, next.lba, next.size) && {
            row.queues.extend(next.queues.iter().cloned());
            true
        }
    });
    join(rows, |row, next| {
        (&row.queues, row.lba, row.size) == (&next.queues, next.lba, next.size) && {
            row.operations.extend(&next.operations);
            true
        }
    })
}

/// Lets each row take in later ones as `absorb` will, if the same rules take
/// them.
fn join(rows: Vec<Row>, absorb: impl Fn(&mut Row, &Row) -> bool) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    for row in rows {
        let same = |kept: &&mut Row| kept.taken_by == row.taken_by;
        if !kept.iter_mut().filter(same).any(|kept| absorb(kept, &row)) {
            kept.push(row);
        }
    }
    kept
}

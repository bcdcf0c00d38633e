// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interrupt coalescing as the driver sets it (5.27.1.6, 5.27.1.7): so many
//! completions on a vector, or so long after the first of them, one interrupt.
//!
//! A vector's completions are counted whichever queue they are in. Nothing here
//! keeps time: the pump is told until when the interrupt may wait, and asks
//! again then.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use irqstorm_core::units::Nanos;

/// The unit of the aggregation time.
const TIME_UNIT: Nanos = Nanos::from_micros(100);

/// What is told of a vector's interrupt.
#[derive(Clone, Copy, Debug, Default)]
struct Aggregate {
    /// Feature 09h: never coalesced.
    disabled: bool,
    /// Completions since its last interrupt, and when the first was seen.
    count: u32,
    since: Nanos,
}

#[derive(Debug)]
struct Shared {
    /// Feature 08h: threshold, counted from 0, and time above it.
    setting: AtomicU32,
    vectors: Vec<Mutex<Aggregate>>,
}

/// The coalescing of all vectors of a controller; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Coalescing(Arc<Shared>);

impl Coalescing {
    /// As after a reset: none.
    pub(crate) fn new(vectors: u16) -> Coalescing {
        let shared = Shared {
            setting: AtomicU32::new(0),
            vectors: (0..vectors).map(|_| Mutex::default()).collect(),
        };
        Coalescing(Arc::new(shared))
    }

    /// Feature 08h.
    pub(crate) fn setting(&self) -> u32 {
        self.0.setting.load(Ordering::Relaxed)
    }

    /// Sets feature 08h.
    pub(crate) fn set(&self, setting: u32) {
        self.0.setting.store(setting & 0xffff, Ordering::Relaxed);
    }

    fn aggregate(&self, vector: u16) -> Option<MutexGuard<'_, Aggregate>> {
        let vector = self.0.vectors.get(usize::from(vector))?;
        Some(vector.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Feature 09h: whether a vector is never coalesced; none if there is no
    /// such vector.
    pub(crate) fn is_disabled(&self, vector: u16) -> Option<bool> {
        self.aggregate(vector).map(|aggregate| aggregate.disabled)
    }

    /// Sets feature 09h; false if there is no such vector.
    pub(crate) fn disable(&self, vector: u16, disabled: bool) -> bool {
        let found = self.aggregate(vector);
        found.map(|mut it| it.disabled = disabled).is_some()
    }

    /// So many completions have become visible on a vector. Until when its
    /// interrupt may wait for more, if it may.
    pub(crate) fn wait_until(&self, vector: u16, news: u32, now: Nanos) -> Option<Nanos> {
        let setting = self.setting();
        let (threshold, time) = (setting & 0xff, u64::from(setting >> 8));
        let mut aggregate = self.aggregate(vector)?;
        if aggregate.count == 0 {
            aggregate.since = now;
        }
        aggregate.count = aggregate.count.saturating_add(news);
        let until = aggregate.since + Nanos(time * TIME_UNIT.0);
        let waits = !aggregate.disabled
            && (1..=threshold).contains(&aggregate.count)
            && time > 0
            && now < until;
        waits.then_some(until)
    }

    /// Whether completions of a vector have waited for its interrupt. They wait
    /// no more: it is decided, or raised.
    pub(crate) fn settle(&self, vector: u16) -> bool {
        let aggregate = self.aggregate(vector);
        aggregate.is_some_and(|mut it| std::mem::take(&mut it.count) > 0)
    }

    /// As after a reset.
    pub(crate) fn reset(&self) {
        self.set(0);
        for vector in &self.0.vectors {
            *vector.lock().unwrap_or_else(PoisonError::into_inner) = Aggregate::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four completions, or 300 us.
    const SETTING: u32 = 3 << 8 | 3;

    fn at(micros: u64) -> Nanos {
        Nanos::from_micros(micros)
    }

    #[test]
    fn a_vector_waits_for_its_count_or_its_time() {
        let coalescing = Coalescing::new(2);
        assert_eq!(coalescing.wait_until(1, 1, at(0)), None, "not set");
        assert!(coalescing.settle(1));
        coalescing.set(SETTING);
        assert_eq!(coalescing.wait_until(1, 1, at(10)), Some(at(310)));
        assert_eq!(coalescing.wait_until(1, 2, at(20)), Some(at(310)));
        assert_eq!(coalescing.wait_until(1, 1, at(30)), None, "that makes four");
        assert!(coalescing.settle(1) && !coalescing.settle(0));
        assert!(!coalescing.settle(1), "it was");
        assert_eq!(coalescing.wait_until(1, 1, at(400)), Some(at(700)));
        assert_eq!(
            coalescing.wait_until(1, 0, at(700)),
            None,
            "its time has come"
        );
    }

    #[test]
    fn without_a_time_or_a_threshold_or_where_it_is_disabled_nothing_waits() {
        let coalescing = Coalescing::new(2);
        for setting in [3, 3 << 8] {
            coalescing.set(setting);
            assert_eq!(coalescing.wait_until(1, 1, at(0)), None);
            assert!(coalescing.settle(1));
        }
        coalescing.set(SETTING);
        assert!(coalescing.disable(1, true) && !coalescing.disable(2, true));
        assert_eq!(coalescing.is_disabled(1), Some(true));
        assert_eq!(coalescing.wait_until(1, 1, at(0)), None);
        coalescing.reset();
        assert_eq!(
            (coalescing.setting(), coalescing.is_disabled(1)),
            (0, Some(false))
        );
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Many requests under way at once, against a model that knows only one.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use irqstorm_core::request::{Operation, SECTOR_SIZE, Status};
use irqstorm_core::store::{Store, Submitted};
use irqstorm_testing::Bytes;
use irqstorm_testing::store::odd_geometry;
use proptest::prelude::*;

use crate::support::{Files, buffers, finish_all, ticket, transfer};

/// Requests that may be under way together, and after how many of them to look.
#[derive(Clone, Debug)]
struct Step {
    operation: Operation,
    start: u64,
    sectors: u64,
    waits: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let operation = prop_oneof![
        4 => Just(Operation::Read),
        4 => Just(Operation::Write),
        1 => Just(Operation::WriteZeroes),
        1 => Just(Operation::Discard),
    ];
    // Small ones mostly; some of several pieces.
    let sectors = prop_oneof![8 => 1u64..32, 1 => 2_000u64..6_000];
    (operation, 0u64..6_000, sectors, prop::bool::weighted(0.2)).prop_map(
        |(operation, start, sectors, waits)| Step {
            operation,
            start,
            sectors,
            waits,
        },
    )
}

fn range(start: u64, sectors: u64) -> std::ops::Range<usize> {
    let byte = |sector: u64| usize::try_from(sector * SECTOR_SIZE).unwrap();
    byte(start)..byte(start + sectors)
}

/// Requests on their way, and what is to be found when they have ended.
#[derive(Default)]
struct UnderWay {
    buffers: HashMap<u64, Bytes>,
    expected: HashMap<u64, Vec<u8>>,
    places: Vec<(u64, u64)>,
}

impl UnderWay {
    fn overlaps(&self, step: &Step) -> bool {
        let mut places = self.places.iter();
        places.any(|&(start, end)| step.start < end && start < step.start + step.sectors)
    }

    fn settle(&mut self, store: &mut dyn Store) {
        let ended = finish_all(store, std::mem::take(&mut self.buffers));
        for (number, (outcome, data)) in ended {
            assert_eq!(outcome.status, Status::Ok);
            if let Some(expected) = self.expected.remove(&number) {
                assert!(data == expected, "request {number} read something else");
            }
        }
        self.places.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is under way at once, as long as no two touch the same place,
    /// reads find what was written last.
    #[test]
    fn many_at_once_do_what_one_after_the_other_does(
        steps in prop::collection::vec(step(), 1..120),
        direct in any::<bool>(),
    ) {
        let mut files = Files::new();
        let mut store = files.store(odd_geometry(), direct);
        store.begin();
        let mut model = vec![0u8; range(0, odd_geometry().sectors).end];
        let mut under_way = UnderWay::default();
        for (number, step) in (1u64..).zip(&steps) {
            if under_way.overlaps(step) {
                under_way.settle(&mut store);
            }
            let place = range(step.start, step.sectors);
            let fill = u8::try_from(number).unwrap();
            let mut data = Bytes::default();
            match step.operation {
                Operation::Write => {
                    model[place].fill(fill);
                    data = buffers(step.sectors, fill);
                }
                Operation::Read => {
                    under_way.expected.insert(number, model[place].to_vec());
                    data = buffers(step.sectors, 0xee);
                }
                _ => model[place].fill(0),
            }
            let request = transfer(step.operation, step.start, step.sectors);
            let submitted = store.submit(ticket(number), &request, &data);
            prop_assert_eq!(submitted, Submitted::Later);
            under_way.buffers.insert(number, data);
            under_way.places.push((step.start, step.start + step.sectors));
            match step.waits {
                true => under_way.settle(&mut store),
                false => store.push(),
            }
        }
        under_way.settle(&mut store);
        drop(store);
        let mut content = vec![0; model.len()];
        File::open(files.path()).unwrap().read_exact_at(&mut content, 0).unwrap();
        prop_assert!(content == model);
    }
}

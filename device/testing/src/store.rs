// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What every store must do, whatever it is made of.
//!
//! A store that keeps data must pass all of [`keeps_data`]; every store must
//! pass [`refuses_what_it_must`]. `make` gives a fresh store, all zeroes, of
//! the geometry asked for.

use irqstorm_core::request::{Operation, Outcome, Request, SECTOR_SIZE, Sector, Status};
use irqstorm_core::store::{Geometry, Store};

use crate::buffers::Bytes;

/// A size that is a multiple of no power of two beyond the sector.
pub const ODD_SECTORS: u64 = 12_347;

/// A writable disk of [`ODD_SECTORS`] sectors.
pub fn odd_geometry() -> Geometry {
    Geometry {
        sectors: ODD_SECTORS,
        block_size: 512,
        read_only: false,
    }
}

fn bytes(sectors: u64) -> usize {
    usize::try_from(sectors * SECTOR_SIZE).unwrap_or(0)
}

fn pattern(start: u64, sectors: u64) -> Vec<u8> {
    let byte = |i: usize| ((i as u64 / 7) ^ start.wrapping_mul(31)).to_le_bytes()[0];
    (0..bytes(sectors)).map(byte).collect()
}

fn write(store: &mut dyn Store, start: u64, data: Vec<u8>) -> Outcome {
    let sectors = data.len() as u64 / SECTOR_SIZE;
    let request = Request::transfer(Operation::Write, Sector(start), sectors);
    store.execute(&request, &Bytes::new(data))
}

fn read(store: &mut dyn Store, start: u64, sectors: u64) -> (Outcome, Vec<u8>) {
    let request = Request::transfer(Operation::Read, Sector(start), sectors);
    let buffers = Bytes::new(vec![0xee; bytes(sectors)]);
    let outcome = store.execute(&request, &buffers);
    (outcome, buffers.take())
}

fn zero(store: &mut dyn Store, operation: Operation, start: u64, sectors: u64) -> Outcome {
    let mut request = Request::transfer(operation, Sector(start), sectors);
    request.unmap = operation == Operation::WriteZeroes;
    store.execute(&request, &Bytes::default())
}

/// Reads give what was written last, to the last sector; zeroes elsewhere.
pub fn keeps_data(mut make: impl FnMut(Geometry) -> Box<dyn Store>) {
    let mut store = make(odd_geometry());
    let store = store.as_mut();
    // Across every internal border, overlapping, and the very last sector.
    for (start, sectors) in [
        (0, 1),
        (100, 300),
        (127, 2),
        (5_000, 4_000),
        (ODD_SECTORS - 1, 1),
    ] {
        let data = pattern(start, sectors);
        assert_eq!(write(store, start, data.clone()), Outcome::ok(0));
        let (outcome, found) = read(store, start, sectors);
        assert_eq!(outcome, Outcome::ok(sectors * SECTOR_SIZE));
        assert!(
            found == data,
            "sectors {start}+{sectors} read back differently"
        );
    }
    let (_, untouched) = read(store, 1_000, 50);
    assert!(
        untouched.iter().all(|&byte| byte == 0),
        "unwritten sectors are not zero"
    );
    zeroes_exactly_what_is_named(store);
    let flush = store.execute(&Request::bare(Operation::Flush), &Bytes::default());
    assert_eq!(flush, Outcome::ok(0));
}

fn zeroes_exactly_what_is_named(store: &mut dyn Store) {
    for operation in [Operation::WriteZeroes, Operation::Discard] {
        assert_eq!(write(store, 200, pattern(200, 700)), Outcome::ok(0));
        assert_eq!(zero(store, operation, 300, 400).status, Status::Ok);
        let (_, found) = read(store, 200, 700);
        let expected = pattern(200, 700);
        assert!(
            found[..bytes(100)] == expected[..bytes(100)],
            "data before was touched"
        );
        assert!(
            found[bytes(500)..] == expected[bytes(500)..],
            "data behind was touched"
        );
        let within = &found[bytes(100)..bytes(500)];
        assert!(
            within.iter().all(|&byte| byte == 0),
            "{operation:?} left data"
        );
    }
}

/// Nothing outside the disk, nothing between blocks, nothing onto a read-only
/// disk, and no data shorter or longer than its extent.
pub fn refuses_what_it_must(mut make: impl FnMut(Geometry) -> Box<dyn Store>) {
    let mut store = make(odd_geometry());
    for (start, sectors) in [
        (ODD_SECTORS, 1),
        (ODD_SECTORS - 1, 2),
        (u64::MAX, 1),
        (u64::MAX - 1, 8),
    ] {
        let outcome = write(store.as_mut(), start, vec![1; bytes(sectors)]);
        assert_eq!(
            outcome,
            Outcome::failed(Status::IoError),
            "{start}+{sectors}"
        );
        let (outcome, data) = read(store.as_mut(), start, sectors);
        assert_eq!(
            outcome,
            Outcome::failed(Status::IoError),
            "{start}+{sectors}"
        );
        assert!(
            data.iter().all(|&byte| byte == 0xee),
            "a refused read wrote data"
        );
    }
    let vast = zero(store.as_mut(), Operation::Discard, 1, u64::MAX);
    assert_eq!(vast.status, Status::IoError);
    let short = Request::transfer(Operation::Write, Sector(0), 2);
    let outcome = store.execute(&short, &Bytes::new(vec![0; 512]));
    assert_eq!(outcome.status, Status::IoError);

    let read_only = Geometry {
        read_only: true,
        ..odd_geometry()
    };
    let mut store = make(read_only);
    assert_eq!(
        write(store.as_mut(), 0, vec![1; 512]).status,
        Status::IoError
    );
    assert_eq!(
        zero(store.as_mut(), Operation::WriteZeroes, 0, 1).status,
        Status::IoError
    );
    assert_eq!(read(store.as_mut(), 0, 1).0.status, Status::Ok);

    let blocks = Geometry {
        sectors: 80,
        block_size: 4096,
        read_only: false,
    };
    let mut store = make(blocks);
    assert_eq!(
        write(store.as_mut(), 4, vec![1; 4096]).status,
        Status::IoError
    );
    assert_eq!(write(store.as_mut(), 8, vec![1; 4096]).status, Status::Ok);
}

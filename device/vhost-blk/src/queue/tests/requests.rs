// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests that must be understood, however they are laid out.

use super::*;
use irqstorm_core::request::{Extent, Operation, Sector};

fn read_of_one_sector() -> Request {
    Request::transfer(Operation::Read, Sector(3), 1)
}

#[test]
fn a_read_hands_its_buffers_to_the_store_and_counts_the_status_byte() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(IN, 3);
    let head = bench.submit(&[(HEADER, 16, 0), (DATA, 512, WRITE), (STATUS, 1, WRITE)]);
    let Taken { token, request } = bench.take();
    assert_eq!(request, Ok(read_of_one_sector()));
    bench.queue.with_buffers(&token, |buffers| {
        assert_eq!(buffers.len(), 512);
        buffers.write(0, &[0x5a; 512]).unwrap();
    });
    bench.queue.complete(token, Outcome::ok(512), None).unwrap();
    bench.queue.publish().unwrap();
    assert_eq!(bench.last_used(), (u32::from(head), 513));
    assert_eq!(bench.bytes(STATUS, 1), [0]);
    assert_eq!(bench.bytes(DATA, 512), [0x5a; 512]);
}

#[test]
fn a_failed_read_counts_only_its_status_byte() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(IN, 3);
    bench.submit(&[(HEADER, 16, 0), (DATA, 512, WRITE), (STATUS, 1, WRITE)]);
    bench.complete(Outcome::failed(Status::IoError)).unwrap();
    assert_eq!(bench.last_used().1, 1);
    assert_eq!(bench.bytes(STATUS, 1), [1]);
}

#[test]
fn a_write_hands_its_data_to_the_store() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(OUT, 2047);
    bench.write(DATA, &[7; 1024]);
    bench.submit(&[(HEADER, 16, 0), (DATA, 1024, 0), (STATUS, 1, WRITE)]);
    let Taken { token, request } = bench.take();
    assert_eq!(
        request,
        Ok(Request::transfer(Operation::Write, Sector(2047), 2))
    );
    bench.queue.with_buffers(&token, |buffers| {
        let mut found = [0; 1024];
        buffers.read(0, &mut found).unwrap();
        assert_eq!(found, [7; 1024]);
    });
    bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    bench.queue.publish().unwrap();
    assert_eq!(bench.last_used().1, 1);
}

#[test]
fn no_more_is_counted_as_written_than_the_guest_gave_room_for() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    for (kind, side, len) in [(IN, WRITE, 513), (OUT, 0, 1)] {
        bench.header(kind, 0);
        bench.submit(&[(HEADER, 16, 0), (DATA, 512, side), (STATUS, 1, WRITE)]);
        bench.complete(Outcome::ok(4096)).unwrap();
        assert_eq!(bench.last_used().1, len, "{kind}");
    }
}

#[test]
fn descriptors_may_cut_the_request_anywhere() {
    let layouts: &[(&str, &[Buffer])] = &[
        (
            "header in three",
            &[
                (HEADER, 1, 0),
                (HEADER + 1, 7, 0),
                (HEADER + 8, 8, 0),
                (DATA, 512, WRITE),
                (STATUS, 1, WRITE),
            ],
        ),
        (
            "status behind the data",
            &[(HEADER, 16, 0), (STATUS - 512, 513, WRITE)],
        ),
        (
            "status cut from the data",
            &[
                (HEADER, 16, 0),
                (DATA, 500, WRITE),
                (STATUS - 12, 13, WRITE),
            ],
        ),
        (
            "empty descriptors between",
            &[
                (0, 0, 0),
                (HEADER, 16, 0),
                (HOLE, 0, 0),
                (DATA, 256, WRITE),
                (0, 0, WRITE),
                (DATA + 256, 256, WRITE),
                (STATUS, 1, WRITE),
                (HOLE, 0, WRITE),
            ],
        ),
        (
            "data in bytes",
            &[
                (HEADER, 16, 0),
                (DATA, 1, WRITE),
                (DATA + 1, 1, WRITE),
                (DATA + 2, 510, WRITE),
                (STATUS, 1, WRITE),
            ],
        ),
    ];
    for (what, layout) in layouts {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        assert_eq!(
            bench.outcome_of(IN, 3, layout),
            (Ok(read_of_one_sector()), 0),
            "{what}"
        );
        let memory = self::memory();
        let mut bench = Bench::new(&memory);
        bench.header(IN, 3);
        bench.submit_indirect(layout);
        assert_eq!(
            bench.complete(Outcome::ok(512)),
            Ok(read_of_one_sector()),
            "{what}, indirect"
        );
        assert_eq!(bench.last_used(), (0, 513), "{what}, indirect");
    }
}

#[test]
fn a_header_and_a_writes_data_may_share_a_descriptor() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.write(HEADER + 16, &[9; 512]);
    bench.header(OUT, 0);
    bench.submit(&[(HEADER, 528, 0), (STATUS, 1, WRITE)]);
    let Taken { token, request } = bench.take();
    assert_eq!(
        request,
        Ok(Request::transfer(Operation::Write, Sector(0), 1))
    );
    bench.queue.with_buffers(&token, |buffers| {
        let mut found = [0; 512];
        buffers.read(0, &mut found).unwrap();
        assert_eq!(found, [9; 512]);
    });
}

#[test]
fn an_indirect_table_may_end_a_chain_of_direct_descriptors() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(IN, 3);
    let rest = [(DATA, 512, WRITE | NEXT, 1), (STATUS, 1, WRITE, 0)];
    for (number, (addr, len, flags, next)) in (0u64..).zip(rest) {
        let at = GuestAddress(TABLE + number * 16);
        let descriptor = Descriptor::new(addr, len, flags, next);
        memory.write_obj(descriptor, at).unwrap();
    }
    bench.submit(&[(HEADER, 16, 0), (TABLE, 32, INDIRECT)]);
    assert_eq!(bench.complete(Outcome::ok(512)), Ok(read_of_one_sector()));
}

#[test]
fn the_last_sector_is_read_and_the_one_after_it_is_not() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let chain = [(HEADER, 16, 0), (DATA, 512, WRITE), (STATUS, 1, WRITE)];
    assert!(bench.outcome_of(IN, SECTORS - 1, &chain).0.is_ok());
    assert_eq!(
        bench.outcome_of(IN, SECTORS, &chain),
        (Err(Status::IoError), 1)
    );
}

#[test]
fn a_flush_has_neither_place_nor_data() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let chain = [(HEADER, 16, 0), (STATUS, 1, WRITE)];
    assert_eq!(
        bench.outcome_of(FLUSH, 0, &chain),
        (Ok(Request::bare(Operation::Flush)), 0)
    );
}

#[test]
fn get_id_delivers_the_serial_as_far_as_there_is_room() {
    let memory = memory();
    let mut options = options();
    options.serial = "a serial of 20 bytes".parse().unwrap();
    let mut bench = Bench::with(&memory, &options, Features::NONE, 0);
    for (room, delivered) in [(20, 20), (64, 20), (8, 8)] {
        bench.write(DATA, &[UNTOUCHED; 64]);
        let chain = [(HEADER, 16, 0), (DATA, room, WRITE), (STATUS, 1, WRITE)];
        let (request, status) = bench.outcome_of(GET_ID, 0, &chain);
        assert_eq!(request, Ok(Request::bare(Operation::Identify)));
        assert_eq!(status, 0);
        assert_eq!(bench.last_used().1, delivered + 1);
        let mut expected = vec![UNTOUCHED; 64];
        let delivered = delivered as usize;
        expected[..delivered].copy_from_slice(&b"a serial of 20 bytes"[..delivered]);
        assert_eq!(bench.bytes(DATA, 64), expected);
    }
}

pub(super) fn range(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    [
        &sector.to_le_bytes()[..],
        &sectors.to_le_bytes()[..],
        &flags.to_le_bytes()[..],
    ]
    .concat()
}

#[test]
fn a_discard_names_every_range() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let ranges = [range(0, 8, 0), range(2048, 1, 0), range(9, 0, 0)].concat();
    bench.write(DATA, &ranges);
    // Cut across a range: only the bytes count.
    let chain = [
        (HEADER, 16, 0),
        (DATA, 20, 0),
        (DATA + 20, 28, 0),
        (STATUS, 1, WRITE),
    ];
    let extent = |start, sectors| Extent {
        start: Sector(start),
        sectors,
    };
    let (request, status) = bench.outcome_of(DISCARD, 0, &chain);
    let request = request.unwrap();
    assert_eq!(status, 0);
    assert_eq!(request.operation, Operation::Discard);
    assert_eq!(
        request.extents.as_slice(),
        [extent(0, 8), extent(2048, 1), extent(9, 0)]
    );
    assert!(!request.unmap);
}

#[test]
fn write_zeroes_may_unmap_only_if_every_range_may() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    for (flags, unmap) in [([1, 1], true), ([1, 0], false), ([0, 0], false)] {
        let ranges = [range(0, 8, flags[0]), range(8, 8, flags[1])].concat();
        bench.write(DATA, &ranges);
        let chain = [(HEADER, 16, 0), (DATA, 32, 0), (STATUS, 1, WRITE)];
        let request = bench.outcome_of(WRITE_ZEROES, 0, &chain).0.unwrap();
        assert_eq!(request.operation, Operation::WriteZeroes);
        assert_eq!(request.unmap, unmap, "{flags:?}");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a driver must not do, and what becomes of it: an error status, a used
//! element of no length where no status byte can be found, or a stopped ring.

use super::requests::range;
use super::*;

const IO_ERROR: Ended = (Err(Status::IoError), 1);
const UNSUPPORTED: Ended = (Err(Status::Unsupported), 2);
const NO_STATUS: Ended = (Err(Status::IoError), UNTOUCHED);

const STATUS_BYTE: Buffer = (STATUS, 1, WRITE);
const WHOLE_HEADER: Buffer = (HEADER, 16, 0);

fn read_with(data: Buffer) -> Vec<Buffer> {
    vec![WHOLE_HEADER, data, STATUS_BYTE]
}

#[test]
fn a_request_that_is_not_whole_ends_with_an_io_error() {
    let shapes: &[(&str, u32, u64, Vec<Buffer>)] = &[
        ("a short header", IN, 0, vec![(HEADER, 15, 0), STATUS_BYTE]),
        ("no header", IN, 0, vec![(DATA, 512, WRITE), STATUS_BYTE]),
        ("no data", IN, 0, vec![WHOLE_HEADER, STATUS_BYTE]),
        ("no data to write", OUT, 0, vec![WHOLE_HEADER, STATUS_BYTE]),
        ("part of a sector", IN, 0, read_with((DATA, 511, WRITE))),
        ("a sector and a byte", IN, 0, read_with((DATA, 513, WRITE))),
        ("a read's data unwritable", IN, 0, read_with((DATA, 512, 0))),
        (
            "a write's data unreadable",
            OUT,
            0,
            read_with((DATA, 512, WRITE)),
        ),
        ("beyond the end", IN, SECTORS, read_with((DATA, 512, WRITE))),
        (
            "across the end",
            IN,
            SECTORS - 1,
            read_with((DATA, 1024, WRITE)),
        ),
        (
            "beyond 64 bits",
            IN,
            u64::MAX,
            read_with((DATA, 512, WRITE)),
        ),
        ("data in a hole", IN, 0, read_with((HOLE, 512, WRITE))),
        (
            "data into a hole",
            IN,
            0,
            read_with((HOLE - 512, 1024, WRITE)),
        ),
        ("data behind all", IN, 0, read_with((0x50000, 512, WRITE))),
        (
            "data past 64 bits",
            IN,
            0,
            read_with((u64::MAX - 5, 512, WRITE)),
        ),
        (
            "no room for the id",
            GET_ID,
            0,
            vec![WHOLE_HEADER, STATUS_BYTE],
        ),
        (
            "a header in a hole",
            IN,
            0,
            vec![(HOLE, 16, 0), (DATA, 512, WRITE), STATUS_BYTE],
        ),
        (
            "a readable buffer after a writable one",
            OUT,
            0,
            vec![WHOLE_HEADER, STATUS_BYTE, (DATA, 512, 0)],
        ),
    ];
    for (what, kind, sector, buffers) in shapes {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        assert_eq!(
            bench.outcome_of(*kind, *sector, buffers),
            IO_ERROR,
            "{what}"
        );
        assert_eq!(bench.last_used(), (0, 1), "{what}");
    }
}

#[test]
fn a_request_without_a_status_byte_is_used_with_no_length() {
    let shapes: &[(&str, &[Buffer])] = &[
        ("nothing writable", &[WHOLE_HEADER]),
        ("status of no length", &[WHOLE_HEADER, (STATUS, 0, WRITE)]),
        ("status in a hole", &[WHOLE_HEADER, (HOLE, 1, WRITE)]),
        ("nothing at all", &[(0, 0, 0)]),
    ];
    for (what, buffers) in shapes {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        assert_eq!(bench.outcome_of(FLUSH, 0, buffers), NO_STATUS, "{what}");
        assert_eq!(bench.last_used(), (0, 0), "{what}");
    }
}

#[test]
fn a_chain_without_an_end_is_used_with_no_length() {
    let link = |bench: &Bench, next| {
        bench.header(FLUSH, 0);
        bench.describe(0, HEADER, 16, NEXT, 1);
        bench.describe(1, STATUS, 1, WRITE | NEXT, next);
        bench.make_available(0);
    };
    for next in [0, 1, RING_LEN, u16::MAX] {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        link(&bench, next);
        assert_eq!(
            bench.complete(Outcome::ok(0)),
            Err(Status::IoError),
            "next {next}"
        );
        assert_eq!(bench.last_used(), (0, 0), "next {next}");
        assert_eq!(bench.bytes(STATUS, 1), [UNTOUCHED], "next {next}");
    }
}

#[test]
fn a_chain_longer_than_4_gib_is_used_with_no_length() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let buffers = [
        WHOLE_HEADER,
        (DATA, u32::MAX, WRITE),
        (DATA, u32::MAX, WRITE),
        STATUS_BYTE,
    ];
    assert_eq!(bench.outcome_of(IN, 0, &buffers), NO_STATUS);
    assert_eq!(bench.last_used(), (0, 0));
}

#[test]
fn an_indirect_table_of_a_wrong_shape_is_used_with_no_length() {
    let shapes: [(&str, Buffer); 5] = [
        ("of no length", (TABLE, 0, INDIRECT)),
        ("of a length that is no table's", (TABLE, 17, INDIRECT)),
        ("in a hole", (HOLE, 32, INDIRECT)),
        ("larger than any index", (TABLE, 16 * 65536, INDIRECT)),
        ("past 64 bits", (u64::MAX - 7, 32, INDIRECT)),
    ];
    for (what, table) in shapes {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        assert_eq!(bench.outcome_of(FLUSH, 0, &[table]), NO_STATUS, "{what}");
        assert_eq!(bench.last_used(), (0, 0), "{what}");
    }
}

#[test]
fn an_indirect_table_within_one_is_used_with_no_length() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(FLUSH, 0);
    bench.submit_indirect(&[(TABLE, 16, INDIRECT)]);
    assert_eq!(bench.complete(Outcome::ok(0)), Err(Status::IoError));
    assert_eq!(bench.last_used(), (0, 0));
}

#[test]
fn a_loop_in_an_indirect_table_is_used_with_no_length() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let looped = Descriptor::new(DATA, 1, NEXT | WRITE, 0);
    memory.write_obj(looped, GuestAddress(TABLE)).unwrap();
    bench.submit(&[(TABLE, 16, INDIRECT)]);
    assert_eq!(bench.complete(Outcome::ok(0)), Err(Status::IoError));
    assert_eq!(bench.last_used(), (0, 0));
}

#[test]
fn a_chain_longer_than_the_largest_ring_is_used_with_no_length() {
    let chain = |descriptors: usize| {
        let mut buffers = vec![(0, 0, 0); descriptors - 2];
        buffers.push(WHOLE_HEADER);
        buffers.push(STATUS_BYTE);
        buffers
    };
    for (descriptors, accepted) in [(1024, true), (1025, false)] {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        bench.header(FLUSH, 0);
        bench.submit_indirect(&chain(descriptors));
        let request = bench.complete(Outcome::ok(0));
        assert_eq!(request.is_ok(), accepted, "{descriptors}");
        assert_eq!(bench.last_used().1, u32::from(accepted), "{descriptors}");
    }
}

#[test]
fn types_that_the_device_does_not_do_are_unsupported() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    for kind in [2, 3, 5, 14, 15, 16, 0x8000_0000, u32::MAX] {
        let outcome = bench.outcome_of(kind, 0, &read_with((DATA, 512, WRITE)));
        assert_eq!(outcome, UNSUPPORTED, "{kind:#x}");
    }
}

#[test]
fn discard_and_write_zeroes_are_unsupported_unless_agreed() {
    let memory = memory();
    let withheld = Features::DISCARD.with(Features::WRITE_ZEROES);
    let mut bench = Bench::with(&memory, &options(), withheld, 0);
    bench.write(DATA, &range(0, 8, 0));
    for kind in [DISCARD, WRITE_ZEROES] {
        let outcome = bench.outcome_of(kind, 0, &read_with((DATA, 16, 0)));
        assert_eq!(outcome, UNSUPPORTED, "{kind}");
    }
}

#[test]
fn a_read_only_disk_is_not_written() {
    let memory = memory();
    let mut options = options();
    options.geometry.read_only = true;
    let mut bench = Bench::with(&memory, &options, Features::NONE, 0);
    let write = read_with((DATA, 512, 0));
    assert_eq!(bench.outcome_of(OUT, 0, &write), IO_ERROR);
    let read = read_with((DATA, 512, WRITE));
    assert!(bench.outcome_of(IN, 0, &read).0.is_ok());
}

#[test]
fn ranges_off_the_disk_or_out_of_all_measure_are_refused() {
    let wrong: &[(&str, Vec<u8>, Ended)] = &[
        ("off the disk", range(SECTORS, 1, 0), IO_ERROR),
        ("across the end", range(0, 2050, 0), IO_ERROR),
        ("past 64 bits", range(u64::MAX, 1, 0), IO_ERROR),
        ("half a range", range(0, 1, 0)[..8].to_vec(), IO_ERROR),
        ("none", Vec::new(), IO_ERROR),
        ("one too many", range(0, 1, 0).repeat(257), IO_ERROR),
        ("an unknown flag", range(0, 1, 2), UNSUPPORTED),
        (
            "the second of two off the disk",
            [range(0, 1, 0), range(SECTORS, 1, 0)].concat(),
            IO_ERROR,
        ),
    ];
    for (what, ranges, expected) in wrong {
        for kind in [DISCARD, WRITE_ZEROES] {
            let memory = memory();
            let mut bench = Bench::new(&memory);
            bench.write(DATA, ranges);
            let len = u32::try_from(ranges.len()).unwrap();
            let outcome = bench.outcome_of(kind, 0, &read_with((DATA, len, 0)));
            assert_eq!(&outcome, expected, "{what}, {kind}");
        }
    }
}

#[test]
fn a_range_longer_than_the_config_says_is_refused_though_the_disk_has_it() {
    let memory = memory();
    let mut options = options();
    options.geometry.sectors = 1 << 30;
    let mut bench = Bench::with(&memory, &options, Features::NONE, 0);
    for (sectors, accepted) in [(1 << 22, true), ((1 << 22) + 1, false)] {
        bench.write(DATA, &range(0, sectors, 0));
        let (request, _) = bench.outcome_of(DISCARD, 0, &read_with((DATA, 16, 0)));
        assert_eq!(request.is_ok(), accepted, "{sectors}");
    }
}

#[test]
fn a_discard_that_asks_to_unmap_is_unsupported() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.write(DATA, &range(0, 1, 1));
    let outcome = bench.outcome_of(DISCARD, 0, &read_with((DATA, 16, 0)));
    assert_eq!(outcome, UNSUPPORTED);
}

#[test]
fn parts_of_a_block_are_refused_on_a_disk_of_larger_blocks() {
    let memory = memory();
    let mut options = options();
    options.geometry.block_size = 4096;
    let mut bench = Bench::with(&memory, &options, Features::NONE, 0);
    let mut read = |sector, len| {
        bench
            .outcome_of(IN, sector, &read_with((DATA, len, WRITE)))
            .0
            .is_ok()
    };
    assert!(read(8, 4096));
    assert!(!read(8, 512), "a part of a block");
    assert!(!read(1, 4096), "across two blocks");
    assert!(!read(2048, 4096), "the sector left over at the end");
}

#[test]
fn segments_beyond_the_agreed_limits_are_refused() {
    let mut options = options();
    options.seg_max = 2;
    options.size_max = Some(4096);
    let three: Vec<Buffer> = vec![
        WHOLE_HEADER,
        (DATA, 512, WRITE),
        (DATA + 512, 512, WRITE),
        (DATA + 1024, 512, WRITE),
        STATUS_BYTE,
    ];
    let large = read_with((DATA, 8192, WRITE));
    for buffers in [&three, &large] {
        let memory = memory();
        let mut bench = Bench::with(&memory, &options, Features::NONE, 0);
        assert_eq!(bench.outcome_of(IN, 0, buffers), IO_ERROR);
        let unlimited = Features::SEG_MAX.with(Features::SIZE_MAX);
        let memory = self::memory();
        let mut bench = Bench::with(&memory, &options, unlimited, 0);
        assert!(bench.outcome_of(IN, 0, buffers).0.is_ok());
    }
}

/// The ring is stopped: every step says so, and the error fd was signalled once.
fn assert_stopped(bench: &mut Bench, what: &str) {
    let broken = bench.queue.next().unwrap_err();
    assert_eq!(signals(&bench.error), 1, "{what}");
    assert_eq!(bench.queue.next().unwrap_err(), broken, "{what}");
    assert_eq!(bench.queue.publish().unwrap_err(), broken, "{what}");
    assert_eq!(bench.queue.wants_interrupt().unwrap_err(), broken, "{what}");
    assert_eq!(signals(&bench.error), 0, "{what}");
}

#[test]
fn an_available_index_that_jumps_stops_the_ring() {
    for jump in [RING_LEN + 1, 0x8000, u16::MAX] {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        bench.set(AVAIL_IDX, jump);
        assert_stopped(&mut bench, &format!("a jump by {jump}"));
    }
}

#[test]
fn a_head_beyond_the_table_stops_the_ring() {
    for head in [RING_LEN, u16::MAX] {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        bench.make_available(head);
        assert_stopped(&mut bench, &format!("head {head}"));
    }
}

#[test]
fn a_head_that_is_in_flight_stops_the_ring() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(FLUSH, 0);
    let head = bench.submit(&[WHOLE_HEADER, STATUS_BYTE]);
    let _in_flight = bench.take();
    bench.make_available(head);
    assert_stopped(&mut bench, "a head made available twice");
}

#[test]
fn a_head_that_is_completed_but_not_shown_stops_the_ring_and_one_shown_is_taken_again() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(FLUSH, 0);
    let head = bench.submit(&[WHOLE_HEADER, STATUS_BYTE]);
    bench.complete(Outcome::ok(0)).unwrap();
    bench.make_available(head);
    let Taken { token, .. } = bench.take();
    bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    bench.make_available(head);
    assert_stopped(&mut bench, "a head not shown yet");
}

#[test]
fn showing_one_completion_does_not_free_the_head_of_another_request() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(FLUSH, 0);
    let head = bench.submit(&[WHOLE_HEADER, STATUS_BYTE]);
    bench.complete(Outcome::ok(0)).unwrap();
    bench.make_available(head);
    let _in_flight = bench.take();
    bench.submit(&[WHOLE_HEADER, STATUS_BYTE]);
    bench.complete(Outcome::ok(0)).unwrap();
    bench.make_available(head);
    assert_stopped(&mut bench, "a head in flight for the second time");
}

#[test]
fn a_refused_request_has_no_buffers() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.header(IN, SECTORS);
    bench.submit(&read_with((DATA, 512, WRITE)));
    let Taken { token, request } = bench.take();
    assert_eq!(request, Err(Status::IoError));
    bench.queue.with_buffers(&token, |buffers| {
        assert_eq!(buffers.len(), 0);
        assert!(buffers.write(0, &[1]).is_err());
    });
}

#[test]
fn a_ring_that_guest_memory_does_not_have_stops_the_ring() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let elsewhere = GuestMemoryMmap::from_ranges(&[(GuestAddress(0x40000), 0x1000)]).unwrap();
    bench.queue.memory.lock().unwrap().replace(elsewhere);
    assert_stopped(&mut bench, "memory taken away");
}

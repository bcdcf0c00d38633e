// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Every store against the conformance suite, and what is each one's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;

use irqstorm_core::request::{Operation, Outcome, Request, SECTOR_SIZE, Sector};
use irqstorm_core::store::{
    FileError, FileOptions, FileStore, Geometry, NullStore, RamStore, Store,
};
use irqstorm_testing::Bytes;
use irqstorm_testing::store::{keeps_data, odd_geometry, refuses_what_it_must};

fn ram(geometry: Geometry) -> Box<dyn Store> {
    Box::new(RamStore::new(geometry))
}

fn null(geometry: Geometry) -> Box<dyn Store> {
    Box::new(NullStore::new(geometry))
}

/// Makes stores on files of a folder.
fn files(folder: &tempfile::TempDir) -> impl FnMut(Geometry) -> Box<dyn Store> {
    let mut count = 0;
    move |geometry| {
        count += 1;
        let path = folder.path().join(format!("disk{count}"));
        let file = fs::File::create(&path).unwrap();
        file.set_len(geometry.sectors * SECTOR_SIZE).unwrap();
        Box::new(FileStore::open(&path, options(geometry)).unwrap())
    }
}

fn options(geometry: Geometry) -> FileOptions {
    FileOptions {
        block_size: geometry.block_size,
        read_only: geometry.read_only,
        direct: false,
    }
}

#[test]
fn a_ram_store_keeps_data() {
    keeps_data(ram);
}

#[test]
fn a_file_store_keeps_data() {
    let folder = tempfile::tempdir().unwrap();
    keeps_data(files(&folder));
}

#[test]
fn every_store_refuses_what_it_must() {
    let folder = tempfile::tempdir().unwrap();
    refuses_what_it_must(ram);
    refuses_what_it_must(null);
    refuses_what_it_must(files(&folder));
}

#[test]
fn a_null_store_reads_zeroes_over_whatever_the_guest_had_there() {
    let mut store = NullStore::new(odd_geometry());
    let buffers = Bytes::new(vec![7; 10 * 512]);
    let request = Request::transfer(Operation::Read, Sector(3), 10);
    assert_eq!(store.execute(&request, &buffers), Outcome::ok(5_120));
    assert_eq!(buffers.take(), vec![0; 10 * 512]);
}

#[test]
fn a_file_store_has_its_data_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = files(&folder)(odd_geometry());
    let request = Request::transfer(Operation::Write, Sector(9), 1);
    store.execute(&request, &Bytes::new(vec![0x5a; 512]));
    let content = fs::read(folder.path().join("disk1")).unwrap();
    assert_eq!(content[9 * 512..10 * 512], [0x5a; 512]);
    assert_eq!(content.len() as u64, odd_geometry().sectors * SECTOR_SIZE);
}

#[test]
fn a_discard_gives_the_files_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk1");
    let mut store = files(&folder)(odd_geometry());
    let all = Request::transfer(Operation::Write, Sector(0), 8_192);
    store.execute(&all, &Bytes::new(vec![1; 8_192 * 512]));
    let before = fs::metadata(&path).unwrap().blocks();
    let discard = Request::transfer(Operation::Discard, Sector(0), 8_192);
    store.execute(&discard, &Bytes::default());
    assert!(fs::metadata(&path).unwrap().blocks() < before);
}

#[test]
fn a_file_of_odd_size_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd");
    fs::write(&path, [0; 1000]).unwrap();
    let Err(error) = FileStore::open(&path, options(odd_geometry())) else {
        panic!("an odd file was opened");
    };
    let text = error.to_string();
    assert!(text.contains("1000") && text.contains("truncate"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 1000);
}

#[test]
fn empty_missing_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, []).unwrap();
    let open = |path| FileStore::open(path, options(odd_geometry()));
    assert!(matches!(open(&empty), Err(FileError::Empty { .. })));
    let missing = folder.path().join("missing");
    assert!(matches!(open(&missing), Err(FileError::Io { .. })));
    assert!(!missing.exists());
    let read_only = FileOptions {
        read_only: true,
        ..options(odd_geometry())
    };
    let folder_itself = FileStore::open(folder.path(), read_only);
    assert!(matches!(folder_itself, Err(FileError::NotADisk { .. })));
}

#[test]
fn a_disk_that_is_written_to_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, [0; 4096]).unwrap();
    let writing = options(odd_geometry());
    let reading = FileOptions {
        read_only: true,
        ..writing
    };
    let writer = FileStore::open(&path, writing).unwrap();
    for other in [writing, reading] {
        let refused = FileStore::open(&path, other);
        assert!(matches!(refused, Err(FileError::InUse { .. })));
    }
    drop(writer);
    let _readers = [reading; 2].map(|options| FileStore::open(&path, options).unwrap());
}

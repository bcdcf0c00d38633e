// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Files with stores on them, and requests to these.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use irqstorm_core::request::{
    Operation, Outcome, QueueId, Request, RequestId, SECTOR_SIZE, Sector,
};
use irqstorm_core::store::{FileOptions, FileStore, Geometry, Store, Ticket};
use irqstorm_testing::Bytes;
use irqstorm_uring::{Refused, Through, UringStore};

/// A folder of files on a disk, which is gone in the end.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    count: u32,
}

impl Files {
    /// Not in /tmp, which may be memory: O_DIRECT has to be one.
    pub(crate) fn new() -> Files {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Files { folder, count: 0 }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(format!("disk{}", self.count))
    }

    /// A store on a new file of zeroes.
    pub(crate) fn store(&mut self, geometry: Geometry, direct: bool) -> UringStore {
        self.store_through(geometry, direct, Through::All)
    }

    pub(crate) fn store_through(
        &mut self,
        geometry: Geometry,
        direct: bool,
        through: Through,
    ) -> UringStore {
        self.count += 1;
        let file = File::create(self.path()).unwrap();
        file.set_len(geometry.sectors * SECTOR_SIZE).unwrap();
        let options = FileOptions {
            block_size: geometry.block_size,
            read_only: geometry.read_only,
            direct,
        };
        let file = FileStore::open(&self.path(), options).unwrap();
        let store = UringStore::new(file, through);
        store.unwrap_or_else(|refused| panic!("no ring here: {}", told(&refused)))
    }
}

fn told(refused: &Refused) -> String {
    refused.why.to_string()
}

pub(crate) fn ticket(number: u64) -> Ticket {
    Ticket {
        queue: QueueId(0),
        request: RequestId(number),
    }
}

pub(crate) fn transfer(operation: Operation, start: u64, sectors: u64) -> Request {
    Request::transfer(operation, Sector(start), sectors)
}

pub(crate) fn buffers(sectors: u64, fill: u8) -> Bytes {
    Bytes::new(vec![fill; usize::try_from(sectors * SECTOR_SIZE).unwrap()])
}

/// Waits for everything that is under way: how each ended, by its number, with
/// the buffers that it came with.
pub(crate) fn finish_all(
    store: &mut dyn Store,
    mut under_way: HashMap<u64, Bytes>,
) -> HashMap<u64, (Outcome, Vec<u8>)> {
    let mut ended = HashMap::new();
    while store.pending() > 0 {
        store.wait();
        while let Some(one) = store.ended() {
            let number = one.ticket.request.0;
            let buffers = under_way.remove(&number).unwrap();
            let outcome = store.finish(&one, &buffers);
            ended.insert(number, (outcome, buffers.take()));
        }
    }
    assert!(under_way.is_empty());
    ended
}

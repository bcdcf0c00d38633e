// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From a request to its parts, with memory for their data and a write's data
//! in it.

use irqstorm_core::queue::GuestBuffers;
use irqstorm_core::request::{Extent, Operation, Request};
use smallvec::{SmallVec, smallvec};

use crate::pool::{PAGE, Pool};
use crate::work::{self, Data, Part};

/// The most pages of a part: 1 MiB.
const MOST: usize = 256;

/// What a request is cut into.
pub(crate) type Parts = SmallVec<[Part; 1]>;

/// Why a request does not go through the ring.
pub(crate) enum Cannot {
    /// It finds no room, or there is nothing to do.
    Fit,
    /// Its data is not there.
    Reach,
}

/// A request, which is one that the disk admits, in up to `room` parts.
pub(crate) fn cut(
    pool: &mut Pool,
    room: usize,
    request: &Request,
    buffers: &dyn GuestBuffers,
) -> Result<Parts, Cannot> {
    let mut parts = Parts::new();
    let cut = match request.operation {
        Operation::Read | Operation::Write => cut_data(pool, request, buffers, &mut parts),
        Operation::Flush => {
            parts = smallvec![Part::Flush];
            Ok(())
        }
        _ => {
            let mode = work::mode(request).ok_or(Cannot::Fit)?;
            let spaces = request.extents.iter();
            parts.extend(spaces.filter_map(|extent| work::space(extent, mode)));
            Ok(())
        }
    };
    let fits = !parts.is_empty() && parts.len() <= room;
    match cut {
        Ok(()) if fits => Ok(parts),
        cut => {
            give_back(pool, parts);
            Err(cut.err().unwrap_or(Cannot::Fit))
        }
    }
}

fn cut_data(
    pool: &mut Pool,
    request: &Request,
    buffers: &dyn GuestBuffers,
    parts: &mut Parts,
) -> Result<(), Cannot> {
    let bytes = usize::try_from(request.bytes()).map_err(|_| Cannot::Fit)?;
    let start = request.extents.first().and_then(Extent::byte_offset);
    let start = start.ok_or(Cannot::Fit)?;
    if bytes.div_ceil(PAGE) > pool.left() {
        return Err(Cannot::Fit);
    }
    let writes = request.operation == Operation::Write;
    let mut done = 0;
    while done < bytes {
        let most = (bytes - done).div_ceil(PAGE).min(MOST);
        let run = pool.take(most).ok_or(Cannot::Fit)?;
        let (count, at) = (run.len().min(bytes - done), done as u64);
        let mut reached = Ok(());
        if writes {
            // SAFETY: the run is new, so that no entry has it.
            let memory = unsafe { pool.bytes(&run) };
            reached = buffers.read(at, &mut memory[..count]);
        }
        parts.push(Part::Data(Data {
            run,
            len: u32::try_from(count).unwrap_or(u32::MAX),
            at,
            offset: start + at,
            writes,
        }));
        reached.map_err(|_| Cannot::Reach)?;
        done += count;
    }
    Ok(())
}

/// Gives the memory of parts back that no entry has.
pub(crate) fn give_back(pool: &mut Pool, parts: impl IntoIterator<Item = Part>) {
    for part in parts {
        if let Part::Data(data) = part {
            pool.give_back(data.run);
        }
    }
}

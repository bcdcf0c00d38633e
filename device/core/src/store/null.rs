// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk that forgets: for timing, where data would only be in the way.

use super::{Geometry, Store, admit};
use crate::queue::GuestBuffers;
use crate::request::{Operation, Outcome, Request, Status};

/// Takes every write and drops it; reads are zeroes, so that no memory of the
/// guest's past shows through.
pub struct NullStore {
    geometry: Geometry,
}

impl NullStore {
    /// A disk of this shape.
    pub fn new(geometry: Geometry) -> NullStore {
        NullStore { geometry }
    }
}

impl Store for NullStore {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        if let Err(status) = admit(&self.geometry, request, buffers) {
            return Outcome::failed(status);
        }
        if request.operation != Operation::Read {
            return Outcome::ok(0);
        }
        let bytes = request.bytes();
        if buffers.fill_zero(0, bytes).is_err() {
            return Outcome::failed(Status::IoError);
        }
        Outcome::ok(bytes)
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How long work says where it is; the lab draws it.

/// Told of the stages of a build.
pub trait Progress {
    /// A stage begins: "fetch linux-source-7.2", with its number of steps if
    /// that is known.
    fn begin(&mut self, stage: &str, steps: Option<u64>);

    /// So many steps of the present stage are done.
    fn at(&mut self, step: u64);
}

/// Says nothing: for tests.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn at(&mut self, _: u64) {}
}

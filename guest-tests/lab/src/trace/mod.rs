// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run --trace`: what device and guest did during a test, on one
//! clock.
//!
//! Around each test [`Tracer`] has the agent take the kernel's trace and send it
//! ([`text`] reads it, [`guest`] follows it); the device writes its events down
//! anyway. [`join`] pairs the requests of both, estimates the guest's [`clock`]
//! from them, and makes a [`timeline`], which [`perfetto`] and [`page`] write
//! down. A trace that cannot be had fails no test: the record says why.

mod clock;
mod guest;
mod join;
mod page;
mod perfetto;
#[cfg(test)]
mod samples;
mod text;
mod timeline;
mod tracer;

pub(crate) use tracer::{Tracer, Tracing};

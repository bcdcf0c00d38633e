// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the device has in flight, kept where it outlives the device:
//! VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD (vhost-user, "Inflight I/O tracking").
//!
//! The front-end asks for a [`region`] of shared memory, keeps its fd, and
//! hands it back at every start, also to another process than the one that
//! made it. Of each split ring a [`ledger`] in it says which heads the device
//! has, in the order in which it took them. A device that was killed, or lost
//! its front-end, thus knows from the region and the used ring together what
//! to do again, and what not, since its completion is
//! visible.
//!
//! Flow: the relay has [`Handover`] answer the two messages, of which
//! vhost-user-backend knows nothing; a ring that starts opens its ledger, which
//! settles what the last life left; the queue writes each head down before its
//! request is seen by anyone, and off after its completion is visible.
//!
//! What this does not do: packed rings, which are not offered; and rings into
//! which a hostile scenario has put elements that no request is behind, since
//! nothing can be concluded from the used index of such a ring. Such a ring's
//! ledger is given up.

mod handover;
mod layout;
mod ledger;
pub(crate) mod region;
mod ring;

pub(crate) use handover::{Handled, Handover};
pub(crate) use ring::{InFlight, InFlightError};

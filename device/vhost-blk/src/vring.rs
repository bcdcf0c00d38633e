// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A ring as vhost-user sets it up: when it goes to the pump, and when it is
//! taken back.
//!
//! The server's thread owns the configuration; the pump owns the ring while it
//! is attached. A ring is attached exactly while it is ready, enabled and has
//! a kick fd. Taking it back waits for the pump, which completes what is in
//! flight first.
//!
//! Lock order: `Vring::state`, then the inner vring's lock, which is never
//! held while the pump is waited for. The pump takes neither.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use irqstorm_core::inbox::{Inbox, Message};
use irqstorm_core::request::QueueId;
use irqstorm_front_end::{Limiter, Memory};
use vhost_user_backend::{VringMutex, VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error as RingError, Queue, QueueT};
use vm_memory::GuestAddressSpace;

use crate::features::Features;
use crate::inflight::{Handover, InFlight, InFlightError};
use crate::options::Options;
use crate::parse::Terms;
use crate::queue::{Position, VirtioQueue, Wires};

/// What every ring of one connection needs.
pub(crate) struct Connection {
    pub(crate) options: Arc<Options>,
    pub(crate) inbox: Inbox<VirtioQueue>,
    pub(crate) acked: AtomicU64,
    pub(crate) inflight: Handover,
}

thread_local! {
    /// The connection whose rings are being made, and how many there are.
    /// `VringT::new` is told neither, and there is no other way in.
    static MAKING: RefCell<Option<(Arc<Connection>, u16)>> = const { RefCell::new(None) };
}

/// Runs `make`, during which this thread's new rings are those of
/// `connection`, numbered from 0.
pub(crate) fn with_connection<R>(connection: &Arc<Connection>, make: impl FnOnce() -> R) -> R {
    MAKING.set(Some((Arc::clone(connection), 0)));
    let made = make();
    MAKING.set(None);
    made
}

fn next_ring() -> Option<(Arc<Connection>, QueueId)> {
    MAKING.with_borrow_mut(|making| {
        let (connection, next) = making.as_mut()?;
        let id = QueueId(*next);
        *next = next.checked_add(1)?;
        Some((Arc::clone(connection), id))
    })
}

/// One ring of a connection; clones are the same ring.
#[derive(Clone)]
pub(crate) struct Vring {
    inner: VringMutex<Memory>,
    shared: Arc<Shared>,
}

struct Shared {
    id: QueueId,
    connection: Arc<Connection>,
    memory: Memory,
    wires: Wires,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kick: Option<File>,
    /// A size that was asked for and cannot be.
    wrong_size: Option<u16>,
    /// While the pump has the ring: where it will say how far it got.
    attached: Option<Position>,
    /// The driver may wait for an interrupt that a life before this one owed,
    /// and has no call fd for it yet.
    owes_call: bool,
    refusals: Limiter,
}

fn no_duplicate(error: &io::Error) -> String {
    format!("its kick fd cannot be duplicated: {error}")
}

impl Vring {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the ring to the pump or takes it back, as its state now demands.
    fn settle(&self) {
        let mut state = self.state();
        let ring = {
            let inner = self.inner.get_ref();
            let started = inner.get_queue().ready() && inner.is_enabled();
            (started && state.kick.is_some()).then(|| inner.get_queue().state())
        };
        match ring {
            None => self.detach(&mut state),
            Some(_) if state.attached.is_some() => {}
            Some(ring) => match Queue::try_from(ring) {
                Ok(ring) => self.attach(&mut state, ring),
                Err(e) => self.refuse(&mut state, &e.to_string()),
            },
        }
    }

    fn attach(&self, state: &mut State, mut ring: Queue) {
        let shared = &*self.shared;
        if let Some(size) = state.wrong_size {
            return self.refuse(state, &format!("a size of {size} is no power of two"));
        }
        if !ring.is_valid(&*shared.memory.memory()) {
            return self.refuse(state, "it lies outside the guest memory that was shared");
        }
        let kick = match state.kick.as_ref().map(File::try_clone) {
            Some(Ok(kick)) => kick,
            Some(Err(e)) => return self.refuse(state, &no_duplicate(&e)),
            None => return,
        };
        let inflight = match self.in_flight(&mut ring) {
            Ok(inflight) => inflight,
            Err(e) => return self.refuse(state, &e.to_string()),
        };
        let resumed = inflight.as_ref().and_then(InFlight::next_avail).is_some();
        let acked = Features::from_bits(shared.connection.acked.load(Ordering::Acquire));
        let position = Position::default();
        let requests = VirtioQueue::new(
            shared.id,
            shared.memory.clone(),
            ring,
            Terms::new(&shared.connection.options, acked),
            shared.wires.clone(),
            position.clone(),
            inflight,
        );
        let message = Message::Attach {
            queue: shared.id,
            requests,
            kick: Some(kick.into()),
        };
        if shared.connection.inbox.send(message).is_ok() {
            tracing::debug!(queue = shared.id.0, "ring started");
            state.attached = Some(position);
            state.owes_call = resumed;
            if resumed {
                shared.wires.call.signal();
            }
        }
    }

    /// What the region that was handed over says of the ring, which goes on
    /// from there: what is not in flight and not used was never taken.
    fn in_flight(&self, ring: &mut Queue) -> Result<Option<InFlight>, InFlightError> {
        let Some(region) = self.shared.connection.inflight.region() else {
            return Ok(None);
        };
        let inflight = InFlight::open(&region, self.shared.id, ring)?;
        if let Some(next) = inflight.next_avail() {
            ring.set_next_avail(next);
        }
        Ok(Some(inflight))
    }

    fn refuse(&self, state: &mut State, why: &str) {
        self.shared.wires.error.signal();
        if let Some(suppressed) = state.refusals.admit(Instant::now()) {
            let queue = self.shared.id.0;
            tracing::error!(queue, suppressed, "cannot start a ring: {why}");
        }
    }

    /// Takes the ring back, with nothing in flight, and knows where it is.
    fn detach(&self, state: &mut State) {
        let Some(position) = state.attached.take() else {
            return;
        };
        let completed = self.shared.connection.inbox.detach(self.shared.id);
        tracing::debug!(queue = self.shared.id.0, completed, "ring stopped");
        let (next_avail, next_used) = position.get();
        self.inner.set_queue_next_avail(next_avail);
        self.inner.set_queue_next_used(next_used);
    }

    /// Changes the configuration with the ring taken back, then gives it to
    /// the pump again if it was there.
    fn reconfigure(&self, change: impl FnOnce(&VringMutex<Memory>, &mut State)) {
        let mut state = self.state();
        self.detach(&mut state);
        change(&self.inner, &mut state);
        drop(state);
        self.settle();
    }
}

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, max_queue_size: u16) -> Result<Vring, RingError> {
        let (connection, id) = next_ring().ok_or(RingError::QueueNotReady)?;
        let shared = Shared {
            id,
            connection,
            memory: memory.clone(),
            wires: Wires::default(),
            state: Mutex::default(),
        };
        Ok(Vring {
            inner: VringMutex::new(memory, max_queue_size)?,
            shared: Arc::new(shared),
        })
    }

    fn get_ref(&self) -> MutexGuard<'_, VringState<Memory>> {
        self.inner.get_ref()
    }

    fn get_mut(&self) -> MutexGuard<'_, VringState<Memory>> {
        self.inner.get_mut()
    }

    fn add_used(&self, desc_index: u16, len: u32) -> Result<(), RingError> {
        self.inner.add_used(desc_index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.shared.wires.call.signal();
        Ok(())
    }

    fn enable_notification(&self) -> Result<bool, RingError> {
        self.inner.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), RingError> {
        self.inner.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, RingError> {
        self.inner.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.inner.set_enabled(enabled);
        self.settle();
    }

    /// QEMU repeats the addresses of a live ring when dirty logging starts:
    /// only new ones take the ring back. The caller goes on to set the used
    /// index, which settles.
    fn set_queue_info(&self, desc: u64, avail: u64, used: u64) -> Result<(), RingError> {
        let mut state = self.state();
        let was = self.inner.get_ref().get_queue().state();
        if (was.desc_table, was.avail_ring, was.used_ring) == (desc, avail, used) {
            return Ok(());
        }
        self.detach(&mut state);
        self.inner.set_queue_info(desc, avail, used)
    }

    fn queue_next_avail(&self) -> u16 {
        self.inner.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.reconfigure(|inner, _| inner.set_queue_next_avail(base));
    }

    /// An attached ring's used index is the pump's, who publishes it.
    fn set_queue_next_used(&self, idx: u16) {
        let state = self.state();
        if state.attached.is_none() {
            self.inner.set_queue_next_used(idx);
            drop(state);
            self.settle();
        }
    }

    fn queue_used_idx(&self) -> Result<u16, RingError> {
        self.inner.queue_used_idx()
    }

    fn set_queue_size(&self, size: u16) {
        self.reconfigure(|inner, state| {
            state.wrong_size = (!size.is_power_of_two()).then_some(size);
            inner.set_queue_size(size);
        });
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.inner.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        self.inner.set_queue_ready(ready);
        self.settle();
    }

    fn set_kick(&self, file: Option<File>) {
        let kept = match file.as_ref().map(File::try_clone).transpose() {
            Ok(kept) => kept,
            Err(e) => {
                self.refuse(&mut self.state(), &no_duplicate(&e));
                None
            }
        };
        self.reconfigure(|inner, state| {
            state.kick = kept;
            inner.set_kick(file);
        });
    }

    fn read_kick(&self) -> io::Result<bool> {
        self.inner.read_kick()
    }

    /// Kept out of the inner vring: the pump signals through its own slot.
    /// QEMU gives a ring that it has started the fd that interrupts the guest
    /// only afterwards.
    fn set_call(&self, file: Option<File>) {
        let call = &self.shared.wires.call;
        call.set(file);
        let mut state = self.state();
        if state.attached.is_some() && std::mem::take(&mut state.owes_call) {
            call.signal();
        }
    }

    fn set_err(&self, file: Option<File>) {
        self.shared.wires.error.set(file);
    }
}

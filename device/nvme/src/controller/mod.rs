// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The controller: what its registers, doorbells and admin commands bring
//! about.
//!
//! All of it runs on the thread that serves the VMM. Admin commands are carried
//! out there and then. An I/O submission queue goes to the pump when it is
//! created and is taken back, with nothing in flight, when it is deleted; in
//! between a doorbell is a number that the pump reads, and a kick. A reset
//! takes every queue from the pump with what is in flight given up: no
//! completion of before is seen after.

mod admin;
mod doorbells;
mod events;
mod features;
mod identify;
mod logs;
mod queues;
mod vendor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use irqstorm_core::inbox::Inbox;
use irqstorm_front_end::{CacheMode, Limiter, Memory};
use vm_memory::{GuestAddressSpace, GuestMemoryBackend};

use crate::activity::Activity;
use crate::bar::Layout;
use crate::coalescing::Coalescing;
use crate::completion_queue::{CompletionQueue, CompletionQueueSetup};
use crate::doorbell::Doorbells;
use crate::interrupts::Interrupts;
use crate::options::Options;
use crate::parse::Terms;
use crate::queue::NvmeQueue;
use crate::registers::{Change, Registers};

pub(crate) use identify::Identity;

use admin::AdminQueue;
use events::AsyncEvents;
use features::Features;
use queues::IoQueues;
use vendor::LastAnswer;

/// What a controller is made of that outlives it.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) options: Arc<Options>,
    pub(crate) identity: Identity,
    pub(crate) inbox: Inbox<NvmeQueue>,
    pub(crate) cache_mode: CacheMode,
    pub(crate) activity: Arc<Activity>,
    /// CSTS.CFS: set by whoever finds, or is told, that it has failed.
    pub(crate) fatal: Arc<AtomicBool>,
}

/// One controller, for one connection.
pub(crate) struct Controller {
    parts: Parts,
    memory: Memory,
    interrupts: Interrupts,
    coalescing: Coalescing,
    doorbells: Doorbells,
    registers: Registers,
    terms: Terms,
    admin: Option<AdminQueue>,
    queues: IoQueues,
    features: Features,
    events: AsyncEvents,
    /// What the guest's last command to the pump was answered with.
    answer: LastAnswer,
    pin_warnings: Limiter,
}

impl Controller {
    /// One as after a reset.
    pub(crate) fn new(
        parts: Parts,
        memory: Memory,
        interrupts: Interrupts,
        doorbells: Doorbells,
    ) -> Controller {
        parts.fatal.store(false, Ordering::Release);
        let options = &parts.options;
        Controller {
            registers: Registers::new(
                options.max_queue_size,
                Layout::of(options.doorbells).stride_exponent(),
            ),
            terms: Terms {
                namespaces: options.cut(),
                page: 4096,
            },
            admin: None,
            queues: IoQueues::new(options.queues),
            features: Features::new(),
            events: AsyncEvents::default(),
            answer: LastAnswer::default(),
            pin_warnings: Limiter::default(),
            coalescing: Coalescing::new(options.vectors()),
            doorbells,
            parts,
            memory,
            interrupts,
        }
    }

    /// Fills `into` from the registers.
    pub(crate) fn read_registers(&self, offset: u64, into: &mut [u8]) {
        let pin_mask = self.interrupts.pin_mask();
        let fatal = self.has_failed();
        self.registers.read(offset, fatal, pin_mask, into);
    }

    /// Writes 32 bits of the registers.
    pub(crate) fn write_register(&mut self, offset: u64, value: u32) {
        match self.registers.write(offset, value) {
            Change::Nothing => {}
            Change::Enable => self.enable(),
            Change::Disable => self.reset(),
            Change::Shutdown => self.registers.set_shut_down(),
            Change::SubsystemReset => {
                self.reset();
                self.registers.reset_subsystem();
            }
            Change::Mask(bits) => self.interrupts.set_pin_mask(bits),
            Change::Unmask(bits) => self.interrupts.clear_pin_mask(bits, self.has_unread()),
        }
    }

    /// Whether the driver has completions to read.
    pub(crate) fn has_unread(&self) -> bool {
        let admin = self.admin.iter().map(AdminQueue::completions);
        admin
            .chain(self.queues.completions())
            .any(CompletionQueue::has_unread)
    }

    fn has_failed(&self) -> bool {
        self.parts.fatal.load(Ordering::Acquire)
    }

    fn enable(&mut self) {
        // What failed before has to do with this life no more.
        self.parts.fatal.store(false, Ordering::Release);
        let setup = match self.registers.admin_setup() {
            Ok(setup) => setup,
            Err(why) => return self.fail(&why.to_string()),
        };
        let memory = self.memory.memory();
        let reached = [setup.submissions, setup.completions]
            .iter()
            .all(|&queue| memory.address_in_range(queue));
        if !reached {
            return self.fail("the admin queues lie outside the guest memory that is shared");
        }
        self.terms.page = setup.page;
        let completions = CompletionQueue::new(CompletionQueueSetup {
            base: setup.completions,
            size: setup.completion_count,
            vector: Some(0),
            interrupts: self.interrupts.clone(),
            coalescing: self.coalescing.clone(),
            head: self.doorbells.head(0, setup.completion_count),
        });
        self.admin = Some(AdminQueue::new(&setup, completions));
        self.registers.set_ready(true);
        tracing::debug!("controller enabled");
    }

    /// Nothing more can be done before a reset.
    fn fail(&self, why: &str) {
        tracing::error!("controller failed: {why}");
        self.parts.fatal.store(true, Ordering::Release);
    }

    /// As when CC.EN is cleared (3.7.2): only where the admin queues are stays.
    fn reset(&mut self) {
        if self.queues.clear() {
            let abandoned = self.parts.inbox.disconnect();
            tracing::debug!(abandoned, "controller reset");
        }
        self.admin = None;
        self.features = Features::new();
        self.coalescing.reset();
        self.doorbells.reset();
        self.parts.cache_mode.set_writeback(true);
        self.events = AsyncEvents::default();
        self.parts.fatal.store(false, Ordering::Release);
        self.interrupts.reset();
        self.registers.set_ready(false);
    }

    /// As a reset of the function: registers and all.
    pub(crate) fn reset_function(&mut self) {
        self.reset();
        self.registers.reset();
    }
}

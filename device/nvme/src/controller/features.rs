// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Features (5.27): what a driver can set, and what it finds set.

use std::collections::BTreeMap;

use super::Controller;
use crate::namespaces::{self, Namespaces};
use crate::wire::{Command, StatusCode};

/// Feature identifiers (Figure 317).
mod feature {
    pub(super) const ARBITRATION: u8 = 0x01;
    pub(super) const POWER_MANAGEMENT: u8 = 0x02;
    pub(super) const TEMPERATURE_THRESHOLD: u8 = 0x04;
    pub(super) const ERROR_RECOVERY: u8 = 0x05;
    pub(super) const WRITE_CACHE: u8 = 0x06;
    pub(super) const NUMBER_OF_QUEUES: u8 = 0x07;
    pub(super) const INTERRUPT_COALESCING: u8 = 0x08;
    pub(super) const INTERRUPT_VECTOR: u8 = 0x09;
    pub(super) const WRITE_ATOMICITY: u8 = 0x0a;
    pub(super) const ASYNC_EVENTS: u8 = 0x0b;
}

/// Every feature that there is.
pub(super) const ALL: [u8; 10] = [
    feature::ARBITRATION,
    feature::POWER_MANAGEMENT,
    feature::TEMPERATURE_THRESHOLD,
    feature::ERROR_RECOVERY,
    feature::WRITE_CACHE,
    feature::NUMBER_OF_QUEUES,
    feature::INTERRUPT_COALESCING,
    feature::INTERRUPT_VECTOR,
    feature::WRITE_ATOMICITY,
    feature::ASYNC_EVENTS,
];

/// Whether each namespace has a value of its own, and not the controller.
pub(super) fn is_of_namespace(id: u8) -> bool {
    id == feature::ERROR_RECOVERY
}

/// In dword 10 of set features: to be kept over resets.
const SAVE: u32 = 1 << 31;

/// CD, in dword 11 of interrupt vector configuration.
const COALESCING_DISABLE: u32 = 1 << 16;

/// The highest temperature there is: nothing crosses it.
const NO_THRESHOLD: u32 = 0xffff;

/// The values of features that are no more than values.
#[derive(Clone, Debug)]
pub(super) struct Features {
    arbitration: u32,
    over_temperature: u32,
    under_temperature: u32,
    /// For each namespace, where it is not 0.
    error_recovery: BTreeMap<u32, u32>,
    write_atomicity: u32,
    async_events: u32,
}

impl Features {
    /// Those after a reset.
    pub(super) fn new() -> Features {
        Features {
            arbitration: 0,
            over_temperature: NO_THRESHOLD,
            under_temperature: 0,
            error_recovery: BTreeMap::new(),
            write_atomicity: 0,
            async_events: 0,
        }
    }

    /// The threshold that dword 11 is about: of the composite temperature, over
    /// or under.
    fn threshold(&mut self, dword: u32) -> Result<&mut u32, StatusCode> {
        match (dword >> 16 & 0xf, dword >> 20 & 0b11) {
            (0, 0b00) => Ok(&mut self.over_temperature),
            (0, 0b01) => Ok(&mut self.under_temperature),
            _ => Err(StatusCode::INVALID_FIELD),
        }
    }

    /// DULBE, the upper half, is not offered (NSFEAT).
    fn set_error_recovery(
        &mut self,
        namespaces: Namespaces,
        namespace: u32,
        value: u32,
    ) -> Result<(), StatusCode> {
        namespaces.check_or_all(namespace)?;
        if value >> 16 != 0 {
            return Err(StatusCode::INVALID_FIELD);
        }
        let all = namespaces.above(0);
        let chosen = all.filter(|&id| namespace == namespaces::ALL || namespace == id);
        self.error_recovery.extend(chosen.map(|id| (id, value)));
        Ok(())
    }
}

impl Controller {
    /// As many queue pairs as there are, counted from 0, both ways.
    fn queue_counts(&self) -> u32 {
        let last = u32::from(self.parts.options.queues) - 1;
        last << 16 | last
    }

    pub(super) fn get_features(&mut self, command: &Command) -> Result<u32, StatusCode> {
        let dword = command.dword(10);
        // Only what is current can be asked for: nothing is saved.
        if dword >> 8 & 0b111 != 0 {
            return Err(StatusCode::INVALID_FIELD);
        }
        let features = &mut self.features;
        match (dword & 0xff) as u8 {
            feature::ARBITRATION => Ok(features.arbitration),
            feature::POWER_MANAGEMENT => Ok(0),
            feature::TEMPERATURE_THRESHOLD => features.threshold(command.dword(11)).copied(),
            feature::ERROR_RECOVERY => {
                self.terms.namespaces.check(command.namespace())?;
                let set = features.error_recovery.get(&command.namespace());
                Ok(set.copied().unwrap_or(0))
            }
            feature::WRITE_CACHE => Ok(self.parts.cache_mode.is_writeback().into()),
            feature::NUMBER_OF_QUEUES => Ok(self.queue_counts()),
            feature::INTERRUPT_COALESCING => Ok(self.coalescing.setting()),
            feature::INTERRUPT_VECTOR => {
                let vector = (command.dword(11) & 0xffff) as u16;
                let disabled = self.coalescing.is_disabled(vector);
                let disabled = disabled.ok_or(StatusCode::INVALID_FIELD)?;
                Ok(u32::from(disabled) << 16 | u32::from(vector))
            }
            feature::WRITE_ATOMICITY => Ok(features.write_atomicity),
            feature::ASYNC_EVENTS => Ok(features.async_events),
            _ => Err(StatusCode::INVALID_FIELD),
        }
    }

    pub(super) fn set_features(&mut self, command: &Command) -> Result<u32, StatusCode> {
        if command.dword(10) & SAVE != 0 {
            return Err(StatusCode::NOT_SAVEABLE);
        }
        let id = (command.dword(10) & 0xff) as u8;
        let namespace = command.namespace();
        // Nobody may think that it changes one namespace alone (5.27).
        if ALL.contains(&id) && !is_of_namespace(id) && !matches!(namespace, 0 | namespaces::ALL) {
            self.terms.namespaces.check(namespace)?;
            return Err(StatusCode::NOT_OF_NAMESPACE);
        }
        let value = command.dword(11);
        let features = &mut self.features;
        match id {
            feature::ARBITRATION => features.arbitration = value,
            // There is power state 0 alone.
            feature::POWER_MANAGEMENT if value & 0x1f == 0 => {}
            feature::TEMPERATURE_THRESHOLD => *features.threshold(value)? = value & 0xffff,
            feature::ERROR_RECOVERY => {
                features.set_error_recovery(self.terms.namespaces, namespace, value)?;
            }
            feature::WRITE_CACHE => self.parts.cache_mode.set_writeback(value & 1 != 0),
            feature::NUMBER_OF_QUEUES => return self.set_queue_counts(value),
            feature::INTERRUPT_COALESCING => self.coalescing.set(value),
            feature::INTERRUPT_VECTOR => {
                let vector = (value & 0xffff) as u16;
                if !self
                    .coalescing
                    .disable(vector, value & COALESCING_DISABLE != 0)
                {
                    return Err(StatusCode::INVALID_FIELD);
                }
            }
            feature::WRITE_ATOMICITY => features.write_atomicity = value & 1,
            feature::ASYNC_EVENTS => features.async_events = value,
            _ => return Err(StatusCode::INVALID_FIELD),
        }
        Ok(0)
    }

    /// What is asked for changes nothing, but has to be a number, and to come
    /// before the queues.
    fn set_queue_counts(&self, value: u32) -> Result<u32, StatusCode> {
        if value & 0xffff == 0xffff || value >> 16 == 0xffff {
            return Err(StatusCode::INVALID_FIELD);
        }
        match self.queues.is_empty() {
            true => Ok(self.queue_counts()),
            false => Err(StatusCode::COMMAND_SEQUENCE),
        }
    }
}

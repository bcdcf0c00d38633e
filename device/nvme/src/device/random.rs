// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whatever a guest does to the function, in whatever order, it gets what the
//! specification says or nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use irqstorm_core::inbox::{Inbox, Message};
use irqstorm_core::store::Geometry;
use irqstorm_front_end::CacheMode;
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::MemfdFlags;

use super::*;
use crate::controller::Identity;
use crate::options::Options;
use crate::queue::NvmeQueue;

/// Bytes of guest memory, from address 0 on.
const MEMORY: u64 = 0x2_0000;

/// Answers what a pump would, and drives nothing.
fn silent_pump() -> (Inbox<NvmeQueue>, JoinHandle<()>) {
    let (inbox, messages) = Inbox::new(|| {});
    let pump = std::thread::spawn(move || {
        for message in messages {
            match message {
                Message::Detach { done, .. }
                | Message::Disconnect { done }
                | Message::Abort { done, .. } => {
                    done.send(0).unwrap();
                }
                Message::Stop => return,
                _ => {}
            }
        }
    });
    (inbox, pump)
}

fn function(inbox: Inbox<NvmeQueue>) -> (Function, OwnedFd) {
    let mut options = Options::new(Geometry {
        sectors: 2048,
        block_size: 512,
        read_only: false,
    });
    options.queues = 3;
    let mut function = Function::new(Parts {
        options: Arc::new(options),
        identity: Identity(1),
        inbox,
        cache_mode: CacheMode::new(),
        activity: Arc::default(),
        fatal: Arc::default(),
    })
    .unwrap();
    let fd = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&fd, MEMORY).unwrap();
    let map = DmaMap {
        address: 0,
        size: MEMORY,
        offset: 0,
        writable: true,
    };
    let mapped = fd.as_fd().try_clone_to_owned().unwrap();
    function.map(map, Some(mapped)).unwrap();
    (function, fd)
}

/// What a guest can do.
#[derive(Clone, Debug)]
enum Deed {
    Write(Region, u64, Vec<u8>),
    Read(Region, u64, usize),
    /// A command into a slot of where the admin queue may be.
    Command(u64, Vec<u8>),
    Reset,
}

fn register() -> impl Strategy<Value = (u64, Vec<u8>)> {
    prop_oneof![
        // CC, mostly with what it takes to be enabled; AQA, ASQ, ACQ; NSSR.
        6 => prop::sample::select(vec![0x0046_0001u32, 0x0046_0000, 1, 0, 0x0046_4001, 0x0046_0011])
            .prop_map(|value| (0x14, value.to_le_bytes().to_vec())),
        3 => prop::sample::select(vec![0x001f_001fu32, 0x0001_0001, 0])
            .prop_map(|value| (0x24, value.to_le_bytes().to_vec())),
        3 => prop::sample::select(vec![0x1000u64, 0x1_f000, 0x2_0000, u64::MAX])
            .prop_map(|value| (0x28, value.to_le_bytes().to_vec())),
        3 => prop::sample::select(vec![0x3000u64, 0x1_f000, 0x2_0000])
            .prop_map(|value| (0x30, value.to_le_bytes().to_vec())),
        1 => Just((0x20, 0x4e56_4d65u32.to_le_bytes().to_vec())),
        8 => (0..10u64, 0..40u32)
            .prop_map(|(bell, value)| (0x1000 + bell * 4, value.to_le_bytes().to_vec())),
        2 => (0..0x4000u64, vec(any::<u8>(), 0..12)),
    ]
}

fn command() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop::sample::select(vec![0u8, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc, 0x7c, 0xc0, 0xff]);
    (opcode, vec(any::<u8>(), 64), any::<bool>()).prop_map(|(opcode, mut bytes, tame)| {
        bytes[0] = opcode;
        if tame {
            bytes[1] = 0;
            bytes[4..8].copy_from_slice(&[1, 0, 0, 0]);
            // Data, or a queue, in the upper half of memory; small queue ids.
            bytes[24..40].fill(0);
            bytes[25..27].copy_from_slice(&[0, 1]);
            bytes[33..35].copy_from_slice(&[0x10, 1]);
            bytes[41..44].copy_from_slice(&[0, 7, 0]);
            bytes[40] &= 0x0f;
            bytes[45..48].fill(0);
        }
        bytes
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        10 => register().prop_map(|(at, bytes)| Deed::Write(Region::Bar0, at, bytes)),
        1 => (0..256u64, vec(any::<u8>(), 0..8))
            .prop_map(|(at, bytes)| Deed::Write(Region::Config, at, bytes)),
        2 => (0..0x4000u64, 0..16usize).prop_map(|(at, len)| Deed::Read(Region::Bar0, at, len)),
        6 => (0..32u64, command()).prop_map(|(slot, bytes)| Deed::Command(slot, bytes)),
        1 => Just(Deed::Reset),
    ]
}

fn word(function: &mut Function, at: u64) -> u32 {
    let mut bytes = [0; 4];
    function.read(Region::Bar0, at, &mut bytes);
    u32::from_le_bytes(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_a_guest_does_breaks_the_registers_rules(deeds in vec(deed(), 1..120)) {
        let (inbox, pump) = silent_pump();
        let (mut function, memory) = function(inbox.clone());
        let capabilities = word(&mut function, 0);
        for deed in deeds {
            match &deed {
                Deed::Write(region, at, bytes) => {
                    let end = at + bytes.len() as u64;
                    if end <= function.region_len(*region) {
                        function.write(*region, *at, bytes);
                    }
                }
                Deed::Read(region, at, len) => {
                    function.read(*region, *at, &mut vec![0; *len]);
                }
                Deed::Command(slot, bytes) => {
                    rustix::io::pwrite(&memory, bytes, 0x1000 + slot * 64).unwrap();
                }
                Deed::Reset => function.reset(),
            }
            let (enabled, status) = (word(&mut function, 0x14) & 1, word(&mut function, 0x1c));
            let (ready, fatal) = (status & 1, status >> 1 & 1);
            prop_assert!(ready <= enabled, "ready without being enabled: {:?}", deed);
            prop_assert!(fatal <= enabled, "fatal after a reset: {:?}", deed);
            prop_assert!(ready | fatal == enabled, "enabled, and neither: {:?}", deed);
            prop_assert_eq!(word(&mut function, 0), capabilities);
            prop_assert_eq!(word(&mut function, 8), 0x2_0000);
        }
        drop(function);
        inbox.send(Message::Stop).unwrap();
        pump.join().unwrap();
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whatever a guest does to the function, in whatever order, it gets what the
//! specification says or nothing: registers are held against a model of what
//! can be written of them, guest memory against what admin commands describe.

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
use crate::data::reference;
use crate::options::{DoorbellMode, Options};
use crate::queue::NvmeQueue;
use crate::wire::Command;

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

fn function(inbox: Inbox<NvmeQueue>, mode: DoorbellMode) -> (Function, OwnedFd) {
    let mut options = Options::new(Geometry {
        sectors: 2048,
        block_size: 512,
        read_only: false,
    });
    options.queues = 3;
    options.doorbells = mode;
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

fn mode() -> impl Strategy<Value = DoorbellMode> {
    prop::sample::select(vec![
        DoorbellMode::Socket,
        DoorbellMode::Shadow,
        DoorbellMode::Mapped,
    ])
}

/// What registers hold after what was written to them (3.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    configuration: u32,
    mask: u32,
    /// AQA, and both halves of ASQ and of ACQ.
    admin: [u32; 5],
}

impl Model {
    fn read(function: &mut Function) -> Model {
        Model {
            configuration: word(function, 0x14),
            mask: word(function, 0x0c),
            admin: [0x24, 0x28, 0x2c, 0x30, 0x34].map(|at| word(function, at)),
        }
    }

    fn written(&mut self, region: Region, at: u64, bytes: &[u8]) {
        if region == Region::Config {
            // Device control of the PCI Express capability, its upper byte.
            let control = 0x69u64
                .checked_sub(at)
                .and_then(|at| usize::try_from(at).ok());
            let control = control.and_then(|at| bytes.get(at));
            if control.is_some_and(|value| value & 0x80 != 0) {
                *self = Model::default();
            }
            return;
        }
        if !at.is_multiple_of(4) || !matches!(bytes.len(), 4 | 8) {
            return;
        }
        for (bytes, at) in bytes.as_chunks().0.iter().zip((at..).step_by(4)) {
            self.word(at, u32::from_le_bytes(*bytes));
        }
    }

    fn word(&mut self, at: u64, value: u32) {
        match at {
            0x0c => self.mask |= value,
            0x10 => self.mask &= !value,
            0x14 => {
                let was_enabled = self.configuration & 1 != 0;
                self.configuration = value & 0x00ff_fff1;
                if was_enabled && value & 1 == 0 {
                    self.mask = 0;
                }
            }
            0x20 if value == 0x4e56_4d65 => *self = Model::default(),
            0x24 => self.admin[0] = value & 0x0fff_0fff,
            0x28 => self.admin[1] = value & !0xfff,
            0x2c => self.admin[2] = value,
            0x30 => self.admin[3] = value & !0xfff,
            0x34 => self.admin[4] = value,
            _ => {}
        }
    }
}

/// Where the admin queues of a test are, and their entries.
const SUBMISSIONS: u64 = 0x1000;
const COMPLETIONS: u64 = 0x3000;
const ENTRIES: u64 = 32;

/// Admin opcodes whose data goes to the guest.
const TO_GUEST: [u8; 3] = [0x02, 0x06, 0xc2];

fn enable(function: &mut Function) {
    for (at, value) in [
        (0x24, 0x001f_001f),
        (0x28, 0x1000),
        (0x30, 0x3000),
        (0x14, 0x0046_0001u32),
    ] {
        function.write(Region::Bar0, at, &value.to_le_bytes());
    }
}

fn snapshot(memory: &OwnedFd) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(MEMORY).unwrap()];
    rustix::io::pread(memory, &mut bytes, 0).unwrap();
    bytes
}

/// The bytes that a command's data goes to, of which a log has as many as are
/// asked for.
fn described(function: &Function, command: &Command) -> Vec<u64> {
    let len = match command.opcode() {
        0x02 => {
            let upper = u64::from(command.dword(11) & 0xffff) << 16;
            (upper + u64::from(command.dword(10) >> 16) + 1) * 4
        }
        0x06 => 4096,
        0xc2 => u64::from(command.dword(10)).min(4096),
        _ => return Vec::new(),
    };
    let memory = function.memory.memory().memory();
    let described = reference::prp(&memory, (command.prp1(), command.prp2()), len.min(1 << 20));
    described.unwrap_or_default()
}

/// An admin command that is nearly right.
fn admin_command() -> impl Strategy<Value = Vec<u8>> {
    let pointer = prop_oneof![
        4 => (0x4u64..0x20).prop_map(|page| page * 0x1000),
        2 => (0x4000..0x2_0000u64).prop_map(|at| at & !3),
        1 => any::<u64>(),
    ];
    let opcode = prop_oneof![4 => prop::sample::select(TO_GUEST.to_vec()), 1 => any::<u8>()];
    let which = prop_oneof![3 => 0..9u8, 1 => any::<u8>()];
    (
        opcode,
        (pointer.clone(), pointer),
        which,
        0..2048u16,
        vec(any::<u8>(), 64),
    )
        .prop_map(|(opcode, (prp1, prp2), which, count, mut bytes)| {
            // Nobody serves queues that are created here, and an abort can end
            // two commands.
            bytes[0] = match opcode {
                0x01 | 0x05 | 0x08 => 0x06,
                opcode => opcode,
            };
            bytes[1] &= 0x3c;
            let namespace = u32::from(bytes[4] % 3);
            bytes[4..8].copy_from_slice(&namespace.to_le_bytes());
            bytes[24..32].copy_from_slice(&prp1.to_le_bytes());
            bytes[32..40].copy_from_slice(&prp2.to_le_bytes());
            bytes[40..44].copy_from_slice(&[which, 0, 0, 0]);
            match opcode {
                0x02 => bytes[42..44].copy_from_slice(&count.to_le_bytes()),
                0xc2 => bytes[40..42].copy_from_slice(&count.to_le_bytes()),
                _ => {}
            }
            if opcode == 0x02 {
                bytes[4..8].fill(0xff);
            }
            bytes[44..].fill(0);
            bytes
        })
}

proptest! {
    #[test]
    fn nothing_that_a_guest_does_breaks_the_registers_rules(
        mode in mode(),
        deeds in vec(deed(), 1..120),
    ) {
        let (inbox, pump) = silent_pump();
        let (mut function, memory) = function(inbox.clone(), mode);
        let capabilities = word(&mut function, 0);
        let mut model = Model::default();
        for deed in deeds {
            match &deed {
                Deed::Write(region, at, bytes) => {
                    let end = at + bytes.len() as u64;
                    if end <= function.region_len(*region) {
                        function.write(*region, *at, bytes);
                        model.written(*region, *at, bytes);
                    }
                }
                Deed::Read(region, at, len) => {
                    function.read(*region, *at, &mut vec![0; *len]);
                }
                Deed::Command(slot, bytes) => {
                    rustix::io::pwrite(&memory, bytes, 0x1000 + slot * 64).unwrap();
                }
                Deed::Reset => {
                    function.reset();
                    model = Model::default();
                }
            }
            let (enabled, status) = (word(&mut function, 0x14) & 1, word(&mut function, 0x1c));
            let (ready, fatal) = (status & 1, status >> 1 & 1);
            prop_assert!(ready <= enabled, "ready without being enabled: {:?}", deed);
            prop_assert!(fatal <= enabled, "fatal after a reset: {:?}", deed);
            prop_assert!(ready | fatal == enabled, "enabled, and neither: {:?}", deed);
            prop_assert_eq!(word(&mut function, 0), capabilities);
            prop_assert_eq!(word(&mut function, 8), 0x2_0000);
            prop_assert_eq!(&Model::read(&mut function), &model, "after {:?}", deed);
        }
        drop(function);
        inbox.send(Message::Stop).unwrap();
        pump.join().unwrap();
    }

    #[test]
    fn an_admin_command_is_answered_once_and_writes_nothing_but_its_data(
        mode in mode(),
        commands in vec(admin_command(), 1..31),
    ) {
        let (inbox, pump) = silent_pump();
        let (mut function, memory) = function(inbox.clone(), mode);
        enable(&mut function);
        let (mut slot, mut waiting) = (COMPLETIONS, 0);
        for (bytes, place) in commands.iter().zip(0..ENTRIES - 1) {
            let at = SUBMISSIONS + place * 64;
            rustix::io::pwrite(&memory, bytes, at).unwrap();
            let command = Command::new(bytes.as_slice().try_into().unwrap());
            let described = described(&function, &command);
            let before = snapshot(&memory);
            let tail = u32::try_from(place + 1).unwrap();
            function.write(Region::Bar0, 0x1000, &tail.to_le_bytes());
            let after = snapshot(&memory);
            let mut allowed: Vec<u64> = described.into_iter().chain(slot..slot + 16).collect();
            allowed.sort_unstable();
            let strayed = (0..MEMORY).zip(before.iter().zip(&after))
                .filter(|(_, (one, two))| one != two)
                .map(|(at, _)| at)
                .find(|at| allowed.binary_search(at).is_err());
            prop_assert_eq!(strayed, None, "written by {:x?}", bytes);
            // Four wait for an event, and nothing happens here.
            let waits = command.opcode() == 0x0c && waiting < 4;
            waiting += u8::from(waits);
            if !waits {
                let entry = &after[usize::try_from(slot).unwrap()..][..16];
                prop_assert_eq!(entry[14] & 1, 1, "no answer to {:x?}", bytes);
                prop_assert_eq!(&entry[12..14], &bytes[2..4]);
                prop_assert_eq!(u64::from(entry[8]), place + 1, "the head");
                slot += 16;
            }
        }
        prop_assert_eq!(word(&mut function, 0x1c), 1);
        drop(function);
        inbox.send(Message::Stop).unwrap();
        pump.join().unwrap();
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whatever comes over the socket: no access outside a region, no more answers
//! than messages, and every answer one that a client can read.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A device that checks what it is asked.
#[derive(Default)]
struct Checked {
    touched: u64,
}

impl Device for Checked {
    fn start(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    fn map(&mut self, map: DmaMap, fd: Option<OwnedFd>) -> Result<(), Errno> {
        assert!(fd.is_none(), "no fd was sent");
        match map.size {
            0 => Err(Errno::INVAL),
            _ => Ok(()),
        }
    }

    fn unmap(&mut self, _: u64, _: u64) -> Result<(), Errno> {
        Err(Errno::NOENT)
    }

    fn unmap_all(&mut self) {}

    fn region_len(&self, region: Region) -> u64 {
        match region {
            Region::Bar0 => 0x4000,
            Region::Config => 256,
        }
    }

    fn read(&mut self, region: Region, offset: u64, into: &mut [u8]) {
        assert!(offset + into.len() as u64 <= self.region_len(region));
        self.touched += 1;
    }

    fn write(&mut self, region: Region, offset: u64, from: &[u8]) {
        assert!(offset + from.len() as u64 <= self.region_len(region));
        self.touched += 1;
    }

    fn irq_count(&self, kind: IrqKind) -> u32 {
        match kind {
            IrqKind::Intx => 1,
            IrqKind::Msix => 9,
        }
    }

    fn irq(&mut self, kind: IrqKind, index: u32, _: IrqAction) {
        assert!(index < self.irq_count(kind));
    }

    fn disable_irqs(&mut self, _: IrqKind) {}

    fn reset(&mut self) {}
}

fn message(command: u16, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = 7u16.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&command.to_ne_bytes());
    let size = u32::try_from(16 + body.len()).unwrap();
    for word in [size, flags, 0] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A body of words, most of them small: counts, indices and offsets.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![4 => 0..40u32, 1 => any::<u32>(), 1 => Just(0x21u32)];
    (vec(word, 0..12), 0..4usize).prop_map(|(words, cut)| {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes
    })
}

/// Serves what is sent; what is answered to it.
fn serve_all(sent: &[u8]) -> Vec<u8> {
    let (mut client, server) = UnixStream::pair().unwrap();
    let serving = std::thread::spawn(move || {
        let mut device = Checked::default();
        // However it ends: the client is told by the end of the connection.
        let _ = serve(&server, &mut device);
    });
    let mut reading = client.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        let mut answers = Vec::new();
        // Reset where bytes were left unread.
        let _ = reading.read_to_end(&mut answers);
        answers
    });
    // The other side may have ended already.
    let _ = client.write_all(sent);
    let _ = client.shutdown(Shutdown::Write);
    serving.join().unwrap();
    answers.join().unwrap()
}

/// Cuts answers into header flags and bodies.
fn answers_in(mut bytes: &[u8]) -> Vec<(u32, usize)> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(bytes[..2], 7u16.to_ne_bytes());
        let size = word(4) as usize;
        answers.push((word(8), size - 16));
        bytes = &bytes[size..];
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.div_ceil(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_message_has_one_answer_that_can_be_read(
        messages in vec((0..20u16, any::<bool>(), body()), 0..24),
    ) {
        let mut sent = message(1, 0, &[0; 4]);
        let mut expected = 1;
        for (command, posted, body) in &messages {
            let flags = if *posted { 1 << 4 } else { 0 };
            expected += usize::from(!posted);
            sent.extend(message(*command, flags, body));
        }
        let answers = answers_in(&serve_all(&sent));
        prop_assert_eq!(answers.len(), expected);
        for (flags, body) in answers {
            prop_assert!(matches!(flags, 1 | 0x21));
            prop_assert!(flags == 1 || body == 0, "an error with a body");
        }
    }

    #[test]
    fn any_bytes_end_the_connection_and_nothing_else(
        bytes in vec(any::<u8>(), 0..512),
        agreed in any::<bool>(),
    ) {
        let mut sent = if agreed { message(1, 0, &[0; 4]) } else { Vec::new() };
        sent.extend(&bytes);
        serve_all(&sent);
    }
}

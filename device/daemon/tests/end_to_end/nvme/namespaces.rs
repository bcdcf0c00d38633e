// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk that is cut into namespaces.

use irqstorm_testing::nvme::{Command, NvmeDriver};

use super::{driver, identify, pattern};
use crate::support::Daemon;

/// Admin opcodes.
const GET_LOG_PAGE: u8 = 0x02;

/// I/O opcodes.
const FLUSH: u8 = 0x00;
const WRITE: u8 = 0x01;
const READ: u8 = 0x02;

/// Invalid Namespace or Format; LBA Out of Range.
const INVALID_NAMESPACE: u16 = 0x0b;
const LBA_RANGE: u16 = 0x80;

/// Blocks of a third of 8 MiB.
const BLOCKS: u32 = 16_384 / 3;

fn three() -> Daemon {
    Daemon::follow("", &["--transport", "vfio-user", "--namespaces", "3"])
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.as_chunks().0.iter();
    words.map(|&word| u32::from_le_bytes(word)).collect()
}

/// A transfer of one block.
fn transfer(driver: &mut NvmeDriver, opcode: u8, namespace: u32, block: u64, at: u64) -> u16 {
    let mut command = Command::transfer(opcode, block, 1).at(at, 0);
    command.0[1] = namespace;
    driver.run(1, command).status
}

#[test]
fn each_namespace_is_told_of_by_its_id_and_no_other_is() {
    let daemon = three();
    let mut driver = driver(&daemon, 0);
    assert_eq!(words(&identify(&mut driver, 1, 0).unwrap())[516 / 4], 3);
    for (above, ids) in [(0, [1, 2, 3, 0]), (2, [3, 0, 0, 0]), (3, [0; 4])] {
        let active = words(&identify(&mut driver, 2, above).unwrap());
        assert_eq!(active[..4], ids, "above {above}");
    }
    let mut names = Vec::new();
    for id in 1..=3 {
        let namespace = identify(&mut driver, 0, id).unwrap();
        assert_eq!(words(&namespace)[..2], [BLOCKS, 0]);
        let descriptors = identify(&mut driver, 3, id).unwrap();
        names.push(descriptors[4..20].to_vec());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "each has a name of its own");
    for what in [0, 3, 5, 8] {
        for id in [0, 4, u32::MAX] {
            let refused = identify(&mut driver, what, id);
            assert_eq!(refused, Err(INVALID_NAMESPACE), "{what} of {id:#x}");
        }
    }
    assert_eq!(identify(&mut driver, 2, u32::MAX), Err(INVALID_NAMESPACE));
}

#[test]
fn what_is_written_to_one_namespace_is_in_no_other() {
    let daemon = three();
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    let last = u64::from(BLOCKS) - 1;
    for (id, block) in [(1, 0), (2, 0), (2, last), (3, last)] {
        driver.put(
            at,
            &pattern(usize::try_from(u64::from(id) * 99 + block).unwrap(), 512),
        );
        assert_eq!(transfer(&mut driver, WRITE, id, block, at), 0);
    }
    for id in 1..=3 {
        for block in [0, last] {
            assert_eq!(transfer(&mut driver, READ, id, block, at), 0);
            let found = driver.get(at, 512);
            let is_written = matches!((id, block == 0), (1, true) | (2, _) | (3, false));
            match is_written {
                true => {
                    let seed = usize::try_from(u64::from(id) * 99 + block).unwrap();
                    assert_eq!(found, pattern(seed, 512), "{id} {block}");
                }
                false => assert_eq!(found, [0; 512], "{id} {block}"),
            }
        }
    }
}

#[test]
fn commands_of_a_namespace_that_is_not_there_and_blocks_of_the_next_are_refused() {
    let daemon = three();
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    for opcode in [WRITE, READ, 0x05, 0x08, 0x0c, 0x09] {
        for id in [0, 4, u32::MAX] {
            let status = transfer(&mut driver, opcode, id, 0, at);
            assert_eq!(status, INVALID_NAMESPACE, "{opcode:#x} of {id:#x}");
        }
    }
    assert_eq!(transfer(&mut driver, READ, 1, BLOCKS.into(), at), LBA_RANGE);
    for (id, status) in [(1, 0), (3, 0), (u32::MAX, 0), (0, 0x0b), (4, 0x0b)] {
        let flush = Command::new(FLUSH, id);
        assert_eq!(driver.run(1, flush).status, status, "a flush of {id:#x}");
    }
}

#[test]
fn the_error_log_names_the_namespace_and_logs_are_of_none() {
    let daemon = three();
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    transfer(&mut driver, READ, 2, BLOCKS.into(), at);
    let log = |driver: &mut NvmeDriver, namespace: u32| {
        let command = Command::new(GET_LOG_PAGE, namespace).with(10, 15 << 16 | 1);
        driver.admin(command.at(at, 0)).status
    };
    assert_eq!(log(&mut driver, u32::MAX), 0);
    let entry = words(&driver.get(at, 64));
    assert_eq!((entry[4], entry[6]), (BLOCKS, 2), "the block, and whose");
    // That it is refused is the newest error then.
    assert_eq!(log(&mut driver, 2), 0x02);
}

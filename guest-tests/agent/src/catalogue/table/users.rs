// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Who uses tagged bios: chains, stacks, caches of pages, owners that go.

use super::{ALWAYS, EXT4_UNTAGGED, FLAG, FLAG_ALONE, PROBE, TestInfo};

pub(super) const USERS: &[TestInfo] = &[
    TestInfo {
        name: "chains",
        claim: "of a chain the parent's tag counts, once, and a child's does not",
        claims: &[21],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "stacked",
        claim: "under a stacked device the original keeps its tag and its turn",
        claims: &[22],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "stacked-mirror",
        claim: "under raid1 the original keeps its tag and its turn",
        claims: &[22],
        needs: FLAG_ALONE,
        ..ALWAYS
    },
    TestInfo {
        name: "exact-status",
        claim: "of a batch with failed bios each ends with its own error",
        claims: &[23],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "bdev-page-drop",
        claim: "uncached writes to a block device leave no pages behind",
        claims: &[25],
        needs: PROBE,
        ..ALWAYS
    },
    TestInfo {
        name: "xfs-page-drop",
        claim: "uncached writes to a file of XFS leave no pages behind, and go to a task once",
        claims: &[26],
        needs: PROBE,
        ..ALWAYS
    },
    TestInfo {
        name: "ext4-page-drop",
        claim: "uncached writes to a file of ext4 leave no pages behind",
        claims: &[26],
        needs: PROBE,
        by_design: EXT4_UNTAGGED,
        ..ALWAYS
    },
    TestInfo {
        name: "owner-gone",
        claim: "no bio ends again after its owner is gone, and a freeze does not hang",
        claims: &[27],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "unmount-burst",
        claim: "a file system that goes waits for what ends, and nothing ends when it is gone",
        claims: &[27],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "module-gone",
        claim: "the module that owns bios goes when they have ended, and no sooner",
        claims: &[27],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "unplug",
        claim: "a disk that goes waits for what it owes, fails the rest, and comes back",
        needs: FLAG,
        ..ALWAYS
    },
];

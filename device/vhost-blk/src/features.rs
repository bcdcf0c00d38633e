// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which virtio features are offered, and their names on a command line.

use std::fmt;
use std::str::FromStr;

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use virtio_bindings::bindings::{virtio_blk, virtio_config, virtio_ring};

/// A set of virtio feature bits (Virtio 1.2, 2.2, 5.2.3 and 6).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Features(u64);

/// Every feature that can be offered, with its name.
const NAMED: [(&str, Features); 12] = [
    (
        "indirect-desc",
        Features::bit(virtio_ring::VIRTIO_RING_F_INDIRECT_DESC),
    ),
    (
        "event-idx",
        Features::bit(virtio_ring::VIRTIO_RING_F_EVENT_IDX),
    ),
    ("size-max", Features::bit(virtio_blk::VIRTIO_BLK_F_SIZE_MAX)),
    ("seg-max", Features::bit(virtio_blk::VIRTIO_BLK_F_SEG_MAX)),
    ("ro", Features::bit(virtio_blk::VIRTIO_BLK_F_RO)),
    ("blk-size", Features::bit(virtio_blk::VIRTIO_BLK_F_BLK_SIZE)),
    ("flush", Features::bit(virtio_blk::VIRTIO_BLK_F_FLUSH)),
    ("topology", Features::bit(virtio_blk::VIRTIO_BLK_F_TOPOLOGY)),
    (
        "config-wce",
        Features::bit(virtio_blk::VIRTIO_BLK_F_CONFIG_WCE),
    ),
    ("mq", Features::bit(virtio_blk::VIRTIO_BLK_F_MQ)),
    ("discard", Features::bit(virtio_blk::VIRTIO_BLK_F_DISCARD)),
    (
        "write-zeroes",
        Features::bit(virtio_blk::VIRTIO_BLK_F_WRITE_ZEROES),
    ),
];

impl Features {
    /// No features.
    pub const NONE: Features = Features(0);
    /// Interrupts and kicks wanted at an index (2.7.7, 2.7.10).
    pub const EVENT_IDX: Features = Features::bit(virtio_ring::VIRTIO_RING_F_EVENT_IDX);
    /// Descriptor tables behind a descriptor (2.7.5.3).
    pub const INDIRECT_DESC: Features = Features::bit(virtio_ring::VIRTIO_RING_F_INDIRECT_DESC);
    /// A limit to the size of a data segment.
    pub const SIZE_MAX: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_SIZE_MAX);
    /// A limit to the number of data segments.
    pub const SEG_MAX: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_SEG_MAX);
    /// The disk cannot be written.
    pub const RO: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_RO);
    /// More than one queue.
    pub const MQ: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_MQ);
    /// Flush requests; without it every write is durable once completed.
    pub const FLUSH: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_FLUSH);
    /// The driver may switch the write cache.
    pub const CONFIG_WCE: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_CONFIG_WCE);
    /// Discard requests.
    pub const DISCARD: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_DISCARD);
    /// Write zeroes requests.
    pub const WRITE_ZEROES: Features = Features::bit(virtio_blk::VIRTIO_BLK_F_WRITE_ZEROES);

    /// Offered whatever the options say: the modern interface, and vhost-user's
    /// own protocol features, without which no front-end reads the config.
    const ALWAYS: Features = Features(
        1 << virtio_config::VIRTIO_F_VERSION_1 | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits(),
    );

    const fn bit(number: u32) -> Features {
        Features(1 << number)
    }

    /// The features whose bits are set.
    pub(crate) const fn from_bits(bits: u64) -> Features {
        Features(bits)
    }

    /// As bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    pub const fn with(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }

    /// These without `other`.
    pub const fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }

    /// `self` if `wanted`, else none.
    const fn only_if(self, wanted: bool) -> Features {
        if wanted { self } else { Features::NONE }
    }

    /// What a disk offers: everything here that it has, except `withheld`.
    pub(crate) fn offered(disk: Disk, withheld: Features) -> Features {
        let everything = NAMED
            .iter()
            .fold(Features::NONE, |all, &(_, feature)| all.with(feature));
        let writing = Features::DISCARD.with(Features::WRITE_ZEROES);
        everything
            .without(withheld)
            .without(Features::RO.only_if(!disk.read_only))
            .without(writing.only_if(disk.read_only))
            .without(Features::SIZE_MAX.only_if(!disk.limits_segment_size))
            .without(Features::MQ.only_if(disk.queues < 2))
            .with(Features::ALWAYS)
    }

    /// The vhost-user protocol features: config space and a channel to say
    /// that it changed, many queues, memory mapped region by region, memory
    /// for what is in flight, and replies where they are asked for.
    pub(crate) fn protocol() -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
            | VhostUserProtocolFeatures::INFLIGHT_SHMFD
    }
}

/// What of a disk decides its features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    pub(crate) queues: u16,
    pub(crate) read_only: bool,
    pub(crate) limits_segment_size: bool,
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut list = f.debug_list();
        for (name, feature) in NAMED {
            if self.contains(feature) {
                list.entry(&format_args!("{name}"));
                rest = rest.without(feature);
            }
        }
        if rest != Features::NONE {
            list.entry(&format_args!("{:#x}", rest.0));
        }
        list.finish()
    }
}

/// A name that is no feature of this device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no feature of this device: one of {}", known_names())]
pub struct UnknownFeature {
    name: String,
}

fn known_names() -> String {
    NAMED.map(|(name, _)| name).join(", ")
}

impl FromStr for Features {
    type Err = UnknownFeature;

    /// One feature by its name, as `event-idx` or `discard`.
    fn from_str(name: &str) -> Result<Features, UnknownFeature> {
        NAMED
            .iter()
            .find(|&&(known, _)| known == name)
            .map(|&(_, feature)| feature)
            .ok_or_else(|| UnknownFeature {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Disk = Disk {
        queues: 4,
        read_only: false,
        limits_segment_size: false,
    };

    /// VIRTIO_F_RING_PACKED and VIRTIO_F_IN_ORDER (Virtio 1.2, 6).
    const NEVER: [u64; 2] = [1 << 34, 1 << 35];

    #[test]
    fn packed_rings_and_in_order_use_are_never_offered() {
        let offered = Features::offered(DISK, Features::NONE).bits();
        assert!(NEVER.iter().all(|bit| offered & bit == 0));
    }

    #[test]
    fn a_feature_withheld_by_name_is_not_offered() {
        let withheld: Features = "event-idx".parse().unwrap();
        let offered = Features::offered(DISK, withheld);
        assert!(!offered.contains(Features::EVENT_IDX));
        assert!(offered.contains(Features::INDIRECT_DESC));
    }

    #[test]
    fn a_read_only_disk_says_so_and_offers_no_discard() {
        let disk = Disk {
            read_only: true,
            ..DISK
        };
        let offered = Features::offered(disk, Features::NONE);
        assert!(offered.contains(Features::RO));
        assert!(!offered.contains(Features::DISCARD));
        assert!(!offered.contains(Features::WRITE_ZEROES));
    }

    #[test]
    fn one_queue_is_not_offered_as_many() {
        let disk = Disk { queues: 1, ..DISK };
        assert!(!Features::offered(disk, Features::NONE).contains(Features::MQ));
        assert!(Features::offered(DISK, Features::NONE).contains(Features::MQ));
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        let error = "packed".parse::<Features>().unwrap_err().to_string();
        assert!(error.contains("'packed'") && error.contains("event-idx"));
    }
}

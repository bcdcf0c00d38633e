// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! /proc/interrupts: what was delivered, as against what was written.

use std::collections::BTreeMap;

/// The counts of /proc/interrupts, summed over CPUs, by the name of what is
/// interrupted: `virtio0-req.1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    counts: BTreeMap<String, u64>,
}

impl Interrupts {
    /// Reads the text of /proc/interrupts; lines of other shapes are skipped.
    pub fn parse(text: &str) -> Interrupts {
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let Some((_, rest)) = line.split_once(':') else {
                continue;
            };
            let mut fields = rest.split_whitespace().peekable();
            let mut sum = 0u64;
            while let Some(count) = fields.peek().and_then(|field| field.parse::<u64>().ok()) {
                sum = sum.saturating_add(count);
                fields.next();
            }
            if let Some(name) = fields.last() {
                *counts.entry(name.to_owned()).or_insert(0) += sum;
            }
        }
        Interrupts { counts }
    }

    /// What /proc/interrupts says now.
    pub fn now() -> std::io::Result<Interrupts> {
        Ok(Interrupts::parse(&std::fs::read_to_string(
            "/proc/interrupts",
        )?))
    }

    /// Interrupts of the request queues of virtio disks, `virtioN-req.Q`, per
    /// queue and device.
    pub fn of_disk_queues(&self) -> u64 {
        let queues = self
            .counts
            .iter()
            .filter(|(name, _)| name.contains("-req."));
        queues.map(|(_, count)| count).sum()
    }

    /// The count of one name.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
           CPU0       CPU1
  4:        120          3   IO-APIC   4-edge      ttyS0
 24:          0          0  PCI-MSIX-0000:00:02.0   0-edge      virtio0-config
 25:       1000         11  PCI-MSIX-0000:00:02.0   1-edge      virtio0-req.0
 26:          7       2000  PCI-MSIX-0000:00:02.0   2-edge      virtio0-req.1
NMI:          0          0   Non-maskable interrupts
ERR:          0
";

    #[test]
    fn counts_are_summed_over_cpus_and_queues() {
        let interrupts = Interrupts::parse(TEXT);
        assert_eq!(interrupts.of("virtio0-req.1"), 2007);
        assert_eq!(interrupts.of_disk_queues(), 3018);
        assert_eq!(interrupts.of("ttyS0"), 123);
        assert_eq!(interrupts.of("nothing"), 0);
    }

    #[test]
    fn other_text_is_no_interrupt() {
        assert_eq!(Interrupts::parse("a\n:\n::: 7\n").of_disk_queues(), 0);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! /proc/interrupts: what was delivered, as against what was written.

use std::collections::BTreeMap;

/// The counts of /proc/interrupts, summed over CPUs, by the name of what is
/// interrupted: `virtio0-req.1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    counts: BTreeMap<String, u64>,
    numbers: BTreeMap<String, u32>,
}

impl Interrupts {
    /// Reads the text of /proc/interrupts; lines of other shapes are skipped.
    pub fn parse(text: &str) -> Interrupts {
        let (mut counts, mut numbers) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            let Some((number, rest)) = line.split_once(':') else {
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
                if let Ok(number) = number.trim().parse() {
                    numbers.insert(name.to_owned(), number);
                }
            }
        }
        Interrupts { counts, numbers }
    }

    /// What /proc/interrupts says now.
    pub fn now() -> std::io::Result<Interrupts> {
        Ok(Interrupts::parse(&std::fs::read_to_string(
            "/proc/interrupts",
        )?))
    }

    /// Interrupts of the request queues of disks, `virtioN-req.Q` and `nvmeNqQ`,
    /// over all queues and disks.
    pub fn of_disk_queues(&self) -> u64 {
        let queues = self.counts.iter().filter(|(name, _)| is_disk_queue(name));
        queues.map(|(_, count)| count).sum()
    }

    /// How many request queues of a device there are, by its name: `nvme0`.
    pub fn queues_of(&self, device: &str) -> usize {
        let of_it = |name: &&String| {
            let rest = name.strip_prefix(device);
            is_disk_queue(name) && rest.is_some_and(|rest| rest.starts_with(['q', '-']))
        };
        self.counts.keys().filter(of_it).count()
    }

    /// The count of one name.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// The number of an interrupt, as in /proc/irq.
    pub fn number_of(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// Whether an interrupt is one of a disk's request queues: NVMe's queue 0 is the
/// admin queue.
fn is_disk_queue(name: &str) -> bool {
    let nvme = || {
        let (controller, queue) = name.strip_prefix("nvme")?.split_once('q')?;
        let (_, queue): (u32, u32) = (controller.parse().ok()?, queue.parse().ok()?);
        (queue > 0).then_some(())
    };
    name.contains("-req.") || nvme().is_some()
}

/// What the kernel notes of interrupts that no handler claimed:
/// /proc/irq/N/spurious (kernel/irq/proc.c), kept by note_interrupt()
/// (kernel/irq/spurious.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Interrupts, claimed or not, since the last judgement.
    pub counted: u64,
    /// Unclaimed ones that came no more than 100 ms after the one before.
    pub run: u64,
    /// When the last of them came, in milliseconds of the kernel's own count.
    pub last_ms: u64,
}

impl Unclaimed {
    /// Reads the text of /proc/irq/N/spurious.
    pub fn parse(text: &str) -> Option<Unclaimed> {
        let field = |name: &str| -> Option<u64> {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let (_, value) = lines.find(|(found, _)| *found == name)?;
            value.split_whitespace().next()?.parse().ok()
        };
        Some(Unclaimed {
            counted: field("count")?,
            run: field("unhandled")?,
            last_ms: field("last_unhandled")?,
        })
    }

    /// What /proc/irq/N/spurious says now.
    pub fn now(irq: u32) -> std::io::Result<Unclaimed> {
        let path = format!("/proc/irq/{irq}/spurious");
        let text = std::fs::read_to_string(&path)?;
        let strange = || std::io::Error::other(format!("{path} says {text:?}"));
        Unclaimed::parse(&text).ok_or_else(strange)
    }

    /// How many came since `before`, if none had come for 100 ms by then:
    /// the first then begins a new run. With longer pauses between them there
    /// were more.
    pub fn since(&self, before: &Unclaimed) -> u64 {
        match self.run == before.run && self.last_ms == before.last_ms {
            true => 0,
            false => self.run.max(1),
        }
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
        assert_eq!(interrupts.queues_of("virtio0"), 2);
        assert_eq!(interrupts.queues_of("virtio"), 0);
        assert_eq!(interrupts.of("ttyS0"), 123);
        assert_eq!(interrupts.of("nothing"), 0);
        assert_eq!(interrupts.number_of("virtio0-req.1"), Some(26));
        assert_eq!(interrupts.number_of("interrupts"), None);
    }

    #[test]
    fn the_admin_queue_is_no_disks_queue() {
        let names = ["nvme0q0", "nvme0q", "nvmeq1", "nvme0n1q1", "q1"];
        assert!(names.iter().all(|name| !is_disk_queue(name)));
        assert!(is_disk_queue("nvme0q1") && is_disk_queue("nvme12q64"));
    }

    #[test]
    fn unclaimed_interrupts_are_read_as_the_kernel_writes_them() {
        let text = "count 17\nunhandled 3\nlast_unhandled 4294937296 ms\n";
        let read = Unclaimed::parse(text).unwrap();
        assert_eq!(
            (read.counted, read.run, read.last_ms),
            (17, 3, 4_294_937_296)
        );
        assert_eq!(Unclaimed::parse("count 17\n"), None);
    }

    #[test]
    fn a_new_run_of_unclaimed_interrupts_is_told_from_none() {
        let read = |run, last_ms| Unclaimed {
            counted: 0,
            run,
            last_ms,
        };
        let before = read(7, 1_000);
        assert_eq!(before.since(&before), 0);
        assert_eq!(read(1, 1_200).since(&before), 1);
        assert_eq!(read(3, 1_240).since(&before), 3);
        // The kernel has just judged a hundred thousand, and begun anew.
        assert_eq!(read(0, 1_200).since(&before), 1);
    }

    #[test]
    fn other_text_is_no_interrupt() {
        assert_eq!(Interrupts::parse("a\n:\n::: 7\n").of_disk_queues(), 0);
    }
}

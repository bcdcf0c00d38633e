// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What of the console is the kernel complaining, and about what.

use irqstorm_agent::protocol::{Edge, parse_marker};
use serde::{Deserialize, Serialize};

/// Lines kept of one complaint.
const MOST_LINES: usize = 60;

/// Complaints kept in all: one that repeats says nothing new.
const MOST_SPLATS: usize = 100;

/// A complaint of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Splat {
    /// The test during which it came; `None` between tests and at boot.
    pub(crate) test: Option<String>,
    /// Its first line, without the time.
    pub(crate) title: String,
    /// It and what followed.
    pub(crate) lines: Vec<String>,
}

/// The two ends of one report (kernel/irq/spurious.c, __report_bad_irq() and
/// note_interrupt()).
const NOBODY_CARED: &str = "nobody cared";
const DISABLING: &str = "Disabling IRQ #";

/// How a complaint begins, at the start of the message.
const STARTS: &[&str] = &[
    "BUG:",
    "INFO: lockdep",
    "INFO: trying to register non-static key",
    "Internal error",
    "Kernel panic",
    "Oops:",
    "UBSAN:",
    "WARNING:",
    "general protection fault",
    "kernel BUG at",
    "watchdog: BUG:",
];

/// Pairs of words that are a complaint wherever they stand in one line.
const PARTS: &[(&str, &str)] = &[
    ("INFO: task", "blocked for more than"),
    ("NMI watchdog", "hard LOCKUP"),
    ("Watchdog", "hard LOCKUP"),
    ("irq ", NOBODY_CARED),
    (DISABLING, ""),
    ("rcu:", "detected stalls"),
    ("rcu:", "self-detected stall"),
    ("rcu:", "detected expedited stalls"),
    ("rcu:", "kthread starved"),
    ("possible", "locking dependency detected"),
    ("possible recursive locking", ""),
    ("inconsistent lock state", ""),
    ("list_add corruption", ""),
    ("list_del corruption", ""),
    ("workqueue lockup", ""),
    // drivers/virtio/virtio_ring.c: the ring is broken from here on.
    ("is not a head!", ""),
    ("id ", "out of range"),
    // An interrupt for which there is nobody, or nobody any more
    // (arch/x86/kernel/irq.c, call_irq_handler() and ack_bad_irq()).
    ("No irq handler for vector", ""),
    ("unexpected IRQ trap at vector", ""),
];

/// The message of a console line if a complaint begins with it.
pub(crate) fn complaint(line: &str) -> Option<&str> {
    let message = message(line);
    let starts = STARTS.iter().any(|start| message.starts_with(start));
    let holds = || {
        PARTS
            .iter()
            .any(|(one, other)| message.contains(one) && message.contains(other))
    };
    (starts || holds()).then_some(message)
}

/// A line without what printk puts before the message: time, caller, or both.
fn message(line: &str) -> &str {
    let mut rest = line.trim_end();
    while let Some(group) = rest.strip_prefix('[') {
        let Some((inside, after)) = group.split_once(']') else {
            break;
        };
        let of_printk = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
        let caller = inside.trim_start().trim_start_matches(['T', 'C']);
        if !caller.chars().all(of_printk) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

/// Reads a console line by line.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    test: Option<String>,
    ended: Option<String>,
    splats: Vec<Splat>,
    open: bool,
    panicked: bool,
}

impl Watch {
    /// Takes the next line.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some((test, edge)) = parse_marker(line) {
            self.open = false;
            match edge {
                Edge::Begin => self.test = Some(test.to_owned()),
                Edge::End => {
                    self.test = None;
                    self.ended = Some(test.to_owned());
                }
            }
            return;
        }
        let text = line.trim_end().to_owned();
        match complaint(line) {
            Some(title) => self.begin(title, text),
            None => self.follow(text),
        }
    }

    fn begin(&mut self, title: &str, text: String) {
        self.panicked |= title.starts_with("Kernel panic");
        // "WARNING" inside the report of a warning is no second one: lockdep's
        // reports, for one, have several such lines. And an interrupt that
        // nobody cared for is disabled at the end of the report that says so.
        let last = self.splats.last().filter(|_| self.open);
        let follows = last.is_some_and(|last| {
            last.lines.len() < 4
                || (title.starts_with(DISABLING) && last.title.contains(NOBODY_CARED))
        });
        if follows || self.splats.len() >= MOST_SPLATS {
            return self.follow(text);
        }
        self.open = true;
        self.splats.push(Splat {
            test: self.test.clone(),
            title: title.to_owned(),
            lines: vec![text],
        });
    }

    fn follow(&mut self, text: String) {
        let Some(last) = self.splats.last_mut().filter(|_| self.open) else {
            return;
        };
        self.open = !text.contains("---[ end trace") && last.lines.len() < MOST_LINES;
        last.lines.push(text);
    }

    /// The test that is running, as far as the console tells.
    pub(crate) fn running(&self) -> Option<&str> {
        self.test.as_deref()
    }

    /// The test that ended last.
    pub(crate) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// All complaints so far.
    pub(crate) fn splats(&self) -> &[Splat] {
        &self.splats
    }

    /// Whether the kernel has panicked.
    pub(crate) fn panicked(&self) -> bool {
        self.panicked
    }

    /// What the kernel does next is done with the guest gone: a guest that is
    /// started anew begins outside of any test.
    pub(crate) fn restart(&mut self) {
        self.test = None;
        self.open = false;
        self.panicked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(text: &str) -> Watch {
        let mut watch = Watch::default();
        text.lines().for_each(|line| watch.line(line));
        watch
    }

    #[test]
    fn complaints_of_every_kind_are_seen() {
        for line in [
            "[    3.1] WARNING: CPU: 1 PID: 20 at block/bio.c:1 bio_endio+0x1/0x2",
            "[    3.1][  T20] WARNING: block/bio.c:1 at bio_endio+0x1/0x2, CPU#1: a/20",
            "[    3.1] BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "[    3.1] BUG: sleeping function called from invalid context at x.c:1",
            "[    3.1] BUG: scheduling while atomic: swapper/0/0/0x00010002",
            "[    3.1] BUG: KASAN: slab-use-after-free in x+0x1/0x2",
            "[    3.1] BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 34s!",
            "[    3.1] UBSAN: array-index-out-of-bounds in x.c:1:2",
            "[    3.1] Oops: 0000 [#1] SMP",
            "[    3.1] Oops: general protection fault, probably for non-canonical address 0x1: 0000",
            "[    3.1] general protection fault: 0000 [#1]",
            "[    3.1] kernel BUG at block/bio.c:1!",
            "[    3.1] Kernel panic - not syncing: Attempted to kill init!",
            "[    3.1] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/1:1:20]",
            "[    3.1] NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
            "[    3.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "[    3.1] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    3.1] INFO: task dd:20 blocked for more than 120 seconds.",
            "[    3.1] irq 25: nobody cared (try booting with the \"irqpoll\" option)",
            "[    3.1] Disabling IRQ #25",
            "[    3.1] WARNING: possible circular locking dependency detected",
            "[    3.1] WARNING: inconsistent lock state",
            "[    3.1] list_add corruption. next->prev should be prev (1), but was 2.",
            "[    3.1] virtio_blk virtio0: req.0: id 3 is not a head!",
            "[    3.1] virtio_blk virtio0: req.0: id 300 out of range",
            "[    3.1] __common_interrupt: 1.36 No irq handler for vector",
            "[    3.1] unexpected IRQ trap at vector 24",
        ] {
            assert!(complaint(line).is_some(), "missed: {line}");
        }
    }

    #[test]
    fn what_a_healthy_boot_says_is_no_complaint() {
        for line in [
            "[    0.0] Linux version 7.2.12 (gcc 12.2.0) #1 SMP PREEMPT",
            "[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
            "[    0.1] rcu: Preemptible hierarchical RCU implementation.",
            "[    0.1] rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
            "[    0.2] NMI watchdog: Perf NMI watchdog permanently disabled",
            "[    0.3] virtio_blk virtio1: [vda] 2097152 512-byte logical blocks",
            "[    0.4] irqstorm_probe: loading out-of-tree module taints kernel.",
            "[    0.5] smpboot: CPU 1 is now offline",
            "[    0.6] Lockdep is turned off.",
            "[    0.7] debug: DEBUG_LOCKS: off",
        ] {
            assert_eq!(complaint(line), None);
        }
    }

    #[test]
    fn a_complaint_belongs_to_the_test_between_its_markers() {
        let watch = watch(
            "[ 1.0] WARNING: at boot\n\
             [ 1.1] ---[ end trace 0000000000000000 ]---\n\
             [ 2.0] irqstorm: test one begin\n\
             [ 2.5] irqstorm: test one end\n\
             [ 3.0] irqstorm: test two begin\n\
             [ 3.1] BUG: in two\n\
             [ 3.2]  bio_endio+0x1/0x2\n\
             [ 3.3] ---[ end trace 0000000000000000 ]---\n\
             [ 3.4] not part of it\n\
             [ 3.5] irqstorm: test two end\n",
        );
        let tests: Vec<_> = watch.splats().iter().map(|s| s.test.as_deref()).collect();
        assert_eq!(tests, [None, Some("two")]);
        assert_eq!(watch.splats()[1].title, "BUG: in two");
        assert_eq!(watch.splats()[1].lines.len(), 3);
        assert_eq!(watch.running(), None);
        assert_eq!(watch.ended(), Some("two"));
    }

    #[test]
    fn an_interrupt_that_nobody_cared_for_is_one_complaint() {
        let stack = " call\n".repeat(20);
        let text = format!(
            "[ 1.0] irq 26: nobody cared (try booting with the \"irqpoll\" option)\n{stack}\
             [ 1.1] Disabling IRQ #26\n"
        );
        let splats = watch(&text);
        assert_eq!(splats.splats().len(), 1);
        assert!(splats.splats()[0].lines.last().unwrap().contains("#26"));
        assert_eq!(watch("[ 1.1] Disabling IRQ #26").splats().len(), 1);
    }

    #[test]
    fn a_complaint_after_a_restart_is_no_longer_the_old_tests() {
        let mut watch = watch("irqstorm: test one begin\nBUG: a\n");
        watch.restart();
        watch.line("BUG: b");
        let tests: Vec<_> = watch.splats().iter().map(|s| s.test.as_deref()).collect();
        assert_eq!(tests, [Some("one"), None]);
    }

    #[test]
    fn a_panic_is_noted() {
        assert!(watch("[ 1.0] Kernel panic - not syncing: x").panicked());
        assert!(!watch("[ 1.0] WARNING: x").panicked());
    }

    #[test]
    fn repeats_are_bounded() {
        let text = "---[ end trace\nWARNING: again\n---[ end trace 0 ]---\n".repeat(1000);
        assert_eq!(watch(&text).splats().len(), MOST_SPLATS);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The machine that a test asks for.

use std::fmt;

/// The machine that a test runs on. Tests of one shape share a guest, so that
/// each shape boots once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// CPUs; the run's if `None`.
    pub cpus: Option<u16>,
    /// Queues of the disk; one for each CPU if `None`.
    pub queues: Option<u16>,
    /// CPUs that the kernel brings online at boot, and leaves the others to the
    /// test; all of them if `None`.
    pub online: Option<u16>,
    /// Words for the kernel's command line, after the lab's own.
    pub words: &'static [&'static str],
}

impl Shape {
    /// The run's own: its CPUs, each with a queue.
    pub const RUN: Shape = Shape {
        cpus: None,
        queues: None,
        online: None,
        words: &[],
    };

    /// CPUs, in a run with so many.
    pub fn cpus(&self, run: u16) -> u16 {
        self.cpus.unwrap_or(run)
    }

    /// Queues of the disk, in a run with so many CPUs.
    pub fn queues(&self, run: u16) -> u16 {
        self.queues.unwrap_or(self.cpus(run))
    }
}

/// What sets it apart from the run's: "4 CPUs, 2 queues"; nothing for the
/// run's.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: Option<u16>, what: &str, tail: &str| {
            let plural = if count == Some(1) { "" } else { "s" };
            count.map(|count| format!("{count} {what}{plural}{tail}"))
        };
        let parts = [
            counted(self.cpus, "CPU", ""),
            counted(self.queues, "queue", ""),
            counted(self.online, "CPU", " at boot"),
        ];
        let words = self.words.iter().map(|word| (*word).to_owned());
        let parts: Vec<String> = parts.into_iter().flatten().chain(words).collect();
        f.write_str(&parts.join(", "))
    }
}

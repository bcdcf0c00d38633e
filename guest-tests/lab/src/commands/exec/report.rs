// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is left of an `exec`: exec.json, commands.txt, and the exit code.

use std::ffi::OsString;

use irqstorm_agent::program::Execute;
use serde::Serialize;

use super::follow::End;
use crate::cli::{Complaints, ExecArguments};
use crate::console::Splat;
use crate::failure::{Exit, Failure, io_failure};
use crate::patched;
use crate::process::{shell_line, shell_word};
use crate::results::{DeviceCounts, Folder, KernelRecord};

/// Raised when a reader of exec.json must change.
const SCHEMA: u32 = 1;

/// Complaints named one by one.
const MOST_NAMED: usize = 3;

/// exec.json.
#[derive(Debug, Serialize)]
pub(super) struct ExecRecord {
    pub(super) schema: u32,
    pub(super) irqstorm: String,
    pub(super) started: String,
    pub(super) seconds: f64,
    pub(super) kernel: KernelRecord,
    pub(super) qemu: String,
    pub(super) accel: String,
    pub(super) disk: String,
    pub(super) cpus: u16,
    pub(super) queues: u16,
    pub(super) memory_mib: u32,
    pub(super) seed: u64,
    pub(super) scenario: String,
    pub(super) command: Vec<String>,
    pub(super) folder: String,
    /// As a shell has it; absent if the program did not come to its end.
    pub(super) code: Option<u8>,
    /// Why it did not.
    pub(super) lost: Option<String>,
    /// While it ran.
    pub(super) device: Option<DeviceCounts>,
    pub(super) complaints: Vec<Splat>,
}

impl ExecRecord {
    /// The schema that this is.
    pub(super) const SCHEMA: u32 = SCHEMA;

    pub(super) fn write(&self, folder: &Folder) -> Result<(), Failure> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::other)
            .map_err(io_failure("write", &folder.join("exec.json")))?;
        json.push(b'\n');
        folder.write("exec.json", &json)
    }
}

/// The exit code, and what is said of it on standard error.
pub(super) fn conclude(end: &End, splats: &[Splat], complaints: Complaints) -> (Exit, Vec<String>) {
    let named = splats.iter().take(MOST_NAMED);
    let mut lines: Vec<String> = named
        .map(|splat| format!("the kernel complained: {}", splat.title))
        .collect();
    if let Some(more @ 1..) = splats.len().checked_sub(MOST_NAMED) {
        lines.push(format!("and {more} more complaints"));
    }
    let exit = match end {
        End::Exited(0) if !splats.is_empty() && complaints == Complaints::Fail => {
            lines.push(
                "the exit code is 1 for that, the program's was 0; --complaints report leaves it"
                    .into(),
            );
            Exit::TestsFailed
        }
        End::Exited(code) => Exit::OfProgram(*code),
        End::Refused(refusal) => {
            lines.push(format!("failed to {}", refusal.reason));
            refusal.code.map_or(Exit::ExecFailed, Exit::OfProgram)
        }
        End::Lost(reason) => {
            lines.push(format!("the guest was lost: {reason}"));
            let died = splats.iter().any(|splat| splat.title.contains("panic"));
            match died || reason.contains("panicked") {
                true => Exit::TestsFailed,
                false => Exit::ExecFailed,
            }
        }
    };
    (exit, lines)
}

/// commands.txt: the same again, and device and guest by hand.
pub(super) fn commands(
    arguments: &ExecArguments,
    order: &Execute,
    seed: u64,
    results: &Folder,
    device: Option<&str>,
    guest: &str,
) -> String {
    let again = shell_line("irqstorm".as_ref(), &again(arguments, order, seed, results));
    let folder = shell_word(order.folder.as_os_str());
    let device = device.map(|line| format!("the device first:\n{line}\n\n"));
    let device = device.unwrap_or_else(|| "with an empty file as its disk:\n".into());
    format!("# The same again:\ncd {folder}\n{again}\n\n# What it started, {device}{guest}\n")
}

fn again(arguments: &ExecArguments, order: &Execute, seed: u64, results: &Folder) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["exec".into()];
    let mut option = |name: &str, value: OsString| words.extend([name.into(), value]);
    option("--kernel", arguments.kernel.clone().into());
    option("--scenario", arguments.scenario.clone().into());
    option("--seed", seed.to_string().into());
    option("--disk", arguments.machine.disk.name().into());
    option("--cpus", arguments.machine.cpus.to_string().into());
    option(
        "--memory",
        format!("{}M", arguments.machine.memory.0).into(),
    );
    if let Some(queues) = arguments.queues {
        option("--queues", queues.to_string().into());
    }
    if let Some(replay) = &arguments.replay {
        option("--replay", replay.into());
    }
    match &arguments.disk.disk_file {
        Some(file) => option("--disk-file", file.into()),
        None => option("--disk-size", arguments.disk.disk_size.to_string().into()),
    }
    option("--block-size", arguments.disk.block_size.to_string().into());
    for folder in &order.writable {
        option("--write-to", folder.as_os_str().to_owned());
    }
    for variable in &arguments.env {
        option("--env", variable.clone());
    }
    words.extend(arguments.machine.controller.words());
    words.extend(patched::arguments(&arguments.patches, results.path()));
    if arguments.disk.disk_read_only {
        words.push("--disk-read-only".into());
    }
    if arguments.no_events {
        words.push("--no-events".into());
    }
    if arguments.tty {
        words.push("--tty".into());
    }
    if arguments.shell {
        words.push("--shell".into());
        return words;
    }
    words.push("--".into());
    words.extend(arguments.command.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_agent::program::Refusal;

    fn splat(title: &str) -> Splat {
        Splat {
            test: None,
            title: title.to_owned(),
            lines: Vec::new(),
        }
    }

    fn code(end: End, splats: &[Splat], complaints: Complaints) -> u8 {
        conclude(&end, splats, complaints).0.code()
    }

    #[test]
    fn a_complaint_fails_only_what_succeeded_and_only_if_it_is_to() {
        let warning = [splat("WARNING: at block/bio.c")];
        for (end, complaints, expected) in [
            (0, Complaints::Fail, 1),
            (0, Complaints::Report, 0),
            (7, Complaints::Fail, 7),
            (137, Complaints::Report, 137),
        ] {
            assert_eq!(code(End::Exited(end), &warning, complaints), expected);
        }
        assert_eq!(code(End::Exited(0), &[], Complaints::Fail), 0);
        let (_, lines) = conclude(&End::Exited(7), &warning, Complaints::Fail);
        assert_eq!(lines, ["the kernel complained: WARNING: at block/bio.c"]);
    }

    #[test]
    fn a_guest_that_panicked_failed_and_one_that_was_lost_tells_nothing() {
        let lost = |reason: &str| End::Lost(reason.to_owned());
        let code = |end| code(end, &[], Complaints::Report);
        assert_eq!(code(lost("the kernel panicked")), 1);
        assert_eq!(code(lost("QEMU was killed by signal 9")), 125);
        let refused = |code| {
            End::Refused(Refusal {
                code,
                reason: "execute x: not found".into(),
            })
        };
        assert_eq!(code(refused(Some(127))), 127);
        assert_eq!(code(refused(None)), 125);
    }
}

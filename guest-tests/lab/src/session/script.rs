// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! commands.txt: a shell script that starts device and guest as a run did.

use std::ffi::OsString;

use irqstorm_agent::catalogue::Shape;

use super::{Lab, Subject, Trial};
use crate::device::DeviceOptions;
use crate::patched;
use crate::process::{shell_line, shell_word};
use crate::qemu::Machine;
use crate::repository::DEFAULT_SCENARIO;
use crate::results::Folder;
use crate::run_dir::RunDir;
use crate::suite;

/// The script.
pub(super) fn commands(
    lab: &Lab,
    subject: &Subject,
    trial: &Trial,
    machine: &Machine,
    options: &DeviceOptions,
    run_dir: &RunDir,
    results: &Folder,
) -> String {
    let mut by_hand = options.clone();
    // Not over what the run that this file belongs to left.
    by_hand.events = run_dir.join("events.ndjson");
    by_hand.record = run_dir.join("decisions.ndjson");
    let device = shell_line(&by_hand.program, &by_hand.arguments());
    let guests: String = suite::machines(&trial.tests)
        .into_iter()
        .map(|shape| guest(lab, machine, shape))
        .collect();
    let folder = run_dir.path().display();
    let control = machine.sockets.control.display();
    let again = shell_line("irqstorm".as_ref(), &again(subject, trial, results));
    format!(
        "# The run again:\n{again}\n\n\
         # Its decisions again, whatever they depend on has become:\n\
         #   irqstorm run --replay {decisions}\n\n\
         # Or by hand, with the guest's console on this terminal (SIGTERM to QEMU\n\
         # ends it). The device first:\n\
         mkdir -p -m 700 {folder}\n{device} &\n\
         until [ -S {control} ]; do sleep 0.1; done\n\n\
         # Its scenario, once the guest is up, from another terminal:\n\
         #   irqstorm ctl --socket {control} scenario {scenario}\n\n\
         {guests}",
        scenario = trial.scenario.name,
        decisions = shell_word(options.record.as_os_str()),
    )
}

/// The arguments of `irqstorm` that make the run again.
fn again(subject: &Subject, trial: &Trial, results: &Folder) -> Vec<OsString> {
    let mut again = vec!["run".into(), "--kernel".into(), subject.name.clone().into()];
    again.extend(patched::arguments(&subject.patch_files, results.path()));
    if !suite::is_default(&trial.tests) {
        for test in &trial.tests {
            again.extend(["--test".into(), test.name.into()]);
        }
    }
    if trial.scenario.name != DEFAULT_SCENARIO {
        again.extend(["--scenario".into(), trial.scenario.name.clone().into()]);
    }
    again.extend(["--seed".into(), trial.seed.to_string().into()]);
    if let Some(replay) = &trial.replay {
        again.extend(["--replay".into(), replay.into()]);
    }
    again.extend(["--cpus".into(), trial.cpus.to_string().into()]);
    again
}

/// How to start the guest of one shape.
fn guest(lab: &Lab, machine: &Machine, shape: Shape) -> String {
    let machine = Machine {
        shape,
        ..machine.clone()
    };
    let qemu = shell_line(&lab.qemu, &machine.arguments());
    match shape == Shape::RUN {
        true => format!("# The guest:\n{qemu}\n"),
        false => format!("# The guest for tests that ask for {shape}, instead:\n{qemu}\n"),
    }
}

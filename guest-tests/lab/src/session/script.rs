// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! commands.txt: a shell script that starts device and guest as a run did.

use irqstorm_agent::catalogue::Shape;

use super::{Lab, Subject, Trial, again};
use crate::device::DeviceOptions;
use crate::process::{shell_line, shell_word};
use crate::qemu::Machine;
use crate::results::Folder;
use crate::run_dir::RunDir;
use crate::suite;

/// The script.
pub(super) fn commands(
    lab: &Lab,
    subject: &Subject,
    trial: &Trial,
    machine: &Machine,
    options: Option<&DeviceOptions>,
    run_dir: &RunDir,
    results: &Folder,
) -> String {
    let guests: String = suite::machines(&trial.tests)
        .into_iter()
        .map(|shape| guest(lab, machine, shape))
        .collect();
    let again = again::arguments(lab, subject, trial, results.path());
    let again = shell_line("irqstorm".as_ref(), &again);
    let folder = run_dir.path().display();
    let device = match options {
        Some(options) => device(trial, options, run_dir),
        None => "# Its disk is an empty file of that name, made anew.\n".to_owned(),
    };
    format!(
        "# The run again:\n{again}\n\n\
         # Or by hand, with the guest's console on this terminal (SIGTERM to QEMU\n\
         # ends it):\n\
         mkdir -p -m 700 {folder}\n\
         {device}\n\
         {guests}"
    )
}

/// How to start the device, and to have it do the same.
fn device(trial: &Trial, options: &DeviceOptions, run_dir: &RunDir) -> String {
    let by_hand = DeviceOptions {
        // Not over what the run that this file belongs to left.
        events: run_dir.join("events.ndjson"),
        record: run_dir.join("decisions.ndjson"),
        ..options.clone()
    };
    let device = shell_line(&by_hand.program, &by_hand.arguments());
    let control = options.control_socket.display();
    format!(
        "# The device first:\n\
         {device} &\n\
         until [ -S {control} ]; do sleep 0.1; done\n\n\
         # Its scenario, once the guest is up, from another terminal:\n\
         #   irqstorm ctl --socket {control} scenario {scenario}\n\
         # Its decisions again, whatever they depend on has become:\n\
         #   irqstorm run --replay {decisions}\n",
        scenario = trial.scenario.name,
        decisions = shell_word(options.record.as_os_str()),
    )
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

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
    let again = again::arguments(lab, subject, trial, results.path());
    let again = shell_line("irqstorm".as_ref(), &again);
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

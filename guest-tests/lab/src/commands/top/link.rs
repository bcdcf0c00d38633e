// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The line to the device, on a thread of its own: a device that takes its
//! time does not keep the keys waiting.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use irqstorm_core::control::{Command, StatusReply};

use crate::commands::ctl::show;
use crate::control::Control;
use crate::failure::Failure;

/// What came back.
pub(super) enum Told {
    /// The answer to `status`.
    Status(Box<StatusReply>),
    /// Another command's answer, for people.
    Done(String),
    /// The device's refusal.
    Refused(String),
}

/// The line.
pub(super) struct Link {
    commands: Sender<Command>,
    answers: Receiver<Result<Told, Failure>>,
}

impl Link {
    /// Takes a connection over. The thread ends with the link or the device.
    pub(super) fn start(mut control: Control) -> Link {
        let (commands, orders) = channel::<Command>();
        let (report, answers) = channel();
        thread::spawn(move || {
            for command in orders {
                let told = carry_out(&mut control, &command);
                let lost = told.is_err();
                if report.send(told).is_err() || lost {
                    return;
                }
            }
        });
        Link { commands, answers }
    }

    /// Has a command carried out after those before it.
    pub(super) fn ask(&self, command: Command) {
        // The thread is gone only after it said why.
        let _ = self.commands.send(command);
    }

    /// The next that came back, if there is any; an error once the device is
    /// gone.
    pub(super) fn told(&self) -> Result<Option<Told>, Failure> {
        match self.answers.try_recv() {
            Ok(told) => told.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(Failure::Control("the line to it is gone".into()))
            }
        }
    }
}

fn carry_out(control: &mut Control, command: &Command) -> Result<Told, Failure> {
    if let Command::Status {} = command {
        let status = control.ask::<StatusReply>(command)?;
        return Ok(Told::Status(Box::new(status)));
    }
    match control.ask_raw(command) {
        Ok(reply) => Ok(Told::Done(show::in_short(command, &reply))),
        Err(refused @ Failure::Refused { .. }) => Ok(Told::Refused(refused.to_string())),
        Err(failure) => Err(failure),
    }
}

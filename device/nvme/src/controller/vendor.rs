// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Vendor specific admin commands (5.28): the control protocol from within the
//! guest, with nothing but the driver's own pass-through.
//!
//! Three of them are commands in a few dwords, without data; what comes back in
//! dword 0 is how many it concerned. Any other command goes as a line of the
//! protocol, as text; the answer to the last one, or why it was refused, is
//! fetched. Waiting for a mark is for those who can wait: an admin command
//! that does not end has the driver reset the controller.

use std::sync::mpsc;

use irqstorm_core::control::{Code, Command as Control, Fire, Hold, Part, Refusal, Selection};
use irqstorm_core::filter::Choice;
use irqstorm_core::inbox::{Message, Respond};
use irqstorm_core::request::QueueId;
use serde_json::Value;
use vm_memory::{GuestAddressSpace, Permissions};

use super::Controller;
use crate::wire::{Command, StatusCode};

/// The opcodes. Their lowest two bits say which way data goes (Figure 139).
pub(super) mod opcode {
    /// Holds completions from now on if dword 10 is 1, and no more if it is 0.
    pub(in crate::controller) const HOLD: u8 = 0xc0;
    /// A command of the control protocol, as JSON: dword 10 is its length.
    pub(in crate::controller) const COMMAND: u8 = 0xc1;
    /// The answer to the last one: dword 10 is how many bytes are fetched.
    pub(in crate::controller) const ANSWER: u8 = 0xc2;
    /// Releases as many as dword 10 says, or all for 0: completion and
    /// interrupt, or the part that dword 11 names.
    pub(in crate::controller) const RELEASE: u8 = 0xc4;
    /// Fires as many interrupts as dword 10 says, on the queue with the id in
    /// dword 11, or on all for 0.
    pub(in crate::controller) const FIRE: u8 = 0xc8;
}

/// The longest text either way: a page.
const MAX_TEXT: u32 = 4096;

/// What the last command was answered with.
#[derive(Debug, Default)]
pub(super) struct LastAnswer(Vec<u8>);

impl Controller {
    /// One of these commands, if it is one.
    pub(super) fn vendor(&mut self, command: &Command) -> Option<Result<u32, StatusCode>> {
        Some(match command.opcode() {
            opcode::HOLD => self.hold(command),
            opcode::RELEASE => self.release(command),
            opcode::FIRE => self.fire(command),
            opcode::COMMAND => self.text(command).map(|_| 0),
            opcode::ANSWER => self.last_answer(command).map(|()| 0),
            _ => return None,
        })
    }

    fn hold(&mut self, command: &Command) -> Result<u32, StatusCode> {
        let on = match command.dword(10) {
            0 => false,
            1 => true,
            _ => return Err(StatusCode::INVALID_FIELD),
        };
        let hold = Hold {
            on,
            ..Hold::default()
        };
        self.control(Control::Hold(hold)).map(|_| on.into())
    }

    fn release(&mut self, command: &Command) -> Result<u32, StatusCode> {
        let part = match command.dword(11) {
            0 => Part::Both,
            1 => Part::Completion,
            2 => Part::Interrupt,
            _ => return Err(StatusCode::INVALID_FIELD),
        };
        let released = self.control(Control::Release(Selection {
            count: Some(command.dword(10)).filter(|&count| count > 0),
            part,
            ..Selection::default()
        }))?;
        Ok(count(&released, "released"))
    }

    fn fire(&mut self, command: &Command) -> Result<u32, StatusCode> {
        let queue = match u16::try_from(command.dword(11)) {
            Ok(0) => Choice::default(),
            Ok(id) => Choice::one(QueueId(id - 1)),
            Err(_) => return Err(StatusCode::INVALID_FIELD),
        };
        let fired = self.control(Control::Fire(Fire {
            queue,
            count: command.dword(10),
            ..Fire::default()
        }))?;
        Ok(count(&fired, "fired"))
    }

    /// A command as text. What follows its end, zeroes or spaces, is no part
    /// of it.
    fn text(&mut self, command: &Command) -> Result<Value, StatusCode> {
        let len = command.dword(10);
        if !(1..=MAX_TEXT).contains(&len) {
            return Err(StatusCode::INVALID_FIELD);
        }
        let memory = self.memory.memory();
        let data = self
            .terms
            .data(&memory, Permissions::Read, command, len.into())?;
        let mut text = vec![0; usize::try_from(len).unwrap_or_default()];
        data.read(&*memory, 0, &mut text)
            .map_err(|_| StatusCode::DATA_TRANSFER)?;
        let end = text.iter().rposition(|&byte| byte != 0);
        let text = text.get(..=end.unwrap_or(0)).unwrap_or_default();
        match serde_json::from_slice(text) {
            Ok(control) => self.control(control),
            Err(error) => {
                let refusal = Refusal::new(Code::BadRequest, error.to_string());
                self.remember(&Err(refusal));
                Err(StatusCode::INVALID_FIELD)
            }
        }
    }

    /// Has the pump carry a command out. It does so at once.
    fn control(&mut self, command: Control) -> Result<Value, StatusCode> {
        if matches!(command, Control::Wait(_) | Control::Subscribe(_)) {
            let text = "an admin command cannot wait: use the control socket";
            self.remember(&Err(Refusal::new(Code::BadRequest, text)));
            return Err(StatusCode::INVALID_FIELD);
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let respond = Respond::new(move |result| drop(answer.send(result)));
        self.parts
            .inbox
            .send(Message::Command { command, respond })
            .map_err(|_| StatusCode::INTERNAL)?;
        let result = answered.recv().map_err(|_| StatusCode::INTERNAL)?;
        self.remember(&result);
        result.map_err(|_| StatusCode::INVALID_FIELD)
    }

    /// Keeps an answer to be fetched, as the control socket would have it.
    fn remember(&mut self, answer: &Result<Value, Refusal>) {
        let text = match answer {
            Ok(value) => serde_json::json!({"ok": value}),
            Err(refusal) => serde_json::json!({"error": refusal}),
        };
        self.answer = LastAnswer(text.to_string().into_bytes());
    }

    fn last_answer(&mut self, command: &Command) -> Result<(), StatusCode> {
        let len = command.dword(10);
        if !(1..=MAX_TEXT).contains(&len) {
            return Err(StatusCode::INVALID_FIELD);
        }
        let mut text = self.answer.0.clone();
        text.resize(usize::try_from(len).unwrap_or_default(), 0);
        self.hand_over(command, &text)
    }
}

/// A number of a reply's.
fn count(reply: &Value, field: &str) -> u32 {
    let count = reply.get(field).and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(count).unwrap_or(u32::MAX)
}

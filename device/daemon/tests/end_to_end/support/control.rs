// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A client of the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use irqstorm_core::control::{
    self, Answer, Command, Fire, FireReply, Greeting, Hold, List, ListReply, Refusal, ReleaseReply,
    Reply, ScenarioReply, Selection, StatusReply,
};
use irqstorm_core::filter::Choice;
use irqstorm_core::request::QueueId;
use serde::de::DeserializeOwned;

use super::{PATIENCE, eventually};

pub(crate) struct Control {
    lines: BufReader<UnixStream>,
    last_id: u64,
}

impl Control {
    pub(crate) fn connect(path: &Path) -> Control {
        Control::try_connect(path).unwrap()
    }

    /// The same where there may be too many already.
    pub(crate) fn try_connect(path: &Path) -> Result<Control, Refusal> {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Control {
            lines: BufReader::new(stream),
            last_id: 0,
        };
        let first = client.line().unwrap();
        if let Ok(reply) = serde_json::from_str::<Reply>(&first) {
            let (0, Answer::Error(refusal)) = (reply.id, reply.result) else {
                panic!("{first}");
            };
            return Err(refusal);
        }
        let greeting: Greeting = serde_json::from_str(&first).unwrap();
        assert_eq!(greeting, Greeting::new());
        Ok(client)
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.lines.get_ref()
    }

    /// The next line; `None` once the device has closed.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(line),
        }
    }

    pub(crate) fn reply(&mut self) -> Reply {
        serde_json::from_str(&self.line().unwrap()).unwrap()
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends a command, and does not wait for its answer.
    pub(crate) fn ask_later(&mut self, command: &Command) -> u64 {
        self.last_id += 1;
        let line = control::format_line(self.last_id, command).unwrap();
        self.send(&format!("{line}\n"));
        self.last_id
    }

    fn answer(&mut self, command: &Command) -> Answer {
        let id = self.ask_later(command);
        let reply = self.reply();
        assert_eq!(reply.id, id);
        reply.result
    }

    /// Has a command carried out.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> T {
        match self.answer(command) {
            Answer::Ok(value) => serde_json::from_value(value).unwrap(),
            Answer::Error(refusal) => panic!("{command:?}: {refusal}"),
        }
    }

    /// Has a command refused.
    pub(crate) fn refused(&mut self, command: &Command) -> Refusal {
        match self.answer(command) {
            Answer::Ok(value) => panic!("{command:?} was carried out: {value}"),
            Answer::Error(refusal) => refusal,
        }
    }

    pub(crate) fn status(&mut self) -> StatusReply {
        self.ask(&Command::Status {})
    }

    /// Waits until the status is as wished.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut wished: impl FnMut(&StatusReply) -> bool,
    ) -> StatusReply {
        eventually(what, || Some(self.status()).filter(|status| wished(status)))
    }

    pub(crate) fn hold(&mut self, on: bool) {
        let _: control::HoldReply = self.ask(&Command::Hold(Hold {
            on,
            ..Hold::default()
        }));
    }

    pub(crate) fn list(&mut self) -> ListReply {
        self.ask(&Command::List(List::default()))
    }

    /// Waits until so many requests are held, and lists them.
    pub(crate) fn held(&mut self, count: u64) -> ListReply {
        self.until("held requests", |status| status.total.held == count);
        self.list()
    }

    pub(crate) fn release(&mut self, selection: Selection) -> u64 {
        let reply: ReleaseReply = self.ask(&Command::Release(selection));
        reply.released
    }

    pub(crate) fn fire(&mut self, queue: Option<u16>, count: u32) -> FireReply {
        let queue = queue.map(|queue| Choice::one(QueueId(queue)));
        self.ask(&Command::Fire(Fire {
            queue: queue.unwrap_or_default(),
            count,
            ..Fire::default()
        }))
    }

    pub(crate) fn replace_scenario(&mut self, toml: &str, name: &str) -> ScenarioReply {
        self.ask(&Command::Scenario {
            toml: toml.to_owned(),
            name: name.to_owned(),
        })
    }
}

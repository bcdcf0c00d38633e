// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device under the guest's control: the control protocol over its port.

use std::time::Duration;

use irqstorm_core::control::{
    self, Answer, Command, FailReply, Fire, FireReply, Hold, HoldReply, KnobReply, List, ListReply,
    MarkReply, PhaseReply, Pushed, ReleaseReply, Reply, ScenarioReply, Selection, StatusReply,
    StormReply, Subscribe, SubscribeReply, VolleyReply, Wait,
};
use irqstorm_core::event::Event;
use irqstorm_core::units::Nanos;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ports::{self, Lines};
use irqstorm_agent::protocol::CONTROL_PORT;

/// The device answers at once; a machine under emulation on a busy host does
/// so within this.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to the device.
pub(crate) struct Device {
    lines: Lines,
    last_id: u64,
    pushed: Vec<Event>,
    missed: u64,
}

impl Device {
    /// Opens the port and sees that the device answers.
    pub(crate) fn open() -> Result<Device, String> {
        let port = ports::open(CONTROL_PORT, Duration::from_secs(2)).map_err(|e| e.to_string())?;
        let mut device = Device {
            lines: Lines::new(port, control::MAX_LINE),
            last_id: 0,
            pushed: Vec::new(),
            missed: 0,
        };
        device.status()?;
        Ok(device)
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, String> {
        self.ask_within(command, PATIENCE)
    }

    fn ask_within<T: DeserializeOwned>(
        &mut self,
        command: &Command,
        patience: Duration,
    ) -> Result<T, String> {
        self.last_id += 1;
        let line = control::format_line(self.last_id, command).map_err(|e| e.to_string())?;
        let failed = |e: std::io::Error| format!("ask the device {line}: {e}");
        self.lines.write(&line, PATIENCE).map_err(failed)?;
        loop {
            let answer = self.lines.read(Some(patience)).map_err(failed)?;
            let Ok(reply) = serde_json::from_str::<Reply>(&answer) else {
                self.take_pushed(&answer);
                continue;
            };
            // Whoever used the port before asked for that.
            if reply.id != self.last_id {
                continue;
            }
            return match reply.result {
                Answer::Ok(value) => serde_json::from_value(value)
                    .map_err(|e| format!("understand the device's answer {answer}: {e}")),
                Answer::Error(refusal) => Err(format!("the device refused {line}: {refusal}")),
            };
        }
    }

    /// Keeps what the device sends by itself; the greeting is nothing of that.
    fn take_pushed(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Pushed::Event(event)) => self.pushed.push(event),
            Ok(Pushed::Missed(count)) => self.missed += count,
            Err(_) => {}
        }
    }

    /// Has events of these kinds sent from now on, and of no other; none with
    /// no kind. Those that came before are forgotten.
    pub(crate) fn subscribe(&mut self, kinds: &[&str]) -> Result<(), String> {
        let events = Some(kinds.iter().map(|&kind| kind.to_owned()).collect());
        let _: SubscribeReply = self.ask(&Command::Subscribe(Subscribe { events }))?;
        self.pushed.clear();
        self.missed = 0;
        Ok(())
    }

    /// The events that have come since the last look; an error if the device
    /// had to leave some out. They may come after the answer to what caused
    /// them.
    pub(crate) fn events(&mut self) -> Result<Vec<Event>, String> {
        self.status()?;
        match std::mem::take(&mut self.missed) {
            0 => Ok(std::mem::take(&mut self.pushed)),
            missed => Err(format!("follow the device: it left {missed} events out")),
        }
    }

    /// Counters and state.
    pub(crate) fn status(&mut self) -> Result<StatusReply, String> {
        self.ask(&Command::Status {})
    }

    /// Holds completions, or stops doing so.
    pub(crate) fn hold(&mut self, on: bool) -> Result<HoldReply, String> {
        self.ask(&Command::Hold(Hold {
            on,
            ..Hold::default()
        }))
    }

    /// How many completions are held.
    pub(crate) fn held(&mut self) -> Result<u64, String> {
        let one = List {
            limit: Some(1),
            ..List::default()
        };
        let list: ListReply = self.ask(&Command::List(one))?;
        Ok(list.total)
    }

    /// Lets every held completion go.
    pub(crate) fn release_all(&mut self) -> Result<u64, String> {
        self.release(Selection::default())
    }

    /// Lets held completions go; how many that were.
    pub(crate) fn release(&mut self, selection: Selection) -> Result<u64, String> {
        let reply: ReleaseReply = self.ask(&Command::Release(selection))?;
        Ok(reply.released)
    }

    /// Has interrupts with nothing behind them written.
    pub(crate) fn fire(&mut self, fire: Fire) -> Result<FireReply, String> {
        self.ask(&Command::Fire(fire))
    }

    /// Has one interrupt written on every queue at one instant.
    pub(crate) fn volley(&mut self) -> Result<VolleyReply, String> {
        self.ask(&Command::Volley {})
    }

    /// Has the device fail, until its driver resets it.
    pub(crate) fn fail(&mut self) -> Result<FailReply, String> {
        self.ask(&Command::Fail {})
    }

    /// Turns a knob of the scenario.
    pub(crate) fn set(&mut self, knob: &str, value: Value) -> Result<KnobReply, String> {
        self.ask(&Command::Set {
            knob: knob.to_owned(),
            value,
        })
    }

    /// Goes on to the next phase.
    pub(crate) fn next_phase(&mut self) -> Result<PhaseReply, String> {
        self.ask(&Command::Phase { to: None })
    }

    /// Sets a mark.
    pub(crate) fn mark(&mut self, name: &str) -> Result<MarkReply, String> {
        self.ask(&Command::Mark {
            name: name.to_owned(),
        })
    }

    /// Waits until a mark has been set so often since the device's start, at
    /// most so long. The port answers nothing else meanwhile.
    pub(crate) fn wait(
        &mut self,
        mark: &str,
        count: u64,
        at_most: Duration,
    ) -> Result<MarkReply, String> {
        let nanos = u64::try_from(at_most.as_nanos()).unwrap_or(u64::MAX);
        let wait = Wait {
            mark: mark.to_owned(),
            count: Some(count),
            timeout: Some(Nanos(nanos)),
        };
        self.ask_within(&Command::Wait(wait), at_most + PATIENCE)
    }

    /// Stops the scenario's storms, or starts them.
    pub(crate) fn storm(&mut self, on: bool) -> Result<StormReply, String> {
        self.ask(&Command::Storm { on, name: None })
    }

    /// Puts another scenario in force.
    pub(crate) fn scenario(&mut self, name: &str, toml: &str) -> Result<ScenarioReply, String> {
        self.ask(&Command::Scenario {
            toml: toml.to_owned(),
            name: name.to_owned(),
        })
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU's monitor protocol, as little of it as the lab needs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::disk::{DISK, Plug};
use crate::failure::Failure;

/// A QEMU that does not answer for so long hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Lines and events taken while waiting for an answer.
const MOST_LINES: usize = 1000;

/// A guest that is asked for its disk gives it within this, in which it ends all
/// that is under way.
const UNPLUG_LIMIT: Duration = Duration::from_secs(120);

/// A connection to the monitor.
#[derive(Debug)]
pub(crate) struct Qmp {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
    /// Events that came while an answer was waited for.
    events: VecDeque<Value>,
}

impl Qmp {
    /// Connects and leaves negotiation behind.
    pub(crate) fn connect(path: &Path) -> Result<Qmp, Failure> {
        let stream = UnixStream::connect(path).map_err(monitor_failure)?;
        stream
            .set_read_timeout(Some(ANSWER_LIMIT))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_LIMIT)))
            .map_err(monitor_failure)?;
        let reader = BufReader::new(stream.try_clone().map_err(monitor_failure)?);
        let mut qmp = Qmp {
            stream,
            reader,
            events: VecDeque::new(),
        };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Sends a break on the guest's console: with a letter after it, that is
    /// SysRq (Documentation/admin-guide/sysrq.rst).
    pub(crate) fn send_break(&mut self) -> Result<(), Failure> {
        self.execute("chardev-send-break", json!({"id": "console"}))
            .map(|_| ())
    }

    /// Stops the guest's CPUs and devices, as they are.
    pub(crate) fn pause(&mut self) -> Result<(), Failure> {
        self.execute("stop", json!({})).map(|_| ())
    }

    /// Has them go on.
    pub(crate) fn resume(&mut self) -> Result<(), Failure> {
        self.execute("cont", json!({})).map(|_| ())
    }

    /// Resets the guest, as the button of a machine would. A QEMU that is to end
    /// where its guest restarts (-no-reboot), as after a panic, would end here as
    /// well, and is told to go on: not only for this reset, since the firmware,
    /// SeaBIOS, that finds itself in memory already restarts the machine once
    /// more.
    pub(crate) fn reset(&mut self) -> Result<(), Failure> {
        self.at_restart("reset")?;
        self.execute("system_reset", json!({}))?;
        self.wait_for("the reset", ANSWER_LIMIT, |event| event["event"] == "RESET")
    }

    /// Has QEMU end again where its guest restarts.
    pub(crate) fn end_at_restart(&mut self) -> Result<(), Failure> {
        self.at_restart("shutdown")
    }

    fn at_restart(&mut self, action: &str) -> Result<(), Failure> {
        self.execute("set-action", json!({ "reboot": action }))
            .map(|_| ())
    }

    /// Asks the guest for its disk and waits until it is out of the machine. The
    /// connection to its device ends with it.
    pub(crate) fn unplug(&mut self) -> Result<(), Failure> {
        self.execute("device_del", json!({"id": DISK}))?;
        self.wait_for("the guest to give its disk", UNPLUG_LIMIT, |event| {
            event["event"] == "DEVICE_DELETED" && event["data"]["device"] == DISK
        })?;
        self.execute("chardev-remove", json!({"id": DISK}))
            .map(|_| ())
    }

    /// Plugs a disk in.
    pub(crate) fn plug(&mut self, plug: &Plug) -> Result<(), Failure> {
        self.execute("chardev-add", plug.chardev.clone())?;
        self.execute("device_add", plug.device.clone()).map(|_| ())
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Failure> {
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.stream
            .write_all(line.as_bytes())
            .map_err(monitor_failure)?;
        for _ in 0..MOST_LINES {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let text = format!("it refused {command}: {}", error["desc"]);
                return Err(Failure::Monitor(text));
            }
            // The greeting is nothing of all that.
            if answer.get("event").is_some() {
                self.events.push_back(answer);
            }
        }
        Err(Failure::Monitor(format!("it does not answer {command}")))
    }

    /// Waits for an event, which may have come since the connection was made.
    fn wait_for(
        &mut self,
        what: &str,
        limit: Duration,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(event) = self.events.pop_front() {
                if is_it(&event) {
                    return self.set_limit(ANSWER_LIMIT);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(in_vain(what, limit));
            }
            self.set_limit(left)?;
            match self.line() {
                Err(_) if Instant::now() >= deadline => return Err(in_vain(what, limit)),
                said => self.events.push_back(said?),
            }
        }
    }

    fn set_limit(&mut self, limit: Duration) -> Result<(), Failure> {
        let set = self.stream.set_read_timeout(Some(limit));
        set.map_err(monitor_failure)
    }

    /// What QEMU says next; null if it cannot be read.
    fn line(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        let mut limited = (&mut self.reader).take(1 << 20);
        limited.read_line(&mut line).map_err(monitor_failure)?;
        if line.is_empty() {
            return Err(Failure::Monitor("it closed its monitor".into()));
        }
        Ok(serde_json::from_str(&line).unwrap_or_default())
    }
}

fn in_vain(what: &str, limit: Duration) -> Failure {
    let seconds = limit.as_secs();
    Failure::Monitor(format!("waited {seconds} s in vain for {what}"))
}

fn monitor_failure(error: std::io::Error) -> Failure {
    Failure::Monitor(format!("its monitor: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// A monitor that answers each command with these lines, and gives back the
    /// names of the commands.
    fn monitor(answers: &[&'static str]) -> (tempfile::TempDir, thread::JoinHandle<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("m")).unwrap();
        let answers: Vec<&str> = answers.to_vec();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let greeting = "{\"QMP\":{}}\n";
            stream.write_all(greeting.as_bytes()).unwrap();
            let mut commands = Vec::new();
            for answer in std::iter::once(&"{\"return\":{}}").chain(&answers) {
                let command: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                commands.push(command["execute"].as_str().unwrap().to_owned());
                stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            commands
        });
        (folder, thread)
    }

    const DONE: &str = r#"{"return":{}}"#;

    #[test]
    fn a_reset_is_over_with_its_event_whichever_comes_first() {
        let event = "{\"event\":\"RESET\"}";
        for answer in [[event, DONE], [DONE, event]].map(|lines| lines.join("\n")) {
            let answer: &'static str = answer.leak();
            let (folder, told) = monitor(&[DONE, answer]);
            let mut qmp = Qmp::connect(&folder.path().join("m")).unwrap();
            qmp.reset().unwrap();
            let told = told.join().unwrap();
            let expected = ["qmp_capabilities", "set-action", "system_reset"];
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn only_the_disks_own_event_ends_the_wait_for_it() {
        let others = r#"{"return":{}}
{"event":"DEVICE_DELETED","data":{"path":"/machine/peripheral/disk/virtio-backend"}}"#;
        let (folder, told) = monitor(&[others]);
        let mut qmp = Qmp::connect(&folder.path().join("m")).unwrap();
        let failure = qmp.unplug().unwrap_err();
        assert!(failure.to_string().contains("closed"), "{failure}");
        assert_eq!(told.join().unwrap(), ["qmp_capabilities", "device_del"]);
        let own = r#"{"return":{}}
{"event":"DEVICE_DELETED","data":{"device":"disk","path":"/machine/peripheral/disk"}}"#;
        let (folder, told) = monitor(&[own, DONE]);
        let mut qmp = Qmp::connect(&folder.path().join("m")).unwrap();
        qmp.unplug().unwrap();
        assert_eq!(told.join().unwrap().last().unwrap(), "chardev-remove");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A client of the device's control socket.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use irqstorm_core::control::{
    Answer, Command, Greeting, MAX_LINE, PROTOCOL, Pushed, Reply, format_line,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// The longest wait for an answer: the device answers between two completions.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// The longest line taken from a device: a full list is longer than anything
/// that a client may send.
const LONGEST_ANSWER: u64 = 8 * MAX_LINE as u64;

/// A connection to a device.
#[derive(Debug)]
pub(crate) struct Control {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
    limit: Duration,
    next_id: u64,
}

impl Control {
    /// Connects and takes the greeting.
    pub(crate) fn connect(path: &Path) -> Result<Control, Failure> {
        Control::connect_within(path, ANSWER_LIMIT)
    }

    /// The same with answers that are waited for so long and no longer.
    pub(crate) fn connect_within(path: &Path, limit: Duration) -> Result<Control, Failure> {
        let failed = |error: std::io::Error| {
            let advice = match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    "; no device listens there: start 'irqstorm run', or irqstorm-device with --control"
                }
                ErrorKind::PermissionDenied => "; it belongs to another user",
                _ => "",
            };
            Failure::Control(format!("{}: {error}{advice}", path.display()))
        };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(limit)).map_err(failed)?;
        stream.set_write_timeout(Some(limit)).map_err(failed)?;
        let reader = BufReader::new(stream.try_clone().map_err(failed)?);
        let mut control = Control {
            stream,
            reader,
            limit,
            next_id: 1,
        };
        let line = control.line()?;
        let greeting: Greeting = serde_json::from_str(&line)
            .map_err(|_| Failure::Control(format!("it greeted with '{}'", shorten(&line))))?;
        if greeting.irqstorm != PROTOCOL {
            return Err(Failure::Control(format!(
                "it speaks protocol {}, this is {PROTOCOL}; rebuild both from one checkout",
                greeting.irqstorm
            )));
        }
        Ok(control)
    }

    /// Carries out a command and reads its reply.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, Failure> {
        let value = self.ask_raw(command)?;
        serde_json::from_value(value)
            .map_err(|error| Failure::Control(format!("its reply is not as documented: {error}")))
    }

    /// Carries out a command whose answer may come so much later than others.
    pub(crate) fn ask_for(&mut self, command: &Command, later: Duration) -> Result<Value, Failure> {
        let usual = self.limit;
        self.set_limit(Some(usual + later))?;
        let reply = self.ask_raw(command);
        self.set_limit(Some(usual))?;
        reply
    }

    /// The next line that answers nothing, whenever it comes: for who has
    /// subscribed.
    pub(crate) fn pushed(&mut self) -> Result<(String, Pushed), Failure> {
        self.set_limit(None)?;
        loop {
            let line = self.line()?;
            if let Ok(pushed) = serde_json::from_str(&line) {
                return Ok((line, pushed));
            }
            if serde_json::from_str::<Reply>(&line).is_err() {
                return Err(Failure::Control(format!("it said '{}'", shorten(&line))));
            }
        }
    }

    fn set_limit(&mut self, limit: Option<Duration>) -> Result<(), Failure> {
        self.stream
            .set_read_timeout(limit)
            .map_err(|error| Failure::Control(error.to_string()))?;
        self.limit = limit.unwrap_or(ANSWER_LIMIT);
        Ok(())
    }

    /// Carries out a command; the reply as it came.
    pub(crate) fn ask_raw(&mut self, command: &Command) -> Result<Value, Failure> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = format_line(id, command)
            .map_err(|error| Failure::Control(format!("cannot write the command: {error}")))?;
        line.push('\n');
        self.stream.write_all(line.as_bytes()).map_err(broken)?;
        loop {
            let line = self.line()?;
            let Ok(reply) = serde_json::from_str::<Reply>(&line) else {
                if serde_json::from_str::<Pushed>(&line).is_ok() {
                    continue;
                }
                return Err(Failure::Control(format!("it said '{}'", shorten(&line))));
            };
            match reply.result {
                _ if reply.id != id => {}
                Answer::Ok(value) => return Ok(value),
                Answer::Error(refusal) => {
                    return Err(Failure::Refused {
                        command: name_of(command),
                        code: refusal.code,
                        refusal: refusal.text,
                    });
                }
            }
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let mut limited = (&mut self.reader).take(LONGEST_ANSWER);
        match limited.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => Ok(line),
            Ok(0) => Err(Failure::Control("it closed the connection".into())),
            Ok(_) => Err(Failure::Control("its line has no end".into())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Failure::Control(format!(
                    "no answer within {} s; it may be stopped",
                    self.limit.as_secs_f64()
                )))
            }
            Err(error) => Err(broken(error)),
        }
    }
}

/// What becomes of a connection to a device that has ended.
fn broken(error: std::io::Error) -> Failure {
    Failure::Control(match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => "it closed the connection".into(),
        _ => error.to_string(),
    })
}

fn name_of(command: &Command) -> String {
    let value = serde_json::to_value(command).unwrap_or_default();
    value["cmd"]
        .as_str()
        .unwrap_or("carry out a command")
        .to_owned()
}

fn shorten(line: &str) -> String {
    line.trim().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::control::{Fire, Hold, HoldReply, Subscribe, SubscribeReply};
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// A device that says these lines, and gives back what it was told.
    fn device(lines: Vec<String>) -> (tempfile::TempDir, thread::JoinHandle<String>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("c")).unwrap();
        let handle = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for line in lines {
                stream.write_all(line.as_bytes()).unwrap();
            }
            let mut told = String::new();
            let _ = BufReader::new(stream).read_line(&mut told);
            told
        });
        (folder, handle)
    }

    fn greeting() -> String {
        format!("{}\n", serde_json::to_string(&Greeting::new()).unwrap())
    }

    #[test]
    fn the_answer_with_the_commands_id_is_taken() {
        let (folder, told) = device(vec![
            greeting(),
            "{\"id\":9,\"ok\":{}}\n".into(),
            "{\"id\":1,\"ok\":{\"holding\":true}}\n".into(),
        ]);
        let mut control = Control::connect(&folder.path().join("c")).unwrap();
        let hold = Hold {
            on: true,
            ..Hold::default()
        };
        let reply: HoldReply = control.ask(&Command::Hold(hold)).unwrap();
        assert!(reply.holding);
        assert_eq!(
            told.join().unwrap().trim(),
            r#"{"cmd":"hold","id":1,"on":true}"#
        );
    }

    #[test]
    fn what_is_pushed_is_told_from_answers() {
        let event = r#"{"event":{"at":5,"event":"marked","mark":"go","count":1}}"#;
        let (folder, _told) = device(vec![
            greeting(),
            format!("{event}\n"),
            "{\"id\":1,\"ok\":{\"events\":[\"marked\"]}}\n".into(),
            "{\"missed\":3}\n".into(),
        ]);
        let mut control = Control::connect(&folder.path().join("c")).unwrap();
        let subscribe = Command::Subscribe(Subscribe::default());
        let reply: SubscribeReply = control.ask(&subscribe).unwrap();
        assert_eq!(reply.events, ["marked"]);
        let (line, pushed) = control.pushed().unwrap();
        assert_eq!(line, "{\"missed\":3}\n");
        assert_eq!(pushed, Pushed::Missed(3));
        let end = control.pushed().unwrap_err();
        assert!(end.to_string().contains("closed"), "{end}");
    }

    #[test]
    fn a_refusal_names_the_command_and_the_reason() {
        let refusal = r#"{"id":1,"error":{"code":"not-found","text":"no queue 9"}}"#;
        let (folder, _told) = device(vec![greeting(), format!("{refusal}\n")]);
        let mut control = Control::connect(&folder.path().join("c")).unwrap();
        let command = Command::Fire(Fire::default());
        let failure = control.ask_raw(&command).unwrap_err();
        assert_eq!(failure.to_string(), "fire: the device refused: no queue 9");
    }

    #[test]
    fn a_socket_nobody_listens_on_says_what_to_start() {
        let failure = Control::connect(Path::new("/nonexistent/c")).unwrap_err();
        assert!(failure.to_string().contains("irqstorm run"), "{failure}");
    }

    #[test]
    fn something_else_behind_the_socket_is_told_apart() {
        let (folder, _told) = device(vec!["SSH-2.0\n".into()]);
        let failure = Control::connect(&folder.path().join("c")).unwrap_err();
        assert!(failure.to_string().contains("SSH-2.0"), "{failure}");
    }
}

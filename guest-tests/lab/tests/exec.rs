// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm exec` from outside: streams, exit codes and ^C.
//!
//! The device is the real one. QEMU is a script that runs this very test
//! program again, as [`fake_guest`], which listens on the sockets that QEMU
//! would and says what the agent would. What a real guest does is for
//! scripts/test.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use irqstorm_agent::program::{Refusal, Stream};
use irqstorm_agent::protocol::{Hello, ToAgent, ToLab};
use rustix::process::{Pid, Signal, kill_process};

/// Where the fake guest finds QEMU's arguments; unset in a test run.
const QEMU_ARGUMENTS: &str = "IRQSTORM_TEST_QEMU_ARGUMENTS";

/// More than any buffer on the way.
const MUCH: usize = 3 << 20;

fn start(folder: &Path, options: &[&str], command: &[&str]) -> Child {
    let mut image = vec![0; 0x400];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    fs::write(folder.join("bzImage"), image).unwrap();
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1\" = --version ] && exec echo QEMU emulator version 9.0.0\n\
         [ \"$1\" = -device ] && exec echo 'name \"virtio-9p-pci\", bus PCI'\n\
         {QEMU_ARGUMENTS}=\"$*\" exec '{}' --ignored --exact fake_guest --nocapture\n",
        std::env::current_exe().unwrap().display()
    );
    fs::write(folder.join("qemu"), script).unwrap();
    fs::set_permissions(folder.join("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_irqstorm"))
        .args(["exec", "--kernel", "bzImage", "--qemu", "./qemu"])
        .args(["--accel", "tcg"])
        .args(options)
        .arg("--")
        .args(command)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn folder() -> tempfile::TempDir {
    // A socket's path is short.
    tempfile::Builder::new()
        .prefix("irq")
        .tempdir_in("/tmp")
        .unwrap()
}

/// Runs a command of the fake guest's.
fn exec(options: &[&str], command: &[&str]) -> Output {
    let folder = folder();
    let mut lab = start(folder.path(), options, command);
    drop(lab.stdin.take());
    let output = lab.wait_with_output().unwrap();
    assert_nothing_left(folder.path());
    output
}

fn assert_nothing_left(folder: &Path) {
    let user = rustix::process::getuid().as_raw();
    let base = folder.join(format!("irqstorm-{user}"));
    assert_eq!(fs::read_dir(base).unwrap().count(), 0);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_put_in_comes_out_byte_by_byte_and_errors_apart() {
    let folder = folder();
    let mut lab = start(folder.path(), &[], &["echo"]);
    let bytes: Vec<u8> = (0..MUCH).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
    let mut stdin = lab.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = lab.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout == bytes, "{} bytes came", output.stdout.len());
    assert_eq!(text(&output.stderr), "errors\n");
}

#[test]
fn the_programs_exit_code_is_passed_on() {
    for code in ["0", "1", "7", "137", "255"] {
        let output = exec(&[], &["exit", code]);
        assert_eq!(
            output.status.code(),
            code.parse().ok(),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn a_program_that_is_not_there_is_named_with_a_shells_code() {
    let output = exec(&[], &["missing"]);
    assert_eq!(output.status.code(), Some(127));
    let said = text(&output.stderr);
    assert!(
        said.contains("failed to execute missing: not found"),
        "{said}"
    );
}

#[test]
fn a_guest_that_is_lost_is_no_exit_code_of_the_programs() {
    let output = exec(&[], &["vanish"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("the guest was lost: QEMU"), "{said}");
}

#[test]
fn a_complaint_of_the_kernel_fails_a_program_that_succeeded_unless_it_may_not() {
    let failed = exec(&[], &["complain"]);
    let said = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(
        said.contains("WARNING: at nowhere") && said.contains("--complaints"),
        "{said}"
    );
    let reported = exec(&["--complaints", "report"], &["complain"]);
    assert_eq!(reported.status.code(), Some(0));
    assert!(text(&reported.stderr).contains("WARNING: at nowhere"));
}

#[test]
fn the_first_interrupt_is_the_programs_and_the_second_ends_the_guest() {
    let folder = folder();
    let mut lab = start(folder.path(), &[], &["signals"]);
    let process = Pid::from_child(&lab);
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill_process(process, Signal::INT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "signal 2");
    kill_process(process, Signal::INT).unwrap();
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output.stderr).contains("interrupted"));
    assert_nothing_left(folder.path());
}

#[test]
fn a_program_learns_that_its_output_is_not_read_any_more() {
    let folder = folder();
    let mut lab = start(folder.path(), &[], &["flood"]);
    let mut stdout = lab.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141), "{}", text(&output.stderr));
}

/// What QEMU and the agent do, as far as the lab sees it.
#[test]
#[ignore = "it is what the other tests run in place of QEMU"]
fn fake_guest() {
    let Ok(arguments) = std::env::var(QEMU_ARGUMENTS) else {
        return;
    };
    let sockets: HashMap<&str, UnixListener> = arguments
        .split(' ')
        .filter_map(|word| word.strip_prefix("socket,id="))
        .filter_map(|socket| {
            let (id, rest) = socket.split_once(",path=")?;
            let path = rest.strip_suffix(",server=on,wait=off")?;
            Some((id, UnixListener::bind(path).unwrap()))
        })
        .collect();
    let accept = |id: &str| sockets[id].accept().unwrap().0;
    let report = accept("report");
    let mut guest = Guest {
        orders: BufReader::new(report.try_clone().unwrap()),
        report,
    };
    guest.say(&ToLab::Hello(Hello::default()));
    let ToAgent::Execute(order) = guest.hear() else {
        panic!("no order came first");
    };
    let words: Vec<String> = order.command.iter().map(|word| word.to_text()).collect();
    if words[0] == "missing" {
        guest.say(&ToLab::NotExecuted(Refusal {
            code: Some(127),
            reason: "execute missing: not found".into(),
        }));
        return guest.power_off();
    }
    println!("irqstorm: test exec begin");
    guest.say(&ToLab::Executing);
    let streams = ["stdin", "stdout", "stderr"];
    let [input, output, errors] = streams.map(|name| accept(&format!("irqstorm-{name}")));
    let ended = guest.play(&words, input, output, errors);
    println!("irqstorm: test exec end");
    if let Some(ended) = ended {
        guest.say(&ended);
        guest.power_off();
    }
}

struct Guest {
    orders: BufReader<UnixStream>,
    report: UnixStream,
}

impl Guest {
    fn say(&mut self, message: &ToLab) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        self.report.write_all(line.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> ToAgent {
        let mut line = String::new();
        self.orders.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn power_off(mut self) {
        while self.hear() != ToAgent::PowerOff {}
    }

    /// A program's part.
    fn play(
        &mut self,
        words: &[String],
        mut input: UnixStream,
        mut output: UnixStream,
        mut errors: UnixStream,
    ) -> Option<ToLab> {
        let exited = |code, stdout: usize, stderr: usize| {
            Some(ToLab::Exited {
                code,
                stdout: stdout as u64,
                stderr: stderr as u64,
            })
        };
        match words[0].as_str() {
            "exit" => exited(words[1].parse().unwrap(), 0, 0),
            "echo" => {
                errors.write_all(b"errors\n").unwrap();
                let mut bytes = vec![0; MUCH];
                input.read_exact(&mut bytes).unwrap();
                let end = ToAgent::InputEnd { bytes: MUCH as u64 };
                assert_eq!(self.hear(), end);
                // The report may well be there before the bytes.
                self.say(&exited(0, MUCH, 7)?);
                output.write_all(&bytes).unwrap();
                std::mem::forget((input, output, errors));
                self.hear_power_off()
            }
            "signals" => {
                output.write_all(b"ready\n").unwrap();
                loop {
                    if let ToAgent::Signal { signal } = self.hear() {
                        writeln!(output, "signal {signal}").unwrap();
                    }
                }
            }
            "flood" => {
                let mut written = 0;
                let close = ToAgent::CloseOutput {
                    stream: Stream::Stdout,
                };
                output.write_all(&[b'y'; 4096]).unwrap();
                written += 4096;
                self.report.set_nonblocking(true).unwrap();
                let mut heard = String::new();
                while !heard.contains(&serde_json::to_string(&close).unwrap()) {
                    output.write_all(&[b'y'; 4096]).unwrap();
                    written += 4096;
                    let _ = self.orders.read_line(&mut heard);
                }
                self.report.set_nonblocking(false).unwrap();
                exited(141, written, 0)
            }
            "complain" => {
                println!("[    1.000000] WARNING: at nowhere");
                exited(0, 0, 0)
            }
            "vanish" => None,
            other => panic!("{other} is no part"),
        }
    }

    fn hear_power_off(&mut self) -> Option<ToLab> {
        while self.hear() != ToAgent::PowerOff {}
        None
    }
}

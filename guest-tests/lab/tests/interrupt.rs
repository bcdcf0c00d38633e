// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A run that is interrupted, or killed, leaves no process and no socket.
//!
//! The device is the real one; QEMU is a script that never opens a socket, so
//! that the run stays where it boots its guest.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The device and the agent may have to be built first.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// Anything else that comes at all comes within this.
const LIMIT: Duration = Duration::from_secs(60);

struct Run {
    folder: tempfile::TempDir,
    lab: Child,
    qemu: i32,
    device: i32,
}

/// Starts a run and waits until it waits for its guest.
fn start() -> Run {
    let folder = tempfile::Builder::new()
        .prefix("irq")
        .tempdir_in("/tmp")
        .unwrap();
    let path = folder.path();
    let mut image = vec![0; 0x400];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    fs::write(path.join("bzImage"), image).unwrap();
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1\" = --version ] && exec echo QEMU emulator version 9.0.0\n\
         echo $$ > {0}/qemu.new && mv {0}/qemu.new {0}/qemu.pid\n\
         exec sleep 100000\n",
        path.display()
    );
    fs::write(path.join("qemu"), script).unwrap();
    fs::set_permissions(path.join("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
    let lab = Command::new(env!("CARGO_BIN_EXE_irqstorm"))
        .args([
            "run", "--kernel", "bzImage", "--qemu", "./qemu", "--accel", "tcg",
        ])
        .current_dir(path)
        .env("XDG_CACHE_HOME", path.join("cache"))
        .env("XDG_RUNTIME_DIR", path)
        .stdin(Stdio::null())
        .stderr(fs::File::create(path.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let mut run = Run {
        folder,
        lab,
        qemu: 0,
        device: 0,
    };
    let pid_file = run.folder.path().join("qemu.pid");
    let deadline = Instant::now() + BUILD_LIMIT;
    while !pid_file.exists() {
        assert_eq!(run.lab.try_wait().unwrap(), None, "{}", run.said());
        assert!(Instant::now() < deadline, "no QEMU yet: {}", run.said());
        thread::sleep(Duration::from_millis(50));
    }
    run.qemu = fs::read_to_string(pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    run.device = child_named(run.lab.id(), "irqstorm-device");
    run
}

impl Run {
    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.lab), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.lab.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Both processes must go; what is left of them is not ours to wait for.
    fn assert_nothing_runs(&self) {
        let deadline = Instant::now() + LIMIT;
        for (name, process) in [("QEMU", self.qemu), ("the device", self.device)] {
            while runs(process) {
                assert!(Instant::now() < deadline, "{name} ({process}) lives on");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn run_dirs(&self) -> Vec<PathBuf> {
        let user = rustix::process::getuid().as_raw();
        let base = self.folder.path().join(format!("irqstorm-{user}"));
        let entries = fs::read_dir(base).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn runs(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn child_named(parent: u32, name: &str) -> i32 {
    let list = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(list).unwrap();
    children
        .split_ascii_whitespace()
        .find(|child| {
            let command = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let program = command.split(|&byte| byte == 0).next().unwrap_or_default();
            Path::new(&*String::from_utf8_lossy(program)).file_name() == Some(name.as_ref())
        })
        .unwrap_or_else(|| panic!("no {name} among {children}"))
        .parse()
        .unwrap()
}

#[test]
fn a_run_that_is_interrupted_ends_all_it_started_and_says_so() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut run = start();
        run.signal(signal);
        assert_eq!(run.wait().code(), Some(130), "{}", run.said());
        run.assert_nothing_runs();
        assert_eq!(run.run_dirs(), Vec::<PathBuf>::new());
        assert!(run.said().contains("interrupted"), "{}", run.said());
    }
}

#[test]
fn a_run_that_is_killed_takes_its_processes_along() {
    let mut run = start();
    run.signal(Signal::KILL);
    assert_eq!(run.wait().code(), None);
    run.assert_nothing_runs();
}

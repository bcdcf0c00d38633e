// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device as a process of its own, in a folder of its own.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use irqstorm_core::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use super::{Control, Driver, PATIENCE, eventually};

/// The program under test.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irqstorm-device"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a program says, and how it ends; it is killed if it does not end.
pub(crate) fn run(command: &mut Command) -> Output {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            let said = child.wait_with_output().unwrap();
            panic!("{command:?} serves instead of ending: {said:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// A folder with the paths of a device's sockets and files.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("blk.sock")
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.path("ctl.sock")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// The program, told where its sockets are.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args);
        command.arg("--socket-path").arg(self.socket());
        command.arg("--control").arg(self.control());
        command
    }

    /// Runs the program to its end, which is to come by itself.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// The events that were written into a file.
    pub(crate) fn events(&self, name: &str) -> Vec<Event> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        let lines = text.lines();
        lines.map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

/// A device that serves.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) scratch: Scratch,
}

impl Daemon {
    /// One with a disk of 8 MiB in memory.
    pub(crate) fn start(args: &[&str]) -> Daemon {
        let args: Vec<&str> = ["--ram", "8M"].iter().chain(args).copied().collect();
        Daemon::start_in(Scratch::new(), &args)
    }

    /// One that follows a scenario.
    pub(crate) fn follow(scenario: &str, args: &[&str]) -> Daemon {
        let scratch = Scratch::new();
        let file = scratch.write("scenario.toml", scenario);
        let own = ["--ram", "8M", "--scenario", file.to_str().unwrap()];
        let args: Vec<&str> = own.iter().chain(args).copied().collect();
        Daemon::start_in(scratch, &args)
    }

    /// One in a folder that exists, with no disk but what `args` say.
    pub(crate) fn start_in(scratch: Scratch, args: &[&str]) -> Daemon {
        let log = File::create(scratch.path("log")).unwrap();
        let mut child = scratch
            .command(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let ready = first_line(&mut child);
        let daemon = Daemon { child, scratch };
        assert_eq!(ready, "ready\n", "{}", daemon.log());
        daemon
    }

    pub(crate) fn control(&self) -> Control {
        Control::connect(&self.scratch.control())
    }

    pub(crate) fn driver(&self, queues: usize) -> Driver {
        Driver::connect(&self.scratch.socket(), queues)
    }

    /// What it has said on stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scratch.path("log")).unwrap()
    }

    /// The fds that it has open, by what they are, and the mappings of shared
    /// memory that it has.
    pub(crate) fn holds(&self) -> Vec<String> {
        let process = PathBuf::from("/proc").join(self.child.id().to_string());
        let fds = fs::read_dir(process.join("fd")).unwrap();
        // One that was closed meanwhile has no target any more.
        let targets = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        let maps = fs::read_to_string(process.join("maps")).unwrap();
        let shared = maps.lines().filter(|line| line.contains("memfd:"));
        let fds = targets.map(|target| target.display().to_string());
        let mut held: Vec<String> = fds.chain(shared.map(str::to_owned)).collect();
        held.sort_unstable();
        // A socket has an inode of its own, and a thread that has started late
        // may have made another fd of it.
        held.dedup_by(|a, b| a == b && a.starts_with("socket:"));
        held
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its threads, by number, with what /proc says of each.
    pub(crate) fn threads(&self) -> Vec<(String, String)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let thread = |task: std::io::Result<fs::DirEntry>| {
            let task = task.unwrap();
            // One that has ended meanwhile is none.
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            Some((task.file_name().display().to_string(), status))
        };
        tasks.filter_map(thread).collect()
    }

    /// Memory that is its own, in KiB: what it shares with others is theirs.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let value = line.and_then(|line| line.split_ascii_whitespace().nth(1));
        value.unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end and says how it was: the exit code, or which signal.
    pub(crate) fn ended(&mut self) -> Result<i32, i32> {
        let status = eventually("the device's end", || self.child.try_wait().unwrap());
        status.code().ok_or(status.signal().unwrap_or_default())
    }

    /// Ends it as a service manager does, in order, and gives its folder back.
    pub(crate) fn terminate(mut self) -> Scratch {
        self.signal(Signal::TERM);
        assert_eq!(self.ended(), Ok(0), "{}", self.log());
        std::mem::replace(&mut self.scratch, Scratch::new())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already, or its test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of a process's stdout, or what there is of it at its end.
fn first_line(child: &mut Child) -> String {
    let Some(mut out) = child.stdout.take() else {
        panic!("stdout is not piped");
    };
    let patience = Timespec {
        tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap(),
        tv_nsec: 0,
    };
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut fds = [PollFd::new(&out, PollFlags::IN)];
        let ready = rustix::event::poll(&mut fds, Some(&patience)).unwrap();
        assert_eq!(ready, 1, "the device says nothing");
        let mut byte = [0];
        if out.read(&mut byte).unwrap() == 0 {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Whether nothing is left at a path.
pub(crate) fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err()
}

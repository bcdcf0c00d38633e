// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Child processes that cannot outlive the lab.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, getpid, kill_process, kill_process_group, set_parent_process_death_signal,
};

use crate::failure::Failure;

/// Between two looks at a process that was asked to end.
const POLL: Duration = Duration::from_millis(10);

/// A child in a process group of its own; the group is ended when this is
/// dropped, and the kernel ends the child should the lab be killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`, which comes with Debian's `package`. Must be called on the main thread: the kernel sends
    /// the parent-death signal when the *thread* that started a child is gone.
    pub(crate) fn start(package: &str, command: &mut Command) -> Result<Process, Failure> {
        command.process_group(0);
        let parent = getpid();
        // SAFETY: between fork and exec only system calls are made, and no
        // memory is allocated.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // The parent may have gone before that took effect.
                match rustix::process::getppid() == Some(parent) {
                    true => Ok(()),
                    false => Err(io::ErrorKind::BrokenPipe.into()),
                }
            });
        }
        let child = command
            .spawn()
            .map_err(|source| spawn_failure(command, package, source))?;
        Ok(Process { child })
    }

    /// The child, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends, at most so long.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.ended() {
                Some(status) => return Some(status),
                None if Instant::now() >= deadline => return None,
                None => thread::sleep(POLL),
            }
        }
    }

    /// Asks it to end, and ends it if it does not within `limit`.
    pub(crate) fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.ended() {
            return Some(status);
        }
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let status = self.wait(limit);
        if status.is_none() {
            self.kill();
        }
        status
    }

    fn kill(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

/// The failure for a program that did not start.
pub(crate) fn spawn_failure(command: &Command, package: &str, source: io::Error) -> Failure {
    let program = command.get_program();
    if source.kind() == io::ErrorKind::NotFound {
        return Failure::MissingProgram {
            program: program.to_string_lossy().into_owned(),
            package: package.to_owned(),
        };
    }
    Failure::Io {
        action: "run",
        path: program.into(),
        source,
    }
}

/// How a process ended, for people.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// All processes below this one, nearest first.
pub(crate) fn descendants() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let family: Vec<(i32, i32)> = entries
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((process, parent_in(&stat)?))
        })
        .collect();
    let mut found = vec![getpid().as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = family.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(process, _)| *process));
        next += 1;
    }
    found
        .into_iter()
        .skip(1)
        .filter_map(Pid::from_raw)
        .collect()
}

/// The parent in a /proc/PID/stat: the second field after the name, which is
/// in parentheses and may itself contain anything (proc_pid_stat(5)).
fn parent_in(stat: &str) -> Option<i32> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// An option with its value, which may itself look like one.
pub(crate) fn option(name: &str, value: impl Into<OsString>) -> Vec<OsString> {
    let value = value.into();
    if !value.as_encoded_bytes().starts_with(b"-") {
        return vec![name.into(), value];
    }
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    vec![word]
}

/// A word as a shell takes it back.
pub(crate) fn shell_word(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command line as a shell takes it back, an argument a line.
pub(crate) fn shell_line(program: &Path, arguments: &[OsString]) -> String {
    let mut line = shell_word(program.as_os_str());
    for argument in arguments {
        let starts_option = argument.to_string_lossy().starts_with('-');
        line.push_str(if starts_option { " \\\n    " } else { " " });
        line.push_str(&shell_word(argument));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_a_name_with_parentheses() {
        assert_eq!(parent_in("12 (a) b) (c)) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in("no stat"), None);
    }

    #[test]
    fn a_dropped_process_takes_its_own_children_with_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]);
        command.stdout(std::process::Stdio::piped());
        let mut process = Process::start("dash", &mut command).unwrap();
        let mut line = String::new();
        let output = process.child().stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line).unwrap();
        let stat = format!("/proc/{}/stat", line.trim());
        assert!(Path::new(&stat).exists());
        drop(process);
        let running = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let deadline = Instant::now() + Duration::from_secs(20);
        while running() {
            assert!(Instant::now() < deadline, "the grandchild lives on");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn words_come_back_from_a_shell() {
        let words = ["plain", "two words", "it's", "", "a$b", "--append=x y"];
        let line = shell_line(
            Path::new("printf"),
            &["%s\\n".into()]
                .into_iter()
                .chain(words.map(Into::into))
                .collect::<Vec<_>>(),
        );
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let expected: String = words.map(|word| format!("{word}\n")).concat();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

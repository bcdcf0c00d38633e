// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Programs of the host: run with their output in a log, and ended with us.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::error::{Error, io_error};
use crate::packages::HOST_PACKAGES;

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 15;

/// The refusal to start a program, which may not be installed.
pub(crate) fn spawn_error(program: &str, source: io::Error) -> Error {
    if source.kind() != io::ErrorKind::NotFound {
        return io_error("run", Path::new(program))(source);
    }
    let known = HOST_PACKAGES
        .iter()
        .find(|package| package.provides == program);
    Error::MissingProgram {
        program: program.to_owned(),
        package: known.map_or(program, |package| package.package).to_owned(),
    }
}

/// Starts a command that is asked to end should this process be killed: make
/// left alone would go on in a tree whose lock is gone.
fn spawn(command: &mut Command) -> Result<Child, Error> {
    let parent = getpid();
    // SAFETY: between fork and exec only system calls are made, and nothing is
    // allocated.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::TERM))?;
            match getppid() == Some(parent) {
                true => Ok(()),
                // It was killed before the signal was asked for.
                false => Err(io::ErrorKind::BrokenPipe.into()),
            }
        });
    }
    command.spawn().map_err(|source| {
        let program = command.get_program().to_string_lossy().into_owned();
        spawn_error(&program, source)
    })
}

/// Runs a command to its end with all output in `log`; `on_line` sees each line.
pub(crate) fn run_logged(
    what: &str,
    command: &mut Command,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut output = File::create(log).map_err(io_error("create", log))?;
    let (reader, writer) = io::pipe().map_err(io_error("open a pipe for", log))?;
    let errors = writer
        .try_clone()
        .map_err(io_error("open a pipe for", log))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(errors);
    let mut child = spawn(command)?;
    // The command holds the pipe's writing ends too: the reader below would
    // never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let copied = for_each_line(BufReader::new(reader), |line| {
        on_line(line);
        writeln!(output, "{line}")
    });
    if let Err(source) = copied {
        // A log that cannot be written: the reader is gone, so the command
        // ends at its next line.
        let _ = child.kill();
        let _ = child.wait();
        return Err(io_error("write", log)(source));
    }
    let status = child
        .wait()
        .map_err(io_error("wait for", Path::new(&program)))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        what: what.to_owned(),
        program,
        status,
        log: log.to_owned(),
        tail: tail(log),
    })
}

/// Hands over each line of `input`; bars drawn over and over end in a carriage
/// return each time, and count as lines.
fn for_each_line(
    mut input: impl BufRead,
    mut on_line: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        let available = match input.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let end = available.iter().position(|byte| b"\r\n".contains(byte));
        let taken = end.unwrap_or(available.len());
        let is_last = available.is_empty();
        line.extend_from_slice(&available[..taken]);
        input.consume(end.map_or(taken, |end| end + 1));
        if (end.is_some() || is_last) && !line.is_empty() {
            on_line(&String::from_utf8_lossy(&line))?;
            line.clear();
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The standard output of a short command.
pub(crate) fn output_of(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| spawn_error(&program, e))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All that a short command says, on either output.
pub(crate) fn output_with_errors(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| spawn_error(&program, e))?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let errors = lines.iter().filter(|line| line.contains("rror:")).copied();
    let mut shown: Vec<&str> = errors.take(5).collect();
    shown.extend(&lines[lines.len().saturating_sub(TAIL_LINES)..]);
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_are_seen_and_logged_whatever_ends_them() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut seen = Vec::new();
        let mut command = shell(r"printf 'one\n\ntwo 10%%\rtwo 20%%\r' >&2; printf 'last'");
        run_logged("test", &mut command, &log, |line| {
            seen.push(line.to_owned())
        })
        .unwrap();
        assert_eq!(seen, ["one", "two 10%", "two 20%", "last"]);
        assert_eq!(fs::read_to_string(&log).unwrap(), seen.join("\n") + "\n");
    }

    #[test]
    fn a_failure_shows_the_errors_and_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = shell("echo bio.c: error: no; seq 100; exit 3");
        let error = run_logged("build it", &mut command, &log, |_| ()).unwrap_err();
        let text = error.to_string();
        for part in ["build it", "exit status: 3", "bio.c: error: no", "\n100"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("\n50\n"), "{text}");
        let mut command = shell("echo cc1: No space left on device; exit 1");
        let error = run_logged("build it", &mut command, &log, |_| ()).unwrap_err();
        assert!(error.to_string().contains("on a full disk"), "{error}");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("irqstorm-no-such-program");
        let log = folder.path().join("log");
        let error = run_logged("test", &mut command, &log, |_| ()).unwrap_err();
        assert!(matches!(error, Error::MissingProgram { .. }), "{error}");
        let error = spawn_error("xz", io::ErrorKind::NotFound.into()).to_string();
        assert!(error.contains("xz-utils"), "{error}");
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Programs of the host: run with their output in a log, and in a process that
//! does not outlive ours by more than the terminal's ^C.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, io_error};
use crate::packages::HOST_PACKAGES;

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 15;

fn spawn_error(program: &str, source: io::Error) -> Error {
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
    let mut child = command.spawn().map_err(|e| spawn_error(&program, e))?;
    // The command holds the pipe's writing ends too: the reader below would
    // never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(io_error("read the output for", log))?;
        let line = String::from_utf8_lossy(&line);
        writeln!(output, "{line}").map_err(io_error("write", log))?;
        on_line(&line);
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

/// The standard output of a short command.
pub(crate) fn output_of(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| spawn_error(&program, e))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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

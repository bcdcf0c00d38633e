// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The program's process, with pipes or a terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use irqstorm_agent::program::{Execute, Refusal, Window};
use rustix::process::Pid;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::input::Sink;

/// What a shell has for a program that is not there.
const NOT_FOUND: u8 = 127;
/// And for one that is and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// A program that runs.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) input: Sink,
    pub(super) output: File,
    /// `None` with a terminal.
    pub(super) errors: Option<File>,
    pub(super) terminal: Option<Terminal>,
}

/// The near end of a program's terminal.
#[derive(Debug)]
pub(super) struct Terminal(File);

impl Terminal {
    /// Sets its size; the kernel tells the program.
    pub(super) fn resize(&self, window: Window) -> io::Result<()> {
        let size = Winsize {
            ws_row: window.rows,
            ws_col: window.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(rustix::termios::tcsetwinsize(&self.0, size)?)
    }

    /// The group of processes that ^C at it would go to.
    pub(super) fn foreground(&self) -> Option<Pid> {
        rustix::termios::tcgetpgrp(&self.0).ok()
    }
}

/// Starts it.
pub(super) fn spawn(order: &Execute) -> Result<Spawned, Refusal> {
    let folder = Path::new(order.folder.as_os_str());
    std::env::set_current_dir(folder).map_err(|error| {
        own(format!(
            "enter {} in the guest: {error}; 'cd' to a folder that the guest has of the host, or name one with --folder",
            folder.display()
        ))
    })?;
    let Some((program, arguments)) = order.command.split_first() else {
        return Err(own("execute nothing: no command was given".into()));
    };
    let mut command = Command::new(program.as_os_str());
    command.args(arguments.iter().map(|word| word.as_os_str()));
    command.env_clear();
    let environment = order.environment.iter();
    command.envs(environment.map(|(name, value)| (name.as_os_str(), value.as_os_str())));
    match order.terminal {
        None => with_pipes(&mut command),
        Some(window) => with_terminal(&mut command, window),
    }
    .map_err(|error| match error {
        Error::Machine(reason) => own(reason),
        Error::Program(error) => refusal(program.as_os_str(), &error),
    })
}

enum Error {
    /// Something of the guest's.
    Machine(String),
    /// The program.
    Program(io::Error),
}

fn with_pipes(command: &mut Command) -> Result<Spawned, Error> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Signals go to it and to what it starts, and not to the agent.
    command.process_group(0);
    let mut child = command.spawn().map_err(Error::Program)?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::Machine("take the program's pipes".into()));
    };
    Ok(Spawned {
        pid: Pid::from_child(&child),
        input: Sink::Pipe(OwnedFd::from(input).into()),
        output: OwnedFd::from(output).into(),
        errors: Some(OwnedFd::from(errors).into()),
        terminal: None,
    })
}

fn with_terminal(command: &mut Command, window: Window) -> Result<Spawned, Error> {
    let failed = |error: io::Error| {
        Error::Machine(format!(
            "open a terminal: {error}; the kernel needs CONFIG_UNIX98_PTYS"
        ))
    };
    let (near, far) = open_terminal().map_err(failed)?;
    let terminal = Terminal(near.try_clone().map_err(failed)?);
    terminal.resize(window).map_err(failed)?;
    command
        .stdin(far.try_clone().map_err(failed)?)
        .stdout(far.try_clone().map_err(failed)?)
        .stderr(far);
    // SAFETY: between fork and exec only system calls are made, and no memory
    // is allocated.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    let child = command.spawn().map_err(Error::Program)?;
    // The command holds the far end until it is gone, and so would keep the
    // terminal from ending.
    *command = Command::new("");
    Ok(Spawned {
        pid: Pid::from_child(&child),
        input: Sink::Terminal(near.try_clone().map_err(failed)?),
        output: near,
        errors: None,
        terminal: Some(terminal),
    })
}

/// Both ends of a new terminal.
fn open_terminal() -> io::Result<(File, OwnedFd)> {
    let near = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::unlockpt(&near)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let far = rustix::pty::ioctl_tiocgptpeer(near.as_fd(), flags)?;
    Ok((near.into(), far))
}

/// A refusal for a program that did not start, with the code that a shell has.
fn refusal(program: &OsStr, error: &io::Error) -> Refusal {
    let there = program.as_encoded_bytes().contains(&b'/') && Path::new(program).exists();
    let (code, why) = match error.kind() {
        io::ErrorKind::NotFound if there => (
            NOT_EXECUTABLE,
            "what it is to be run by is not there: the interpreter in its first line, or its loader"
                .to_owned(),
        ),
        io::ErrorKind::NotFound => (
            NOT_FOUND,
            "not found; the guest has the programs of this machine: install it here".to_owned(),
        ),
        _ => (NOT_EXECUTABLE, error.to_string()),
    };
    Refusal {
        code: Some(code),
        reason: format!("execute {}: {why}", program.display()),
    }
}

fn own(reason: String) -> Refusal {
    Refusal { code: None, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(command: &str) -> Refusal {
        let order = Execute {
            command: vec![command.into()],
            environment: vec![("PATH".into(), "/nonexistent:/bin".into())],
            folder: "/".into(),
            ..Execute::default()
        };
        spawn(&order).unwrap_err()
    }

    #[test]
    fn programs_that_cannot_be_run_have_a_shells_codes() {
        let folder = std::env::temp_dir().join(format!("irqstorm-spawn-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let script = folder.join("script");
        std::fs::write(&script, "#!/nonexistent/interpreter\n").unwrap();
        let plain = refused(&script.display().to_string());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let lost = refused(&script.display().to_string());
        let folder_itself = refused(&folder.display().to_string());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(plain.code, Some(126));
        assert_eq!(folder_itself.code, Some(126));
        assert_eq!(lost.code, Some(126));
        assert!(lost.reason.contains("interpreter"), "{}", lost.reason);
        let missing = refused("no-such-program");
        assert_eq!(missing.code, Some(127));
        assert!(missing.reason.contains("no-such-program: not found"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_nothing_of_the_programs() {
        let order = Execute {
            command: vec!["true".into()],
            folder: "/nonexistent".into(),
            ..Execute::default()
        };
        let refusal = spawn(&order).unwrap_err();
        assert_eq!(refusal.code, None);
        assert!(refusal.reason.contains("/nonexistent"));
    }
}

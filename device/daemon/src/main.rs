// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! irqstorm-device: a block device over vhost-user (virtio-blk) or vfio-user
//! (NVMe) whose completions and interrupts are scripted.
//!
//! Threads: this one is the control plane; `pump` completes requests;
//! `front-end` serves one connection after another and hands its queues to the
//! pump; `vhost-user-relay` carries a vhost-user connection's messages; `events`
//! writes the event stream and `decisions` the recording, where they are asked
//! for.
//!
//! For libvirt and its like to find this program, 50-irqstorm-device.json goes
//! to /usr/share/qemu/vhost-user or /etc/qemu/vhost-user, with the path in it
//! changed if the program is not in /usr/local/bin.

mod args;
mod check;
mod control;
mod disk;
mod engine;
mod events;
mod floor;
mod lines;
mod poll;
mod precision;
mod run;
mod sandbox;
mod size;
mod socket;
mod spin;
mod tap;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use irqstorm_core::scenario::Scenario;
use tracing_subscriber::EnvFilter;

use args::Cli;

/// What QEMU's conventions have a backend say of itself
/// (docs/interop/vhost-user.json).
const CAPABILITIES: &str = r#"{
  "type": "block",
  "features": [
    "read-only",
    "blk-file"
  ]
}
"#;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    match act(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let told = in_words(&failure.error);
            let _ = writeln!(io::stderr(), "irqstorm-device: failed to {told}");
            ExitCode::from(failure.code)
        }
    }
}

/// An error with its causes, each told once: many errors tell their cause
/// themselves.
fn in_words(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told.trim_end().to_owned()
}

/// An error and the exit code that goes with it.
struct Failure {
    error: anyhow::Error,
    code: u8,
}

/// What was asked for cannot be done: 2.
fn bad_input(error: impl Into<anyhow::Error>) -> Failure {
    Failure {
        error: error.into(),
        code: 2,
    }
}

/// It could be done, and went wrong: 1.
fn went_wrong(error: impl Into<anyhow::Error>) -> Failure {
    Failure {
        error: error.into(),
        code: 1,
    }
}

fn act(cli: Cli) -> Result<(), Failure> {
    let connection = &cli.connection;
    if connection.print_capabilities {
        return print(CAPABILITIES);
    }
    if let Some(shell) = connection.completions {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "irqstorm-device", &mut script);
        return print(&String::from_utf8_lossy(&script));
    }
    if let Some(file) = &connection.check_scenario {
        let scenario = Scenario::load(file).map_err(bad_input)?;
        let text = match cli.json {
            true => check::as_json(&scenario).map_err(went_wrong)?,
            false => check::as_text(&file.display().to_string(), &scenario),
        };
        return print(&text);
    }
    run::run(&cli)
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever read it has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(went_wrong),
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !no_color)
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::in_words;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_cause_is_told_once() {
        let alone = anyhow!("no such file").context("open disk.raw: no such file");
        assert_eq!(in_words(&alone), "open disk.raw: no such file");
        let outer = Err::<(), _>(anyhow!("no such file")).context("open disk.raw");
        assert_eq!(in_words(&outer.unwrap_err()), "open disk.raw: no such file");
    }
}

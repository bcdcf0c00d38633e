// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What can keep the lab from a verdict, and the exit codes.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use irqstorm_core::control::Code;
use irqstorm_core::scenario::ScenarioError;

/// How `irqstorm` ends; the numbers are documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every test passed, failed as expected, or was skipped with its reason.
    Passed,
    /// Some test failed, or passed although it has to fail.
    TestsFailed,
    /// What was asked for cannot be.
    Usage,
    /// The lab itself could not do its work.
    LabFailed,
    /// ^C, SIGTERM or SIGHUP.
    Interrupted,
    /// As the program did that `exec` ran.
    OfProgram(u8),
    /// `exec` itself failed; git bisect takes it for "cannot be tested".
    ExecFailed,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::TestsFailed => 1,
            Exit::Usage => 2,
            Exit::LabFailed => 3,
            // 128 + SIGINT, as shells have it.
            Exit::Interrupted => 130,
            Exit::OfProgram(code) => code,
            // As docker run, env and timeout have it.
            Exit::ExecFailed => 125,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why there is no verdict. Each message reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The operating system's refusal.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A name that is not in its list.
    #[error("find {kind} '{name}': there are {known}")]
    UnknownName {
        /// What it is a name of.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// An argument that cannot be used.
    #[error("use {what}: {reason}")]
    BadArgument {
        /// Which.
        what: String,
        /// Why not and what to do.
        reason: String,
    },
    /// A scenario that cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A kernel, probe or initramfs that could not be had.
    #[error(transparent)]
    Images(#[from] irqstorm_images::Error),
    /// A program that is not installed.
    #[error("run {program}: it is not installed; 'irqstorm setup' brings package {package}")]
    MissingProgram {
        /// Its name.
        program: String,
        /// Debian's package.
        package: String,
    },
    /// A program that ended badly.
    #[error("{what}: {program} {ended}{detail}")]
    Program {
        /// What it was to do.
        what: String,
        /// Which.
        program: String,
        /// How it ended.
        ended: String,
        /// The last of what it said, on lines of its own.
        detail: String,
    },
    /// A QEMU that this project does not run on.
    #[error("use {path}: {reason}; name another one with --qemu PATH")]
    Qemu {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A guest from which no agent reported.
    #[error("boot {kernel}: {reason}; the last lines of its console:\n{tail}")]
    Boot {
        /// Which kernel.
        kernel: String,
        /// How it is known.
        reason: String,
        /// The end of the console.
        tail: String,
    },
    /// The device did not answer as it should.
    #[error("talk to the device: {0}")]
    Control(String),
    /// QEMU did not answer, or do, as it should.
    #[error("talk to QEMU: {0}")]
    Monitor(String),
    /// The device refused a command.
    #[error("{command}: the device refused: {refusal}")]
    Refused {
        /// Which.
        command: String,
        /// The kind of refusal.
        code: Code,
        /// Why.
        refusal: String,
    },
    /// ^C came while this was under way; the message is never shown.
    #[error("go on: interrupted")]
    Interrupted,
}

impl Failure {
    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        use irqstorm_images::Error as Images;
        match self {
            Failure::UnknownName { .. }
            | Failure::BadArgument { .. }
            | Failure::Scenario(_)
            | Failure::Refused { .. }
            | Failure::Images(
                Images::UnknownKernel { .. }
                | Images::NotAKernel { .. }
                | Images::MissingOptions { .. }
                | Images::TreeBuild { .. }
                | Images::Posted(_),
            ) => Exit::Usage,
            Failure::Interrupted => Exit::Interrupted,
            _ => Exit::LabFailed,
        }
    }
}

/// Turns an I/O error into a failure: `.map_err(io_failure("write", &path))`.
pub(crate) fn io_failure(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::Io {
        action,
        path,
        source,
    }
}

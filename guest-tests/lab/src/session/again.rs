// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The command that makes a run again.

use std::ffi::OsString;
use std::path::Path;

use irqstorm_agent::catalogue::TestInfo;

use super::{Lab, Session, Subject, Trial};
use crate::cli::{ControllerArguments, DiskKind, SuiteChoice};
use crate::patched;
use crate::process::{option, shell_word};
use crate::repository::DEFAULT_SCENARIO;
use crate::results::Record;
use crate::suite::{self, find};

/// Its arguments: all that the verdict of a run depends on, and nothing that is
/// as it would be anyway.
pub(crate) fn arguments(
    lab: &Lab,
    subject: &Subject,
    trial: &Trial,
    results: &Path,
) -> Vec<OsString> {
    let kernel = Kernel {
        name: &subject.name,
        patches: patched::arguments(&subject.patch_files, results),
        suite: subject.suite,
        qemu: &lab.named_qemu,
        accel: lab.accel.accel.name(),
        disk: lab.disk,
        controller: &lab.controller,
    };
    words(kernel, trial)
}

/// What a run is made on, as the command line has it.
struct Kernel<'a> {
    name: &'a str,
    patches: Vec<OsString>,
    /// What is run on it when nothing is said.
    suite: SuiteChoice,
    qemu: &'a Path,
    accel: &'static str,
    disk: DiskKind,
    controller: &'a ControllerArguments,
}

fn words(kernel: Kernel<'_>, trial: &Trial) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["run".into(), "--kernel".into(), kernel.name.into()];
    words.extend(kernel.patches);
    let mut add = |name: &str, value: OsString| words.extend(option(name, value));
    match suite::suite_of(&trial.tests, kernel.disk) {
        Some(suite) if suite == kernel.suite => {}
        Some(suite) => add("--suite", suite.name().into()),
        None => {
            for test in &trial.tests {
                add("--test", test.name.into());
            }
        }
    }
    if trial.scenario.name != DEFAULT_SCENARIO {
        add("--scenario", trial.scenario.name.clone().into());
    }
    add("--seed", trial.seed.to_string().into());
    if let Some(replay) = &trial.replay {
        add("--replay", replay.into());
    }
    add("--cpus", trial.cpus.to_string().into());
    add("--memory", trial.memory.to_string().into());
    if kernel.disk != DiskKind::default() {
        add("--disk", kernel.disk.name().into());
    }
    add("--accel", kernel.accel.into());
    if kernel.qemu != Path::new(crate::cli::QEMU) {
        add("--qemu", kernel.qemu.into());
    }
    words.extend(kernel.controller.words());
    words.extend(trial.expectations.arguments(&trial.tests));
    words
}

/// One line for a shell.
pub(crate) fn line(arguments: &[OsString]) -> String {
    let words = arguments.iter().map(|word| shell_word(word));
    let words: Vec<String> = std::iter::once("irqstorm".to_owned())
        .chain(words)
        .collect();
    words.join(" ")
}

/// The tests for which a run has failed; all of them if it is for none.
fn failing(record: &Record, trial: &Trial) -> Vec<&'static TestInfo> {
    let failing = record
        .cases
        .iter()
        .filter(|case| case.outcome().fails_run());
    let tests: Vec<&TestInfo> = failing.filter_map(|case| find(&case.name)).collect();
    match tests.is_empty() {
        true => trial.tests.clone(),
        false => tests,
    }
}

impl Session {
    /// The command that repeats what has failed, if something has. What was
    /// decided is replayed if the same tests are run: a recording knows requests
    /// by their order, in which other tests have theirs.
    pub(crate) fn repeat(&self, lab: &Lab, subject: &Subject) -> Option<String> {
        let fails = |record: &Record| record.cases.iter().any(|case| case.outcome().fails_run());
        if !fails(&self.record) {
            return None;
        }
        let tests = failing(&self.record, &self.trial);
        let same = tests == self.trial.tests;
        let recording = self.folder.join("decisions.ndjson");
        let trial = Trial {
            replay: same.then_some(recording).filter(|path| path.exists()),
            tests,
            ..self.trial.clone()
        };
        Some(line(&arguments(lab, subject, &trial, self.folder.path())))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Doorbells, Memory, RunArguments};
    use crate::repository::Repository;
    use crate::results::samples;
    use crate::suite::{Expectations, select};

    fn trial() -> Trial {
        let scenario = Repository::find().unwrap().scenario(DEFAULT_SCENARIO);
        Trial {
            tests: select(
                &["chains".into(), "marks".into()],
                SuiteChoice::All,
                &[],
                DiskKind::Virtio,
            )
            .unwrap(),
            expectations: Expectations::default(),
            scenario: scenario.unwrap(),
            seed: u64::MAX,
            replay: None,
            trace_mib: None,
            lasting: false,
            cpus: 3,
            memory: Memory(1536),
        }
    }

    /// What a shell and the command line make of a line.
    fn parsed(line: &str) -> RunArguments {
        let script = format!("irqstorm() {{ printf '%s\\0' irqstorm \"$@\"; }}\n{line}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.split_terminator('\0');
        match Cli::try_parse_from(words).unwrap().command {
            crate::cli::Command::Run(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_line_is_read_back_as_the_same_run() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("it's known.txt");
        std::fs::write(&list, "chains\n").unwrap();
        let mut trial = trial();
        trial.expectations = Expectations::read(
            &["marks".to_owned()],
            &trial.tests,
            std::slice::from_ref(&list),
            true,
        )
        .unwrap();
        trial.scenario.name = "my $scenario `x`.toml".into();
        trial.replay = Some("/r e/\"decisions\".ndjson".into());
        let controller = ControllerArguments {
            doorbells: Some(Doorbells::Mapped),
            namespaces: Some(2),
            poll: Some("1ms".to_owned()),
        };
        let kernel = Kernel {
            name: "/home/me/linux; rm 'x'",
            patches: patched::arguments(&["a b.mbox".into(), "-x\n.diff".into()], folder.path()),
            suite: SuiteChoice::All,
            qemu: Path::new("/opt/qemu (new)/bin"),
            accel: "tcg",
            disk: DiskKind::Nvme,
            controller: &controller,
        };
        let name = kernel.name;
        let text = line(&words(kernel, &trial));
        let found = parsed(&text);
        assert_eq!(found.kernel, name);
        assert_eq!(
            found.patches,
            [Path::new("a b.mbox"), Path::new("-x\n.diff")]
        );
        assert_eq!(found.tests, ["marks", "chains"]);
        assert_eq!(found.scenario.as_ref(), Some(&trial.scenario.name));
        assert_eq!(found.seed, Some(trial.seed));
        assert_eq!(found.replay, trial.replay);
        assert_eq!(found.expect_fail, ["marks"]);
        assert_eq!(found.known_failures, [list]);
        assert!(found.strict_known);
        let machine = found.machine;
        assert_eq!((machine.cpus, machine.memory), (trial.cpus, trial.memory));
        assert_eq!(machine.qemu, Path::new("/opt/qemu (new)/bin"));
        assert_eq!(machine.disk, DiskKind::Nvme);
        assert_eq!(machine.controller, controller);
        assert_eq!(machine.accel, crate::cli::AccelChoice::Tcg);
    }

    #[test]
    fn what_is_as_it_would_be_anyway_is_not_said() {
        let mut trial = trial();
        trial.tests = select(&[], SuiteChoice::All, &[], DiskKind::Virtio).unwrap();
        let kernel = Kernel {
            name: "7.3",
            patches: Vec::new(),
            suite: SuiteChoice::All,
            qemu: Path::new(crate::cli::QEMU),
            accel: "kvm",
            disk: DiskKind::Virtio,
            controller: &ControllerArguments::default(),
        };
        let text = line(&words(kernel, &trial));
        let seed = u64::MAX;
        let rest = "--cpus 3 --memory 1536M --accel kvm";
        assert_eq!(
            text,
            format!("irqstorm run --kernel 7.3 --seed {seed} {rest}")
        );
    }

    #[test]
    fn what_failed_is_repeated_and_nothing_else() {
        let mut record = samples::record();
        let names = |record: &Record| -> Vec<&str> {
            let failing = failing(record, &trial()).into_iter();
            failing.map(|test| test.name).collect()
        };
        assert_eq!(names(&record), ["exactly-once"]);
        record.cases[1].name = suite::QUIET.into();
        assert_eq!(names(&record), ["marks", "chains"]);
    }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run`: from the arguments to a verdict.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use irqstorm_agent::catalogue::{Shape, TestInfo};
use irqstorm_images::{KernelChoice, PatchSet};

use crate::artifacts::Artifacts;
use crate::cli::RunArguments;
use crate::console::Console;
use crate::device::{self, Device, DeviceOptions};
use crate::failure::{Exit, Failure};
use crate::guest::Outputs;
use crate::interrupt;
use crate::patched;
use crate::process::{shell_line, shell_word};
use crate::progress::Stages;
use crate::qemu::{self, Machine, Sockets};
use crate::repository::{DEFAULT_SCENARIO, NamedScenario, Repository};
use crate::results::{
    Folder, KernelRecord, Record, ReplayRecord, SCHEMA, case_lines, header_lines, summary,
};
use crate::run_dir::{CONTROL_SOCKET, RunDir};
use crate::suite::{self, Bench};

/// Between two looks whether the user wants out.
const POLL: Duration = Duration::from_millis(100);

/// What was asked for, found to be possible before anything is started.
struct Plan {
    repository: Repository,
    tests: Vec<&'static TestInfo>,
    kernel: KernelChoice,
    patches: PatchSet,
    scenario: NamedScenario,
    seed: u64,
    replay: Option<PathBuf>,
    qemu_version: qemu::Version,
    accel: qemu::Choice,
}

impl Plan {
    fn make(arguments: &RunArguments) -> Result<Plan, Failure> {
        let repository = Repository::find()?;
        let tests = suite::select(&arguments.tests)?;
        suite::check_expected(&arguments.expect_fail, &tests)?;
        let kernel = repository.images()?.resolve(&arguments.kernel)?;
        let patches = PatchSet::read(&arguments.patches).map_err(irqstorm_images::Error::from)?;
        let name = arguments.scenario.as_deref().unwrap_or(DEFAULT_SCENARIO);
        let scenario = repository.scenario(name)?;
        // The command line before the scenario's own, before chance.
        let seed = match arguments.seed.or(scenario.scenario.seed) {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let scenario = scenario.seeded(seed);
        let replay = arguments.replay.as_deref().map(device::recording);
        let replay = replay.transpose()?;
        let qemu_version = qemu::check(&arguments.qemu)?;
        Ok(Plan {
            repository,
            tests,
            kernel,
            patches,
            scenario,
            seed,
            replay,
            qemu_version,
            accel: qemu::choose(arguments.accel, qemu_version),
        })
    }
}

/// Short enough to type.
fn random_seed() -> Result<u64, Failure> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(
        |errno| Failure::Io {
            action: "draw",
            path: "a seed".into(),
            source: errno.into(),
        },
    )?;
    Ok(u32::from_ne_bytes(bytes).into())
}

/// Carries the run out.
pub(crate) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let started = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let plan = Plan::make(arguments)?;
    interrupt::install()?;
    let mut stages = Stages::new();
    let images = plan.repository.images()?;
    let patched = patched::apply(&images, &plan.kernel, &plan.patches, &mut stages)?;
    let kernel = patched
        .as_ref()
        .map_or(&plan.kernel, |patched| &patched.kernel);
    let artifacts = Artifacts::build(&plan.repository, &images, kernel, &mut stages)?;
    stages.end();
    interrupt::check()?;
    if let Some(note) = &plan.accel.note {
        stages.note(note);
    }
    if !artifacts.probe {
        stages.note(
            "an image alone: no probe can be built for it, and tests that need one are skipped",
        );
    }

    let folder = Folder::create(&arguments.results, &arguments.kernel)?;
    if let Some(patched) = &patched {
        patched::keep(patched, &folder)?;
    }
    let run_dir = RunDir::create()?;
    let machine = machine_of(arguments, &plan, &artifacts, &run_dir);
    let options = DeviceOptions {
        program: artifacts.device.clone(),
        disk_socket: machine.sockets.disk.clone(),
        control_socket: machine.sockets.control.clone(),
        queues: most_queues(&plan.tests, arguments.cpus),
        seed: plan.seed,
        events: folder.join("events.ndjson"),
        record: folder.join("decisions.ndjson"),
        replay: plan.replay.clone(),
        resizes: plan.qemu_version.wants_other_capacity(),
    };
    let script = commands_script(arguments, &plan, &machine, &options, &run_dir, &folder);
    folder.write("commands.txt", script.as_bytes())?;
    let device = Device::start(&options, &folder.join("device.log"))?;
    let outputs = Outputs {
        console: Console::create(&folder.join("console.log"))?,
        qemu_log: folder.join("qemu.log"),
    };
    let mut bench = Bench::new(
        device,
        plan.scenario.clone(),
        stages,
        arguments.qemu.clone(),
        machine,
        arguments.kernel.clone(),
        outputs,
    );
    bench.first_boot(plan.accel.fallback)?;

    let mut record = Record {
        schema: SCHEMA,
        irqstorm: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        seconds: begun.elapsed().as_secs_f64(),
        complete: false,
        kernel: KernelRecord {
            name: artifacts.kernel.name.clone(),
            key: artifacts.kernel.key.clone(),
            release: artifacts.kernel.release.clone(),
            origin: artifacts.kernel.origin.clone(),
            has_flag: artifacts.kernel.has_flag,
        },
        qemu: plan.qemu_version.to_string(),
        accel: bench.machine().accel.name().to_owned(),
        cpus: arguments.cpus,
        memory_mib: arguments.memory.0,
        seed: plan.seed,
        scenario: plan.scenario.name.clone(),
        replay: None,
        guest: Some(bench.present_guest()?.hello().clone()),
        cases: Vec::new(),
    };
    run_suite(arguments, &plan, &mut bench, &mut record, &folder)?;
    if let Some(path) = &plan.replay {
        record.replay = Some(ReplayRecord {
            file: path.display().to_string(),
            counts: bench.device.status()?.replay.unwrap_or_default(),
        });
        folder.write_reports(&record)?;
    }
    let exit = conclude(arguments, &record, &folder)?;
    if arguments.keep {
        keep(&bench, &run_dir)?;
    }
    bench.end();
    Ok(exit)
}

/// The suite, reported as it goes.
fn run_suite(
    arguments: &RunArguments,
    plan: &Plan,
    bench: &mut Bench,
    record: &mut Record,
    folder: &Folder,
) -> Result<(), Failure> {
    // The console's own case comes last.
    let cases = plan.tests.len() + 1;
    folder.begin(record, cases)?;
    let show = |text: &str| {
        if !arguments.json {
            print!("{text}");
        }
    };
    show(&header_lines(record, cases));
    suite::run(bench, &plan.tests, record, &mut |record, case| {
        show(&case_lines(record.cases.len(), case));
        folder.add(record, case)
    })
}

fn conclude(arguments: &RunArguments, record: &Record, folder: &Folder) -> Result<Exit, Failure> {
    if arguments.json {
        let json = std::fs::read_to_string(folder.join("results.json"));
        print!(
            "{}",
            json.map_err(crate::failure::io_failure("read", folder.path()))?
        );
    }
    eprint!("\n{}", summary(record));
    eprintln!("results in {}", folder.path().display());
    let mut expected = arguments.expect_fail.clone();
    for (test, why) in suite::failing_by_design(record) {
        eprintln!("{test} has to fail on {}: {why}", record.kernel.name);
        if !expected.iter().any(|name| name == test) {
            expected.push(test.to_owned());
        }
    }
    let exit = suite::exit_of(record, &expected);
    if !expected.is_empty() {
        let expected = expected.join(", ");
        match exit {
            Exit::Passed => eprintln!("as expected, precisely these failed: {expected}"),
            _ => eprintln!("expected to fail, these and no others: {expected}"),
        }
    }
    Ok(exit)
}

/// One device serves all machines: it has the queues of the largest.
fn most_queues(tests: &[&'static TestInfo], cpus: u16) -> u16 {
    let machines = suite::machines(tests);
    let queues = machines.iter().map(|machine| machine.queues(cpus));
    queues.max().unwrap_or(cpus)
}

fn machine_of(
    arguments: &RunArguments,
    plan: &Plan,
    artifacts: &Artifacts,
    run_dir: &RunDir,
) -> Machine {
    Machine {
        kernel: artifacts.kernel.bzimage.clone(),
        initramfs: artifacts.initramfs.clone(),
        cpus: arguments.cpus,
        shape: suite::machines(&plan.tests)
            .first()
            .copied()
            .unwrap_or_default(),
        memory: arguments.memory,
        accel: plan.accel.accel,
        sockets: Sockets {
            disk: run_dir.join("disk.sock"),
            control: run_dir.join(CONTROL_SOCKET),
            report: run_dir.join("report.sock"),
            monitor: run_dir.join("monitor.sock"),
        },
    }
}

/// commands.txt: a shell script that starts device and guest as the run did.
fn commands_script(
    arguments: &RunArguments,
    plan: &Plan,
    machine: &Machine,
    options: &DeviceOptions,
    run_dir: &RunDir,
    results: &Folder,
) -> String {
    let mut by_hand = options.clone();
    // Not over what the run that this file belongs to left.
    by_hand.events = run_dir.join("events.ndjson");
    by_hand.record = run_dir.join("decisions.ndjson");
    let device = shell_line(&by_hand.program, &by_hand.arguments());
    let guests: String = suite::machines(&plan.tests)
        .into_iter()
        .map(|shape| guest_script(arguments, machine, shape))
        .collect();
    let folder = run_dir.path().display();
    let control = machine.sockets.control.display();
    let mut again = vec![
        "run".into(),
        "--kernel".into(),
        arguments.kernel.clone().into(),
    ];
    again.extend(patched::arguments(&arguments.patches, results.path()));
    for test in &arguments.tests {
        again.extend(["--test".into(), test.into()]);
    }
    if let Some(scenario) = &arguments.scenario {
        again.extend(["--scenario".into(), scenario.into()]);
    }
    again.extend(["--seed".into(), plan.seed.to_string().into()]);
    if let Some(replay) = &plan.replay {
        again.extend(["--replay".into(), replay.into()]);
    }
    again.extend(["--cpus".into(), arguments.cpus.to_string().into()]);
    let again = shell_line("irqstorm".as_ref(), &again);
    format!(
        "# The run again:\n{again}\n\n\
         # Its decisions again, whatever they depend on has become:\n\
         #   irqstorm run --replay {decisions}\n\n\
         # Or by hand, with the guest's console on this terminal (SIGTERM to QEMU\n\
         # ends it). The device first:\n\
         mkdir -p -m 700 {folder}\n{device} &\n\
         until [ -S {control} ]; do sleep 0.1; done\n\n\
         # Its scenario, once the guest is up, from another terminal:\n\
         #   irqstorm ctl --socket {control} scenario {scenario}\n\n\
         {guests}",
        scenario = plan.scenario.name,
        decisions = shell_word(options.record.as_os_str()),
    )
}

/// How to start the guest of one shape.
fn guest_script(arguments: &RunArguments, machine: &Machine, shape: Shape) -> String {
    let machine = Machine {
        shape,
        ..machine.clone()
    };
    let qemu = shell_line(&arguments.qemu, &machine.arguments());
    match shape == Shape::RUN {
        true => format!("# The guest:\n{qemu}\n"),
        false => format!("# The guest for tests that ask for {shape}, instead:\n{qemu}\n"),
    }
}

/// Leaves guest and device running until the user has seen enough.
fn keep(bench: &Bench, run_dir: &RunDir) -> Result<(), Failure> {
    let control = run_dir.join(CONTROL_SOCKET);
    bench.stages.note(&format!(
        "keeping the guest and the device; 'irqstorm ctl' or {} steers it, ^C ends it",
        control.display()
    ));
    loop {
        std::thread::sleep(POLL);
        interrupt::check()?;
    }
}

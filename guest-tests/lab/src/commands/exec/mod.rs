// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm exec`: a program of the host in the guest, on the device.
//!
//! Kernel, device and guest come as they do for a run; the guest has the host's
//! files besides ([`HostFiles`]), and its agent is told to execute something in
//! place of tests. [`follow`] sees the program to its end.

mod follow;
mod program;
mod report;
mod streams;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use irqstorm_agent::catalogue::Shape;
use irqstorm_agent::program::{Execute, NAME};
use irqstorm_core::control::StatusReply;

use crate::artifacts::Purpose;
use crate::cli::{DiskArguments, ExecArguments};
use crate::console::Splat;
use crate::device::{self, Device, DeviceOptions, Disk, Store, Transport};
use crate::failure::{Exit, Failure};
use crate::guest::Outputs;
use crate::interrupt;
use crate::patched;
use crate::process::shell_line;
use crate::progress::Stages;
use crate::qemu::{self, HostFiles, Machine, MachineDisk, Sockets};
use crate::repository::{NamedScenario, Repository};
use crate::results::{DeviceCounts, Folder, KernelRecord};
use crate::run_dir::{CONTROL_SOCKET, RunDir};
use crate::session::{Lab, Subject, Wanted, machine_disk, random_seed};
use crate::suite::Bench;
use follow::{End, follow};
use report::{ExecRecord, commands, conclude};

/// The console lags behind the program's end by at most this.
const CONSOLE_LAG: Duration = Duration::from_secs(30);

/// What was asked for, found to be possible before anything is started.
struct Plan {
    wanted: Wanted,
    scenario: NamedScenario,
    seed: u64,
    replay: Option<PathBuf>,
    disk: Disk,
    order: Execute,
}

impl Plan {
    fn make(arguments: &ExecArguments, repository: &Repository) -> Result<Plan, Failure> {
        let wanted = Wanted::find(repository, &arguments.kernel, &arguments.patches)?;
        let scenario = repository.scenario(&arguments.scenario)?;
        // The command line before the scenario's own, before chance.
        let seed = match arguments.seed.or(scenario.scenario.seed) {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let replay = arguments.replay.as_deref().map(device::recording);
        Ok(Plan {
            wanted,
            scenario: scenario.seeded(seed),
            seed,
            replay: replay.transpose()?,
            disk: disk(&arguments.disk)?,
            order: program::order(arguments)?,
        })
    }
}

fn disk(arguments: &DiskArguments) -> Result<Disk, Failure> {
    let store = match &arguments.disk_file {
        None => Store::Memory(arguments.disk_size.0),
        Some(file) => {
            let unusable = |error: std::io::Error| Failure::BadArgument {
                what: format!("--disk-file {}", file.display()),
                reason: format!("{error}; 'truncate -s 1G FILE' makes an empty one"),
            };
            Store::File(file.canonicalize().map_err(unusable)?)
        }
    };
    Ok(Disk {
        store,
        read_only: arguments.disk_read_only,
        block_size: arguments.block_size,
    })
}

/// Carries it out.
pub(crate) fn run(arguments: &ExecArguments) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let started = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let repository = Repository::find()?;
    let plan = Plan::make(arguments, &repository)?;
    interrupt::install()?;
    let mut stages = match arguments.verbose {
        true => Stages::new(),
        false => Stages::patient(),
    };
    let lab = Lab::find(repository, &arguments.machine, &mut stages)?;
    qemu::check_sharing(&lab.qemu)?;
    let subject = lab.build(&plan.wanted, Purpose::Program, &mut stages)?;
    interrupt::check()?;
    if let Some(note) = &lab.accel.note {
        stages.note(note);
    }
    let folder = Folder::create(&arguments.results, &arguments.kernel)?;
    if let Some(patched) = &subject.patched {
        patched::keep(patched, &folder)?;
    }
    let run_dir = RunDir::create()?;
    let kind = arguments.machine.disk;
    let queues = arguments.queues.unwrap_or(arguments.machine.cpus);
    let (disk, _scratch) = machine_disk((kind, &lab.controller), &plan.disk, queues, &folder)?;
    let machine = machine_of(arguments, &plan, &lab, &subject, disk, &run_dir);
    let mut bench = open(arguments, &plan, &lab, &subject, machine, &folder, stages)?;
    let followed = execute(&mut bench, &plan, &folder)?;
    let mut record = ExecRecord {
        schema: ExecRecord::SCHEMA,
        irqstorm: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        seconds: begun.elapsed().as_secs_f64(),
        kernel: KernelRecord::from(&subject.artifacts.kernel),
        qemu: lab.qemu_version.to_string(),
        accel: bench.machine().accel.name().to_owned(),
        disk: kind.name().to_owned(),
        cpus: arguments.machine.cpus,
        queues: bench.machine().shape.queues(arguments.machine.cpus),
        memory_mib: arguments.machine.memory.0,
        seed: plan.seed,
        scenario: plan.scenario.name.clone(),
        command: plan
            .order
            .command
            .iter()
            .map(|word| word.to_text())
            .collect(),
        folder: plan.order.folder.to_text(),
        code: None,
        lost: None,
        device: followed.counts(),
        complaints: Vec::new(),
    };
    match &followed.end {
        End::Exited(code) => record.code = Some(*code),
        End::Refused(refusal) => record.lost = Some(format!("failed to {}", refusal.reason)),
        End::Lost(reason) => record.lost = Some(reason.clone()),
    }
    record.complaints = close(bench, &followed.end);
    record.write(&folder)?;
    // What the user has ended was lost for that reason alone.
    interrupt::check()?;
    let (exit, lines) = conclude(&followed.end, &record.complaints, arguments.complaints);
    for line in &lines {
        eprintln!("irqstorm: {line}");
    }
    if !lines.is_empty() {
        eprintln!("irqstorm: results in {}", folder.path().display());
    }
    Ok(exit)
}

/// Starts the device and boots the guest.
fn open(
    arguments: &ExecArguments,
    plan: &Plan,
    lab: &Lab,
    subject: &Subject,
    machine: Machine,
    folder: &Folder,
    stages: Stages,
) -> Result<Bench, Failure> {
    let options = Transport::of(&machine.disk).map(|transport| DeviceOptions {
        program: subject.artifacts.device.clone(),
        transport,
        disk_socket: machine.sockets.disk.clone(),
        control_socket: machine.sockets.control.clone(),
        disk: plan.disk.clone(),
        controller: lab.controller.clone(),
        queues: machine.shape.queues(machine.cpus),
        seed: plan.seed,
        events: folder.join("events.ndjson"),
        record: folder.join("decisions.ndjson"),
        writes: !arguments.no_events,
        replay: plan.replay.clone(),
        resizes: lab.qemu_version.wants_other_capacity(),
    });
    let line = |options: &DeviceOptions| shell_line(&options.program, &options.arguments());
    let script = commands(
        arguments,
        &plan.order,
        plan.seed,
        folder,
        options.as_ref().map(line).as_deref(),
        &shell_line(&lab.qemu, &machine.arguments()),
    );
    folder.write("commands.txt", script.as_bytes())?;
    let device = options
        .map(|options| Device::start(&options, &folder.join("device.log")))
        .transpose()?;
    let outputs = Outputs::create(folder)?;
    let mut bench = Bench::new(
        device,
        plan.scenario.clone(),
        stages,
        lab.qemu.clone(),
        machine,
        arguments.kernel.clone(),
        outputs,
    );
    bench.first_boot(lab.accel.fallback)?;
    Ok(bench)
}

fn machine_of(
    arguments: &ExecArguments,
    plan: &Plan,
    lab: &Lab,
    subject: &Subject,
    disk: MachineDisk,
    run_dir: &RunDir,
) -> Machine {
    let writable = plan.order.writable.iter();
    Machine {
        kernel: subject.artifacts.kernel.bzimage.clone(),
        initramfs: subject.artifacts.initramfs.clone(),
        cpus: arguments.machine.cpus,
        shape: Shape {
            queues: arguments.queues,
            ..Shape::RUN
        },
        memory: arguments.machine.memory,
        accel: lab.accel.accel,
        disk,
        sockets: Sockets {
            disk: run_dir.join("disk.sock"),
            control: run_dir.join(CONTROL_SOCKET),
            report: run_dir.join("report.sock"),
            monitor: run_dir.join("monitor.sock"),
        },
        host_files: Some(HostFiles {
            writable: writable
                .map(|folder| PathBuf::from(folder.as_os_str()))
                .collect(),
            streams: ["stdin.sock", "stdout.sock", "stderr.sock"].map(|name| run_dir.join(name)),
        }),
    }
}

/// A program's end, and the device's counters around it.
struct Followed {
    end: End,
    before: Option<StatusReply>,
    after: Option<StatusReply>,
}

impl Followed {
    fn counts(&self) -> Option<DeviceCounts> {
        let after = self.after.as_ref().or(self.before.as_ref());
        DeviceCounts::between(self.before.as_ref(), after)
    }
}

/// Runs the program under the scenario.
fn execute(bench: &mut Bench, plan: &Plan, folder: &Folder) -> Result<Followed, Failure> {
    bench.stages.note(&format!(
        "scenario {}, seed {}; results in {}",
        plan.scenario.name,
        plan.seed,
        folder.path().display()
    ));
    bench.set_scenario()?;
    let before = bench.status()?;
    let end = follow(bench, &plan.order)?;
    Ok(Followed {
        end,
        before,
        after: bench.status().unwrap_or_default(),
    })
}

/// Ends guest and device; returns what the kernel complained of.
fn close(mut bench: Bench, end: &End) -> Vec<Splat> {
    let console = bench.console().clone();
    if matches!(end, End::Exited(_)) {
        console.wait_for_end(NAME, CONSOLE_LAG);
    }
    match end {
        End::Lost(_) => bench.distrust_guest(),
        // What is held would keep the guest from writing out what it has.
        _ => {
            let _ = bench.quiet();
        }
    }
    bench.end();
    let mut splats = console.splats_of(None);
    splats.extend(console.splats_of(Some(NAME)));
    splats
}

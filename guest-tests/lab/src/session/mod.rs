// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One run as a value: a kernel and a trial go in, a record and its folder come
//! out.
//!
//! [`Lab`] is the machine that runs are made on, [`Subject`] the kernel with
//! all that was built for it, [`Trial`] what is run on it. [`Session`] opens
//! device and guest for a trial, runs its tests and closes them; what goes on
//! is told to a [`Watcher`]. Nothing in here writes to stdout, judges a run
//! beyond its cases, or ends the process: that is for the commands, which may
//! make any number of runs of one subject, one after the other.

pub(crate) mod again;
mod lab;
mod scratch;
mod script;
mod trial;
mod watcher;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};

pub(crate) use lab::{Lab, Subject, Wanted};
use scratch::scratch;
pub(crate) use scratch::{Scratch, machine_disk};
pub(crate) use trial::{Trial, random_seed};
pub(crate) use watcher::Watcher;

use crate::cli::DiskKind;
use crate::device::{Device, DeviceOptions, Disk, Store, Transport};
use crate::failure::{Failure, io_failure};
use crate::guest::Outputs;
use crate::patched;
use crate::progress::Stages;
use crate::qemu::{Machine, MachineDisk, Sockets};
use crate::results::{
    Folder, KernelRecord, Record, ReplayRecord, SCHEMA, bail_out_line, totals_line,
};
use crate::run_dir::{CONTROL_SOCKET, RunDir};
use crate::suite::{self, Bench};
use crate::trace::Tracer;

/// The device's events, in the results.
const EVENTS: &str = "events.ndjson";

/// What the device says, in the results.
const DEVICE_LOG: &str = "device.log";

/// How long QEMU may take to set up the queues of a device that is there again,
/// and how often it is looked whether it has.
const CONNECTS: Duration = Duration::from_secs(30);
const CONNECTION_LOOKS: Duration = Duration::from_millis(5);

/// When a run began: before its builds, if it had any.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    instant: Instant,
    utc: String,
}

impl Begun {
    /// It begins.
    pub(crate) fn now() -> Begun {
        Begun {
            instant: Instant::now(),
            utc: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }
}

/// A trial under way: device and guest are up.
pub(crate) struct Session {
    // Dropped in this order: the processes before the folder of their sockets
    // and what QEMU's own disk keeps its data in.
    bench: Bench,
    _scratch: [Option<Scratch>; 2],
    run_dir: RunDir,
    /// What the device was started with, if there is one.
    options: Option<DeviceOptions>,
    trial: Trial,
    record: Record,
    folder: Folder,
}

/// What a session leaves.
pub(crate) struct Outcome {
    /// All of its cases.
    pub(crate) record: Record,
    /// Where everything else is.
    pub(crate) folder: Folder,
}

impl Session {
    /// Starts the device, makes the folder in `results` and boots the first
    /// guest. An accelerator that turns out not to run it is given up for the
    /// lab's later sessions as well.
    pub(crate) fn open(
        lab: &mut Lab,
        subject: &Subject,
        trial: &Trial,
        results: &Path,
        begun: &Begun,
        stages: Stages,
    ) -> Result<Session, Failure> {
        let folder = Folder::create(results, &subject.name)?;
        Session::open_in(lab, subject, trial, folder, begun, stages)
    }

    /// The same in a folder that is there.
    pub(crate) fn open_in(
        lab: &mut Lab,
        subject: &Subject,
        trial: &Trial,
        folder: Folder,
        begun: &Begun,
        stages: Stages,
    ) -> Result<Session, Failure> {
        if let Some(patched) = &subject.patched {
            patched::keep(patched, &folder)?;
        }
        let run_dir = RunDir::create()?;
        let (data, kept) = data_of(trial, &folder)?;
        let (mut disk, scratch) = machine_disk(
            (lab.disk, &lab.controller),
            &data,
            trial.most_queues(),
            &folder,
        )?;
        if trial.lasting && lab.disk == DiskKind::Virtio {
            let reconnect = Some(lab.qemu_version.reconnect());
            disk = MachineDisk::VhostUser { reconnect };
        }
        let machine = machine_of(lab, subject, trial, disk, &run_dir);
        let options = device_options(lab, subject, trial, &machine, data, &folder);
        let script = script::commands(
            lab,
            subject,
            trial,
            &machine,
            options.as_ref(),
            &run_dir,
            &folder,
        );
        folder.write("commands.txt", script.as_bytes())?;
        let device = options
            .as_ref()
            .map(|options| Device::start(options, &folder.join(DEVICE_LOG)))
            .transpose()?;
        let outputs = Outputs::create(&folder)?;
        let mut bench = Bench::new(
            device,
            trial.scenario.clone(),
            stages,
            lab.qemu.clone(),
            machine,
            subject.name.clone(),
            outputs,
        );
        bench.tracer = trial
            .trace_mib
            .map(|mib| Tracer::new(folder.path(), &folder.join(EVENTS), mib));
        bench.first_boot(lab.accel.fallback)?;
        lab.settle(bench.machine().accel);
        let record = first_record(lab, subject, trial, begun, &mut bench)?;
        Ok(Session {
            bench,
            _scratch: [kept, scratch],
            run_dir,
            options,
            trial: trial.clone(),
            record,
            folder,
        })
    }

    /// Runs the tests, one after the other. What has been run stays in
    /// [`record()`](Session::record) and in the folder if it fails.
    pub(crate) fn run(&mut self, watcher: &mut dyn Watcher) -> Result<(), Failure> {
        // The console's own case comes last.
        let cases = self.trial.tests.len() + 1;
        let folder = &self.folder;
        folder.begin(&self.record, cases)?;
        watcher.begins(&self.record, cases)?;
        let run = suite::run(
            &mut self.bench,
            &self.trial.tests,
            &self.trial.expectations,
            &mut self.record,
            &mut |record, case| {
                watcher.ended(record, case)?;
                folder.add(record, case)
            },
        );
        if let Err(why) = run {
            watcher.gave_up(&why);
            // Why it ends is said all the same.
            let _ = folder.add_ktap(&bail_out_line(&why));
            return Err(why);
        }
        watcher.complete(&self.record)?;
        folder.add_ktap(&totals_line(&self.record))?;
        self.ask_device()
    }

    /// How well the device kept its times, and what became of the decisions
    /// that were to be taken again.
    fn ask_device(&mut self) -> Result<(), Failure> {
        let status = self.bench.status()?;
        self.record.precision = status.as_ref().map(|status| status.precision);
        if let Some(path) = &self.trial.replay {
            self.record.replay = Some(ReplayRecord {
                file: path.display().to_string(),
                counts: status.and_then(|status| status.replay).unwrap_or_default(),
            });
        }
        self.folder.write_reports(&self.record)
    }

    /// Device and guest.
    pub(crate) fn bench(&mut self) -> &mut Bench {
        &mut self.bench
    }

    /// Kills the device, which has no say in it, and starts another in its
    /// place, under the same scenario.
    pub(crate) fn replace_device(&mut self) -> Result<(), Failure> {
        self.await_queues()?;
        let Some(options) = &self.options else {
            return Ok(());
        };
        drop(self.bench.device.take());
        self.bench.device = Some(Device::start(options, &self.folder.join(DEVICE_LOG))?);
        self.bench.set_scenario()
    }

    /// Waits until QEMU has set up the device's queues. QEMU 7.2 to 9.0 gives
    /// the next device no chance if one ends while it connects to it (mended by
    /// "vhost-user: fix lost reconnect again"): that is not what is tried here.
    fn await_queues(&mut self) -> Result<(), Failure> {
        let patience = Instant::now() + CONNECTS;
        while Instant::now() < patience {
            match self.bench.status()? {
                Some(status) if !status.connected => thread::sleep(CONNECTION_LOOKS),
                _ => break,
            }
        }
        Ok(())
    }

    /// What is known so far.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Where it is written down.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where progress is shown.
    pub(crate) fn stages(&self) -> &Stages {
        &self.bench.stages
    }

    /// Where the device takes commands.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run_dir.join(CONTROL_SOCKET)
    }

    /// Powers the guest off and ends the device.
    pub(crate) fn close(self) -> Outcome {
        self.bench.end();
        Outcome {
            record: self.record,
            folder: self.folder,
        }
    }
}

/// 0 if the host does not say.
fn host_cpus() -> u32 {
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn machine_of(
    lab: &Lab,
    subject: &Subject,
    trial: &Trial,
    disk: MachineDisk,
    run_dir: &RunDir,
) -> Machine {
    Machine {
        kernel: subject.artifacts.kernel.bzimage.clone(),
        initramfs: subject.artifacts.initramfs.clone(),
        cpus: trial.cpus,
        shape: suite::machines(&trial.tests)
            .first()
            .copied()
            .unwrap_or_default(),
        memory: trial.memory,
        accel: lab.accel.accel,
        disk,
        sockets: Sockets {
            disk: run_dir.join("disk.sock"),
            control: run_dir.join(CONTROL_SOCKET),
            report: run_dir.join("report.sock"),
            monitor: run_dir.join("monitor.sock"),
        },
        host_files: None,
    }
}

/// Where the disk's data is, and what has to be kept as long as it is there.
fn data_of(trial: &Trial, folder: &Folder) -> Result<(Disk, Option<Scratch>), Failure> {
    let disk = Disk::default();
    match disk.store {
        Store::Memory(mib) if trial.lasting => {
            let (path, kept) = scratch(folder, mib)?;
            let store = Store::File(path.canonicalize().map_err(io_failure("find", &path))?);
            Ok((Disk { store, ..disk }, Some(kept)))
        }
        _ => Ok((disk, None)),
    }
}

/// What the device is started with, if there is one.
fn device_options(
    lab: &Lab,
    subject: &Subject,
    trial: &Trial,
    machine: &Machine,
    disk: Disk,
    folder: &Folder,
) -> Option<DeviceOptions> {
    Some(DeviceOptions {
        program: subject.artifacts.device.clone(),
        transport: Transport::of(&machine.disk)?,
        disk_socket: machine.sockets.disk.clone(),
        control_socket: machine.sockets.control.clone(),
        disk,
        controller: lab.controller.clone(),
        queues: trial.most_queues(),
        seed: trial.seed,
        events: folder.join(EVENTS),
        record: folder.join("decisions.ndjson"),
        writes: true,
        replay: trial.replay.clone(),
        resizes: lab.qemu_version.wants_other_capacity(),
    })
}

/// The record before its first case.
fn first_record(
    lab: &Lab,
    subject: &Subject,
    trial: &Trial,
    begun: &Begun,
    bench: &mut Bench,
) -> Result<Record, Failure> {
    let kernel = &subject.artifacts.kernel;
    Ok(Record {
        schema: SCHEMA,
        irqstorm: env!("CARGO_PKG_VERSION").to_owned(),
        started: begun.utc.clone(),
        seconds: begun.instant.elapsed().as_secs_f64(),
        complete: false,
        kernel: KernelRecord::from(kernel),
        qemu: lab.qemu_version.to_string(),
        accel: bench.machine().accel.name().to_owned(),
        host_cpus: host_cpus(),
        disk: lab.disk.name().to_owned(),
        cpus: trial.cpus,
        memory_mib: trial.memory.0,
        seed: trial.seed,
        scenario: trial.scenario.name.clone(),
        replay: None,
        precision: None,
        guest: Some(bench.present_guest()?.hello().clone()),
        cases: Vec::new(),
    })
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The programs that are measured, each as a process of its own: the device,
//! and qemu-storage-daemon's vhost-user-blk export.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::Stop;
use crate::driver::SPAN;

/// The peer.
pub(crate) const PEER: &str = "qemu-storage-daemon";

/// How long a program may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who serves the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// irqstorm-device.
    Device,
    /// qemu-storage-daemon.
    Peer,
}

/// What is done before more requests come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Waits {
    /// Sleep.
    Asleep,
    /// What each does unless told otherwise: it looks for them for a while
    /// before it sleeps, where that has been of use. The peer has a thread of
    /// its own for the export.
    #[default]
    Auto,
    /// Look for them for 100 us, as the client does without an end.
    Polling,
}

/// Where the disk's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// Nowhere.
    Null,
    /// In memory: the device's own, and a file in /dev/shm for the peer, which
    /// has nothing nearer to it.
    Memory,
    /// In a file in /dev/shm, for both.
    File,
}

impl Waits {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Waits::Asleep => "asleep",
            Waits::Auto => "auto",
            Waits::Polling => "polling",
        }
    }
}

impl Store {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Store::Null => "null",
            Store::Memory => "memory",
            Store::File => "file",
        }
    }
}

/// What it serves, and how.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) store: Store,
    pub(crate) waits: Waits,
    pub(crate) queues: usize,
    /// How long each request takes, if not as long as it takes.
    pub(crate) latency: Option<Duration>,
    /// The device's scenario, if another than such a latency.
    pub(crate) scenario: Option<String>,
}

impl Setup {
    /// A disk like any other.
    pub(crate) fn plain(store: Store, queues: usize) -> Setup {
        Setup {
            store,
            waits: Waits::default(),
            queues,
            latency: None,
            scenario: None,
        }
    }

    fn script(&self) -> Option<String> {
        let latency = |time: Duration| format!("latency = {{ fixed = \"{}ns\" }}", time.as_nanos());
        self.scenario.clone().or(self.latency.map(latency))
    }
}

/// One that serves.
pub(crate) struct Subject {
    child: Child,
    pub(crate) socket: PathBuf,
    /// In which its files are, until it is gone.
    _folder: tempfile::TempDir,
}

impl Subject {
    pub(crate) fn start(
        who: Who,
        setup: &Setup,
        device: &Path,
        stop: &Stop,
    ) -> anyhow::Result<Subject> {
        // In memory, as the files of the disks are to be.
        let folder = tempfile::tempdir_in("/dev/shm")?;
        let file = folder.path().join("disk");
        if setup.store != Store::Null {
            fs::write(&file, vec![0; usize::try_from(SPAN)?])?;
        }
        let socket = folder.path().join("socket");
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = match who {
            Who::Device => serve(device, setup, folder.path())?,
            Who::Peer => peer(setup, folder.path()),
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let program = command.get_program().to_owned();
        let child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut subject = Subject {
            child,
            socket,
            _folder: folder,
        };
        subject.wait_until_it_listens(stop)?;
        Ok(subject)
    }

    /// A connection that is closed at once hurts neither.
    fn wait_until_it_listens(&mut self, stop: &Stop) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            stop.check()?;
            match UnixStream::connect(&self.socket) {
                Ok(_) => return Ok(()),
                Err(e)
                    if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(e) => return Err(e.into()),
            }
            if let Some(status) = self.child.try_wait()? {
                let log = self.socket.with_file_name("log");
                bail!("it ended ({status}): {}", fs::read_to_string(log)?);
            }
            if begun.elapsed() > PATIENCE {
                bail!("it does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where the device is steered.
    pub(crate) fn control(&self) -> PathBuf {
        self.socket.with_file_name("control")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The time that its threads have been on a CPU.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut sum = 0;
        for task in tasks {
            // One that has ended meanwhile has its time in no file any more.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let time = text.split_ascii_whitespace().next().unwrap_or("0");
            sum += time.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(device: &Path, setup: &Setup, folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(device);
    command.arg("--socket-path").arg(folder.join("socket"));
    command.arg("--control").arg(folder.join("control"));
    command.args(["--num-queues", &setup.queues.to_string()]);
    if let Some(script) = setup.script() {
        let file = folder.join("scenario.toml");
        fs::write(&file, script)?;
        command.arg("--scenario").arg(file);
    }
    let size = SPAN.to_string();
    match setup.store {
        Store::Null => command.args(["--null", &size]),
        Store::Memory => command.args(["--ram", &size]),
        Store::File => command.arg("--blk-file").arg(folder.join("disk")),
    };
    command.args(match setup.waits {
        Waits::Asleep => ["--poll", "off"],
        Waits::Auto => ["--poll", "auto"],
        Waits::Polling => ["--poll", "100us"],
    });
    Ok(command)
}

fn peer(setup: &Setup, folder: &Path) -> Command {
    let mut command = Command::new(PEER);
    let latency = setup.latency.unwrap_or_default().as_nanos();
    let node = match setup.store {
        Store::Null => {
            format!("driver=null-co,node-name=disk,size={SPAN},read-zeroes=on,latency-ns={latency}")
        }
        Store::Memory | Store::File => format!(
            "driver=file,node-name=disk,filename={},cache.no-flush=off",
            folder.join("disk").display()
        ),
    };
    // In its main loop, which does not poll, or in a thread of its own.
    let (thread, export) = match setup.waits {
        Waits::Asleep => (None, ""),
        Waits::Auto => (Some("iothread,id=thread"), ",iothread=thread"),
        Waits::Polling => (
            Some("iothread,id=thread,poll-max-ns=100000"),
            ",iothread=thread",
        ),
    };
    if let Some(thread) = thread {
        command.args(["--object", thread]);
    }
    command.args(["--blockdev", &node, "--export"]);
    command.arg(format!(
        "type=vhost-user-blk,id=export,node-name=disk,writable=on,num-queues={},\
         addr.type=unix,addr.path={}{export}",
        setup.queues,
        folder.join("socket").display()
    ));
    command
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From a command line to a device that serves, and in order back to nothing.

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use irqstorm_core::clock::Monotonic;
use irqstorm_core::inbox::{Inbox, Message};
use irqstorm_core::pattern::Replay;
use irqstorm_core::pump::{CANNOT_FAIL, Pump, PumpConfig};
use irqstorm_core::scenario::Scenario;
use irqstorm_core::store::{Geometry, Store};
use irqstorm_front_end::{FrontEnd, WriteCache};
use irqstorm_nvme::DoorbellMode;
use irqstorm_vhost_blk::ConfigChange;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::{Cli, Doorbells, Transport};
use crate::engine::Waiting;
use crate::events::Sink;
use crate::lines::{self, Line, LineSink, WriterThread};
use crate::poll::{Kicks, Polling};
use crate::sandbox::{Sandbox, Thread};
use crate::socket::{self, OwnedSocket};
use crate::spin::Spinning;
use crate::tap::{self, Tap};
use crate::{Failure, bad_input, control, disk, engine, floor, precision, went_wrong};

/// Ends the control plane's loop when it is dropped: a byte down the pipe that
/// the signals write to as well.
struct EndsWith(UnixStream);

impl Drop for EndsWith {
    fn drop(&mut self) {
        let _ = self.0.write(&[0]);
    }
}

/// Where the front-end comes from.
enum Front {
    Listener(UnixListener, OwnedSocket),
    Stream(UnixStream),
}

/// Serves until a signal comes, or the one connection of `--fd` has ended.
pub(crate) fn run(cli: &Cli) -> Result<(), Failure> {
    let script = read_scenario(cli)?;
    let store = disk::open(&cli.disk)?;
    let geometry = store.geometry();
    match cli.transport {
        Transport::VhostUser if cli.doorbells != Doorbells::Shadow || cli.namespaces != 1 => {
            Err(bad_input(anyhow!(
                "make a virtio disk: --doorbells and --namespaces are of NVMe; leave them out, \
                 or choose --transport vfio-user"
            )))
        }
        Transport::VhostUser => serve(cli, script, store, |inbox| {
            let options = virtio_disk(cli, geometry);
            irqstorm_vhost_blk::Server::new(options, inbox).map_err(bad_input)
        }),
        Transport::VfioUser => serve(cli, script, store, |inbox| {
            let options = nvme_controller(cli, geometry)?;
            irqstorm_nvme::Server::new(options, inbox).map_err(bad_input)
        }),
    }
}

/// The same through the front-end that `make` makes.
fn serve<F: FrontEnd>(
    cli: &Cli,
    (scenario, scenario_name): (Scenario, String),
    store: Box<dyn Store>,
    make: impl FnOnce(Inbox<F::Queue>) -> Result<F, Failure>,
) -> Result<(), Failure> {
    let seed = scenario.seed.unwrap_or_else(random_seed);
    cli.sandbox.prepare().map_err(went_wrong)?;
    let (inbox, mailbox) = engine::mailbox().map_err(went_wrong)?;
    let server = make(inbox.clone())?;
    if scenario.fails_device() && server.failure_line().is_none() {
        return Err(bad_input(anyhow!("follow {scenario_name}: {CANNOT_FAIL}")));
    }
    let front = open_front(cli)?;
    let (control_listener, _control_socket) = match &cli.control {
        Some(path) => {
            let (listener, socket) = socket::listen_privately(path).map_err(bad_input)?;
            (Some(listener), Some(socket))
        }
        None => (None, None),
    };
    let recording = cli.replay.as_deref().map(read_recording).transpose()?;
    let (tap, tapped) = tap::tap().map_err(went_wrong)?;
    let (sink, writers) = open_sink(cli, tap)?;
    let (replay, _read_no_more) = recording.unzip();

    let (stop_read, stop_write) = UnixStream::pair().map_err(went_wrong)?;
    for signal in [SIGTERM, SIGINT] {
        let end = stop_write.try_clone().map_err(went_wrong)?;
        signal_hook::low_level::pipe::register(signal, end).map_err(went_wrong)?;
    }
    let ends = || stop_write.try_clone().map(EndsWith).map_err(went_wrong);

    let floor = floor::measure().map_err(went_wrong)?;
    let config = PumpConfig {
        store: Box::new(WriteCache::new(store, server.cache_mode())),
        scenario,
        scenario_name,
        seed,
        queues: cli.num_queues,
        replay,
        config_line: server.config_line(),
        failure_line: server.failure_line(),
        floor,
    };
    let make = move |clock: &Monotonic| Pump::new(config, Box::new(sink), clock);
    let waiting = Waiting {
        spinning: Spinning::new(cli.spin, floor),
        polling: Polling::new(cli.poll, kicks(cli), floor),
    };
    let sandbox = cli.sandbox;
    let confined = move || sandbox.enter(Thread::Pump).map_err(io::Error::other);
    let pump = engine::spawn(mailbox, waiting, make, confined, ends()?).map_err(went_wrong)?;
    let handle = server.handle();
    let front_thread = serve_front(server, front, sandbox, ends()?)?;
    precision::log_floor(&floor);
    sandbox.enter(Thread::Control).map_err(went_wrong)?;
    say_ready(cli, seed);
    let served = control::serve(control_listener, inbox.clone(), tapped, stop_read);
    precision::log(&inbox);

    handle.stop();
    let front_result = join(front_thread, "front-end")?;
    // A pump that has ended by itself takes no message any more.
    let _ = inbox.send(Message::Stop);
    let pump_result = join(pump, "pump")?;
    writers.into_iter().for_each(WriterThread::finish);
    front_result?;
    pump_result.context("drive the pump").map_err(went_wrong)?;
    served
        .context("serve the control plane")
        .map_err(went_wrong)
}

fn read_scenario(cli: &Cli) -> Result<(Scenario, String), Failure> {
    let (scenario, name) = match &cli.scenario {
        Some(path) => {
            let scenario = Scenario::load(path).map_err(bad_input)?;
            let name = path.file_stem().unwrap_or_default();
            (scenario, name.to_string_lossy().into_owned())
        }
        None => (Scenario::default(), "none".to_owned()),
    };
    let scenario = match cli.seed {
        Some(seed) => scenario.with_seed(seed),
        None => scenario,
    };
    Ok((scenario, name))
}

fn kicks(cli: &Cli) -> Kicks {
    match cli.doorbells {
        Doorbells::Mapped => Kicks::Never,
        Doorbells::Socket | Doorbells::Shadow => Kicks::Come,
    }
}

fn virtio_disk(cli: &Cli, geometry: Geometry) -> irqstorm_vhost_blk::Options {
    let mut options = irqstorm_vhost_blk::Options::new(geometry);
    options.queues = cli.num_queues;
    options.max_queue_size = cli.queue_size;
    options.serial = cli.disk.serial;
    options.config_change = cli.config_change;
    for &feature in &cli.withhold {
        options.withheld = options.withheld.with(feature);
    }
    options
}

fn nvme_controller(cli: &Cli, geometry: Geometry) -> Result<irqstorm_nvme::Options, Failure> {
    if !cli.withhold.is_empty() || cli.config_change != ConfigChange::default() {
        return Err(bad_input(anyhow!(
            "make an NVMe controller: --withhold and --config-change are of virtio; \
             leave them out, or choose --transport vhost-user"
        )));
    }
    let mut options = irqstorm_nvme::Options::new(geometry);
    options.queues = cli.num_queues;
    options.max_queue_size = cli.queue_size;
    options.serial = cli.disk.serial;
    options.namespaces = cli.namespaces;
    options.doorbells = match cli.doorbells {
        Doorbells::Socket => DoorbellMode::Socket,
        Doorbells::Shadow => DoorbellMode::Shadow,
        Doorbells::Mapped => DoorbellMode::Mapped,
    };
    Ok(options)
}

fn open_front(cli: &Cli) -> Result<Front, Failure> {
    if let Some(fd) = cli.connection.fd {
        return inherited(fd).map(Front::Stream).map_err(bad_input);
    }
    match &cli.connection.socket_path {
        Some(path) => {
            let (listener, socket) = socket::listen(path).map_err(bad_input)?;
            Ok(Front::Listener(listener, socket))
        }
        None => Err(bad_input(anyhow!("start: give --socket-path or --fd"))),
    }
}

/// The socket that was handed over as an open fd.
fn inherited(fd: RawFd) -> anyhow::Result<UnixStream> {
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}"));
    let is_socket = link.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
    if !is_socket {
        return Err(anyhow!("use fd {fd}: it is no open socket of this process"));
    }
    // SAFETY: the fd is open, as was just seen, and was given to this process
    // to own; nothing else here has opened or taken it.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    stream
        .peer_addr()
        .with_context(|| format!("use fd {fd}: it is no connected Unix socket"))?;
    Ok(stream)
}

/// Reads a recording; it is not to be written to while its file is kept.
fn read_recording(path: &Path) -> Result<(Replay, File), Failure> {
    let told = || format!("replay {}", path.display());
    let file = File::open(path).with_context(told).map_err(bad_input)?;
    // What has no locks has none that writes, either.
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        let writes = anyhow!("replay {}: a device still writes to it", path.display());
        return Err(bad_input(writes));
    }
    let replay = Replay::read(BufReader::new(&file));
    let replay = replay.with_context(told).map_err(bad_input)?;
    Ok((replay, file))
}

fn open_sink(cli: &Cli, tap: Tap) -> Result<(Sink, Vec<WriterThread>), Failure> {
    let mut writers = Vec::new();
    let events = open_lines(cli, cli.events.as_deref(), &mut writers)?;
    let decisions = open_lines(cli, cli.record.as_deref(), &mut writers)?;
    let sink = Sink {
        events,
        decisions,
        tap,
    };
    Ok((sink, writers))
}

fn open_lines<T: Line>(
    cli: &Cli,
    path: Option<&Path>,
    writers: &mut Vec<WriterThread>,
) -> Result<Option<LineSink<T>>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    let sandbox = cli.sandbox;
    let confined = move || sandbox.enter(Thread::Writer).map_err(io::Error::other);
    let (sink, writer) = lines::to_file(path, confined).map_err(bad_input)?;
    writers.push(writer);
    Ok(Some(sink))
}

fn serve_front<F: FrontEnd>(
    server: F,
    front: Front,
    sandbox: Sandbox,
    ended: EndsWith,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    let body = move || {
        // With the connection of --fd the device ends; and without its
        // listener it is of no use to anyone.
        let _ended = ended;
        sandbox.enter(Thread::FrontEnd).map_err(went_wrong)?;
        let served = match front {
            Front::Listener(listener, _socket) => server.serve_listener(listener),
            Front::Stream(stream) => server.serve_stream(stream),
        };
        // As text: the daemon's error holds a panic's payload, which stays on
        // its thread.
        served.map_err(|e| went_wrong(anyhow!(e.to_string())))
    };
    thread::Builder::new()
        .name("front-end".to_owned())
        .spawn(body)
        .map_err(went_wrong)
}

fn join<T>(thread: JoinHandle<T>, name: &str) -> Result<T, Failure> {
    thread
        .join()
        .map_err(|_| went_wrong(anyhow!("go on: the thread {name} panicked, see above")))
}

/// A launcher waits for this line: all sockets are there.
fn say_ready(cli: &Cli, seed: u64) {
    tracing::info!(seed, "ready");
    if cli.connection.socket_path.is_some() {
        let mut out = io::stdout();
        let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    }
}

/// A seed that differs from run to run; the log and the events have it.
fn random_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

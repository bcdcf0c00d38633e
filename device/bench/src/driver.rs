// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A vhost-user client that keeps so many requests of 4 KiB in flight, in the
//! same way whoever serves it.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use hdrhistogram::Histogram;
use irqstorm_testing::SharedMemory;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use virtio_driver::{
    EventFd, QueueNotifier, VhostUser, VirtioBlkConfig, VirtioBlkFeatureFlags, VirtioBlkQueue,
    VirtioBlkReqBuf, VirtioBlkTransport, VirtioFeatureFlags,
};

use crate::Stop;

/// Bytes of a request.
pub(crate) const BLOCK: usize = 4096;

/// Bytes of the disk that requests go to.
pub(crate) const SPAN: u64 = 64 << 20;

const FEATURES: u64 = VirtioFeatureFlags::VERSION_1.bits()
    | VirtioFeatureFlags::RING_EVENT_IDX.bits()
    | VirtioBlkFeatureFlags::MQ.bits()
    | VirtioBlkFeatureFlags::FLUSH.bits();

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) writes: bool,
    pub(crate) queues: usize,
    /// Requests in flight in each queue.
    pub(crate) depth: usize,
    /// Whether the client looks for completions all the time, instead of
    /// waiting for an interrupt.
    pub(crate) polls: bool,
}

/// What came of it.
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
    /// From submission to completion as the client sees it, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The share of the time in which the client had nothing to do: without any
    /// it is what is measured, whoever serves it.
    pub(crate) waited: f64,
}

/// How long there was nothing to do.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    sum: Duration,
}

impl Waiting {
    fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn end(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.sum += now - since;
        }
    }
}

/// What a client is to have room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) queues: usize,
    /// Entries of each ring: three for each request.
    pub(crate) ring: u16,
    /// Requests in flight at most, over all queues.
    pub(crate) most: usize,
}

pub(crate) struct Driver {
    // Before the transport, which has the memory of their rings.
    pub(crate) queues: Vec<VirtioBlkQueue<'static, usize>>,
    pub(crate) calls: Vec<Arc<EventFd>>,
    kicks: Vec<Box<dyn QueueNotifier>>,
    _transport: Box<VirtioBlkTransport>,
    memory: SharedMemory,
    /// When each request was made, by its tag.
    pub(crate) begun: Vec<Instant>,
    /// Tags of requests that have just come back.
    pub(crate) done: Vec<usize>,
    next: u64,
    pub(crate) stop: Stop,
}

impl Driver {
    pub(crate) fn connect(path: &Path, shape: Shape, stop: Stop) -> anyhow::Result<Driver> {
        let path = path.to_str().context("name the socket in UTF-8")?;
        let transport = VhostUser::<VirtioBlkConfig, VirtioBlkReqBuf>::new(path, FEATURES)?;
        let mut transport: Box<VirtioBlkTransport> = Box::new(transport);
        let memory = SharedMemory::new(BLOCK * shape.most)?;
        transport.map_mem_region(memory.address(), memory.len(), memory.fd(), 0)?;
        let Shape { queues, ring, most } = shape;
        let rings = VirtioBlkQueue::setup_queues(transport.as_mut(), queues, ring)?;
        let calls: Vec<_> = (0..queues)
            .map(|q| transport.get_completion_fd(q))
            .collect();
        calls.iter().try_for_each(never_block)?;
        Ok(Driver {
            queues: rings,
            calls,
            kicks: (0..queues)
                .map(|q| transport.get_submission_notifier(q))
                .collect(),
            _transport: transport,
            memory,
            begun: vec![Instant::now(); most],
            done: Vec::with_capacity(most),
            next: 0,
            stop,
        })
    }

    /// Keeps a load up for so long, and then waits for what is in flight.
    pub(crate) fn run(&mut self, load: Load, time: Duration) -> anyhow::Result<Measured> {
        ensure!(load.queues <= self.queues.len(), "too many queues");
        let mut latency = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
        let start = Instant::now();
        for queue in 0..load.queues {
            self.queues[queue].set_used_notif_enabled(false);
            for slot in 0..load.depth {
                self.submit(queue, queue * load.depth + slot, load.writes, start)?;
            }
            self.kick(queue)?;
        }
        let mut in_flight = load.queues * load.depth;
        let (mut requests, mut ended) = (0, None);
        let mut waiting = Waiting::default();
        while in_flight > 0 {
            self.stop.check()?;
            let mut idle = true;
            for queue in 0..load.queues {
                if !self.take_back(queue)? {
                    continue;
                }
                idle = false;
                let now = Instant::now();
                waiting.end(now);
                if ended.is_none() && now - start >= time {
                    ended = Some(now - start);
                }
                for index in 0..self.done.len() {
                    let tag = self.done[index];
                    if ended.is_some() {
                        in_flight -= 1;
                        continue;
                    }
                    let took = (now - self.begun[tag]).as_nanos();
                    latency.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
                    requests += 1;
                    self.submit(queue, tag, load.writes, now)?;
                }
                self.kick(queue)?;
            }
            if idle {
                waiting.begin();
                if !load.polls {
                    self.wait(load.queues)?;
                }
            }
        }
        let time = ended.unwrap_or(time);
        Ok(Measured {
            requests,
            time,
            latency,
            waited: waiting.sum.as_secs_f64() / time.as_secs_f64(),
        })
    }

    /// Takes what has come back on a queue into `done`; whether anything has.
    pub(crate) fn take_back(&mut self, queue: usize) -> anyhow::Result<bool> {
        self.done.clear();
        for done in self.queues[queue].completions() {
            ensure!(done.ret == 0, "a request failed: {}", done.ret);
            self.done.push(done.context);
        }
        Ok(!self.done.is_empty())
    }

    /// Makes one request at `now`. Places go up by a prime number of blocks:
    /// neither the same nor in a row.
    pub(crate) fn submit(
        &mut self,
        queue: usize,
        tag: usize,
        write: bool,
        now: Instant,
    ) -> anyhow::Result<()> {
        self.next += 1;
        let offset = self.next * 7919 % (SPAN / BLOCK as u64) * BLOCK as u64;
        let buffer = self.memory.at(tag * BLOCK, BLOCK);
        self.begun[tag] = now;
        let ring = &mut self.queues[queue];
        // SAFETY: the buffer is mapped as long as this driver, and its part of
        // the memory is no other request's.
        unsafe {
            match write {
                true => ring.write_raw(offset, buffer, BLOCK, tag)?,
                false => ring.read_raw(offset, buffer, BLOCK, tag)?,
            }
        }
        Ok(())
    }

    pub(crate) fn kick(&mut self, queue: usize) -> anyhow::Result<()> {
        if self.queues[queue].avail_notif_needed() {
            self.kicks[queue].notify()?;
        }
        Ok(())
    }

    /// Waits for an interrupt, as long as nothing has come meanwhile. Only for
    /// that are interrupts wanted: a driver that is at work takes what comes
    /// without one, as Linux's does.
    fn wait(&mut self, queues: usize) -> anyhow::Result<()> {
        let in_use = &mut self.queues[..queues];
        in_use
            .iter_mut()
            .for_each(|q| q.set_used_notif_enabled(true));
        let come = in_use.iter_mut().any(|q| q.completions().has_next());
        let waited = if come { Ok(()) } else { self.sleep(queues) };
        let in_use = &mut self.queues[..queues];
        in_use
            .iter_mut()
            .for_each(|q| q.set_used_notif_enabled(false));
        waited
    }

    fn sleep(&self, queues: usize) -> anyhow::Result<()> {
        let calls = &self.calls[..queues];
        let mut fds: Vec<PollFd> = calls
            .iter()
            .map(|call| PollFd::new(call.as_ref(), PollFlags::IN))
            .collect();
        let patience = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        let ready = match rustix::event::poll(&mut fds, Some(&patience)) {
            // A signal: the caller looks which.
            Err(Errno::INTR) => return Ok(()),
            ready => ready?,
        };
        if ready == 0 {
            return Err(anyhow!("wait for an interrupt: none came in 10 s"));
        }
        for (call, fd) in calls.iter().zip(&fds) {
            if !fd.revents().is_empty() {
                signals(call)?;
            }
        }
        Ok(())
    }
}

/// Makes an eventfd one that is written without waiting, as QEMU's and KVM's
/// are: a device need not ask then whether it can be.
fn never_block(call: &Arc<EventFd>) -> anyhow::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd_of(call))?;
    rustix::fs::fcntl_setfl(fd_of(call), flags | OFlags::NONBLOCK)?;
    Ok(())
}

/// How many signals an eventfd has had since this was last asked.
pub(crate) fn signals(call: &Arc<EventFd>) -> anyhow::Result<u64> {
    let mut count = [0; 8];
    match rustix::io::read(fd_of(call), &mut count) {
        Ok(_) => Ok(u64::from_ne_bytes(count)),
        Err(Errno::AGAIN) => Ok(0),
        Err(e) => Err(e.into()),
    }
}

fn fd_of(call: &Arc<EventFd>) -> std::os::fd::BorrowedFd<'_> {
    // SAFETY: the fd is open as long as the value that it is borrowed from.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(call.as_raw_fd()) }
}

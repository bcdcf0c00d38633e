// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From the first message of a connection to its end.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use irqstorm_front_end::Limiter;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::message::{Message, MessageError};
use super::wire::{self, Fields, command};
use super::{Device, IrqAction, IrqKind, Region};
use crate::bar::Area;
use crate::memory::DmaMap;

/// Fds that are taken in one message: what QEMU sends at most.
const MAX_MSG_FDS: usize = 16;

/// Why a connection was ended by this side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// What came is no message.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// An answer could not be sent.
    #[error("answer: {0}")]
    Answer(#[from] io::Error),
    /// The client does not begin as it must, or with a version of its own.
    #[error("agree on a version: {0}")]
    Version(&'static str),
    /// The device cannot be used so.
    #[error("start the device")]
    Start,
}

/// Serves a connection to its end.
pub(crate) fn serve<D: Device>(stream: &UnixStream, device: &mut D) -> Result<(), SessionError> {
    let mut session = Session {
        device,
        reply: Vec::new(),
        hands_over: None,
        unusable: false,
        refusals: Limiter::default(),
    };
    let mut message = Message::new();
    if !message.receive(stream)? {
        return Ok(());
    }
    session.agree(&message)?;
    answer(&message, stream, Ok(&session.reply), None)?;
    while session.next(&mut message, stream)? {
        let done = session.carry_out(&mut message);
        session.unusable |= done.is_err() && message.header.command == command::DEVICE_GET_INFO;
        session.tell(&message, done);
        let mapped = session.hands_over.take();
        let fd = mapped.and_then(|region| session.device.mapped(region));
        let body = done.map(|()| session.reply.as_slice());
        answer(&message, stream, body, fd.map(|(_, fd)| fd))?;
    }
    match session.unusable {
        true => Err(SessionError::Start),
        false => Ok(()),
    }
}

/// A client that is gone before its answer has just left.
fn answer(
    message: &Message,
    stream: &UnixStream,
    answer: Result<&[u8], Errno>,
    fd: Option<BorrowedFd<'_>>,
) -> Result<(), SessionError> {
    match message.answer(stream, answer, fd) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        answered => Ok(answered?),
    }
}

struct Session<'a, D> {
    device: &'a mut D,
    /// The body of the reply to the message at hand.
    reply: Vec<u8>,
    /// The region whose file goes with it.
    hands_over: Option<Region>,
    /// Whether the device could not be started: nothing is left but to take
    /// memory back. QEMU does so before it leaves, and fails an assertion if
    /// nobody answers (hw/vfio-user/container.c, vfio_user_dma_unmap()).
    unusable: bool,
    refusals: Limiter,
}

impl<D: Device> Session<'_, D> {
    /// The first message: the client's version and what it can do.
    fn agree(&mut self, message: &Message) -> Result<(), SessionError> {
        if message.header.command != command::VERSION {
            return Err(SessionError::Version("the first message is another"));
        }
        let mut fields = Fields(&message.body);
        let (Ok(major), Ok(minor)) = (fields.u16(), fields.u16()) else {
            return Err(SessionError::Version("there is none in the message"));
        };
        if major != wire::MAJOR {
            return Err(SessionError::Version("the client's major version is not 0"));
        }
        let capabilities = serde_json::json!({"capabilities": {
            "max_msg_fds": MAX_MSG_FDS,
            "max_data_xfer_size": wire::MAX_DATA,
        }});
        self.reply.clear();
        for version in [wire::MAJOR, minor.min(wire::MINOR)] {
            self.reply.extend_from_slice(&version.to_ne_bytes());
        }
        self.reply
            .extend_from_slice(capabilities.to_string().as_bytes());
        self.reply.push(0);
        Ok(())
    }

    /// Receives the next message. What the device does by itself it does while
    /// there is none.
    fn next(&mut self, message: &mut Message, stream: &UnixStream) -> Result<bool, SessionError> {
        while let Some(wake) = self.device.wake() {
            let mut fds = [
                PollFd::new(stream, PollFlags::IN),
                PollFd::from_borrowed_fd(wake, PollFlags::IN),
            ];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))
                .map_err(|errno| MessageError::Socket(errno.into()))?;
            let [message, woken] = fds.map(|fd| !fd.revents().is_empty());
            if woken {
                self.device.woken();
            }
            if message {
                break;
            }
        }
        Ok(message.receive(stream)?)
    }

    /// Carries a message out; the reply's body is left in `reply`.
    fn carry_out(&mut self, message: &mut Message) -> Result<(), Errno> {
        self.reply.clear();
        let fds = std::mem::take(&mut message.fds);
        let body = Fields(&message.body);
        match message.header.command {
            command if self.unusable && command != command::DMA_UNMAP => Err(Errno::INVAL),
            command::DMA_MAP => self.map(body, fds),
            command::DMA_UNMAP => self.unmap(body),
            command::DEVICE_GET_INFO => self.device_info(),
            command::DEVICE_GET_REGION_INFO => self.region_info(body),
            command::DEVICE_GET_IRQ_INFO => self.irq_info(body),
            command::DEVICE_SET_IRQS => self.set_irqs(body, fds),
            command::REGION_READ => self.read(body),
            command::REGION_WRITE => self.write(body),
            command::DEVICE_RESET => {
                self.device.reset();
                Ok(())
            }
            _ => Err(Errno::NOTSUP),
        }
    }

    fn tell(&mut self, message: &Message, done: Result<(), Errno>) {
        if let Err(errno) = done
            && let Some(suppressed) = self.refusals.admit(std::time::Instant::now())
        {
            let command = message.header.command;
            tracing::debug!(suppressed, "refused vfio-user command {command}: {errno}");
        }
    }

    fn put(&mut self, words: &[u32]) {
        for word in words {
            self.reply.extend_from_slice(&word.to_ne_bytes());
        }
    }

    fn put_long(&mut self, words: &[u64]) {
        for word in words {
            self.reply.extend_from_slice(&word.to_ne_bytes());
        }
    }

    fn map(&mut self, mut body: Fields, fds: Vec<OwnedFd>) -> Result<(), Errno> {
        let (_argsz, flags) = (body.u32()?, body.u32()?);
        let (offset, address, size) = (body.u64()?, body.u64()?, body.u64()?);
        let map = DmaMap {
            address,
            size,
            offset,
            writable: flags & wire::MAP_WRITABLE != 0,
        };
        self.device.map(map, fds.into_iter().next())
    }

    fn unmap(&mut self, mut body: Fields) -> Result<(), Errno> {
        self.reply.extend_from_slice(body.0);
        let (_argsz, flags) = (body.u32()?, body.u32()?);
        let (address, size) = (body.u64()?, body.u64()?);
        if flags & wire::UNMAP_ALL != 0 {
            self.device.unmap_all();
            return Ok(());
        }
        self.device.unmap(address, size)
    }

    fn device_info(&mut self) -> Result<(), Errno> {
        self.device.start()?;
        let flags = wire::DEVICE_RESETS | wire::DEVICE_IS_PCI;
        self.put(&[16, flags, wire::REGIONS, wire::IRQS]);
        Ok(())
    }

    fn region_info(&mut self, mut body: Fields) -> Result<(), Errno> {
        let (room, _flags, index) = (body.u32()?, body.u32()?, body.u32()?);
        if index >= wire::REGIONS {
            return Err(Errno::INVAL);
        }
        let Some(region) = region(index) else {
            self.put(&[wire::REGION_INFO_LEN, 0, index, 0, 0, 0, 0, 0]);
            return Ok(());
        };
        let len = self.device.region_len(region);
        let area = self.device.mapped(region).map(|(area, _)| area);
        let flags = wire::REGION_READS | wire::REGION_WRITES;
        let (size, flags, capabilities) = match area {
            Some(_) => (
                wire::REGION_INFO_LEN + wire::SPARSE_MAP_LEN,
                flags | wire::REGION_MAPS | wire::REGION_CAPABILITIES,
                wire::REGION_INFO_LEN,
            ),
            None => (wire::REGION_INFO_LEN, flags, 0),
        };
        self.put(&[size, flags, index, capabilities]);
        // The size, and where it begins in the file.
        self.put_long(&[len, 0]);
        // Who has too little room learns how much it takes, and asks again.
        if let Some(area) = area.filter(|_| room >= size) {
            self.sparse_map(area);
            self.hands_over = Some(region);
        }
        Ok(())
    }

    /// One part of a region that can be mapped, and no capability after that.
    fn sparse_map(&mut self, area: Area) {
        for half in [wire::CAPABILITY_SPARSE_MAP, wire::SPARSE_MAP_VERSION] {
            self.reply.extend_from_slice(&half.to_ne_bytes());
        }
        self.put(&[0, 1, 0]);
        self.put_long(&[area.offset, area.size]);
    }

    fn irq_info(&mut self, mut body: Fields) -> Result<(), Errno> {
        let (_argsz, _flags, index) = (body.u32()?, body.u32()?, body.u32()?);
        if index >= wire::IRQS {
            return Err(Errno::INVAL);
        }
        let (flags, count) = match irq_kind(index) {
            Some(kind @ IrqKind::Intx) => {
                let flags = wire::IRQ_EVENTFD | wire::IRQ_MASKABLE | wire::IRQ_AUTOMASKED;
                (flags, self.device.irq_count(kind))
            }
            Some(kind @ IrqKind::Msix) => (wire::IRQ_EVENTFD, self.device.irq_count(kind)),
            None => (0, 0),
        };
        self.put(&[16, flags, index, count]);
        Ok(())
    }

    fn set_irqs(&mut self, mut body: Fields, fds: Vec<OwnedFd>) -> Result<(), Errno> {
        let (_argsz, flags, index) = (body.u32()?, body.u32()?, body.u32()?);
        let (start, count) = (body.u32()?, body.u32()?);
        let kind = irq_kind(index).ok_or(Errno::INVAL)?;
        let end = start.checked_add(count).ok_or(Errno::INVAL)?;
        if end > self.device.irq_count(kind) {
            return Err(Errno::INVAL);
        }
        let actions = wire::SET_ACTION_MASK | wire::SET_ACTION_UNMASK | wire::SET_ACTION_TRIGGER;
        let action = flags & actions;
        match flags & !actions {
            wire::SET_DATA_NONE if count == 0 && action == wire::SET_ACTION_TRIGGER => {
                self.device.disable_irqs(kind);
                Ok(())
            }
            wire::SET_DATA_NONE => self.act(kind, start..end, action),
            wire::SET_DATA_BOOL => {
                let chosen = body.rest();
                if chosen.len() != usize::try_from(count).map_err(|_| Errno::INVAL)? {
                    return Err(Errno::INVAL);
                }
                let chosen = (start..end).zip(chosen).filter(|&(_, &chosen)| chosen != 0);
                self.act(kind, chosen.map(|(irq, _)| irq), action)
            }
            wire::SET_DATA_EVENTFD if action == wire::SET_ACTION_TRIGGER => {
                self.assign(kind, start..end, fds)
            }
            _ => Err(Errno::NOTSUP),
        }
    }

    /// Does what needs no fd.
    fn act(
        &mut self,
        kind: IrqKind,
        irqs: impl Iterator<Item = u32>,
        action: u32,
    ) -> Result<(), Errno> {
        for irq in irqs {
            let action = match action {
                wire::SET_ACTION_TRIGGER => IrqAction::Trigger,
                wire::SET_ACTION_MASK => IrqAction::Mask,
                wire::SET_ACTION_UNMASK => IrqAction::Unmask,
                _ => return Err(Errno::INVAL),
            };
            self.device.irq(kind, irq, action);
        }
        Ok(())
    }

    /// An fd for each interrupt, or none for any: they are taken away.
    fn assign(
        &mut self,
        kind: IrqKind,
        irqs: std::ops::Range<u32>,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        if !fds.is_empty() && fds.len() != irqs.len() {
            return Err(Errno::INVAL);
        }
        let mut fds = fds.into_iter();
        for irq in irqs {
            let fd = fds.next().map(File::from);
            self.device.irq(kind, irq, IrqAction::Assign(fd));
        }
        Ok(())
    }

    /// Offset, region and count of an access, all of it in the region.
    fn access(&self, body: &mut Fields) -> Result<(Region, u64, usize), Errno> {
        let (offset, index, count) = (body.u64()?, body.u32()?, body.u32()?);
        let region = region(index).ok_or(Errno::INVAL)?;
        let end = offset.checked_add(count.into()).ok_or(Errno::INVAL)?;
        if count > wire::MAX_DATA || end > self.device.region_len(region) {
            return Err(Errno::INVAL);
        }
        let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
        Ok((region, offset, count))
    }

    fn read(&mut self, mut body: Fields) -> Result<(), Errno> {
        let named = body.0.get(..wire::ACCESS_LEN).ok_or(Errno::INVAL)?;
        let (region, offset, count) = self.access(&mut body)?;
        self.reply.extend_from_slice(named);
        self.reply.resize(wire::ACCESS_LEN + count, 0);
        let into = self.reply.get_mut(wire::ACCESS_LEN..).unwrap_or_default();
        self.device.read(region, offset, into);
        Ok(())
    }

    fn write(&mut self, mut body: Fields) -> Result<(), Errno> {
        let named = body.0.get(..wire::ACCESS_LEN).ok_or(Errno::INVAL)?;
        let (region, offset, count) = self.access(&mut body)?;
        let from = body.rest();
        if from.len() != count {
            return Err(Errno::INVAL);
        }
        self.reply.extend_from_slice(named);
        self.device.write(region, offset, from);
        Ok(())
    }
}

fn region(index: u32) -> Option<Region> {
    match index {
        wire::REGION_BAR0 => Some(Region::Bar0),
        wire::REGION_CONFIG => Some(Region::Config),
        _ => None,
    }
}

fn irq_kind(index: u32) -> Option<IrqKind> {
    match index {
        wire::IRQ_INTX => Some(IrqKind::Intx),
        wire::IRQ_MSIX => Some(IrqKind::Msix),
        _ => None,
    }
}

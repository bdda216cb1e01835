//! The host's end of the conversation with init.
#![allow(unsafe_code)]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send, sendmsg,
    socketpair,
};

use crate::wire::{Order, Report};

/// A socket to init; it ends when init does.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What init says.
#[derive(Debug)]
pub(crate) struct Message {
    /// The report.
    pub(crate) report: Report,
    /// The descriptor that came with it.
    pub(crate) fd: Option<OwnedFd>,
}

impl Channel {
    /// The host's end and init's.
    pub(crate) fn new() -> Result<(Self, OwnedFd), Errno> {
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let (host, init) = socketpair(family, kind, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self(host), init))
    }

    /// Whether this answer to an order says that init has ended: once ECONNRESET, where it left an earlier order unread.
    pub(crate) fn has_gone(errno: Errno) -> bool {
        [Errno::EPIPE, Errno::ECONNRESET].contains(&errno)
    }

    /// The next message; `None` when init has gone. ECONNRESET where it has left an order unread.
    pub(crate) fn receive(&self) -> Result<Option<Message>, Errno> {
        loop {
            match self.receive_once() {
                Err(Errno::EINTR) => {}
                answer => return answer,
            }
        }
    }

    fn receive_once(&self) -> Result<Option<Message>, Errno> {
        // One byte more than a report has, to tell a longer message.
        let mut bytes = [0; Report::SIZE + 1];
        let mut control = nix::cmsg_space!(RawFd);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let mut fd = None;
        for rights in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = rights {
                for number in numbers {
                    // SAFETY: the kernel has just made this descriptor for the message; nobody else owns it.
                    fd = Some(unsafe { OwnedFd::from_raw_fd(number) });
                }
            }
        }
        let len = message.bytes;
        if len == 0 {
            return Ok(None);
        }
        let report = bytes.get(..len).and_then(Report::decode).ok_or(Errno::EBADMSG)?;
        Ok(Some(Message { report, fd }))
    }

    /// Gives init a descriptor.
    pub(crate) fn give(&self, order: Order, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let (bytes, fds) = (order.encode(), [fd.as_raw_fd()]);
        let (parts, rights) = ([IoSlice::new(&bytes)], [ControlMessage::ScmRights(&fds)]);
        loop {
            match sendmsg::<()>(self.0.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None) {
                Err(Errno::EINTR) => {}
                answer => return answer.map(drop),
            }
        }
    }

    /// Tells init to go on.
    pub(crate) fn send(&self, order: Order) -> Result<(), Errno> {
        loop {
            match send(self.0.as_raw_fd(), &order.encode(), MsgFlags::MSG_NOSIGNAL) {
                Err(Errno::EINTR) => {}
                answer => return answer.map(drop),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

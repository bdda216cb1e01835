//! The start gate: a socket in the container's directory at which init waits for `start`.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen, recvmsg, send,
    socket,
};

use crate::sys::again;
use crate::wire::{Order, Report, Tag};

/// The gate's name in the container's directory.
pub(crate) const GATE: &str = "gate";

/// What became of a `start`.
pub(crate) enum Outcome {
    /// The payload was executed, or init ended after it had taken the order.
    Accepted,
    /// Init took the order, and somebody else lets its last steps wait.
    Pending,
    /// Init took the order and then failed at a step.
    Failed(Report),
    /// Nobody took the order: init has ended or gone on already.
    Nobody,
}

/// Makes the gate; init gets the listening socket.
pub(crate) fn listener(path: &Path) -> Result<OwnedFd, Errno> {
    let gate = seqpacket()?;
    bind(gate.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&gate, Backlog::new(1)?)?;
    Ok(gate)
}

/// Whether init still waits at the gate. It takes no notice of who connects and leaves.
pub(crate) fn is_open(path: &Path) -> Result<bool, Errno> {
    // Somebody else may be about to connect, and init be stopped.
    let gate = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    let address = UnixAddr::new(path)?;
    match again(|| connect(gate.as_raw_fd(), &address)) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(true),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Tells init to execute the payload, and waits until it has done so or failed; once it has taken the order, so long at most.
pub(crate) fn start(path: &Path, patience: PollTimeout) -> Result<Outcome, Errno> {
    let gate = seqpacket()?;
    let address = UnixAddr::new(path)?;
    match again(|| connect(gate.as_raw_fd(), &address)) {
        Ok(()) => {}
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => return Ok(Outcome::Nobody),
        Err(errno) => return Err(errno),
    }
    match again(|| send(gate.as_raw_fd(), &Order::Start.encode(), MsgFlags::MSG_NOSIGNAL)) {
        Ok(_) => {}
        Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(Outcome::Nobody),
        Err(errno) => return Err(errno),
    }
    let mut accepted = false;
    loop {
        let mut fds = [PollFd::new(gate.as_fd(), PollFlags::POLLIN)];
        if accepted && again(|| poll(&mut fds, patience))? == 0 {
            return Ok(Outcome::Pending);
        }
        match receive(&gate)? {
            Some(Report { tag: Tag::Accepted, .. }) => accepted = true,
            Some(report) => return Ok(Outcome::Failed(report)),
            None if accepted => return Ok(Outcome::Accepted),
            None => return Ok(Outcome::Nobody),
        }
    }
}

/// The next report; `None` at the end of the connection.
fn receive(gate: impl AsFd) -> Result<Option<Report>, Errno> {
    let mut bytes = [0; Report::SIZE];
    let received = again(|| {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        recvmsg::<()>(gate.as_fd().as_raw_fd(), &mut parts, None, MsgFlags::empty()).map(|said| said.bytes)
    });
    match received {
        Ok(0) | Err(Errno::ECONNRESET) => Ok(None),
        Ok(_) => Report::decode(&bytes).map(Some).ok_or(Errno::EBADMSG),
        Err(errno) => Err(errno),
    }
}

fn seqpacket() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
}

//! One direction of copying: a buffer that is filled by one descriptor and emptied into another.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::unistd::{read, write};

/// A pipe that can be written takes this much without blocking, even one that is not in non-blocking mode. (The caller's
/// descriptors must not be put into that mode: it is shared with others who have them.)
const CHUNK: usize = libc::PIPE_BUF;

/// What is read or written.
pub(super) enum End {
    /// It is closed with the pump.
    Own(OwnedFd),
    /// A standard stream, which stays open.
    Callers(BorrowedFd<'static>),
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Callers(fd) => *fd,
        }
    }
}

/// Copies what comes from one descriptor to another.
pub(super) struct Pump {
    from: End,
    to: End,
    buffer: Vec<u8>,
}

impl Pump {
    pub(super) fn new(from: End, to: End) -> Self {
        Self { from, to, buffer: Vec::new() }
    }

    /// What it waits for: something to read, or room to write what it has read.
    pub(super) fn interest(&self) -> PollFd<'_> {
        if self.is_empty() {
            PollFd::new(self.from.as_fd(), PollFlags::POLLIN)
        } else {
            PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)
        }
    }

    /// Whether it holds nothing that has still to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Reads once or writes once, as `interest` said; false if it is at its end.
    pub(super) fn step(&mut self) -> bool {
        let result = if self.is_empty() { self.fill() } else { self.drain() };
        match result {
            Ok(open) => open,
            Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
        }
    }

    fn fill(&mut self) -> nix::Result<bool> {
        // Many a stream has nothing to say: only then is there a buffer.
        let mut chunk = [0; CHUNK];
        let count = read(&self.from, &mut chunk)?;
        self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        Ok(count > 0)
    }

    fn drain(&mut self) -> nix::Result<bool> {
        let written = write(&self.to, &self.buffer)?;
        self.buffer.drain(..written);
        Ok(true)
    }
}

/// Keeps operations on a descriptor from waiting; for those that nobody else has.
pub(super) fn never_block(descriptor: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn everything_is_copied_in_order() {
        let ((reader, source), (sink, writer)) = (pipe().unwrap(), pipe().unwrap());
        let (mut source, mut sink) = (File::from(source), File::from(sink));
        let text: Vec<u8> = (0..60_000u32).flat_map(|n| n.to_le_bytes()).take(60_000).collect();
        source.write_all(&text).unwrap();
        drop(source);
        let mut pump = Pump::new(End::Own(reader), End::Own(writer));
        while pump.step() {}
        drop(pump);
        let mut copy = Vec::new();
        sink.read_to_end(&mut copy).unwrap();
        assert!(copy == text);
    }

    #[test]
    fn a_closed_sink_ends_it() {
        let ((reader, source), (sink, writer)) = (pipe().unwrap(), pipe().unwrap());
        File::from(source).write_all(b"text").unwrap();
        drop(sink);
        let mut pump = Pump::new(End::Own(reader), End::Own(writer));
        assert!(pump.step(), "reads");
        assert!(!pump.step(), "cannot write");
    }
}

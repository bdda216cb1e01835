//! One direction of copying: a buffer that is filled by one descriptor and emptied into another.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};

/// A pipe that can be written takes this much without blocking, even one that is not in non-blocking mode. (The caller's
/// descriptors must not be put into that mode: it is shared with others who have them.)
const CHUNK: usize = libc::PIPE_BUF;

/// Copies what comes from one descriptor to another.
pub(super) struct Pump {
    from: File,
    to: File,
    buffer: Vec<u8>,
}

impl Pump {
    pub(super) fn new(from: OwnedFd, to: OwnedFd) -> Self {
        Self { from: from.into(), to: to.into(), buffer: Vec::with_capacity(CHUNK) }
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
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.resize(CHUNK, 0);
        let read = self.from.read(&mut self.buffer);
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|count| count > 0)
    }

    fn drain(&mut self) -> io::Result<bool> {
        let written = self.to.write(&self.buffer)?;
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
    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn everything_is_copied_in_order() {
        let ((reader, source), (sink, writer)) = (pipe().unwrap(), pipe().unwrap());
        let (mut source, mut sink) = (File::from(source), File::from(sink));
        let text: Vec<u8> = (0..60_000u32).flat_map(|n| n.to_le_bytes()).take(60_000).collect();
        source.write_all(&text).unwrap();
        drop(source);
        let mut pump = Pump::new(reader, writer);
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
        let mut pump = Pump::new(reader, writer);
        assert!(pump.step(), "reads");
        assert!(!pump.step(), "cannot write");
    }
}

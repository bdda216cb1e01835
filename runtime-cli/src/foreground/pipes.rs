//! The streams of a process without a terminal: three pipes, so that it never holds the caller's own descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown, getegid, geteuid, pipe2};

use super::pump::{End, Pump, never_block};
use crate::failure::Failure;
use crate::sys::standard_streams;

/// The end to read from, and the end to write to.
type Pipe = (OwnedFd, OwnedFd);

/// Three pipes between the caller's streams and those of a process.
pub(super) struct Pipes {
    input: Pipe,
    output: Pipe,
    error: Pipe,
}

impl Pipes {
    /// Makes the pipes; they belong to `owner`, a user and a group.
    pub(super) fn new(owner: (u32, u32)) -> Result<Self, Failure> {
        let make = || {
            let pipe = || pipe2(OFlag::O_CLOEXEC);
            let pipes = Self { input: pipe()?, output: pipe()?, error: pipe()? };
            pipes.give_to(owner).map(|()| pipes)
        };
        make().map_err(|error| Failure::from(error).context("make pipes"))
    }

    /// The process's ends.
    pub(super) fn inner(&self) -> [BorrowedFd<'_>; 3] {
        [self.input.0.as_fd(), self.output.1.as_fd(), self.error.1.as_fd()]
    }

    /// Closes the process's ends, so that its end is seen, and copies between the others and the caller's streams.
    pub(super) fn pumps(self) -> io::Result<(Pump, Vec<Pump>)> {
        let (input, output, error) = (self.input.1, self.output.0, self.error.0);
        for end in [&input, &output, &error] {
            never_block(end)?;
        }
        let [stdin, stdout, stderr] = standard_streams().map(End::Callers);
        let input = Pump::new(stdin, End::Own(input));
        Ok((input, vec![Pump::new(End::Own(output), stdout), Pump::new(End::Own(error), stderr)]))
    }

    fn give_to(&self, (user, group): (u32, u32)) -> io::Result<()> {
        if (user, group) != (geteuid().as_raw(), getegid().as_raw()) {
            for end in self.inner() {
                // Both ends of a pipe are one inode. An unprivileged caller cannot give it away; it works all the same.
                match fchown(end, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))) {
                    Ok(()) | Err(Errno::EPERM) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(())
    }
}

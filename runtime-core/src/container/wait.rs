//! Waiting for a process that this program has made.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{CLD_EXITED, SIGKILL};
use nix::poll::PollTimeout;

use super::Container;
use crate::error::Error;
use crate::launch::Child;
use crate::sys::{self, ended};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with a status.
    Code(i32),
    /// It was killed by a signal.
    Signal(i32),
    /// It has ended, but somebody else was told how, and the kernel does not remember it (before Linux 6.15): it is no child of
    /// this process, which may also ignore SIGCHLD or reap everything.
    Unknown,
}

impl Container {
    /// Waits for the end of the container's first process and reaps it. To wait for several things at once, poll
    /// [`pidfd`](Self::pidfd) first.
    ///
    /// # Errors
    /// [`Error::NotRunning`] on a container that another process has made; [`Error::System`].
    pub fn wait(&self) -> Result<Exit, Error> {
        let pidfd = self.pidfd().ok_or(Error::NotRunning)?;
        reap(pidfd)
    }
}

/// Waits for the end of the process behind a pidfd.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Result<Exit, Error> {
    let failed = Error::system("wait for", "container process");
    loop {
        match sys::wait_end(pidfd) {
            Ok((CLD_EXITED, code)) => return Ok(Exit::Code(code)),
            Ok((_, signal)) => return Ok(Exit::Signal(signal)),
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => {
                return ended(pidfd, PollTimeout::NONE).map(|_| remembered(pidfd)).map_err(failed);
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
}

/// Ends a process that is not wanted after all, if it has not ended already, and reaps it.
pub(crate) fn end(child: &Child) {
    let ended = sys::pidfd_send_signal(&child.pidfd, SIGKILL).map(|()| reap(child.pidfd.as_fd()));
    log::trace!("{} is ended: {ended:?}", child.pid);
}

/// How a process ended that somebody else has reaped, or the kernel at once: what its pidfd remembers from Linux 6.15 on.
fn remembered(pidfd: BorrowedFd<'_>) -> Exit {
    // There may be a moment between the end of a process and that of its reaping.
    for _ in 0..100 {
        match sys::pidfd_exit(pidfd) {
            Ok(status) if status & 0x7f == 0 => return Exit::Code(status >> 8 & 0xff),
            Ok(status) => return Exit::Signal(status & 0x7f),
            Err(Errno::ESRCH) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    Exit::Unknown
}

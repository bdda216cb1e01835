//! Signals to this process, as something that can be polled.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::failure::Failure;

/// All signals that would otherwise end or interrupt the command.
pub(super) struct Signals(SignalFd);

/// What a signal means here.
pub(super) enum Signal {
    /// A child has ended.
    Child,
    /// The size of the caller's terminal has changed.
    Resize,
    /// It is meant for the process in the foreground.
    Other(i32),
}

impl Signals {
    /// Collects signals from now on. They stay blocked: the command ends with the process.
    pub(super) fn block() -> Result<Self, Failure> {
        let all = SigSet::all();
        let collect = || {
            all.thread_block()?;
            SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        };
        collect()
            .map(Self)
            .map_err(|errno| Failure::from(std::io::Error::from(errno)).context("collect signals"))
    }

    /// The next signal that has arrived, if there is one.
    pub(super) fn next(&self) -> Option<Signal> {
        loop {
            let number = i32::try_from(self.0.read_signal().ok()??.ssi_signo).ok()?;
            match number {
                libc::SIGCHLD => return Some(Signal::Child),
                libc::SIGWINCH => return Some(Signal::Resize),
                // A write to a closed stream is this process's own affair, and urgent data nobody's.
                libc::SIGPIPE | libc::SIGURG => {}
                _ => return Some(Signal::Other(number)),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reaps adopted orphans, but not the process in the foreground: how that one ended is still to be asked.
pub(super) fn reap_all_but(pid: i32) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(ended, _) | WaitStatus::Signaled(ended, ..)) = waitid(Id::All, look) {
        if ended == Pid::from_raw(pid) || waitpid(ended, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}

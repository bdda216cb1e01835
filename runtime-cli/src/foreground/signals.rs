//! Signals to this process, as something that can be polled.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::failure::Failure;
use crate::sys;

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
    while let Some(ended) = sys::ended_child() {
        // To nix a real-time signal is an end that cannot be: EINVAL, of a process that is reaped all the same.
        let reap = || waitpid(Pid::from_raw(ended), Some(WaitPidFlag::WNOHANG));
        if ended == pid || reap().is_err_and(|errno| errno != Errno::EINVAL) {
            return;
        }
    }
}

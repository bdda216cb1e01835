//! The system calls for which nix has no safe function; all `unsafe` of the command is here.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::pty::Winsize;

/// Whether a descriptor number is in use.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD takes no third argument and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Makes all descriptors from a number on vanish with the execution of another program.
pub(crate) fn close_on_exec_from(first: u32) -> nix::Result<()> {
    // SAFETY: takes integers only, and closes nothing now.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// A descriptor that the caller has handed over.
pub(crate) fn inherited(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: `Descriptors` has found it open before the command opened anything itself, so no other part of the
    // program owns it or closes it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Lets ended children be waited for, whatever the caller does with its own.
pub(crate) fn keep_ended_children() {
    // SAFETY: installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// The size of a terminal's window.
pub(crate) fn window_size(terminal: impl AsFd) -> nix::Result<Winsize> {
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointer is to a structure of the size that this request fills.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    Errno::result(result).map(|_| size)
}

/// Changes the size of a terminal's window.
pub(crate) fn set_window_size(terminal: impl AsFd, size: &Winsize) -> nix::Result<()> {
    // SAFETY: the pointer is to a structure of the size that this request reads.
    let result =
        unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(size)) };
    Errno::result(result).map(drop)
}

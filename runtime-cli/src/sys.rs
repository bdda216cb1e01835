//! The system calls for which nix has no safe function, and below it what the program has in place of a C library's and std's; all `unsafe` of
//! the command is here.
#![allow(unsafe_code)]

mod heap;
#[cfg(all(target_arch = "x86_64", any(target_env = "musl", test)))]
mod memory;
mod start;

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};

pub(crate) use heap::Allocator;
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
    let (last, how) = (libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: takes integers only, and closes nothing now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, how) };
    Errno::result(result).map(drop)
}

/// Standard input, output and error, without the buffers of std's.
pub(crate) fn standard_streams() -> [BorrowedFd<'static>; 3] {
    // SAFETY: they are open from the start on, and nobody closes them.
    let stream = |fd| unsafe { BorrowedFd::borrow_raw(fd) };
    [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO].map(stream)
}

/// A descriptor that the caller has handed over.
pub(crate) fn inherited(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: `Descriptors` has found it open before the command opened anything itself, so no other part of the
    // program owns it or closes it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Standard output, without the buffer of std's.
pub(crate) fn standard_output() -> ManuallyDrop<File> {
    // SAFETY: `start` has opened it where the caller had not, and nobody closes it.
    ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) })
}

/// A child that has ended and is not reaped yet.
pub(crate) fn ended_child() -> Option<i32> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel fills the structure, which has its full size; zeroes are a value of it, and mean no child.
    let pid = unsafe {
        let found = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags);
        if found == 0 { info.assume_init().si_pid() } else { 0 }
    };
    (pid != 0).then_some(pid)
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
    let (fd, size) = (terminal.as_fd().as_raw_fd(), std::ptr::from_ref(size));
    // SAFETY: the pointer is to a structure of the size that this request reads.
    let result = unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, size) };
    Errno::result(result).map(drop)
}

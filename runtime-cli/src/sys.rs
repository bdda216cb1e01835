//! The system calls for which nix has no safe function; all `unsafe` of the command is here.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;
use nix::errno::Errno;
use nix::libc;
use nix::pty::Winsize;

/// dlmalloc behind a lock of std's: the crate's own are calls of libc, which cost more than the allocation between them.
pub(crate) struct Allocator(Mutex<Dlmalloc>);

impl Allocator {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Dlmalloc::new()))
    }

    fn heap(&self) -> MutexGuard<'_, Dlmalloc> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: the heap keeps this trait's contract for one caller at a time, and the lock sees to that. Neither allocates itself.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout has a size, and an alignment that is a power of two.
        unsafe { self.heap().malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller has the block of this heap, by this layout.
        unsafe { self.heap().free(block, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as of `alloc`.
        unsafe { self.heap().calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as of `dealloc`, and the new size is not zero.
        unsafe { self.heap().realloc(block, layout.size(), layout.align(), size) }
    }
}

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

/// Standard input, output and error, without the buffers of std's.
pub(crate) fn standard_streams() -> [BorrowedFd<'static>; 3] {
    // SAFETY: they are open from the start on, and nobody closes them.
    [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO]
        .map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
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
    // SAFETY: the pointer is to a structure of the size that this request reads.
    let result =
        unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(size)) };
    Errno::result(result).map(drop)
}

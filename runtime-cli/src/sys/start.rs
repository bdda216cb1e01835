//! The start of the program, in place of std's. That one also looks for overflows of the stack, with a stack for the handler and ten
//! system calls, to say so before the process ends; without, the same guard page ends it by SIGSEGV.

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process;

use nix::fcntl::{OFlag, open};
use nix::libc::{self, c_char, c_int};
use nix::sys::stat::Mode;

use super::is_open;

/// What the C library calls, with the command line. Tests have a `main` of their own.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    open_standard_streams();
    set_signals();
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: there are as many pointers as the count says, each to a string that is there as long as the process.
    let word = |index| unsafe { CStr::from_ptr(*words.add(index)) };
    let words = (0..count).map(|index| OsStr::from_bytes(word(index).to_bytes()).to_owned());
    crate::command(words.collect::<Vec<OsString>>()).into()
}

/// Puts `/dev/null` where the caller has closed a standard stream, so that no file which is opened later is taken for one.
fn open_standard_streams() {
    for _ in (0..=2).filter(|fd| !is_open(*fd)) {
        match open("/dev/null", OFlag::O_RDWR, Mode::empty()) {
            Ok(null) => drop(std::os::fd::IntoRawFd::into_raw_fd(null)),
            Err(_) => process::abort(),
        }
    }
}

/// Lets a write to a pipe without a reader fail, and ended children be waited for, whatever the caller does with its own.
fn set_signals() {
    // SAFETY: installs no handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

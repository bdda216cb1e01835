//! A seccomp profile compiled to classic BPF.
//!
//! [`compile`] is a pure function: what the kernel has is asked elsewhere. It goes in three steps: `profile`
//! turns every name into a number, `verdicts` finds for each architecture which numbers have the same
//! result, `program` writes that as a binary search.
//!
//! A profile means what it means to the runtimes that use libseccomp. Where several rules name a call, one
//! without conditions stands above all others, the first of them if there are more; of those with
//! conditions that hold, `verdicts::rank` decides; without any, the default action. A call with a number
//! above all that the profile knows gets ENOSYS if the default is to refuse it: programs then fall back to
//! an older call, where EPERM would stop them.

mod arch;
mod bpf;
mod error;
mod profile;
mod program;
mod tables;
mod verdicts;

pub use arch::Arch;
pub use bpf::Instruction;
pub use error::{Error, Fault};

use profile::Profile;

use crate::config;

/// Longest program that the kernel takes.
const MAX_INSTRUCTIONS: usize = 4096;

/// Values that a filter returns.
mod action {
    pub(super) const KILL_THREAD: u32 = 0;
    pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(super) const TRAP: u32 = 0x0003_0000;
    pub(super) const ERRNO: u32 = 0x0005_0000;
    pub(super) const NOTIFY: u32 = 0x7fc0_0000;
    pub(super) const TRACE: u32 = 0x7ff0_0000;
    pub(super) const LOG: u32 = 0x7ffc_0000;
    pub(super) const ALLOW: u32 = 0x7fff_0000;
}

/// Flags of seccomp(2).
mod flag {
    pub(super) const TSYNC: u32 = 1;
    pub(super) const LOG: u32 = 1 << 1;
    pub(super) const SPEC_ALLOW: u32 = 1 << 2;
    pub(super) const NEW_LISTENER: u32 = 1 << 3;
    pub(super) const TSYNC_ESRCH: u32 = 1 << 4;
    pub(super) const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// What the compiler must know beside the profile.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Architecture of this host, in the filter whether the profile lists it or not.
    pub native: Arch,
    /// An unknown system call is an error, not a warning.
    pub strict: bool,
}

/// A filter, ready for seccomp(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// Flags of seccomp(2).
    pub flags: u32,
    /// Loading it gives a descriptor for the listener.
    pub notify: bool,
    /// Names of system calls that nobody knows.
    pub warnings: Vec<Error>,
}

/// Compiles a profile.
pub fn compile(config: &config::Seccomp, options: &Options) -> Result<Filter, Error> {
    let profile = Profile::read(config, options)?;
    let program = program::write(&profile);
    if program.len() > MAX_INSTRUCTIONS {
        let pointer = "/linux/seccomp/syscalls".to_owned();
        return Err(Error { pointer, fault: Fault::TooLong(program.len()) });
    }
    Ok(Filter { program, flags: profile.flags, notify: profile.notify, warnings: profile.warnings })
}

#[cfg(test)]
mod tests;

//! A seccomp profile compiled to classic BPF.
//!
//! [`compile`] is a pure function; `kernel` says what the running kernel would have to know. It goes in three steps: `profile`
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
mod kernel;
mod profile;
mod program;
mod search;
mod tables;
mod verdicts;

pub use arch::Arch;
pub use bpf::Instruction;
pub use error::{Error, Fault};
pub(crate) use kernel::lacking;
pub(crate) use profile::{ACTIONS, FLAGS, operators};

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
pub(crate) mod flag {
    pub(super) const TSYNC: u32 = 1;
    pub(super) const LOG: u32 = 1 << 1;
    pub(super) const SPEC_ALLOW: u32 = 1 << 2;
    pub(crate) const NEW_LISTENER: u32 = 1 << 3;
    pub(super) const TSYNC_ESRCH: u32 = 1 << 4;
    pub(crate) const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// A filter, ready for seccomp(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// Flags of seccomp(2).
    pub flags: u32,
}

impl Filter {
    /// Loading it gives a descriptor for the listener.
    pub fn notifies(&self) -> bool {
        self.flags & flag::NEW_LISTENER != 0
    }
}

/// Whether a profile leaves system calls to an agent, so that loading its filter gives a listener.
pub(crate) fn notifies(config: &config::Seccomp) -> bool {
    config.syscalls.iter().any(|rule| rule.action == "SCMP_ACT_NOTIFY")
}

/// Everything that is wrong with a profile.
pub fn check(config: &config::Seccomp) -> Vec<Error> {
    // What is wrong does not depend on the host.
    Profile::read(config, Arch::X86_64).1
}

/// Compiles a profile. The `native` architecture is in the filter whether the profile lists it or not.
///
/// # Errors
/// The first fault of the profile that [`check`] finds, beside the warnings; or that the program is too long.
pub fn compile(config: &config::Seccomp, native: Arch) -> Result<Filter, Error> {
    let (profile, faults) = Profile::read(config, native);
    if let Some(fatal) = faults.into_iter().find(|error| !error.fault.is_warning()) {
        return Err(fatal);
    }
    let program = program::write(&profile);
    if program.len() > MAX_INSTRUCTIONS {
        let pointer = "/linux/seccomp/syscalls".to_owned();
        return Err(Error { pointer, fault: Fault::TooLong(program.len()) });
    }
    Ok(Filter { program, flags: profile.flags })
}

#[cfg(any(test, fuzzing))]
mod tests;
#[cfg(fuzzing)]
pub use tests::fuzz::judge;

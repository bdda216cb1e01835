//! What can be wrong with a profile.

use thiserror::Error;

use super::MAX_INSTRUCTIONS;

/// A fault of a profile and the place in `config.json` where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{pointer}: {fault}")]
pub struct Error {
    /// JSON pointer to the value at fault.
    pub pointer: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a value of a profile, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Fault {
    #[error("the action is missing, which the specification requires")]
    MissingAction,
    #[error(
        "unknown seccomp action {0:?}: use one of SCMP_ACT_{{ALLOW,ERRNO,KILL,KILL_PROCESS,KILL_THREAD,LOG,NOTIFY,TRACE,TRAP}}"
    )]
    UnknownAction(String),
    #[error("unknown seccomp operator {0:?}: use one of SCMP_CMP_{{NE,LT,LE,EQ,GE,GT,MASKED_EQ}}")]
    UnknownOperator(String),
    #[error(
        "unknown seccomp flag {0:?}: use one of SECCOMP_FILTER_FLAG_{{TSYNC,LOG,SPEC_ALLOW,WAIT_KILLABLE_RECV}}"
    )]
    UnknownFlag(String),
    #[error("{0} has no effect without a rule with SCMP_ACT_NOTIFY: remove it")]
    FlagUnused(String),
    #[error(
        "unknown seccomp architecture {0:?}: use a name of the runtime specification, SCMP_ARCH_X86_64 for one"
    )]
    UnknownArchitecture(String),
    #[error("unknown system call {0:?}, ignored: correct or remove the name")]
    UnknownSyscall(String),
    #[error("the rule names no system call and has no effect: name one, or remove the rule")]
    NoName,
    #[error("the name of a system call is empty: correct or remove it")]
    EmptyName,
    #[error("a system call has no argument {0}: use an index from 0 to 5")]
    ArgumentIndex(u32),
    #[error("error number {value} is too large for {action}: use at most {most}")]
    ErrnoTooLarge { value: u32, action: String, most: u32 },
    #[error("{0} returns no error number: remove it, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE")]
    ErrnoUnused(String),
    #[error(
        "SCMP_ACT_NOTIFY cannot be the default action: name the system calls to be notified of in a rule"
    )]
    NotifyDefault,
    #[error(
        "SCMP_ACT_NOTIFY cannot be used for the write syscall: the runtime needs it to hand over the listener"
    )]
    NotifyWrite,
    #[error("SCMP_ACT_NOTIFY needs a listener: set listenerPath to the socket of one")]
    NoListener,
    #[error("there is no listener to send it to: set listenerPath, or remove it")]
    MetadataUnused,
    #[error(
        "the filter has {0} instructions, but the kernel takes {MAX_INSTRUCTIONS}: remove rules or architectures"
    )]
    TooLong(usize),
    #[error(
        "the kernel has no filters of system calls: use one with CONFIG_SECCOMP_FILTER, or remove the profile"
    )]
    NoFilters,
    #[error("the kernel does not know {0}: use a newer one, or another action")]
    NoAction(String),
    #[error("the kernel does not know {0}: use a newer one, or remove the flag")]
    NoFlag(String),
}

impl Fault {
    /// The filter can be made all the same: a profile may name system calls of kernels to come, or say what has no effect.
    pub fn is_warning(&self) -> bool {
        matches!(self, Fault::UnknownSyscall(_) | Fault::NoName | Fault::FlagUnused(_))
    }
}

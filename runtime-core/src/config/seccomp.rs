//! `/linux/seccomp`: which system calls the container may make.

use serde::{Deserialize, Serialize};

use super::json::{is_default, non_empty, object, or_default};

object!(Seccomp, Syscall, SyscallArg);

/// A system call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to a call that no rule names, `SCMP_ACT_ERRNO` for one.
    #[serde(deserialize_with = "or_default")]
    pub default_action: String,
    /// Error number of that action; absent means EPERM.
    #[serde(skip_serializing_if = "is_default")]
    pub default_errno_ret: Option<u32>,
    /// Architectures beside the native one, `SCMP_ARCH_X86` for one.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub architectures: Vec<String>,
    /// Flags of seccomp(2); absent is not the same as none.
    #[serde(skip_serializing_if = "is_default")]
    pub flags: Option<Vec<String>>,
    /// Socket to which the notify descriptor is sent.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub listener_path: Option<String>,
    /// Text sent along with it.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub listener_metadata: Option<String>,
    /// Rules.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub syscalls: Vec<Syscall>,
}

/// A rule for some system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Syscall {
    /// Names of the calls.
    #[serde(deserialize_with = "or_default")]
    pub names: Vec<String>,
    /// What happens to them.
    #[serde(deserialize_with = "or_default")]
    pub action: String,
    /// Error number of that action; absent means EPERM.
    #[serde(skip_serializing_if = "is_default")]
    pub errno_ret: Option<u32>,
    /// Conditions on the arguments, all of which must hold.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub args: Vec<SyscallArg>,
}

/// A condition on one argument of a system call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SyscallArg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// What it is compared with, or masked with for `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub value_two: u64,
    /// Comparison, `SCMP_CMP_EQ` for one.
    pub op: String,
}

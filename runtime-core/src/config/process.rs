//! `/process`: the program and the conditions it runs under.

use serde::{Deserialize, Serialize};

use super::json::{is_default, non_empty, object, or_default};

object!(Process, ConsoleSize, User, Capabilities, Rlimit, Scheduler, IoPriority, CpuAffinity);

/// The container's process, or one that is executed in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Process {
    /// Whether it gets a pseudoterminal.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub terminal: bool,
    /// First size of that pseudoterminal.
    #[serde(skip_serializing_if = "is_default")]
    pub console_size: Option<ConsoleSize>,
    /// Identity.
    #[serde(deserialize_with = "or_default")]
    pub user: User,
    /// Program and arguments.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub args: Vec<String>,
    /// Command line of another platform, carried but not used.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub command_line: Option<String>,
    /// Environment, `NAME=value` each.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub env: Vec<String>,
    /// Working directory, absolute.
    #[serde(deserialize_with = "or_default")]
    pub cwd: String,
    /// The five capability sets; absent means none at all.
    #[serde(skip_serializing_if = "is_default")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub rlimits: Vec<Rlimit>,
    /// Whether executing a program can never add privileges.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub no_new_privileges: bool,
    /// AppArmor profile.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub apparmor_profile: Option<String>,
    /// Adjustment of the out-of-memory score; absent means inherited.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<i64>,
    /// CPU scheduler.
    #[serde(skip_serializing_if = "is_default")]
    pub scheduler: Option<Scheduler>,
    /// SELinux label.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub selinux_label: Option<String>,
    /// I/O scheduling class.
    #[serde(skip_serializing_if = "is_default")]
    pub io_priority: Option<IoPriority>,
    /// CPU affinity of processes executed in the container.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "is_default")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ConsoleSize {
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
}

/// Identity of the process inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct User {
    /// User id.
    #[serde(deserialize_with = "or_default")]
    pub uid: u32,
    /// Group id.
    #[serde(deserialize_with = "or_default")]
    pub gid: u32,
    /// File mode creation mask.
    #[serde(skip_serializing_if = "is_default")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub additional_gids: Vec<u32>,
    /// User name on another platform, carried but not used.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub username: Option<String>,
}

/// The five capability sets, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Capabilities {
    /// Limit of what executing a file can give.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub bounding: Vec<String>,
    /// What the kernel checks.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub effective: Vec<String>,
    /// What files with inheritable capabilities can keep.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub inheritable: Vec<String>,
    /// What may be made effective.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub permitted: Vec<String>,
    /// What survives executing an ordinary file.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Rlimit {
    /// Its name, `RLIMIT_NOFILE` for one.
    #[serde(rename = "type")]
    pub typ: String,
    /// The limit that holds.
    pub soft: u64,
    /// The limit up to which the process may raise it.
    pub hard: u64,
}

/// CPU scheduler of the process, as for sched_setattr(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Scheduler {
    /// Policy, `SCHED_OTHER` for one.
    #[serde(deserialize_with = "or_default")]
    pub policy: String,
    /// Nice value, for `SCHED_OTHER` and `SCHED_BATCH`.
    #[serde(skip_serializing_if = "is_default")]
    pub nice: Option<i32>,
    /// Static priority, for `SCHED_FIFO` and `SCHED_RR`.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: Option<i32>,
    /// Flags, `SCHED_FLAG_RESET_ON_FORK` for one.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<String>,
    /// Nanoseconds of CPU per period, for `SCHED_DEADLINE`.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime: Option<u64>,
    /// Deadline in nanoseconds, for `SCHED_DEADLINE`.
    #[serde(skip_serializing_if = "is_default")]
    pub deadline: Option<u64>,
    /// Period in nanoseconds, for `SCHED_DEADLINE`.
    #[serde(skip_serializing_if = "is_default")]
    pub period: Option<u64>,
}

/// I/O scheduling class and level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct IoPriority {
    /// Class, `IOPRIO_CLASS_BE` for one.
    #[serde(deserialize_with = "or_default")]
    pub class: String,
    /// Level within the class, 0 the highest.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: Option<i32>,
}

/// CPUs on which an executed process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct CpuAffinity {
    /// While it is being set up.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub initial: Option<String>,
    /// Once it is in the container's cgroup.
    #[serde(rename = "final", deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub last: Option<String>,
}

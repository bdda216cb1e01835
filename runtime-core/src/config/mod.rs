//! The types of `config.json` as this runtime reads them.
//!
//! The types say what the document holds, not whether it makes sense: names out of a fixed list
//! (namespace types, capabilities, resource limits, actions, options) stay strings, and a missing
//! required string is an empty one. [`crate::check`] judges them, each with its JSON pointer.

mod annotations;
mod json;
mod linux;
mod mounts;
mod process;
mod resources;
mod seccomp;
mod template;
mod twins;
mod update;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use annotations::{Annotations, PREFIXES};
pub(crate) use json::{exactly, is_default};
use json::{non_empty, object, or_default, unique_map};
pub(crate) use twins::united;

pub use linux::{Device, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset};
pub use mounts::{IdMapping, Mount};
pub use process::{Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, Syscall, SyscallArg};

object!(Spec, Root, Hooks, Hook);

/// A whole `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Spec {
    /// Version of the specification that the document follows.
    #[serde(deserialize_with = "or_default")]
    pub oci_version: String,
    /// The process to run; without one the container can be created but not started.
    #[serde(skip_serializing_if = "is_default")]
    pub process: Option<Process>,
    /// The root filesystem.
    #[serde(skip_serializing_if = "is_default")]
    pub root: Option<Root>,
    /// Host name, set in a UTS namespace.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub hostname: Option<String>,
    /// NIS domain name, set in a UTS namespace.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub domainname: Option<String>,
    /// Mounts beyond the root, in the order in which they are made.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub mounts: Vec<Mount>,
    /// Programs to run at points of the lifecycle.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub hooks: Hooks,
    /// Metadata of the container, for whoever asks for its state.
    #[serde(deserialize_with = "unique_map", skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Everything that only Linux has.
    #[serde(skip_serializing_if = "is_default")]
    pub linux: Option<Linux>,
    /// Settings of another platform, carried but not used.
    #[serde(skip_serializing_if = "is_default")]
    pub windows: Option<Value>,
    /// Settings of another platform, carried but not used.
    #[serde(skip_serializing_if = "is_default")]
    pub solaris: Option<Value>,
    /// Settings of another platform, carried but not used.
    #[serde(skip_serializing_if = "is_default")]
    pub vm: Option<Value>,
    /// Settings of another platform, carried but not used.
    #[serde(skip_serializing_if = "is_default")]
    pub zos: Option<Value>,
    /// Settings of another platform, carried but not used.
    #[serde(skip_serializing_if = "is_default")]
    pub freebsd: Option<Value>,
}

/// The container's root filesystem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Root {
    /// Its directory, absolute or relative to the bundle.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Whether it is read-only inside the container.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub readonly: bool,
}

/// Programs to run at points of the lifecycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Hooks {
    /// In the runtime's namespaces, before `createRuntime`; deprecated by the specification.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, when the container's namespaces are there, before pivot_root.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before pivot_root.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub create_container: Vec<Hook>,
    /// In the container, before the user's program is executed.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the user's program has been executed.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container has been deleted.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// The lists with their names, in the order in which they are run.
    pub fn by_kind(&self) -> [(&'static str, &[Hook]); 6] {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
    }
}

/// One program to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Hook {
    /// Absolute path of the program.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Its arguments, the first being its name; empty means just the path.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub args: Vec<String>,
    /// Its environment; an absent one is not the same as an empty one.
    #[serde(skip_serializing_if = "is_default")]
    pub env: Option<Vec<String>>,
    /// Seconds after which it is killed.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<i64>,
}

//! `/linux`: namespaces, devices, paths to hide, kernel parameters and the like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::{is_default, non_empty, object, or_default, unique_map};
use super::{IdMapping, Resources, Seccomp};

object!(Linux, Namespace, NetDevice, Device, IntelRdt, MemoryPolicy, Personality, TimeOffset);

/// Everything that only Linux has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Linux {
    /// User ids of a new user namespace.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters.
    #[serde(deserialize_with = "unique_map", skip_serializing_if = "is_default")]
    pub sysctl: BTreeMap<String, String>,
    /// Limits, enforced by cgroups.
    #[serde(skip_serializing_if = "is_default")]
    pub resources: Option<Resources>,
    /// The container's cgroup; absent means one named after its id.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub cgroups_path: Option<String>,
    /// Namespaces to make or to join; a type that is not named is the runtime's own.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub namespaces: Vec<Namespace>,
    /// Network devices to move in, by their name outside.
    #[serde(deserialize_with = "unique_map", skip_serializing_if = "is_default")]
    pub net_devices: BTreeMap<String, NetDevice>,
    /// Device nodes beyond the default ones.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub devices: Vec<Device>,
    /// System call filter.
    #[serde(skip_serializing_if = "is_default")]
    pub seccomp: Option<Seccomp>,
    /// Propagation of the root mount.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub rootfs_propagation: Option<String>,
    /// Paths that cannot be read inside the container.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written inside the container.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub readonly_paths: Vec<String>,
    /// SELinux label of the mounts.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub mount_label: Option<String>,
    /// Cache and memory bandwidth allocation.
    #[serde(skip_serializing_if = "is_default")]
    pub intel_rdt: Option<IntelRdt>,
    /// NUMA memory policy.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_policy: Option<MemoryPolicy>,
    /// Execution domain.
    #[serde(skip_serializing_if = "is_default")]
    pub personality: Option<Personality>,
    /// Offsets of the clocks of a new time namespace, by clock.
    #[serde(deserialize_with = "unique_map", skip_serializing_if = "is_default")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
}

impl Linux {
    /// The entry for namespaces of one type.
    pub fn namespace(&self, typ: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.typ == typ)
    }
}

/// A namespace to make, or to join if it has a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Namespace {
    /// Its type, `pid` for one.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub typ: String,
    /// File that stands for an existing one.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub path: Option<String>,
}

/// A network device of the host that moves into the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct NetDevice {
    /// Its name inside; absent means unchanged.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub name: Option<String>,
}

/// A device node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Device {
    /// `c` or `u` for a character device, `b` for a block device, `p` for a fifo.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub typ: String,
    /// Absolute path inside the container.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Major number; a fifo has none.
    #[serde(skip_serializing_if = "is_default")]
    pub major: Option<i64>,
    /// Minor number; a fifo has none.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: Option<i64>,
    /// Permissions.
    #[serde(skip_serializing_if = "is_default")]
    pub file_mode: Option<u32>,
    /// Owner inside the container.
    #[serde(skip_serializing_if = "is_default")]
    pub uid: Option<u32>,
    /// Group inside the container.
    #[serde(skip_serializing_if = "is_default")]
    pub gid: Option<u32>,
}

/// Settings of resctrl, for cache and memory bandwidth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct IntelRdt {
    /// Class of service; absent means one named after the container.
    #[serde(rename = "closID", deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub clos_id: Option<String>,
    /// Lines of the schemata file.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub schemata: Vec<String>,
    /// Schema of the third-level cache.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub l3_cache_schema: Option<String>,
    /// Schema of the memory bandwidth.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub mem_bw_schema: Option<String>,
    /// Whether the container gets a monitoring group.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub enable_monitoring: bool,
}

impl IntelRdt {
    /// Whether it asks for nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// NUMA memory policy, as for set_mempolicy(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct MemoryPolicy {
    /// Mode, `MPOL_BIND` for one.
    #[serde(deserialize_with = "or_default")]
    pub mode: String,
    /// List of nodes, such as `0-3,7`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub nodes: Option<String>,
    /// Flags, `MPOL_F_STATIC_NODES` for one.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<String>,
}

/// Execution domain, as for personality(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    #[serde(deserialize_with = "or_default")]
    pub domain: String,
    /// Flags; the specification defines none yet.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<String>,
}

/// What is added to a clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct TimeOffset {
    /// Seconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub secs: i64,
    /// Nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub nanosecs: u32,
}

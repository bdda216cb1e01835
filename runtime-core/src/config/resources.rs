//! `/linux/resources`: what cgroups limit. Every limit that is absent is left as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::{is_default, non_empty, object, or_default, unique_map};

object!(
    Resources,
    DeviceRule,
    Memory,
    Cpu,
    Pids,
    BlockIo,
    WeightDevice,
    ThrottleDevice,
    HugepageLimit,
    Network,
    InterfacePriority,
    Rdma
);

/// Limits of a container; also what `update` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Resources {
    /// Files of cgroup v2 and what to write into them.
    #[serde(deserialize_with = "unique_map", skip_serializing_if = "is_default")]
    pub unified: BTreeMap<String, String>,
    /// Device rules; the last one that fits decides.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Option<Memory>,
    /// CPU time and placement.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Option<Cpu>,
    /// Number of tasks.
    #[serde(skip_serializing_if = "is_default")]
    pub pids: Option<Pids>,
    /// Block devices.
    #[serde(rename = "blockIO", skip_serializing_if = "is_default")]
    pub block_io: Option<BlockIo>,
    /// Huge pages, by size.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Classes and priorities of network traffic (cgroup v1).
    #[serde(skip_serializing_if = "is_default")]
    pub network: Option<Network>,
    /// Remote direct memory access, by device.
    #[serde(deserialize_with = "unique_map", skip_serializing_if = "is_default")]
    pub rdma: BTreeMap<String, Rdma>,
}

/// One rule about access to devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct DeviceRule {
    /// Whether what fits is allowed.
    pub allow: bool,
    /// `c`, `b`, or `a` for both; absent means both.
    #[serde(rename = "type", default, deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub typ: Option<String>,
    /// Major number; absent or -1 means any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub major: Option<i64>,
    /// Minor number; absent or -1 means any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub minor: Option<i64>,
    /// Letters of `rwm`; absent means all of them.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub access: Option<String>,
}

/// Memory limits in bytes; -1 means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Memory {
    /// Memory.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: Option<i64>,
    /// Memory that is left to the container when the host is short of it.
    #[serde(skip_serializing_if = "is_default")]
    pub reservation: Option<i64>,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "is_default")]
    pub swap: Option<i64>,
    /// Kernel memory (cgroup v1, and no longer in the kernel).
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: Option<i64>,
    /// Buffers of TCP (cgroup v1).
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    pub kernel_tcp: Option<i64>,
    /// How readily memory is swapped out, 0 to 100 (cgroup v1).
    #[serde(skip_serializing_if = "is_default")]
    pub swappiness: Option<u64>,
    /// Whether processes wait instead of being killed when memory runs out (cgroup v1).
    #[serde(rename = "disableOOMKiller", skip_serializing_if = "is_default")]
    pub disable_oom_killer: Option<bool>,
    /// Whether usage counts in parent cgroups too (cgroup v1).
    #[serde(skip_serializing_if = "is_default")]
    pub use_hierarchy: Option<bool>,
    /// Whether an update below the present usage is refused.
    #[serde(skip_serializing_if = "is_default")]
    pub check_before_update: Option<bool>,
}

/// CPU time and placement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Cpu {
    /// Weight in the scale of cgroup v1.
    #[serde(skip_serializing_if = "is_default")]
    pub shares: Option<u64>,
    /// Microseconds per period; -1 means unlimited.
    #[serde(skip_serializing_if = "is_default")]
    pub quota: Option<i64>,
    /// Microseconds that may be saved up.
    #[serde(skip_serializing_if = "is_default")]
    pub burst: Option<u64>,
    /// Period in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub period: Option<u64>,
    /// Microseconds of realtime scheduling per period.
    #[serde(skip_serializing_if = "is_default")]
    pub realtime_runtime: Option<i64>,
    /// Period of realtime scheduling in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub realtime_period: Option<u64>,
    /// CPUs, such as `0-3,7`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub cpus: Option<String>,
    /// Memory nodes, such as `0,1`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub mems: Option<String>,
    /// Whether the tasks run only when nothing else does: 0 or 1.
    #[serde(skip_serializing_if = "is_default")]
    pub idle: Option<i64>,
}

/// Number of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Pids {
    /// The most there may be; -1 means unlimited.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: Option<i64>,
}

/// Weights and rates of block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct BlockIo {
    /// Weight, 10 to 1000.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: Option<u16>,
    /// Weight against child cgroups (cgroup v1).
    #[serde(skip_serializing_if = "is_default")]
    pub leaf_weight: Option<u16>,
    /// Weights by device.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read per second.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes written per second.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Reads per second.
    #[serde(
        rename = "throttleReadIOPSDevice",
        deserialize_with = "or_default",
        skip_serializing_if = "is_default"
    )]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Writes per second.
    #[serde(
        rename = "throttleWriteIOPSDevice",
        deserialize_with = "or_default",
        skip_serializing_if = "is_default"
    )]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// Weight of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WeightDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Weight, 10 to 1000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: Option<u16>,
    /// Weight against child cgroups (cgroup v1).
    #[serde(default, skip_serializing_if = "is_default")]
    pub leaf_weight: Option<u16>,
}

/// Rate of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ThrottleDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// The most per second; 0 takes the limit away.
    #[serde(default, deserialize_with = "or_default")]
    pub rate: u64,
}

/// Limit of huge pages of one size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct HugepageLimit {
    /// Size of the pages, `2MB` for one.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

/// Classes and priorities of network traffic (cgroup v1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Network {
    /// Class that packets are tagged with.
    #[serde(rename = "classID", skip_serializing_if = "is_default")]
    pub class_id: Option<u32>,
    /// Priorities by interface.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub priorities: Vec<InterfacePriority>,
}

/// Priority of the traffic of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct InterfacePriority {
    /// Name of the interface.
    pub name: String,
    /// Its priority.
    pub priority: u32,
}

/// Limits of one device for remote direct memory access.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Rdma {
    /// Handles.
    #[serde(skip_serializing_if = "is_default")]
    pub hca_handles: Option<u32>,
    /// Objects.
    #[serde(skip_serializing_if = "is_default")]
    pub hca_objects: Option<u32>,
}

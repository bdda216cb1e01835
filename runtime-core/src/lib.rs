//! An OCI container runtime as a library.
//!
//! [`Runtime`] stands for a state root, [`Bundle`] for a directory with a `config.json`, [`Container`] for what is made of it. Nothing
//! here touches what belongs to the whole process of the caller: current directory, umask, signals, environment, standard output.

pub mod bundle;
mod canonical;
pub mod cgroup;
pub mod check;
pub mod config;
mod container;
mod error;
mod features;
mod host;
mod id;
mod init;
mod launch;
mod listing;
#[cfg(feature = "oci-spec")]
mod oci;
pub mod plan;
mod pointer;
mod procfs;
pub mod seccomp;
mod state;
mod sys;
mod timestamp;
pub mod wire;

pub use bundle::Bundle;
pub use cgroup::OomEvents;
pub use container::{
    CacheOccupancy, CgroupDriver, Changes, Container, Containers, CreateOptions, ExecOptions, Exit,
    IntelRdtStats, L3CacheInfo, Listed, MemBwInfo, MemoryBandwidth, NetworkInterface, OCI_VERSION, Prepared,
    Process, Runtime, Start, StartOptions, State, States, Stats, Status,
};
pub use error::{Error, ErrorKind};
pub use features::{
    CgroupFeatures, Enabled, Features, IntelRdtFeatures, LinuxFeatures, MemoryPolicyFeatures,
    MountExtensions, SeccompFeatures, features,
};
pub use host::{Error as HostError, host_procfs};
pub use id::Id;
pub use launch::Error as LaunchError;
pub use timestamp::rfc3339;

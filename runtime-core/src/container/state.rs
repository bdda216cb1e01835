//! What can be said of a container: the state document of the specification.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// The state of a container, with the fields and their order of runc's `state` (specification: runtime.md, "State").
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification that this runtime follows.
    pub oci_version: &'static str,
    /// The container's id.
    pub id: String,
    /// The pid of its first process in the caller's pid namespace; 0 once it has ended.
    pub pid: i32,
    /// What it is doing.
    pub status: Status,
    /// The bundle's directory, absolute.
    pub bundle: PathBuf,
    /// The root file system's directory, absolute.
    pub rootfs: PathBuf,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// `annotations` of the config.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The user who owns it; filled in by `list` alone.
    pub owner: String,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Creating,
    /// It is made, and the payload waits for `start`.
    Created,
    /// The payload runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// The payload has ended.
    Stopped,
}

impl Status {
    /// The specification's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

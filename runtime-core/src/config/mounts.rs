//! `/mounts`, and the id mappings that mounts and user namespaces have in common.

use serde::{Deserialize, Serialize};

use super::json::{is_default, non_empty, object, or_default};

object!(Mount, IdMapping);

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "camelCase")]
pub struct Mount {
    /// Where it goes, seen from the container's root.
    #[serde(deserialize_with = "or_default")]
    pub destination: String,
    /// Filesystem type; for a bind mount anything or nothing.
    #[serde(rename = "type", deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub typ: Option<String>,
    /// Device or name, or the host path of a bind mount (relative to the bundle).
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "is_default")]
    pub source: Option<String>,
    /// Options, in the words of mount(8); those without a meaning there go to the filesystem.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub options: Vec<String>,
    /// User ids of an id-mapped mount.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of an id-mapped mount.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub gid_mappings: Vec<IdMapping>,
}

impl Mount {
    /// Whether it shows something that is mounted elsewhere already.
    pub fn is_bind(&self) -> bool {
        self.typ.as_deref() == Some("bind")
            || self.options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"))
    }
}

/// A range of ids inside and what it stands for outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// Number of ids.
    pub size: u32,
}

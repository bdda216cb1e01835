//! What the container's state keeps of its cgroup: enough to find and to remove it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::dir::Dir;
use super::layout::{Hierarchy, Version, version};

/// Who makes and removes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// This runtime, by the cgroup file systems.
    Cgroupfs,
}

/// A container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Who makes and removes it.
    pub driver: Driver,
    /// Its directory in each hierarchy.
    pub groups: Vec<Group>,
}

/// The container's directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The hierarchy.
    #[serde(flatten)]
    pub hierarchy: Hierarchy,
    /// Path below the hierarchy's root, without a slash at its beginning.
    pub path: String,
    /// How many of the last components of the path were made for this container.
    pub made: usize,
}

impl Saved {
    /// What kind of host it was made on.
    pub fn version(&self) -> Version {
        version(self.groups.iter().map(|group| &group.hierarchy))
    }

    /// The unified hierarchy's directory.
    pub(super) fn unified(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.hierarchy.is_unified())
    }

    /// The directory of a controller of version 1.
    pub(super) fn v1(&self, controller: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.hierarchy.has(controller))
    }

    /// The directories that count processes, best first: the unified one, one of version 1.
    pub(super) fn main(&self) -> Result<&Group, Error> {
        self.unified()
            .or_else(|| self.v1("pids"))
            .or_else(|| self.v1("freezer"))
            .or(self.groups.first())
            .ok_or_else(|| Error::NotCgroup { path: PathBuf::from("/sys/fs/cgroup") })
    }
}

impl Group {
    /// The directory's path on the host.
    pub fn full_path(&self) -> PathBuf {
        self.hierarchy.mount.join(&self.path)
    }

    /// The name under `/sys/fs/cgroup` by which the hierarchy is known, `cpu,cpuacct` for one.
    pub fn name(&self) -> &Path {
        self.hierarchy.mount.file_name().map_or(Path::new(""), Path::new)
    }

    /// The data with which a new mount of the hierarchy is made.
    pub fn mount_data(&self) -> String {
        match self.hierarchy.controllers.as_slice() {
            [name] if name.starts_with("name=") => format!("none,{name},xattr"),
            names => names.join(","),
        }
    }

    /// The root of the hierarchy.
    pub(super) fn root(&self) -> Result<Dir, Error> {
        Dir::root(&self.hierarchy.mount, self.hierarchy.is_unified())
    }

    /// The directory, if it exists.
    pub(super) fn find(&self) -> Result<Option<Dir>, Error> {
        self.root()?.find(&self.path)
    }
}

//! What the container's state keeps of its cgroup: enough to find and to remove it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::layout::{Hierarchy, Version, version};
use super::{Error, Unit};

/// Who makes and removes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// This runtime, by the cgroup file systems.
    Cgroupfs,
    /// systemd, as a scope.
    Systemd,
}

/// A container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Who makes and removes it.
    pub driver: Driver,
    /// Its directory in each hierarchy.
    pub groups: Vec<Group>,
    /// Whether directories that were there before have been found unused, and are the container's now.
    #[serde(default)]
    pub taken: bool,
    /// The host's id of the user who is to own it, where its container may make cgroups below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// systemd's name for it, if systemd makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
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
    /// What a container without a cgroup of its own has: its processes stay in the caller's.
    pub const NONE: Self =
        Self { driver: Driver::Cgroupfs, groups: Vec::new(), taken: false, owner: None, unit: None };

    /// What kind of host it was made on.
    pub fn version(&self) -> Version {
        version(self.groups.iter().map(|group| &group.hierarchy))
    }

    /// The part that is the container's own: after a failed `create` there may be directories of others.
    pub(super) fn owned(&self) -> Self {
        let own = self.groups.iter().filter(|group| self.taken || group.made > 0);
        Self { groups: own.cloned().collect(), ..self.clone() }
    }

    /// The number of files through which the first process will enter it.
    pub(crate) fn files(&self) -> usize {
        let by_itself = |group: &&Group| self.driver == Driver::Cgroupfs && !group.hierarchy.is_unified();
        self.groups.iter().filter(by_itself).count()
    }

    /// The unified hierarchy's directory.
    pub(super) fn unified(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.hierarchy.is_unified())
    }

    /// The directory of a controller of version 1.
    pub(super) fn v1(&self, controller: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.hierarchy.has(controller))
    }

    /// The directory by which to find its processes.
    pub(super) fn main(&self) -> Option<&Group> {
        self.unified().or_else(|| self.v1("pids")).or_else(|| self.v1("freezer")).or(self.groups.first())
    }
}

impl Group {
    /// Whether systemd, where it is the driver, makes the directory and moves processes into it.
    pub(super) fn is_systemds(&self) -> bool {
        self.hierarchy.is_unified() || self.hierarchy.has("name=systemd")
    }

    /// The directory's path on the host.
    pub fn full_path(&self) -> PathBuf {
        self.hierarchy.mount.join(&self.path)
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

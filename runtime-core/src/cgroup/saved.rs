//! What the container's state keeps of its cgroup: enough to find and to remove it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

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
#[serde(from = "Written", into = "Written")]
pub struct Group {
    /// The hierarchy.
    pub hierarchy: Hierarchy,
    /// Path below the hierarchy's root, without a slash at its beginning.
    pub path: String,
    /// How many of the last components of the path were made for this container.
    pub made: usize,
}

/// A group as it is written down: with the fields of its hierarchy beside its own.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    controllers: Vec<String>,
    mount: PathBuf,
    path: String,
    made: usize,
}

impl From<Written> for Group {
    fn from(Written { controllers, mount, path, made }: Written) -> Self {
        Self { hierarchy: Hierarchy::new(controllers, mount), path, made }
    }
}

impl From<Group> for Written {
    fn from(Group { hierarchy: Hierarchy { controllers, mount, .. }, path, made }: Group) -> Self {
        Self { controllers, mount, path, made }
    }
}

/// What of a [`Saved`] says where its processes are stopped, as it stands in what was written down.
#[derive(Debug, Deserialize)]
pub(crate) struct Brief<'a> {
    #[serde(borrow)]
    groups: Vec<BriefGroup<'a>>,
}

/// What of a [`Group`] says where it is.
#[derive(Debug, Deserialize)]
pub(super) struct BriefGroup<'a> {
    #[serde(borrow, default)]
    controllers: Vec<&'a str>,
    mount: &'a str,
    pub(super) path: &'a str,
}

impl Brief<'_> {
    /// The unified hierarchy's directory.
    pub(super) fn unified(&self) -> Option<&BriefGroup<'_>> {
        self.groups.iter().find(|group| group.controllers.is_empty())
    }

    /// The directory of a controller of version 1.
    pub(super) fn v1(&self, controller: &str) -> Option<&BriefGroup<'_>> {
        self.groups.iter().find(|group| group.controllers.contains(&controller))
    }
}

impl BriefGroup<'_> {
    /// Whether it belongs to this hierarchy.
    pub(super) fn is_in(&self, hierarchy: &Hierarchy) -> bool {
        hierarchy.mount.as_os_str() == self.mount && hierarchy.controllers == self.controllers
    }

    /// Its hierarchy.
    pub(super) fn hierarchy(&self) -> Hierarchy {
        let controllers = self.controllers.iter().map(|&name| name.to_owned()).collect();
        Hierarchy::new(controllers, self.mount.into())
    }
}

impl Saved {
    /// What a container without a cgroup of its own has: its processes stay in the caller's.
    pub const NONE: Self =
        Self { driver: Driver::Cgroupfs, groups: Vec::new(), taken: false, owner: None, unit: None };

    /// The same with all its hierarchies closed, for being kept longer than for one operation.
    pub(crate) fn closed(mut self) -> Self {
        self.groups.iter_mut().for_each(|group| group.hierarchy.close());
        self
    }

    /// What kind of host it was made on.
    pub fn version(&self) -> Version {
        version(self.groups.iter().map(|group| &group.hierarchy))
    }

    /// The part that is the container's own: after a failed `create` there may be directories of others.
    pub(super) fn owned(&self) -> Cow<'_, Self> {
        let is_own = |group: &&Group| self.taken || group.made > 0;
        if self.groups.iter().all(|group| is_own(&group)) {
            return Cow::Borrowed(self);
        }
        let own = self.groups.iter().filter(is_own);
        Cow::Owned(Self { groups: own.cloned().collect(), ..self.clone() })
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
    pub(super) fn root(&self) -> Result<Arc<Dir>, Error> {
        self.hierarchy.root()
    }

    /// The directory, if it exists.
    pub(super) fn find(&self) -> Result<Option<Dir>, Error> {
        self.root()?.find(&self.path)
    }

    /// The directory, which has to exist.
    pub(super) fn existing(&self) -> Result<Dir, Error> {
        self.find()?.ok_or_else(|| Error::Gone { path: self.full_path() })
    }
}

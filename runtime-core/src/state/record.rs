//! What is written down of a container, since the bundle may have changed or gone: a short record, which every operation reads, and
//! what is kept of the config, which may be long and is written once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Identity;
use crate::cgroup;
use crate::config::{Hooks, MemoryPolicy, Personality, Process, Resources, Seccomp, is_default};
use crate::container::Resctrl;
use crate::error::Error;
use crate::plan::IdMaps;

/// The version of the record that this library writes; it reads all older ones.
pub(crate) const VERSION: u32 = 2;

/// From this version on what is kept of the config is a file of its own; before, it was part of the record.
const CONFIG_APART: u32 = 2;

/// A container as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// [`VERSION`] of the writer.
    pub(crate) version: u32,
    /// The container's id.
    pub(crate) id: String,
    /// When it was made: RFC 3339, UTC.
    pub(crate) created: String,
    /// The bundle's directory.
    pub(crate) bundle: PathBuf,
    /// The root file system's directory.
    pub(crate) rootfs: PathBuf,
    /// There are annotations in what is kept of the config.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) annotated: bool,
    /// Its profile of system calls leaves some to an agent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) notifies: bool,
    /// Who makes it; absent once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) creator: Option<Creator>,
    /// Its first process; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<Init>,
    /// Its cgroup, written down before it is made.
    pub(crate) cgroup: cgroup::Saved,
    /// The limits in force, without the device rules. Half of a record, which no more than an update looks at.
    #[serde(default)]
    pub(crate) resources: Box<Resources>,
    /// Its class of service, if it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resctrl: Option<Resctrl>,
    /// `hooks` of the config: those that run after `create`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) hooks: Hooks,
    /// The environment of hooks that give none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hook_env: Vec<String>,
    /// `CLONE_NEW*` bits of the namespaces that it does not share with the runtime: what `exec` joins.
    pub(crate) namespaces: u32,
    /// Where its root is mounted.
    #[serde(default)]
    pub(crate) root: RootMount,
    /// The ids of its user namespace, if it has one that is not the runtime's.
    #[serde(default, skip_serializing_if = "IdMaps::is_empty")]
    pub(crate) id_maps: IdMaps,
    /// The label of its file systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mount_label: Option<String>,
    /// It has a pid namespace of its own, so that all its processes end with its first one.
    pub(crate) own_pid_namespace: bool,
}

impl Record {
    /// What is kept of the config is part of this record's file.
    pub(super) fn holds_config(&self) -> bool {
        self.version < CONFIG_APART
    }

    /// Fills in what a record with all of the config in it did not have to say.
    pub(super) fn complete(&mut self, config: &KeptConfig<'_>) {
        self.annotated = !config.annotations.is_empty();
        self.notifies = config.notifies();
    }
}

/// What `exec`, hooks and the state document need of the config.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptConfig<'a> {
    /// `annotations`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) annotations: Cow<'a, BTreeMap<String, String>>,
    /// `process`: what `exec` starts from.
    pub(crate) process: Cow<'a, Process>,
    /// The execution domain of its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) personality: Option<Cow<'a, Personality>>,
    /// The memory policy of its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_policy: Option<Cow<'a, MemoryPolicy>>,
    /// Its processes stay in the session keyring of whoever starts them.
    pub(crate) no_new_keyring: bool,
    /// `linux.seccomp`, for `exec`. Left as it is: it is long, and nobody else reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seccomp: Option<Box<RawValue>>,
}

impl KeptConfig<'_> {
    /// A profile as it is written down.
    pub(crate) fn keep_profile(profile: &Seccomp) -> Result<Box<RawValue>, Error> {
        to_raw_value(profile).map_err(Self::no_profile)
    }

    /// The profile that a new process gets.
    pub(crate) fn profile(&self) -> Result<Option<Seccomp>, Error> {
        let kept = self.seccomp.as_ref();
        kept.map(|kept| serde_json::from_str(kept.get())).transpose().map_err(Self::no_profile)
    }

    /// The profile leaves system calls to an agent. Not parsed for that: the name means nothing else anywhere in it.
    fn notifies(&self) -> bool {
        self.seccomp.as_ref().is_some_and(|kept| kept.get().contains("\"SCMP_ACT_NOTIFY\""))
    }

    fn no_profile(error: serde_json::Error) -> Error {
        Error::State { path: "linux.seccomp".into(), reason: error.to_string() }
    }
}

/// Whose mount namespace holds a container's root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RootMount {
    /// Its own.
    #[default]
    Own,
    /// One that it has joined, where its mounts stay and its root is a chroot.
    Joined,
    /// The runtime's, over the mount with this id; its root is a chroot.
    Over(u64),
}

/// The process that makes a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Creator {
    /// Which one.
    pub(crate) identity: Identity,
    /// It is a `corten` command, not an embedding program, so a forced delete may end it.
    pub(crate) command: bool,
}

/// A container's first process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Init {
    /// Which one.
    pub(crate) identity: Identity,
    /// Device and inode of the program that it runs until the payload takes its place.
    pub(crate) image: (u64, u64),
    /// No other file has these until the next boot.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) image_is_unique: bool,
}

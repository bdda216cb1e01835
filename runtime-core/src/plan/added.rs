//! Mounts that are made in a container which runs already, or taken from it.

use std::collections::BTreeMap;
use std::path::Path;

use super::builder::{Builder, Plan};
use super::idmap::{MountMaps, UserIds};
use super::labels::MountLabel;
use super::mounts::{Entry, Surroundings};
use super::namespaces::{MOUNT, USER};
use super::paths::below;
use super::{Error, Facts, IdMaps, join};
use crate::config::Mount;
use crate::wire::{Step, Str};

/// File systems that show what the container's masks and read-only paths hide, or depend on which process mounts them.
const OF_KERNEL: [&str; 5] = ["proc", "sysfs", "cgroup", "cgroup2", "mqueue"];

/// What is known of the running container.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// `annotations` of its configuration.
    pub annotations: &'a BTreeMap<String, String>,
    /// The label of its file systems.
    pub mount_label: Option<&'a str>,
    /// The namespaces that the container does not share with the caller: `CLONE_NEW*` bits.
    pub namespaces: u32,
    /// The ids of its user namespace, as far as its configuration gave them.
    pub id_maps: &'a IdMaps,
}

impl Running<'_> {
    /// Whether its user namespace is one whose ids the configuration did not give.
    pub(crate) fn joins_user_namespace(&self) -> bool {
        self.namespaces & USER != 0 && self.id_maps.is_empty()
    }
}

/// The plan for mounts that are added; their pointers are those of a document that is the list.
pub fn mounts_added(mounts: &[Mount], facts: &Facts, running: &Running<'_>) -> Result<Plan, Error> {
    // What is outside the container only the host side can open.
    let mut builder = Builder::new(true);
    builder.host().locked_trees = running.namespaces & USER != 0;
    enter(&mut builder, facts, running);
    let joined = running.joins_user_namespace();
    let surroundings = Surroundings {
        bundle: running.bundle,
        root: None,
        ids: UserIds { maps: running.id_maps, joined: joined.then_some(MountMaps::Running) },
    };
    let label = running.mount_label.map(|label| MountLabel::new(label, running.annotations));
    for (index, mount) in mounts.iter().enumerate() {
        let entry = Entry::read(mount, format!("/{index}"), None)?;
        outside_kernel(&entry)?;
        let refuse = |field: &str, why: &str| Err(Error::at(format!("{}/{field}", entry.at), why));
        match mount.typ.as_deref() {
            _ if entry.options.remount => {
                return refuse("options", "what is added is a new mount: there is nothing to remount");
            }
            _ if entry.is_bind() && !facts.may_mount => {
                return refuse(
                    "source",
                    "a runtime without privileges cannot bring files of the host into a running container",
                );
            }
            _ if entry.is_bind() => entry.bind(&mut builder, &surroundings)?,
            Some(kind) if OF_KERNEL.contains(&kind) => {
                return refuse(
                    "type",
                    "a file system of the kernel's own cannot be added to a running container",
                );
            }
            _ if entry.options.copy_up && entry.options.read_only() => {
                return refuse("options", "tmpcopyup writes to what would be read-only from the beginning");
            }
            Some(kind) => {
                entry.filesystem(&mut builder, kind, label, true)?;
            }
            None => return refuse("type", "the filesystem type is missing"),
        }
    }
    builder.add("", Step::AwaitStart { gate: None });
    Ok(builder.finish())
}

/// The plan for mounts that are removed, the last first: those on top at their destinations.
pub fn mounts_removed(mounts: &[Mount], facts: &Facts, running: &Running<'_>) -> Result<Plan, Error> {
    let mut builder = Builder::new(false);
    enter(&mut builder, facts, running);
    for (index, mount) in mounts.iter().enumerate().rev() {
        let entry = Entry::read(mount, format!("/{index}"), None)?;
        outside_kernel(&entry)?;
        let target = Str::from(entry.target.as_str());
        builder.add(entry.at.clone(), Step::Unmount { target, mount: None });
    }
    builder.add("", Step::AwaitStart { gate: None });
    Ok(builder.finish())
}

/// The plan that takes back what another has added: by which of its steps, and the number of the mount. No other mount goes,
/// and what cannot be taken back does not keep the rest.
pub fn mounts_undone(added: &Plan, made: &[(u32, u32)], facts: &Facts, running: &Running<'_>) -> Plan {
    let mut builder = Builder::new(false);
    enter(&mut builder, facts, running);
    for &(step, mount) in made.iter().rev() {
        let number = step as usize;
        if let Some(
            Step::BindMount { target, .. } | Step::MountFs { target, .. } | Step::MountData { target, .. },
        ) = added.step(number)
        {
            let origin = added.origin(number).unwrap_or_default().to_owned();
            builder.add(origin, Step::Unmount { target, mount: Some(mount) });
        }
    }
    builder.add("", Step::AwaitStart { gate: None });
    builder.finish()
}

/// What lies over the kernel's files hides something, but for the few that may be mounted over `/proc`: so nothing is taken away there,
/// nor added, which could not be removed again.
fn outside_kernel(entry: &Entry<'_>) -> Result<(), Error> {
    let target = entry.target.as_str();
    if matches!(target, "/proc" | "/sys") || below(target, "/sys") {
        let why = format!(
            "{target:?} belongs to the kernel's file systems, whose mounts stay as the config has them"
        );
        return Err(Error::at(format!("{}/destination", entry.at), why));
    }
    Ok(())
}

/// Goes where the container's mounts are, as the root of its user namespace.
fn enter(builder: &mut Builder, facts: &Facts, running: &Running<'_>) {
    builder.add("", Step::Undumpable {});
    builder.add("", Step::DieWithParent {});
    builder.add("", Step::ResetSignals {});
    let user = running.namespaces & USER;
    // A privileged caller enters the mount namespace by its own right; another one has that in the user namespace alone.
    let (first, then) = if facts.may_mount { (MOUNT, user) } else { (MOUNT | user, 0) };
    join(builder, running.id_maps.root(), false, first);
    join(builder, running.id_maps.root(), false, then);
    builder.add("", Step::DieWithParent {});
    builder.add("", Step::OpenRoot {});
}

//! Mounts of type `cgroup`: the container's view of its cgroups, whatever version the host has.

use std::iter;
use std::path::Path;

use super::builder::{Bind, Builder};
use super::labels::MountLabel;
use super::mounts::{Entry, set, setting};
use super::namespaces::{CGROUP, Namespaces};
use super::options::{HARMLESS, READ_ONLY};
use super::{Error, IdMaps, Options};
use crate::cgroup::{Group, Hierarchy};
use crate::config::{Mount, Spec};
use crate::wire::{Attrs, List, Setting, Step, Str};

pub(super) fn plan(
    builder: &mut Builder,
    entry: &Entry<'_>,
    namespaces: &Namespaces<'_>,
    options: &Options<'_>,
    label: Option<MountLabel<'_>>,
) -> Result<(), Error> {
    if options.cgroup.groups.is_empty() {
        // A container without a cgroup of its own sees what its caller sees.
        bind(builder, entry, Path::new("/sys/fs/cgroup"), &entry.target);
        return Ok(());
    }
    let separate = namespaces.has(CGROUP);
    let unified = match options.cgroup.groups {
        [group] if group.hierarchy.is_unified() => Some(group),
        _ => None,
    };
    if unified.is_some() && separate {
        mount_unified(builder, entry);
        return Ok(());
    }
    if !entry.options.data.is_empty() {
        let message = format!("{:?} is not an option of a cgroup mount", entry.options.data.join(","));
        return Err(Error::at(format!("{}/options", entry.at), message));
    }
    match unified {
        // A mount of cgroup2 from the host's cgroup namespace shows the same and takes the kernel far longer.
        Some(group) => bind(builder, entry, &group.hierarchy.mount, &entry.target),
        None => split(builder, entry, options.cgroup.groups, separate, label)?,
    }
    Ok(())
}

/// The host's id of the user to whom a container's cgroup belongs, where it is to belong to another than the runtime: the
/// payload's user, in a cgroup namespace of the container's own that it sees through a writable mount.
pub fn cgroup_owner(spec: &Spec) -> Option<u32> {
    const ROOT: &str = "/sys/fs/cgroup";
    let linux = spec.linux.as_ref()?;
    let is_new = |kind| linux.namespace(kind).is_some_and(|namespace| namespace.path.is_none());
    let is_writable = |mount: &Mount| {
        let is_there = Path::new("/").join(&mount.destination) == Path::new(ROOT);
        is_there && mount.source.as_deref() == Some("cgroup") && !mount.options.iter().any(|o| o == "ro")
    };
    if !is_new("cgroup") || !spec.mounts.iter().any(is_writable) {
        return None;
    }
    let user = spec.process.as_ref()?.user.uid;
    match linux.namespace("user") {
        None => Some(user),
        Some(_) => IdMaps::of(spec).host_user(user),
    }
}

/// The unified hierarchy, of which a cgroup namespace shows the container's part.
fn mount_unified(builder: &mut Builder, entry: &Entry<'_>) {
    let settings: Vec<Setting<'_>> = entry.settings().into_iter().map(setting).collect();
    let step = Step::MountFs {
        fstype: Str::from("cgroup2"),
        source: Some(Str::from(entry.mount.source.as_deref().unwrap_or("cgroup"))),
        options: List::Items(&settings),
        attrs: entry.options.attrs,
        target: Str::from(entry.target.as_str()),
        nofollow: true,
        keep_mode: false,
        keep: None,
        copy_up: false,
    };
    builder.add(entry.at.clone(), step);
}

/// The hierarchies of version 1 in a tmpfs, named as on the host; without a cgroup namespace each is a bind of the
/// container's own part.
fn split(
    builder: &mut Builder,
    entry: &Entry<'_>,
    groups: &[Group],
    separate: bool,
    label: Option<MountLabel<'_>>,
) -> Result<(), Error> {
    let tmpfs = builder.slot(&entry.at)?;
    let label = label.map(MountLabel::option);
    let settings: Vec<Setting<'_>> = iter::once("mode=755").chain(label.as_deref()).map(setting).collect();
    let attrs = Attrs { set: HARMLESS, propagation: entry.options.attrs.propagation, ..Attrs::default() };
    let step = Step::MountFs {
        fstype: Str::from("tmpfs"),
        source: Some(Str::from("tmpfs")),
        options: List::Items(&settings),
        attrs,
        target: Str::from(entry.target.as_str()),
        nofollow: true,
        keep_mode: false,
        keep: Some(tmpfs),
        copy_up: false,
    };
    builder.add(entry.at.clone(), step);

    for group in groups.iter().filter(|group| !group.hierarchy.is_unified()) {
        let Hierarchy { controllers, mount, .. } = &group.hierarchy;
        let name = mount.file_name().unwrap_or_default().to_string_lossy();
        let target = format!("{}/{name}", entry.target);
        if separate {
            version_one(builder, entry, controllers, &target);
        } else {
            bind(builder, entry, &group.full_path(), &target);
        }
        for controller in controllers.iter().filter(|controller| !is_name(&name, controller)) {
            let path = format!("{}/{controller}", entry.target);
            let link = Step::MakeSymlink { target: Str::from(&*name), path: Str::from(path.as_str()) };
            builder.add(entry.at.clone(), link);
        }
    }
    if entry.options.read_only() {
        builder.add(entry.at.clone(), Step::MountSetattr { slot: tmpfs, attrs: READ_ONLY });
    }
    Ok(())
}

/// Whether a hierarchy's directory has the name of a controller or of the hierarchy itself (`name=systemd`).
fn is_name(directory: &str, controller: &str) -> bool {
    controller.strip_prefix("name=").unwrap_or(controller) == directory
}

/// One hierarchy of version 1, of which the cgroup namespace shows the container's part.
fn version_one(builder: &mut Builder, entry: &Entry<'_>, controllers: &[String], target: &str) {
    let settings: Vec<Setting<'_>> = controllers.iter().map(|word| setting(word)).collect();
    let mut attrs = set(HARMLESS);
    if entry.options.read_only() {
        attrs.set |= READ_ONLY.set;
    }
    let step = Step::MountFs {
        fstype: Str::from("cgroup"),
        source: Some(Str::from("cgroup")),
        options: List::Items(&settings),
        attrs,
        target: Str::from(target),
        nofollow: true,
        keep_mode: false,
        keep: None,
        copy_up: false,
    };
    builder.add(entry.at.clone(), step);
}

fn bind(builder: &mut Builder, entry: &Entry<'_>, source: &Path, target: &str) {
    // On version 1 each hierarchy below is a mount of its own.
    let given = entry.options.attrs;
    let attrs = Attrs { set_all: given.set_all | given.set & (READ_ONLY.set | HARMLESS), ..given };
    let bind = Bind { source, recursive: true, attrs, target, nofollow: true, ..Bind::default() };
    builder.bind(entry.at.clone(), &bind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_the_cgroup() {
        let owner = |user: u32, namespaces: &str, destination: &str, options: &str| {
            let text = format!(
                r#"{{"ociVersion": "1.2.0", "process": {{"cwd": "/", "user": {{"uid": {user}, "gid": 0}}}},
                    "mounts": [{{"destination": "{destination}", "type": "cgroup", "source": "cgroup", "options": [{options}]}}],
                    "linux": {{"namespaces": [{namespaces}], "uidMappings": [{{"containerID": 0, "hostID": 70000, "size": 10}}]}}}}"#
            );
            cgroup_owner(&serde_json::from_str(&text).unwrap())
        };
        const BOTH: &str = r#"{"type": "cgroup"}, {"type": "user"}"#;
        const CGROUP: &str = "/sys/fs/cgroup";
        assert_eq!(owner(0, BOTH, CGROUP, ""), Some(70_000));
        assert_eq!(owner(7, BOTH, "/sys/fs/cgroup/", r#""rw", "nosuid""#), Some(70_007));
        assert_eq!(owner(10, BOTH, CGROUP, ""), None, "not mapped");
        assert_eq!(owner(7, r#"{"type": "cgroup"}"#, CGROUP, ""), Some(7));
        assert_eq!(owner(0, BOTH, CGROUP, r#""ro""#), None);
        assert_eq!(owner(0, BOTH, "/cgroup", ""), None);
        assert_eq!(owner(0, r#"{"type": "user"}"#, CGROUP, ""), None);
        let joined = r#"{"type": "cgroup", "path": "/proc/1/ns/cgroup"}, {"type": "user"}"#;
        assert_eq!(owner(0, joined, CGROUP, ""), None);
    }
}

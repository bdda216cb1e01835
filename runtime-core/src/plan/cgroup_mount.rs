//! Mounts of type `cgroup`: the container's view of its cgroups, whatever version the host has.

use std::path::Path;

use super::builder::{Bind, Builder};
use super::mounts::{Entry, set, setting};
use super::namespaces::{CGROUP, Namespaces};
use super::options::{HARMLESS, READ_ONLY};
use super::{Error, Options};
use crate::cgroup::{Group, Hierarchy};
use crate::wire::{Attrs, List, Setting, Step, Str};

pub(super) fn plan(
    builder: &mut Builder,
    entry: &Entry<'_>,
    namespaces: &Namespaces<'_>,
    options: &Options<'_>,
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
        None => split(builder, entry, options.cgroup.groups, separate)?,
    }
    Ok(())
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
fn split(builder: &mut Builder, entry: &Entry<'_>, groups: &[Group], separate: bool) -> Result<(), Error> {
    let tmpfs = builder.slot(&entry.at)?;
    let attrs = Attrs { set: HARMLESS, propagation: entry.options.attrs.propagation, ..Attrs::default() };
    let step = Step::MountFs {
        fstype: Str::from("tmpfs"),
        source: Some(Str::from("tmpfs")),
        options: List::Items(&[setting("mode=755")]),
        attrs,
        target: Str::from(entry.target.as_str()),
        nofollow: true,
        keep_mode: false,
        keep: Some(tmpfs),
        copy_up: false,
    };
    builder.add(entry.at.clone(), step);

    for group in groups.iter().filter(|group| !group.hierarchy.is_unified()) {
        let Hierarchy { controllers, mount } = &group.hierarchy;
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
    let bind =
        Bind { source, recursive: true, attrs: entry.options.attrs, ids: None, target, nofollow: true };
    builder.bind(entry.at.clone(), &bind);
}

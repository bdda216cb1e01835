//! `/mounts`. Most options are not judged: those that are none of mount(8) are the filesystem's.

use std::fmt::{self, Display};

use super::id_maps;
use super::report::{Report, has_parent, quote};
use crate::config::Mount;

/// The pointer of a mount, put together where there is something to say.
#[derive(Clone, Copy)]
struct At<'a>(&'a str, usize);

impl Display for At<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(list, index) = self;
        write!(formatter, "{list}/{index}")
    }
}

pub(super) fn check(mounts: &[Mount], list: &str, report: &mut Report) {
    for (index, mount) in mounts.iter().enumerate() {
        let at = At(list, index);
        destination(&mount.destination, at, report);
        match &mount.source {
            Some(source) => report.length(format_args!("{at}/source"), source),
            None if mount.is_bind() => {
                report.error(format_args!("{at}/source"), "a bind mount needs a source");
            }
            None => {}
        }
        if !mount.is_bind() && mount.typ.is_none() {
            report
                .error(format_args!("{at}/type"), "the filesystem type is missing")
                .hint("for a bind mount give the option bind or rbind");
        }
        if mount.is_bind() {
            settings(mount, at, report);
        }
        kinds(mount, at, report);
        if index > 0 && mount.destination.split('/').all(|part| matches!(part, "" | ".")) {
            report
                .error(format_args!("{at}/destination"), "only the first of the mounts can be the root")
                .hint("give the root file system as the first mount, or as /root/path");
        }
        id_maps::ranges(&mount.uid_mappings, format_args!("{at}/uidMappings"), report);
        id_maps::ranges(&mount.gid_mappings, format_args!("{at}/gidMappings"), report);
    }
}

/// Options that mean something for one kind of mount alone.
fn kinds(mount: &Mount, at: At<'_>, report: &mut Report) {
    let pointer = || format!("{at}/options");
    let has = |word: &str| mount.options.iter().any(|option| option == word);
    let links = has("src-nofollow") || has("dest-nofollow");
    if (links || has("copy-symlink")) && !mount.is_bind() {
        report
            .error(pointer(), "only a bind mount can have copy-symlink, src-nofollow and dest-nofollow")
            .hint("give the option bind or rbind");
    } else if links && has("copy-symlink") {
        report.error(pointer(), "copy-symlink excludes src-nofollow and dest-nofollow");
    }
    if has("tmpcopyup") && mount.typ.as_deref() != Some("tmpfs") {
        report.error(pointer(), "only a tmpfs can have tmpcopyup");
    }
}

/// The kernel takes a bind mount's filesystem as it is.
fn settings(mount: &Mount, at: At<'_>, report: &mut Report) {
    let remount = mount.options.iter().any(|option| option == "remount");
    for (index, option) in mount.options.iter().enumerate() {
        let id_maps = ["idmap=", "ridmap="].iter().any(|word| option.starts_with(word));
        if option.contains('=') && !remount && !id_maps {
            let message = format!("{} has no effect on a bind mount", quote(option));
            report.warning(format_args!("{at}/options/{index}"), message);
        }
    }
}

fn destination(destination: &str, at: At<'_>, report: &mut Report) {
    let pointer = || format!("{at}/destination");
    report.length(format_args!("{at}/destination"), destination);
    if destination.is_empty() {
        report.error(pointer(), "the destination must not be empty");
    } else if has_parent(destination) {
        report
            .error(pointer(), format!("{} has a part `..`", quote(destination)))
            .hint("write the path without it");
    } else if !destination.starts_with('/') {
        report
            .warning(pointer(), format!("{} is not absolute and taken as relative to /", quote(destination)))
            .hint("relative destinations are deprecated");
    }
}

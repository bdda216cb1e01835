//! The ids of user namespaces: the ranges themselves, and whether the ids that a configuration uses lie in them.

use std::fmt::Arguments;

use super::report::Report;
use crate::config::{IdMapping, Linux, Mount, Spec};

/// More ranges than these the kernel does not take.
const MOST: usize = 340;

/// Judges the ranges of one id mapping.
pub(super) fn ranges(mappings: &[IdMapping], at: Arguments<'_>, report: &mut Report) {
    if mappings.is_empty() {
        return;
    }
    if mappings.len() > MOST {
        report.error(at, format!("{} ranges are more than the {MOST} that the kernel takes", mappings.len()));
    }
    for (index, mapping) in mappings.iter().enumerate() {
        if mapping.size == 0 {
            report.error(format_args!("{at}/{index}/size"), "the range is empty");
        }
        for (field, first) in [("containerID", mapping.container_id), ("hostID", mapping.host_id)] {
            if first.checked_add(mapping.size).is_none() {
                report.error(format_args!("{at}/{index}/{field}"), "the range goes beyond the largest id");
            }
        }
    }
    overlaps(mappings, at, "containerID", |mapping| mapping.container_id, report);
    overlaps(mappings, at, "hostID", |mapping| mapping.host_id, report);
}

fn overlaps(
    mappings: &[IdMapping],
    at: Arguments<'_>,
    field: &str,
    first: impl Fn(&IdMapping) -> u32,
    report: &mut Report,
) {
    let mut sorted: Vec<(usize, &IdMapping)> = mappings.iter().enumerate().collect();
    sorted.sort_by_key(|(_, mapping)| first(mapping));
    for ((other, below), (index, above)) in sorted.iter().zip(sorted.iter().skip(1)) {
        if below.size > 0 && first(below).saturating_add(below.size) > first(above) {
            report.error(format_args!("{at}/{index}/{field}"), format!("the range overlaps range {other}"));
        }
    }
}

/// Judges the ids of a configuration whose user namespace has the mappings that stand in it.
pub(super) fn check(spec: &Spec, linux: &Linux, report: &mut Report) {
    let Some(user) = linux.namespace("user") else { return };
    let maps = [("uid", "uidMappings", &linux.uid_mappings), ("gid", "gidMappings", &linux.gid_mappings)];
    if user.path.is_none() {
        for (_, field, _) in maps.iter().filter(|(_, _, mappings)| mappings.is_empty()) {
            report
                .error(format_args!("/linux/{field}"), "a new user namespace needs mappings")
                .hint("{\"containerID\": 0, \"hostID\": ..., \"size\": ...} for one");
        }
    }
    for (name, field, mappings) in maps.into_iter().filter(|(_, _, mappings)| !mappings.is_empty()) {
        let mut judge = |at: String, id: u32| {
            if !mappings
                .iter()
                .any(|range| id.checked_sub(range.container_id).is_some_and(|id| id < range.size))
            {
                report.error(at, format!("{name} {id} is not mapped")).hint(format!("see /linux/{field}"));
            }
        };
        if let Some(process) = &spec.process {
            let (id, others) = match name {
                "uid" => (process.user.uid, &[][..]),
                _ => (process.user.gid, &process.user.additional_gids[..]),
            };
            judge(format!("/process/user/{name}"), id);
            for (index, id) in others.iter().enumerate() {
                judge(format!("/process/user/additionalGids/{index}"), *id);
            }
        }
        for (index, mount) in spec.mounts.iter().enumerate().filter(|(_, mount)| !mount.is_bind()) {
            for (option, id) in ids_of(mount, name) {
                judge(format!("/mounts/{index}/options/{option}"), id);
            }
        }
    }
}

/// The ids that options of a mount give, each with the option's place.
fn ids_of<'a>(mount: &'a Mount, name: &'a str) -> impl Iterator<Item = (usize, u32)> + 'a {
    mount.options.iter().enumerate().filter_map(move |(index, option)| {
        let (key, value) = option.split_once('=')?;
        if key == name { Some((index, value.parse().ok()?)) } else { None }
    })
}

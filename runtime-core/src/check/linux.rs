//! `/linux`: what has no file of its own.

use super::report::{Report, quote};
use super::{id_maps, ids, resources, schedule, sysctl};
use crate::config::{Device, IntelRdt, Linux, NetDevice};
use crate::pointer;

/// Largest device numbers: the kernel has 12 and 20 bits for them.
pub(super) const MAX_MAJOR: i64 = (1 << 12) - 1;
pub(super) const MAX_MINOR: i64 = (1 << 20) - 1;

pub(super) fn check(linux: &Linux, report: &mut Report) {
    id_maps::ranges(&linux.uid_mappings, format_args!("/linux/uidMappings"), report);
    id_maps::ranges(&linux.gid_mappings, format_args!("/linux/gidMappings"), report);
    for (index, device) in linux.devices.iter().enumerate() {
        check_device(device, &format!("/linux/devices/{index}"), report);
    }
    for (field, paths) in [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)] {
        for (index, path) in paths.iter().enumerate() {
            report.inside_path(format_args!("/linux/{field}/{index}"), path);
        }
    }
    sysctl::check(&linux.sysctl, report);
    if let Some(propagation) = &linux.rootfs_propagation {
        root_propagation(propagation, report);
    }
    if let Some(path) = &linux.cgroups_path {
        report.length("/linux/cgroupsPath", path);
        cgroups_path(path, report);
    }
    if let Some(resources) = &linux.resources {
        resources::check(resources, "/linux/resources", report);
    }
    for (name, device) in &linux.net_devices {
        net_device(name, device, report);
    }
    for (clock, offset) in &linux.time_offsets {
        let at = format!("/linux/timeOffsets/{}", pointer::escape(clock));
        report.one_of(at.clone(), clock, &["boottime", "monotonic"]);
        if offset.nanosecs >= 1_000_000_000 {
            report.error(format_args!("{at}/nanosecs"), format!("{} is a second or more", offset.nanosecs));
        }
    }
    if let Some(personality) = &linux.personality {
        schedule::personality(personality, report);
    }
    if let Some(policy) = &linux.memory_policy {
        schedule::memory_policy(policy, report);
    }
    if let Some(rdt) = &linux.intel_rdt {
        intel_rdt(rdt, report);
    }
}

fn check_device(device: &Device, at: &str, report: &mut Report) {
    report.one_of(format_args!("{at}/type"), &device.typ, &["c", "b", "u", "p"]);
    report.inside_path(format_args!("{at}/path"), &device.path);
    for (field, number, max) in [("major", device.major, MAX_MAJOR), ("minor", device.minor, MAX_MINOR)] {
        match number {
            None if device.typ != "p" => {
                report.error(format_args!("{at}/{field}"), "the device number is missing");
            }
            Some(number) if !(0..=max).contains(&number) => {
                report.error(format_args!("{at}/{field}"), format!("{number} is not between 0 and {max}"));
            }
            _ => {}
        }
    }
    // Some engines leave the bits of the file type in.
    if let Some(mode) = device.file_mode.filter(|mode| mode & !0o177_777 != 0) {
        report.error(format_args!("{at}/fileMode"), format!("{mode} is not a file mode"));
    }
    for (field, id) in [("uid", device.uid), ("gid", device.gid)] {
        if let Some(id) = id {
            ids::check(format_args!("{at}/{field}"), id, report);
        }
    }
}

fn root_propagation(propagation: &str, report: &mut Report) {
    report.one_of(
        "/linux/rootfsPropagation",
        propagation,
        &["private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable"],
    );
}

/// A path may go up again, but not above where it starts.
fn cgroups_path(path: &str, report: &mut Report) {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => {
                report.error("/linux/cgroupsPath", format!("{} leads out of the hierarchy", quote(path)));
                return;
            }
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    if path.contains('\n') {
        report.error("/linux/cgroupsPath", "the path contains a newline");
    }
}

fn net_device(name: &str, device: &NetDevice, report: &mut Report) {
    let at = format!("/linux/netDevices/{}", pointer::escape(name));
    if !is_interface(name) {
        report.error(at.clone(), format!("{} is not the name of a network device", quote(name)));
    }
    if let Some(name) = device.name.as_ref().filter(|name| !is_interface(name)) {
        report
            .error(format_args!("{at}/name"), format!("{} is not the name of a network device", quote(name)));
    }
}

/// Whether the kernel would take this for a network device.
pub(super) fn is_interface(name: &str) -> bool {
    let forbidden = |letter: char| letter == '/' || letter == ':' || letter.is_ascii_whitespace();
    (1..16).contains(&name.len()) && name != "." && name != ".." && !name.contains(forbidden)
}

pub(super) fn intel_rdt(rdt: &IntelRdt, report: &mut Report) {
    if let Some(id) = rdt
        .clos_id
        .as_deref()
        .filter(|id| *id != "/" && (id.contains(['/', '\n']) || matches!(*id, "." | "..")))
    {
        report.error("/linux/intelRdt/closID", format!("{} is not the name of a class", quote(id)));
    }
    for (index, line) in rdt.schemata.iter().enumerate() {
        if line.contains('\n') {
            report
                .error(format_args!("/linux/intelRdt/schemata/{index}"), "the schema has more than one line");
        }
    }
    if rdt.l3_cache_schema.as_ref().is_some_and(|schema| schema.lines().any(|line| line.starts_with("MB:"))) {
        report.error("/linux/intelRdt/l3CacheSchema", "is about memory bandwidth").hint("use memBwSchema");
    }
    if let Some(schema) =
        rdt.mem_bw_schema.as_ref().filter(|schema| !schema.starts_with("MB:") || schema.contains('\n'))
    {
        report.error("/linux/intelRdt/memBwSchema", format!("{} is not one line of MB:", quote(schema)));
    }
}

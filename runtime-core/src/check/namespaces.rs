//! `/linux/namespaces`, and what needs a namespace of some type.

use std::collections::BTreeSet;

use super::report::{Report, quote};
use super::sysctl;
use crate::config::{Linux, Spec};
use crate::pointer;

/// Types as they are written in a configuration.
pub(crate) const TYPES: [&str; 8] = ["mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"];

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    entries(linux, report);
    if linux.namespace("mount").is_none_or(|namespace| namespace.path.is_some()) {
        let message =
            "without a new mount namespace the root is only a chroot, from which CAP_SYS_CHROOT leads out";
        report.warning("/linux/namespaces", message);
    }
    for (pointer, name) in [("/hostname", &spec.hostname), ("/domainname", &spec.domainname)] {
        if name.is_some() {
            needs(linux, "uts", pointer, report);
        }
    }
    for (pointer, paths) in
        [("/linux/maskedPaths", &linux.masked_paths), ("/linux/readonlyPaths", &linux.readonly_paths)]
    {
        if !paths.is_empty() {
            needs(linux, "mount", pointer, report);
        }
    }
    for (pointer, mappings) in
        [("/linux/uidMappings", &linux.uid_mappings), ("/linux/gidMappings", &linux.gid_mappings)]
    {
        if !mappings.is_empty() {
            needs(linux, "user", pointer, report);
        }
    }
    if !linux.net_devices.is_empty() {
        needs(linux, "network", "/linux/netDevices", report);
    }
    if !linux.time_offsets.is_empty() {
        needs(linux, "time", "/linux/timeOffsets", report);
        if linux.namespace("time").is_some_and(|namespace| namespace.path.is_some()) {
            report.error("/linux/timeOffsets", "a time namespace that is joined has its offsets already");
        }
    }
    for key in linux.sysctl.keys() {
        if let Ok(sysctl) = sysctl::parse(key) {
            needs(linux, sysctl.namespace, &format!("/linux/sysctl/{}", pointer::escape(key)), report);
        }
    }
}

fn entries(linux: &Linux, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let at = format!("/linux/namespaces/{index}");
        report.one_of(format_args!("{at}/type"), &namespace.typ, &TYPES);
        if !seen.insert(&namespace.typ) {
            report.error(format_args!("{at}/type"), format!("{} is listed twice", quote(&namespace.typ)));
        }
        if let Some(path) = &namespace.path {
            report.host_path(format_args!("{at}/path"), path);
        }
    }
}

fn needs(linux: &Linux, typ: &str, pointer: &str, report: &mut Report) {
    if linux.namespace(typ).is_none() {
        report
            .error(pointer, format!("would act on the host: the container has no {typ} namespace of its own"))
            .hint(format!("list one of type {typ} in /linux/namespaces"));
    }
}

//! What the specification knows and this runtime does not do yet. It is refused by name: to leave
//! it out in silence would be to run another container than the one that was asked for.

use super::report::Report;
use crate::config::{Linux, Mount, Process, Spec};

pub(super) fn check(spec: &Spec, report: &mut Report) {
    if let Some(process) = &spec.process {
        check_process(process, "/process", report);
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        check_mount(mount, &format!("/mounts/{index}"), report);
    }
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    check_namespaces(linux, report);
    check_linux(linux, report);
}

pub(super) fn check_process(process: &Process, at: &str, report: &mut Report) {
    let fields = [
        ("apparmorProfile", process.apparmor_profile.is_some()),
        ("selinuxLabel", process.selinux_label.is_some()),
    ];
    refuse(at, fields, report);
}

fn check_mount(mount: &Mount, at: &str, report: &mut Report) {
    let fields =
        [("uidMappings", !mount.uid_mappings.is_empty()), ("gidMappings", !mount.gid_mappings.is_empty())];
    refuse(at, fields, report);
    for (index, option) in mount.options.iter().enumerate() {
        if matches!(option.as_str(), "idmap" | "ridmap" | "tmpcopyup") {
            report.unsupported(format_args!("{at}/options/{index}")).hint(format!("the option {option}"));
        }
    }
}

/// Every container has its own mount namespace.
fn check_namespaces(linux: &Linux, report: &mut Report) {
    if linux.namespace("mount").is_none() {
        report.unsupported("/linux/namespaces").hint("a container without a mount namespace of its own");
    }
}

fn check_linux(linux: &Linux, report: &mut Report) {
    let fields = [
        ("seccomp", linux.seccomp.is_some()),
        ("mountLabel", linux.mount_label.is_some()),
        ("netDevices", !linux.net_devices.is_empty()),
        ("intelRdt", linux.intel_rdt.is_some()),
    ];
    refuse("/linux", fields, report);
}

fn refuse<const N: usize>(at: &str, fields: [(&str, bool); N], report: &mut Report) {
    for (field, _) in fields.into_iter().filter(|(_, present)| *present) {
        report.unsupported(format_args!("{at}/{field}"));
    }
}

//! The configurations that `spec` writes: ones to start from.

use super::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, Process, Resources, Rlimit, Root, Spec,
    User,
};
use crate::OCI_VERSION;

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Spec {
    /// A configuration that runs a shell on a terminal, with few privileges and a read-only root.
    pub fn template() -> Self {
        let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
        let nothing = DeviceRule { allow: false, access: Some("rwm".to_owned()), ..DeviceRule::default() };
        Self {
            oci_version: OCI_VERSION.to_owned(),
            process: Some(shell()),
            root: Some(Root { path: "rootfs".to_owned(), readonly: true }),
            hostname: Some("corten".to_owned()),
            mounts: mounts(),
            linux: Some(Linux {
                resources: Some(Resources { devices: vec![nothing], ..Resources::default() }),
                namespaces: namespaces.map(namespace).into(),
                masked_paths: strings(&MASKED),
                readonly_paths: strings(&READONLY),
                ..Linux::default()
            }),
            ..Self::default()
        }
    }

    /// The same without anything that takes privileges: its root is the user `uid` of the group `gid`.
    pub fn rootless_template(uid: u32, gid: u32) -> Self {
        let mut spec = Self::template();
        for mount in &mut spec.mounts {
            if mount.destination == "/sys" {
                // A sysfs of its own takes a network namespace of its own.
                *mount = self::mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
            }
            mount.options.retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
        }
        if let Some(linux) = &mut spec.linux {
            let root = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
            linux.uid_mappings = root(uid);
            linux.gid_mappings = root(gid);
            linux.resources = None;
            linux.namespaces.retain(|namespace| namespace.typ != "network");
            linux.namespaces.push(namespace("user"));
        }
        spec
    }
}

fn shell() -> Process {
    let capabilities = strings(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    Process {
        terminal: true,
        user: User::default(),
        args: strings(&["sh"]),
        env: strings(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]),
        cwd: "/".to_owned(),
        capabilities: Some(Capabilities {
            bounding: capabilities.clone(),
            effective: capabilities.clone(),
            permitted: capabilities,
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit { typ: "RLIMIT_NOFILE".to_owned(), soft: 1024, hard: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mounts() -> Vec<Mount> {
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/dev/shm", "tmpfs", "shm", &shm),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

fn mount(destination: &str, typ: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        typ: Some(typ.to_owned()),
        source: Some(source.to_owned()),
        options: strings(options),
        ..Mount::default()
    }
}

fn namespace(typ: &str) -> Namespace {
    Namespace { typ: typ.to_owned(), path: None }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, check};

    #[test]
    fn the_template_has_no_faults() {
        assert_eq!(check(&Spec::template()), []);
    }

    #[test]
    fn it_survives_being_written_and_read() {
        for spec in [Spec::template(), Spec::rootless_template(1000, 100)] {
            let text = serde_json::to_vec(&spec).unwrap();
            assert_eq!(crate::bundle::parse_spec(&text).unwrap(), spec);
        }
    }

    #[test]
    fn the_rootless_one_maps_its_root_and_needs_no_privileges() {
        let spec = Spec::rootless_template(1000, 100);
        let linux = spec.linux.as_ref().unwrap();
        assert_eq!(linux.uid_mappings, [IdMapping { container_id: 0, host_id: 1000, size: 1 }]);
        assert_eq!(linux.gid_mappings, [IdMapping { container_id: 0, host_id: 100, size: 1 }]);
        assert!(linux.namespaces.iter().all(|namespace| namespace.typ != "network"));
        assert!(!spec.mounts.iter().flat_map(|mount| &mount.options).any(|option| option == "gid=5"));
        let findings = check(&spec);
        assert!(findings.iter().all(|finding| finding.severity != Severity::Error), "{findings:?}");
    }
}

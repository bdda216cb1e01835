//! The `config.json` of the measured containers: what `runc spec` writes, with the cases' own changes.

use serde_json::{Value, json};

use crate::lab::Lab;

/// The largest number of further bind mounts.
pub(crate) const MAX_BINDS: usize = 1000;

/// How a container differs from the default one.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// The command line of its process.
    pub(crate) args: &'static [&'static str],
    /// How many bind mounts it has beside the seven default mounts.
    pub(crate) binds: usize,
    /// How many bytes of annotations its config carries.
    pub(crate) padding: usize,
    /// Whether it has the lab's seccomp profile.
    pub(crate) seccomp: bool,
    /// The memory limit in bytes.
    pub(crate) memory: Option<u64>,
}

impl Shape {
    /// A container that ends at once.
    pub(crate) const TRUE: Self =
        Self { args: &["/bin/true"], binds: 0, padding: 0, seccomp: false, memory: None };
    /// A container that stays.
    pub(crate) const SLEEP: Self = Self { args: &["/bin/sleep", "1000"], ..Self::TRUE };
}

/// The config of a container in the lab.
pub(crate) fn config(lab: &Lab, id: &str, shape: &Shape) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if let (Some(limit), Some(map)) = (shape.memory, resources.as_object_mut()) {
        map.insert("memory".into(), json!({"limit": limit}));
    }
    let mut linux = json!({
        "cgroupsPath": format!("/{}/{id}", lab.group),
        "resources": resources,
        "namespaces": namespaces,
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
            "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    });
    if let (true, Some(profile), Some(map)) = (shape.seccomp, &lab.seccomp, linux.as_object_mut()) {
        map.insert("seccomp".into(), profile.config.clone());
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": shape.args,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": lab.rootfs(), "readonly": true},
        "hostname": "corten",
        "annotations": annotations(shape.padding),
        "mounts": mounts(lab, shape.binds),
        "linux": linux
    })
}

/// Annotations of a kilobyte each, of so many bytes in all.
fn annotations(bytes: usize) -> Value {
    (0..bytes / 1024)
        .map(|number| (format!("org.example.padding.{number}"), json!("x".repeat(1000))))
        .collect()
}

fn mounts(lab: &Lab, binds: usize) -> Vec<Value> {
    let closed = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
        json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": closed}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}),
    ];
    mounts.extend((0..binds).map(|number| {
        json!({"destination": format!("/mnt/{number}"), "type": "bind", "source": lab.source(),
            "options": ["bind"]})
    }));
    mounts
}

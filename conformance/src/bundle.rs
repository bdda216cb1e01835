//! Bundles: a config that tests edit by JSON pointer, and a root filesystem made of busybox.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Directories of the root filesystem.
const DIRECTORIES: [&str; 9] = ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"];

/// The busybox programs that tests use.
const APPLETS: &str = "ash base64 basename cat chgrp chmod chown chroot cp cut date dd df dirname dmesg echo egrep env \
    expr false find grep head hostname id kill killall ln ls md5sum mkdir mkfifo mknod mount mv nc nproc od pgrep pidof ps \
    pwd readlink reset rm rmdir sed seq setsid sh sleep sort stat stty tail tee test timeout touch tr true tty umount \
    uname uniq usleep wc which whoami xargs yes";

/// A bundle directory.
pub struct Bundle {
    dir: PathBuf,
    config: Value,
}

impl Bundle {
    /// A bundle in the new directory `dir`, around busybox, that runs `sh` without a terminal.
    pub(crate) fn new(dir: PathBuf, busybox: &Path) -> Self {
        let root = dir.join("rootfs");
        for name in DIRECTORIES {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
        Self { dir, config: base_config() }
    }

    /// Another bundle in the new directory `dir`, with the same config and the same root filesystem.
    pub fn share(&self, dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let mut config = self.config.clone();
        config["root"]["path"] = json!(self.rootfs());
        Self { dir, config }
    }

    /// The bundle directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The root filesystem.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// A path in the root filesystem.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// The config as it stands.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Sets the value at a JSON pointer, making the objects on the way.
    pub fn set(&mut self, pointer: &str, value: impl Into<Value>) -> &mut Self {
        *slot(&mut self.config, pointer) = value.into();
        self
    }

    /// Removes the value at a JSON pointer.
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        match self.config.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.remove(name)),
            Some(Value::Array(list)) => drop(list.remove(name.parse().expect("an index"))),
            _ => panic!("{parent} is not in the config"),
        }
        self
    }

    /// Appends a value to the list at a JSON pointer, making the list if it is missing.
    pub fn push(&mut self, pointer: &str, value: Value) -> &mut Self {
        let list = slot(&mut self.config, pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("a list").push(value);
        self
    }

    /// Sets the command line of the process.
    pub fn args<const N: usize>(&mut self, args: [&str; N]) -> &mut Self {
        self.set("/process/args", args.to_vec())
    }

    /// Makes the process a shell that runs this code.
    pub fn script(&mut self, code: &str) -> &mut Self {
        self.args(["sh", "-c", code])
    }

    /// Adds a mount.
    pub fn mount(
        &mut self,
        destination: &str,
        kind: &str,
        source: impl AsRef<Path>,
        options: &[&str],
    ) -> &mut Self {
        let mount =
            json!({"destination": destination, "type": kind, "source": source.as_ref(), "options": options});
        self.push("/mounts", mount)
    }

    /// Removes the mount at a destination.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        let mounts = self.config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// Gives all five capability sets these names.
    pub fn capabilities(&mut self, names: &[&str]) -> &mut Self {
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            self.set(&format!("/process/capabilities/{set}"), names.to_vec());
        }
        self
    }

    /// Removes a namespace from the list.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        let list = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        list.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Joins a namespace by path.
    pub fn join_namespace(&mut self, kind: &str, path: &str) -> &mut Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind, "path": path}))
    }

    /// Writes `config.json`.
    pub fn write(&self) -> &Self {
        self.write_bytes(serde_json::to_string_pretty(&self.config).unwrap().as_bytes())
    }

    /// Writes other bytes as `config.json`.
    pub fn write_bytes(&self, bytes: &[u8]) -> &Self {
        fs::write(self.dir.join("config.json"), bytes).unwrap();
        self
    }
}

/// The value at a JSON pointer, made if it is missing.
fn slot<'a>(root: &'a mut Value, pointer: &str) -> &'a mut Value {
    let mut at = root;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(list) => list.get_mut(part.parse::<usize>().expect("an index")).expect("an item"),
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                other.as_object_mut().expect("an object").entry(part).or_insert(Value::Null)
            }
        };
    }
    at
}

/// What `runc spec` writes, without a terminal and with a cgroup namespace.
fn base_config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "corten",
        "mounts": base_mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn base_mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ])
}

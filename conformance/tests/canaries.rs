//! What lies beside the root filesystem and must stay as it is: the oracle of the tests of hostile images and callers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use conformance::{Bundle, Sandbox, Socket};

/// A directory of the host with files that nobody may touch, and the kernel's files that attacks aim at.
pub(crate) struct Canaries {
    pub(crate) dir: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Canaries {
    /// Also sees to it that a container runs where nothing is attacked: otherwise nothing could be touched.
    pub(crate) fn new(t: &Sandbox) -> Self {
        attempt(t, t.bundle().args(["true"])).ok();
        let dir = t.path("hostdir");
        fs::create_dir(&dir).unwrap();
        for (name, mode) in [("ptmx", 0o644), ("victim", 0o600), ("new-target", 0o600)] {
            fs::write(dir.join(name), "canary").unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(dir.join("sub")).unwrap();
        let before = Self::look(&dir);
        Self { dir, before }
    }

    /// The same after a test has changed them itself.
    pub(crate) fn renewed(self) -> Self {
        Self { before: Self::look(&self.dir), dir: self.dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Everything that could change: names, types, owners, modes, inodes, times, contents.
    fn look(dir: &Path) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        let mut left = vec![dir.to_owned()];
        while let Some(path) = left.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            let facts = [meta.mode().into(), meta.uid().into(), meta.gid().into(), meta.ino(), meta.rdev()];
            if meta.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
            }
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            seen.insert(path, format!("{facts:?} {times:?} {content}"));
        }
        for file in
            ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/sys/net/ipv4/ip_forward"]
        {
            seen.insert(file.into(), fs::read_to_string(file).unwrap_or_default());
        }
        let null = fs::metadata("/dev/null").unwrap();
        seen.insert("/dev/null".into(), format!("{:o} {} {}", null.mode(), null.uid(), null.rdev()));
        seen
    }

    #[track_caller]
    pub(crate) fn assert_untouched(&self, what: &str) {
        let after = Self::look(&self.dir);
        for (path, facts) in &self.before {
            assert_eq!(after.get(path), Some(facts), "{what}: {} changed", path.display());
        }
        for path in after.keys() {
            assert!(self.before.contains_key(path), "{what}: {} appeared", path.display());
        }
    }
}

/// Runs a bundle, whatever comes of it, and removes the container.
pub(crate) fn attempt(t: &Sandbox, bundle: &Bundle) -> conformance::Output {
    let id = t.id();
    let socket = bundle.config()["process"]["terminal"] == true;
    if socket {
        let socket = Socket::bind(t.path(&format!("{id}.sock")));
        let output = t.on_bundle(["run", "--detach", "--console-socket", socket.path()], bundle, &id).run();
        if output.success() {
            drop(socket.receive());
        }
        t.runtime(["delete", "--force", &id]).run().ok();
        output
    } else {
        let output = t.on_bundle(["run"], bundle, &id).run();
        t.runtime(["delete", "--force", &id]).run();
        output
    }
}

/// A bundle without mounts over `/dev`.
pub(crate) fn bundle_with_bare_dev(t: &Sandbox) -> Bundle {
    let mut bundle = t.bundle();
    for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(path);
    }
    bundle.set("/root/readonly", false).args(["true"]);
    bundle
}

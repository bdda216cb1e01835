//! What the kernel says about processes, mounts and cgroups, read on the host's side or out of a payload's output.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Every process of this host.
    pub fn all() -> Vec<Process> {
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Process)).collect()
    }

    /// The text of a file of the process, empty when the process is gone.
    pub fn file(self, name: &str) -> String {
        let bytes = fs::read(format!("/proc/{}/{name}", self.0)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A field of `/proc/PID/status`.
    pub fn status(self, field: &str) -> String {
        self::field(&self.file("status"), field)
    }

    /// Whether it exists and is not a zombie.
    pub fn is_alive(self) -> bool {
        let state = self.status("State");
        !state.is_empty() && !state.starts_with(['Z', 'X'])
    }

    /// Sends it a signal, if it still exists.
    pub fn signal(self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.0 as i32), signal);
    }

    /// The target of a link of the process, such as `ns/pid`, `exe`, `root`.
    pub fn link(self, name: &str) -> PathBuf {
        fs::read_link(format!("/proc/{}/{name}", self.0)).unwrap_or_default()
    }

    /// The namespace of a kind, in the form `pid:[4026531836]`.
    pub fn namespace(self, kind: &str) -> String {
        self.link(&format!("ns/{kind}")).to_string_lossy().into_owned()
    }

    /// The soft and hard values of a limit, named as in `/proc/PID/limits`.
    pub fn limit(self, name: &str) -> (String, String) {
        let text = self.file("limits");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The descriptors of the process and what they point to.
    pub fn descriptors(self) -> Vec<(u32, PathBuf)> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.0)) else { return Vec::new() };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut list: Vec<_> = numbers.map(|fd: u32| (fd, self.link(&format!("fd/{fd}")))).collect();
        list.sort();
        list
    }

    /// The directory of the process's cgroup in the hierarchy of a v1 controller (or in v2's: the empty name).
    pub fn cgroup(self, controller: &str) -> Option<PathBuf> {
        let text = self.file("cgroup");
        let path = text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let controllers = parts.next()?;
            let path = parts.next()?;
            controllers.split(',').any(|name| name == controller).then(|| path.to_owned())
        })?;
        Some(hierarchy(controller)?.join(path.trim_start_matches('/')))
    }
}

/// The mount point of a v1 controller's hierarchy, or of the v2 hierarchy for the empty name.
pub fn hierarchy(controller: &str) -> Option<PathBuf> {
    mounts(&fs::read_to_string("/proc/self/mountinfo").ok()?).into_iter().find_map(|mount| {
        let matches = match controller {
            "" => mount.kind == "cgroup2",
            name => mount.kind == "cgroup" && mount.super_options.iter().any(|option| option == name),
        };
        matches.then(|| PathBuf::from(mount.point))
    })
}

/// The value of a field in text of the form `Name:\tvalue`.
pub fn field(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path in the filesystem that forms the root of the mount.
    pub root: String,
    /// Where it is mounted.
    pub point: String,
    /// The options of the mount.
    pub options: Vec<String>,
    /// The propagation fields, such as `shared:1`.
    pub propagation: Vec<String>,
    /// The type of the filesystem.
    pub kind: String,
    /// The source.
    pub source: String,
    /// The options of the filesystem.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether an option is set, of the mount or of its filesystem.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().chain(&self.super_options).any(|name| name == option)
    }

    fn parse(line: &str) -> Option<Self> {
        let split = |options: &str| options.split(',').map(str::to_owned).collect();
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let mut right = right.split(' ');
        Some(Self {
            root: left.next()?.to_owned(),
            point: left.next()?.to_owned(),
            options: split(left.next()?),
            propagation: left.map(str::to_owned).collect(),
            kind: right.next()?.to_owned(),
            source: right.next()?.to_owned(),
            super_options: split(right.next().unwrap_or_default()),
        })
    }
}

/// The mounts in text of the form of mountinfo.
pub fn mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(Mount::parse).collect()
}

/// The topmost mount at a path, in text of the form of mountinfo.
#[track_caller]
pub fn mount_at(text: &str, point: &str) -> Mount {
    let found = mounts(text).into_iter().rfind(|mount| mount.point == point);
    found.unwrap_or_else(|| panic!("no mount at {point} in\n{text}"))
}

/// Every cgroup directory of this host, in every hierarchy, whose own name contains `name`.
pub fn cgroups_named(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(name) {
                    found.push(entry.path());
                }
                left.push(entry.path());
            }
        }
    }
    found
}

/// Reads a file and trims the end.
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim_end().to_owned()
}

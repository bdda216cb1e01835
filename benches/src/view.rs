//! The versions of cgroups that a runtime may find at `/sys/fs/cgroup`.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use serde::{Deserialize, Serialize};

use crate::error::{At, Result};

const ROOT: &str = "/sys/fs/cgroup";
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// What a runtime finds at `/sys/fs/cgroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum View {
    /// The hierarchies of version 1, perhaps with one of version 2 beside.
    V1,
    /// Version 2 alone.
    V2,
}

impl FromStr for View {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err("a view is v1 or v2"),
        }
    }
}

impl View {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The views that this host can give.
    pub(crate) fn available() -> Vec<Self> {
        if is_v2(ROOT) {
            vec![Self::V2]
        } else if is_v2(UNIFIED) {
            vec![Self::V1, Self::V2]
        } else {
            vec![Self::V1]
        }
    }

    /// Moves this process, and so its children, into a mount namespace with the view. Called before any thread is started.
    pub(crate) fn enter(self) -> Result<()> {
        let none: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS).at("a private mount namespace")?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).at("/")?;
        if self == Self::V1 || is_v2(ROOT) {
            return Ok(());
        }
        mount(Some(UNIFIED), ROOT, none, MsFlags::MS_BIND, none).at(ROOT)
    }

    /// The hierarchies that a container joins in this view, once it is entered.
    pub(crate) fn hierarchies(self) -> Result<Vec<Hierarchy>> {
        match self {
            Self::V1 => mounted(),
            Self::V2 => Ok(vec![Hierarchy { options: String::new(), dir: ROOT.into() }]),
        }
    }
}

fn is_v2(path: &str) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// A mounted hierarchy of cgroups.
pub(crate) struct Hierarchy {
    /// The options that mount it again; none for version 2.
    pub(crate) options: String,
    /// Where it is mounted.
    pub(crate) dir: PathBuf,
}

/// The hierarchies mounted on this host.
pub(crate) fn mounted() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").at("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(hierarchy).collect())
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let dir = Path::new(left.split(' ').nth(4)?);
    let mut right = right.split(' ');
    let kind = right.next()?;
    if !dir.starts_with(ROOT) || !kind.starts_with("cgroup") {
        return None;
    }
    let controllers: Vec<&str> =
        right.nth(1)?.split(',').filter(|option| !matches!(*option, "rw" | "ro" | "xattr")).collect();
    let options = match controllers.iter().find(|option| option.starts_with("name=")) {
        _ if kind == "cgroup2" => String::new(),
        Some(name) => format!("none,{name}"),
        None => controllers.join(","),
    };
    Some(Hierarchy { options, dir: dir.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_mountinfo() {
        let found = |line| hierarchy(line).map(|found| (found.options, found.dir));
        let v1 = "30 28 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct";
        assert_eq!(found(v1), Some(("cpu,cpuacct".into(), "/sys/fs/cgroup/cpu,cpuacct".into())));
        let named =
            "30 28 0:26 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd";
        assert_eq!(found(named), Some(("none,name=systemd".into(), "/sys/fs/cgroup/systemd".into())));
        let v2 = "30 28 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(found(v2), Some((String::new(), "/sys/fs/cgroup/unified".into())));
        assert_eq!(found("30 28 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro"), None);
    }
}

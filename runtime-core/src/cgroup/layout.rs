//! Which hierarchies this host has, and where this process stands in them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::Error;
use super::dir::{Dir, read_all};
use crate::procfs;

const ROOT: &str = "/sys/fs/cgroup";

/// Where a hybrid host has its unified hierarchy.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers, or `name=NAME`; none for the unified hierarchy of version 2.
    pub controllers: Vec<String>,
    /// Where its root is mounted.
    pub mount: PathBuf,
    root: Root,
}

/// The root of a hierarchy once it is open. Copies that are made from then on have it too.
#[derive(Debug, Clone, Default)]
struct Root(OnceLock<Arc<Dir>>);

impl PartialEq for Root {
    /// Whether it is open makes no hierarchy another one.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Root {}

impl Hierarchy {
    /// A hierarchy that is mounted somewhere.
    pub(crate) fn new(controllers: Vec<String>, mount: PathBuf) -> Self {
        Self { controllers, mount, root: Root::default() }
    }

    /// Its root, verified to be one when it is first opened.
    pub(super) fn root(&self) -> Result<Arc<Dir>, Error> {
        if let Some(root) = self.root.0.get() {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(Dir::root(&self.mount, self.is_unified())?);
        Ok(Arc::clone(self.root.0.get_or_init(|| root)))
    }

    /// Closes the root, as far as this copy is concerned.
    pub(super) fn close(&mut self) {
        self.root = Root::default();
    }

    /// The same if it is mounted there.
    fn if_mounted(self) -> Option<Self> {
        self.root().is_ok().then_some(self)
    }

    /// Whether it is the one of version 2.
    pub fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether it is of version 1 and has this controller.
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// What kind of host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// The same, and a unified one beside.
    Hybrid,
    /// The unified hierarchy alone.
    V2,
}

/// The hierarchies of a host, each with this process's own cgroup in it where that had to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(super) hierarchies: Vec<(Hierarchy, Option<String>)>,
}

impl Layout {
    /// Looks at `/sys/fs/cgroup` as this process sees it.
    pub fn detect() -> Result<Self, Error> {
        let root = Path::new(ROOT);
        if let Some(unified) = Hierarchy::new(Vec::new(), root.into()).if_mounted() {
            return Ok(Self { hierarchies: vec![(unified, None)] });
        }

        let table = read_proc(&procfs::own("cgroup"))?;
        let hierarchies: Vec<_> = table.lines().filter_map(mounted).collect();
        if hierarchies.is_empty() {
            return Err(Error::NotCgroup { path: root.into() });
        }
        Ok(Self { hierarchies })
    }

    /// What kind of host it is.
    pub fn version(&self) -> Version {
        version(self.hierarchies.iter().map(|(hierarchy, _)| hierarchy))
    }

    /// The hierarchies.
    pub fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        self.hierarchies.iter().map(|(hierarchy, _)| hierarchy)
    }
}

/// What kind of host has these hierarchies.
pub(super) fn version<'a>(hierarchies: impl Iterator<Item = &'a Hierarchy>) -> Version {
    let (mut v1, mut v2) = (false, false);
    for hierarchy in hierarchies {
        if hierarchy.is_unified() { v2 = true } else { v1 = true }
    }
    match (v1, v2) {
        (false, _) => Version::V2,
        (true, true) => Version::Hybrid,
        (true, false) => Version::V1,
    }
}

/// The hierarchy of one line of `/proc/PID/cgroup`, if it is mounted where it belongs: under its list
/// of controllers, under one of them, or under its name.
fn mounted(line: &str) -> Option<(Hierarchy, Option<String>)> {
    let (names, own) = entry(line)?;
    let controllers: Vec<String> =
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let hierarchy = if controllers.is_empty() {
        Hierarchy::new(controllers, UNIFIED.into()).if_mounted()
    } else {
        std::iter::once(names)
            .chain(controllers.iter().map(String::as_str))
            .map(|name| Path::new(ROOT).join(name.strip_prefix("name=").unwrap_or(name)))
            .find_map(|mount| Hierarchy::new(controllers.clone(), mount).if_mounted())
    };
    hierarchy.map(|hierarchy| (hierarchy, Some(own.to_owned())))
}

/// A `cgroup` file, of a verified procfs.
pub(super) fn read_proc(path: &str) -> Result<String, Error> {
    let failed = |errno| Error::Io { action: "read", path: Path::new("/proc").join(path), errno };
    let file = procfs::open(path, OFlag::O_RDONLY).map_err(failed)?;
    if fstatfs(&file).map_err(failed)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(failed(Errno::EINVAL));
    }
    read_all(&file).map_err(failed)
}

/// Controllers and path of a line `ID:CONTROLLERS:PATH`.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

/// This process's own cgroup in the unified hierarchy.
pub(super) fn own_unified() -> Result<String, Error> {
    Ok(own_path(&read_proc(&procfs::own("cgroup"))?, "").unwrap_or_default())
}

/// The path of the hierarchy with this controller (`""`: the unified one) in a `cgroup` file.
pub(super) fn own_path(table: &str, controller: &str) -> Option<String> {
    table
        .lines()
        .filter_map(entry)
        .find(|(names, _)| names.split(',').any(|name| name == controller))
        .map(|(_, path)| path.to_owned())
}

//! How a process enters a cgroup.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::Error;
use super::layout::{own_path, read_proc};
use super::path::{clean, join};
use super::saved::{Group, Saved};

/// The descriptors through which a process enters a cgroup.
#[derive(Debug, Default)]
pub struct Placement {
    /// Directory of the unified hierarchy, for `CLONE_INTO_CGROUP`.
    pub into: Option<OwnedFd>,
    /// Files into each of which the new process, while it has one thread, writes `0`.
    pub files: Vec<OwnedFd>,
    /// It waits after its birth until [`Manager::adopt`](super::Manager::adopt) has moved it.
    pub moved: bool,
}

impl Placement {
    /// For where `CLONE_INTO_CGROUP` cannot be had: the process writes in the unified hierarchy too.
    pub fn write_instead(&mut self) -> nix::Result<()> {
        if let Some(dir) = &self.into {
            let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
            self.files.push(openat(dir.as_fd(), "cgroup.procs", flags, Mode::empty())?);
        }
        self.into = None;
        Ok(())
    }

    /// Adds the cgroup with a path in a group's hierarchy.
    fn enter(&mut self, group: &Group, path: &str) -> Result<(), Error> {
        let root = group.root()?;
        let gone = || Error::Gone { path: group.hierarchy.mount.join(path) };
        if group.hierarchy.is_unified() {
            self.into = Some(root.find(path)?.ok_or_else(gone)?.into_fd());
            return Ok(());
        }
        match root.open(&join(path, "tasks"), OFlag::O_WRONLY) {
            Err(Error::Io { errno: Errno::ENOENT, .. }) => Err(gone()),
            file => file.map(|file| self.files.push(file)),
        }
    }
}

/// A cgroup below the container's, for some controllers of version 1 or for all hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubCgroup {
    controllers: Vec<String>,
    path: String,
}

impl SubCgroup {
    /// Reads the values of `exec --cgroup`: `[CONTROLLER[,CONTROLLER]:]PATH` each.
    pub fn parse_all<S: AsRef<str>>(arguments: &[S]) -> Result<Vec<Self>, Error> {
        let mut subs: Vec<Self> = Vec::new();
        for argument in arguments.iter().map(AsRef::as_ref) {
            let invalid =
                |reason: &str| Error::SubArgument { argument: argument.into(), reason: reason.into() };
            let (controllers, path) = match argument.split_once(':') {
                Some((controllers, path)) => (controllers.split(',').map(str::to_owned).collect(), path),
                None if arguments.len() > 1 => return Err(invalid("missing <controller>: prefix")),
                None => (Vec::new(), argument),
            };
            for (index, controller) in controllers.iter().enumerate() {
                if controller.is_empty() {
                    return Err(invalid("empty <controller> prefix"));
                }
                let earlier =
                    subs.iter().flat_map(|sub| &sub.controllers).chain(controllers.iter().take(index));
                if earlier.into_iter().any(|other| other == controller) {
                    return Err(invalid(&format!("controller {controller} specified multiple times")));
                }
            }
            if path.contains('\0') || path.split('/').any(|part| part == "..") {
                return Err(Error::SubPath(path.into()));
            }
            subs.push(Self { controllers, path: clean(path) });
        }
        Ok(subs)
    }

    fn fits(&self, group: &Group) -> bool {
        self.controllers.is_empty() || self.controllers.iter().any(|name| group.hierarchy.has(name))
    }
}

/// The way into a container's cgroup, or into sub-cgroups of it.
pub(super) fn into(saved: &Saved, subs: &[SubCgroup]) -> Result<Placement, Error> {
    if let Some(unknown) = subs.iter().flat_map(|sub| &sub.controllers).find(|name| saved.v1(name).is_none())
    {
        let reason = format!("there is no cgroup v1 controller {unknown:?} here");
        return Err(Error::SubArgument { argument: unknown.clone(), reason });
    }
    let mut placement = Placement::default();
    for group in &saved.groups {
        let sub = subs.iter().find(|sub| sub.fits(group)).map_or("", |sub| sub.path.as_str());
        let path = join(&group.path, sub);
        placement.enter(group, &path)?;
    }
    Ok(placement)
}

/// The way to where a process of the container is now in the unified hierarchy.
pub(super) fn beside(saved: &Saved, pid: i32) -> Result<Placement, Error> {
    let mut placement = into(saved, &[])?;
    if let Some(group) = saved.unified() {
        let table = read_proc(&format!("{pid}/cgroup"))?;
        let path = own_path(&table, "").map(|path| clean(&path)).unwrap_or_default();
        let below =
            path.strip_prefix(&group.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !below {
            let path = group.hierarchy.mount.join(&path);
            return Err(Error::Io { action: "join", path, errno: Errno::EXDEV });
        }
        placement.enter(group, &path)?;
    }
    Ok(placement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_cgroup_arguments() {
        let subs = SubCgroup::parse_all(&["cpu,memory:/a//b", "pids:c"]).unwrap();
        assert_eq!(
            subs[0],
            SubCgroup { controllers: vec!["cpu".into(), "memory".into()], path: "a/b".into() }
        );
        assert_eq!(subs[1].path, "c");
        assert_eq!(SubCgroup::parse_all(&["x"]).unwrap()[0].controllers, Vec::<String>::new());
        for (arguments, expected) in [
            (vec![":a"], "invalid --cgroup argument: :a (empty <controller> prefix)"),
            (vec!["cpu,:a"], "invalid --cgroup argument: cpu,:a (empty <controller> prefix)"),
            (vec!["a", "cpu:b"], "invalid --cgroup argument: a (missing <controller>: prefix)"),
            (
                vec!["cpu:a", "cpu:b"],
                "invalid --cgroup argument: cpu:b (controller cpu specified multiple times)",
            ),
            (
                vec!["cpu,cpu:a"],
                "invalid --cgroup argument: cpu,cpu:a (controller cpu specified multiple times)",
            ),
            (vec!["../sibling"], "bad sub cgroup path: ../sibling"),
            (vec!["cpu:a/../.."], "bad sub cgroup path: a/../.."),
        ] {
            assert_eq!(SubCgroup::parse_all(&arguments).unwrap_err().to_string(), expected);
        }
    }
}

//! Making a cgroup, up to the point where limits can be written.

use nix::errno::Errno;

use super::dir::Dir;
use super::limits::Setting;
use super::path::join;
use super::saved::Group;
use super::{Error, freezer, processes};

/// Makes what is missing of a group's path, and notes how much that was. Another container may make or
/// remove the same parents at this moment.
pub(super) fn make(group: &mut Group) -> Result<(), Error> {
    const TRIES: usize = 100;
    let root = group.root()?;
    for _ in 0..TRIES {
        match make_path(&root, &group.path) {
            Err(Error::Io { errno: Errno::ENOENT, .. }) => {}
            made => return made.map(|made| group.made = made),
        }
    }
    Err(Error::Gone { path: group.full_path() })
}

/// How many of the last components of a path were made.
fn make_path(root: &Dir, path: &str) -> Result<usize, Error> {
    let Some((parent, name)) = path.rsplit_once('/') else { return root.make(path).map(usize::from) };
    let (dir, above) = match root.find(parent)? {
        Some(dir) => (dir, 0),
        None => {
            let above = make_path(root, parent)?;
            (root.find(parent)?.ok_or_else(|| root.error("open", parent, Errno::ENOENT))?, above)
        }
    };
    Ok(if dir.make(name)? { above + 1 } else { 0 })
}

/// An existing cgroup may be taken only if nothing is in it, and nothing would stop in it.
pub(super) fn check_unused(group: &Group, dir: &Dir) -> Result<(), Error> {
    let pids = processes::below(dir)?;
    if !pids.is_empty() {
        return Err(Error::NotEmpty { path: dir.path().into(), pids });
    }
    let frozen = match &group.hierarchy {
        hierarchy if hierarchy.is_unified() => freezer::is_frozen_v2(dir)?,
        hierarchy if hierarchy.has("freezer") => freezer::is_frozen_v1(dir)?,
        _ => false,
    };
    if frozen { Err(Error::Frozen { path: dir.path().into() }) } else { Ok(()) }
}

/// Lets the parents hand down all controllers of the unified hierarchy that there are: those that are needed, and the
/// others, as far as that works, for what they count and for the payload. What is enabled already costs two looks.
pub(super) fn enable(group: &Group, needed: &[&Setting]) -> Result<(), Error> {
    let root = group.root()?;
    let ancestors: Vec<&str> =
        group.path.match_indices('/').filter_map(|(at, _)| group.path.get(..at)).collect();
    let open = |path: &str| root.find(path)?.ok_or_else(|| Error::Gone { path: root.path().join(path) });

    let available = root.read_short("cgroup.controllers")?;
    let mut wanted =
        available.split_whitespace().chain(needed.iter().map(|setting| setting.controller())).peekable();
    // On a host with both versions all may be in hierarchies of version 1.
    if wanted.peek().is_none() {
        return Ok(());
    }
    let parent = ancestors.last().copied().unwrap_or_default();
    let enabled = root.read_short(&join(parent, "cgroup.subtree_control"))?;
    if wanted.all(|controller| has_word(&enabled, controller)) {
        return Ok(());
    }
    for path in std::iter::once(".").chain(ancestors) {
        let dir = open(path)?;
        let enabled = dir.read("cgroup.subtree_control")?;
        for setting in needed.iter().filter(|setting| !has_word(&enabled, setting.controller())) {
            enable_one(&dir, setting)?;
        }
        let available = dir.read("cgroup.controllers")?;
        for controller in available.split_whitespace().filter(|controller| !has_word(&enabled, controller)) {
            if let Err(error) = dir.write("cgroup.subtree_control", &format!("+{controller}")) {
                log::debug!("{controller} is not handed down: {error}");
            }
        }
    }
    Ok(())
}

fn enable_one(dir: &Dir, setting: &Setting) -> Result<(), Error> {
    const FILE: &str = "cgroup.subtree_control";
    let value = format!("+{}", setting.controller());
    let pointer = || setting.pointer.clone().into_owned();
    match dir.write(FILE, &value) {
        Err(Error::Io { errno: Errno::ENOENT | Errno::EINVAL, .. }) => Err(Error::NoController {
            pointer: pointer(),
            controller: setting.controller().into(),
            path: dir.path().into(),
        }),
        Err(Error::Io { errno, path, .. }) => Err(Error::Limit { pointer: pointer(), path, value, errno }),
        answer => answer,
    }
}

fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|other| other == word)
}

/// A new cgroup of version 1's cpuset has neither processors nor memory, and takes no process before it
/// has: it gets those of its parent.
pub(super) fn inherit_cpuset(group: &Group) -> Result<(), Error> {
    let root = group.root()?;
    let files = ["cpuset.cpus", "cpuset.mems"];
    files.into_iter().try_for_each(|file| inherit(&root, &group.path, group.made, file).map(drop))
}

/// The value of a file of a cgroup. Where it has none, as one of those `made` last in its path, it gets that of its parent.
fn inherit(root: &Dir, path: &str, made: usize, file: &str) -> Result<String, Error> {
    let name = join(path, file);
    if made == 0 {
        let own = root.read_short(&name)?;
        if !own.trim().is_empty() || path.is_empty() {
            return Ok(own);
        }
    }
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let value = inherit(root, parent, made.saturating_sub(1), file)?;
    root.write(&name, value.trim())?;
    Ok(value)
}

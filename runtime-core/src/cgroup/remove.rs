//! Removing a cgroup with all that the container has made in it.

use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;

use super::dir::Dir;
use super::freezer::{Events, PAUSE};
use super::saved::Group;
use super::walk::walk;
use super::{Error, processes};

/// Removes a group's directory and the parents made with it, these only if nobody else uses them.
pub(super) fn remove(group: &Group, deadline: Instant) -> Result<(), Error> {
    remove_by(group, |parent, name| remove_tree(parent, name, deadline).map(|()| true)).map(drop)
}

/// The same if nothing is in the directory or below it; whether that was so.
pub(super) fn remove_free(group: &Group) -> Result<bool, Error> {
    remove_by(group, remove_empty)
}

/// Removes the directory in its own way, and the parents.
fn remove_by(group: &Group, own: impl Fn(&Dir, &str) -> Result<bool, Error>) -> Result<bool, Error> {
    let root = group.root()?;
    let mut path = group.path.as_str();
    for index in 0..group.made {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = if parent.is_empty() { Some(Arc::clone(&root)) } else { root.find(parent)?.map(Arc::new) };
        if let Some(dir) = dir {
            if index == 0 {
                if !own(&dir, name)? {
                    return Ok(false);
                }
            } else if let Err(error) = dir.remove(name) {
                log::debug!("a parent cgroup stays: {error}");
                return Ok(true);
            }
        }
        path = parent;
    }
    Ok(true)
}

/// Removes a cgroup and all below it, as soon as the last process has left.
fn remove_tree(parent: &Dir, name: &str, deadline: Instant) -> Result<(), Error> {
    loop {
        if remove_empty(parent, name)? {
            return Ok(());
        }
        let Some(dir) = parent.find(name)? else { return Ok(()) };
        walk(&dir, |_| Ok(()), |parent, name| remove_empty(parent, name).map(drop))?;
        if remove_empty(parent, name)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::NotEmpty { path: dir.path().into(), pids: processes::below(&dir)? });
        }
        wait_until_empty(&dir, deadline)?;
    }
}

/// Removes a cgroup if nothing is in it or below it; whether that was so.
fn remove_empty(parent: &Dir, name: &str) -> Result<bool, Error> {
    match parent.remove(name) {
        Err(Error::Io { errno: Errno::EBUSY, .. }) => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Waits for the sign that version 2 gives; version 1 has none.
fn wait_until_empty(dir: &Dir, deadline: Instant) -> Result<(), Error> {
    match Events::open(dir) {
        Ok(events) => {
            if events.wait("populated", false, deadline)? {
                return Ok(());
            }
        }
        Err(Error::Io { errno: Errno::ENOENT, .. }) => {}
        Err(error) => return Err(error),
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

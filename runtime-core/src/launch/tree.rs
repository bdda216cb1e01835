//! Sources of bind mounts as detached trees, for what init may not reach or may not do.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::libc;

use super::descriptors::{Source, Sources, namespace};
use super::locked::{Place, clone_all};
use super::{Error, id_maps};
use crate::init::abi::{AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, EPERM, MS_REC, MS_SLAVE};
use crate::init::fault::Result as SysResult;
use crate::init::{mount, sys as init};
use crate::plan::{Descriptor, MountMaps, Plan, Tree, attribute_names};
use crate::sys;
use crate::wire::Attrs;

/// Opens those of a plan in their order, with their attributes.
pub(super) fn open_all(plan: &Plan, sources: &Sources<'_>) -> Result<Vec<OwnedFd>, Error> {
    let trees = plan.descriptors().iter();
    let trees: Vec<&Tree> = trees
        .filter_map(|descriptor| match descriptor {
            Descriptor::Tree(tree) => Some(tree),
            _ => None,
        })
        .collect();
    let places: Vec<Place> = trees.iter().map(|tree| place(tree)).collect::<Result<_, _>>()?;
    let clones = match sources.proc {
        _ if places.is_empty() => Vec::new(),
        _ if !plan.host().locked_trees => places.iter().map(Place::open).collect(),
        Some(proc) => clone_all(&places, proc)?,
        None => return Err(Error::LACKING),
    };
    trees.into_iter().zip(clones).map(|(tree, clone)| finish(tree, clone, sources.user_namespace)).collect()
}

fn place(tree: &Tree) -> Result<Place, Error> {
    let path = CString::new(tree.source.as_os_str().as_bytes()).map_err(|_| failed(tree, Errno::EINVAL))?;
    let all = if tree.recursive { AT_RECURSIVE } else { 0 };
    let link = if tree.link { AT_SYMLINK_NOFOLLOW } else { 0 };
    Ok(Place { path, flags: all | link })
}

fn failed(tree: &Tree, errno: Errno) -> Error {
    let (pointer, path) = (tree.pointer.clone(), tree.source.clone());
    Error::Source { pointer, path, recursive: tree.recursive, errno }
}

/// Makes of a clone what the plan wants.
fn finish(
    tree: &Tree,
    clone: SysResult<init::Fd>,
    container: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Error> {
    let of_init = |fault| failed(tree, Errno::from(fault));
    let opened = clone.map_err(of_init)?;
    // A copy of a shared mount is one of its peers: what the container mounts there would be mounted on the host too.
    mount::set(opened.raw(), &Attrs { propagation: MS_SLAVE | MS_REC, ..Attrs::default() })
        .map_err(of_init)?;
    map_ids(opened.raw(), tree, container)?;
    match mount::set(opened.raw(), &tree.attrs) {
        Err(fault) if fault.is(EPERM) && fault.index() != 0 => Err(locked(tree, &opened, fault.index())),
        set => set.map(|()| sys::adopt(opened)).map_err(of_init),
    }
}

/// For attributes that are locked.
fn locked(tree: &Tree, opened: &init::Fd, kept: u32) -> Error {
    let own = init::mount_flags(opened.raw()).is_ok_and(|own| own & kept & mount::LOCKABLE != 0);
    let below = if own || kept & mount::LOCKABLE == 0 { "" } else { " of a mount below" };
    let (pointer, path) = (tree.pointer.clone(), tree.source.clone());
    Error::Locked { pointer, path, what: attribute_names(kept) + below }
}

/// Maps the ids of a detached tree, if that is asked for; `container` is the user namespace of one that runs already.
pub(crate) fn map_ids(opened: i32, tree: &Tree, container: Option<BorrowedFd<'_>>) -> Result<(), Error> {
    let Some(ids) = &tree.ids else { return Ok(()) };
    let namespace = match &ids.maps {
        MountMaps::Given(maps) => Source::Opened(id_maps::user_namespace(maps)?),
        MountMaps::Joined(path) => {
            Source::Opened(namespace(path, libc::CLONE_NEWUSER as u32, &tree.pointer)?)
        }
        MountMaps::Running => Source::Held(container.ok_or(Error::LACKING)?),
    };
    mount::map_ids(opened, ids.recursive, namespace.as_fd().as_raw_fd()).map_err(|fault| Error::MountIds {
        pointer: tree.pointer.clone(),
        path: tree.source.clone(),
        errno: Errno::from(fault),
    })
}

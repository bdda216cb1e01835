//! Sources of bind mounts as detached trees, for what init may not reach or may not do.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::libc;

use super::descriptors::namespace;
use super::{Error, id_maps};
use crate::init::abi::{AT_FDCWD, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, MS_REC, MS_SLAVE};
use crate::init::fault::Fault;
use crate::init::{mount, sys as init};
use crate::plan::{MountMaps, Tree, attribute_names};
use crate::sys;
use crate::wire::Attrs;

/// `ST_RELATIME`, which libc has for glibc alone.
const ST_RELATIME: libc::c_ulong = 0x1000;
/// The ways of keeping access times, as `statfs(2)` shows them.
const TIMES: u32 = (libc::ST_NOATIME | libc::ST_NODIRATIME | ST_RELATIME) as u32;

/// Opens one, with its attributes.
pub(super) fn open(tree: &Tree) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::Source { pointer: tree.pointer.clone(), path: tree.source.clone(), errno };
    let of_init = |fault| failed(errno(fault));
    let path = CString::new(tree.source.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
    let all = if tree.recursive { AT_RECURSIVE } else { 0 };
    let link = if tree.link { AT_SYMLINK_NOFOLLOW } else { 0 };
    let opened = mount::clone_tree(AT_FDCWD, &path, all | link).map_err(of_init)?;
    // A copy of a shared mount is one of its peers: what the container mounts there would be mounted on the host too.
    mount::set(opened.raw(), &Attrs { propagation: MS_SLAVE | MS_REC, ..Attrs::default() })
        .map_err(of_init)?;
    map_ids(opened.raw(), tree)?;
    let before = init::mount_flags(opened.raw()).map_err(of_init)?;
    let kept = if tree.locked { before & mount::LOCKABLE } else { 0 };
    let attrs = Attrs { implied: tree.attrs.implied & !kept, ..tree.attrs };
    mount::set(opened.raw(), &attrs).map_err(of_init)?;
    if tree.locked {
        // This side may lift everything, so it has to look after what the container's own root could not.
        let after = init::mount_flags(opened.raw()).map_err(of_init)?;
        let mut lifted = attribute_names(before & !after & mount::LOCKABLE);
        if before & TIMES != after & TIMES {
            lifted.push("the way of keeping access times");
        }
        if !lifted.is_empty() {
            let (pointer, path) = (tree.pointer.clone(), tree.source.clone());
            return Err(Error::Locked { pointer, path, what: lifted.join(", ") });
        }
    }
    Ok(sys::adopt(opened))
}

/// Maps the ids of a detached tree, if that is asked for.
pub(crate) fn map_ids(opened: i32, tree: &Tree) -> Result<(), Error> {
    let Some(ids) = &tree.ids else { return Ok(()) };
    let namespace = match &ids.maps {
        MountMaps::Given(maps) => id_maps::user_namespace(maps)?,
        MountMaps::Joined(path) => namespace(path, libc::CLONE_NEWUSER as u32, &tree.pointer)?,
    };
    mount::map_ids(opened, ids.recursive, namespace.as_raw_fd()).map_err(|fault| Error::MountIds {
        pointer: tree.pointer.clone(),
        path: tree.source.clone(),
        errno: errno(fault),
    })
}

fn errno(fault: Fault) -> Errno {
    Errno::from_raw(fault.value() as i32)
}

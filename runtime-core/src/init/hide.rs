//! The host's procfs and sysfs, out of the payload's reach where its root is not a pivoted one.
//!
//! The host's mounts then stay in the mount namespace, below the new root. No path leads there, but whoever makes a user
//! namespace may mount a new procfs or sysfs in it if there is one anywhere in the mount namespace of which nothing is
//! hidden, and so get at all that is masked in the container's. What covers a mount's root is locked in the copy that a
//! new user namespace gets; so every such mount gets a cover.

use super::abi::*;
use super::fault::{Fault, Result};
use super::mount::{attach_at, make_slave, tmpfs};
use super::mountinfo::{Mount, Mountinfo};
use super::path::Buffer;
use super::sys::{self, Fd};
use super::wire::Check;

/// Covers every whole procfs and sysfs that is not within `root`.
#[inline(never)] // its buffers are not to take room on the stack of other steps
pub(crate) fn kernel_views(root: &Fd, proc: i32) -> Result<()> {
    let info = Mountinfo::read(proc)?;
    let top = sys::mount_number(root.raw())?;
    let is_view = |mount: &Mount<'_>| mount.root == b"/" && matches!(mount.fstype, b"proc" | b"sysfs");
    for mount in info.mounts().filter(is_view) {
        if !info.is_within(mount, top) && !info.is_covered(mount) {
            cover(mount)?;
        }
    }
    Ok(())
}

/// Mounts an empty directory upon a mount; without effect on the host, where the mount may be shared.
fn cover(mount: Mount<'_>) -> Result<()> {
    let path = Buffer::unescaped(mount.point)?;
    let found = sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    match found {
        Ok(found) if sys::mount_number(found.raw())? == mount.id => {
            make_slave(&found)?;
            attach_at(&tmpfs([(c"mode", c"0555"), (c"nr_inodes", c"1")], None)?, found.raw())
        }
        // Something lies over a directory on the way to it.
        _ => Err(Fault::check(Check::HostVisible)),
    }
}

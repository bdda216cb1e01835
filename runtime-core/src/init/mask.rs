//! Paths that the container must not see, or not change.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Result, unless};
use super::mount::{self, attach, clone_tree};
use super::path::{Kept, Root};
use super::sys::{self, Fd};
use super::wire::{Attrs, List, Setting, Str};

/// Covers paths by empty files and directories, all of one tmpfs; missing ones are skipped.
///
/// Only an attached mount can be cloned on older kernels, and one that is made and dropped waits for an RCU
/// grace period. So the tmpfs itself covers the first directory. Where there is none it lies on the host's `/proc` in the tree
/// that is left behind, and goes with that; where that tree is not init's alone it lies on the root for a moment.
pub(crate) fn mask<'a>(
    root: &Root,
    paths: List<'a, Str<'a>>,
    label: Option<Setting<'_>>,
    aside: bool,
    kept: &mut Kept<'a>,
) -> Result<()> {
    let found = find(root, paths, kept)?;
    if !found.any {
        return Ok(());
    }
    let cover = Cover::new(label).map_err(|fault| fault.at(0))?;
    match found.directory {
        Some((_, path)) => attach(&cover.tree, &sys::statx(cover.tree.raw(), c"")?, root, path, None, kept)?,
        None if aside => {
            // Not on its root: what is unmounted there would be the cover and not the tree.
            let spare = sys::openat(AT_FDCWD, c"/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0)?;
            mount::attach_at(&cover.tree, spare.raw())?;
        }
        None => mount::attach_at(&cover.tree, root.dir)?,
    }
    let covered = found.directory.map(|(index, _)| index);
    for (index, path) in paths.iter().enumerate().filter(|(index, _)| covered != Some(*index)) {
        cover.lay(root, path.c_str(), kept).map_err(|fault| fault.at(index))?;
    }
    cover.seal()?;
    if covered.is_none() && !aside {
        sys::fchdir(cover.tree.raw())?;
        sys::umount2(c".", MNT_DETACH)?;
        sys::fchdir(root.dir)?;
    }
    Ok(())
}

/// What there is to cover.
struct Found<'a> {
    any: bool,
    /// The first directory: its place in the list, and its path.
    directory: Option<(usize, &'a CStr)>,
}

fn find<'a>(root: &Root, paths: List<'a, Str<'a>>, kept: &mut Kept<'a>) -> Result<Found<'a>> {
    let mut any = false;
    for (index, path) in paths.iter().enumerate() {
        match root.kind(path.c_str(), kept).map_err(|fault| fault.at(index))? {
            None => {}
            Some(S_IFDIR) => return Ok(Found { any: true, directory: Some((index, path.c_str())) }),
            Some(_) => any = true,
        }
    }
    Ok(Found { any, directory: None })
}

/// A tmpfs whose root is a directory with nothing in it but an empty file.
struct Cover {
    tree: Fd,
    file: Fd,
}

impl Cover {
    const READ_ONLY: Attrs = Attrs {
        set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        clear: 0,
        set_all: 0,
        clear_all: 0,
        implied: 0,
        propagation: 0,
    };

    fn new(label: Option<Setting<'_>>) -> Result<Self> {
        // Two inodes, and 1 KiB for each of the others: a security module gives the file a label, of 4 KiB at most.
        let tree = mount::tmpfs([(c"mode", c"0555"), (c"size", c"1"), (c"nr_inodes", c"8")], label)?;
        sys::mknodat(tree.raw(), c"file", S_IFREG | 0o444, 0)?;
        let file = sys::openat(tree.raw(), c"file", O_PATH | O_CLOEXEC, 0)?;
        Ok(Self { tree, file })
    }

    fn lay<'a>(&self, root: &Root, path: &'a CStr, kept: &mut Kept<'a>) -> Result<()> {
        let Some(kind) = root.kind(path, kept)? else { return Ok(()) };
        let source = if kind == S_IFDIR { &self.tree } else { &self.file };
        let clone = clone_tree(source.raw(), c"", 0)?;
        mount::set(clone.raw(), &Self::READ_ONLY)?;
        attach(&clone, &sys::statx(clone.raw(), c"")?, root, path, None, kept)
    }

    /// Leaves the directory empty: a file without a name could not have been mounted.
    fn seal(&self) -> Result<()> {
        sys::unlinkat(self.tree.raw(), c"file", 0)?;
        mount::set(self.tree.raw(), &Self::READ_ONLY)
    }
}

/// Makes paths read-only, with all mounts below them; missing ones are skipped.
pub(crate) fn read_only<'a>(root: &Root, paths: List<'a, Str<'a>>, kept: &mut Kept<'a>) -> Result<()> {
    for (index, path) in paths.iter().enumerate() {
        bind_read_only(root, path.c_str(), kept).map_err(|fault| fault.at(index))?;
    }
    Ok(())
}

fn bind_read_only<'a>(root: &Root, path: &'a CStr, kept: &mut Kept<'a>) -> Result<()> {
    let Some((tree, stat)) = clone_at(root, path, kept)? else { return Ok(()) };
    mount::set(tree.raw(), &Attrs { set_all: MOUNT_ATTR_RDONLY, ..Attrs::default() })?;
    attach(&tree, &stat, root, path, None, kept)
}

/// A detached copy of the mounts at a path, and what its root is; none where the path is missing.
fn clone_at<'a>(root: &Root, path: &'a CStr, kept: &mut Kept<'a>) -> Result<Option<(Fd, Statx)>> {
    if let Some((dir, name)) = root.neighbour(path, false, kept)? {
        let own = AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
        let Some(tree) = unless(clone_tree(dir, name.c_str(), own), &[ENOENT])? else { return Ok(None) };
        let stat = sys::statx(tree.raw(), c"")?;
        if stat.kind() != S_IFLNK {
            return Ok(Some((tree, stat)));
        }
    }
    let Some(target) = root.open_existing(path)? else { return Ok(None) };
    let tree = clone_tree(target.raw(), c"", AT_RECURSIVE)?;
    let stat = sys::statx(tree.raw(), c"")?;
    Ok(Some((tree, stat)))
}

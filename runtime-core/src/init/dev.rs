//! Device nodes, FIFOs and symbolic links of the root.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::nr;
use super::path::Root;
use super::sys::{self, Fd};
use super::wire::Check;

/// A node that is to be.
pub(crate) struct Node {
    pub(crate) mode: u32,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Node {
    /// True for a file of the same kind and, where that means something, of the same device.
    fn is(&self, stat: &Statx) -> bool {
        let kind = self.mode & S_IFMT;
        let same_device = (stat.rdev_major, stat.rdev_minor) == (self.major, self.minor);
        stat.kind() == kind && (kind == S_IFIFO || same_device)
    }
}

/// Makes a node; one that exists must be the same, and is left as it is.
#[inline(never)] // its path is not to take room on the stack of other steps
pub(crate) fn make_node(root: &Root, path: &CStr, node: &Node) -> Result<()> {
    root.in_parent(path, |dir, name| {
        let made = unless(sys::mknodat(dir, name, node.mode, device(node.major, node.minor)), &[EEXIST])?;
        let file = sys::openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0)?;
        let stat = sys::statx(file.raw(), c"")?;
        if !node.is(&stat) {
            return Err(Fault::check(Check::OtherNode));
        }
        if made.is_some() && (stat.uid, stat.gid) != (node.uid, node.gid) {
            sys::fchownat(file.raw(), c"", node.uid, node.gid, AT_EMPTY_PATH)?;
        }
        Ok(())
    })
}

/// Makes a symbolic link, unless its name is taken.
#[inline(never)] // as above
pub(crate) fn make_symlink(root: &Root, target: &CStr, path: &CStr) -> Result<()> {
    root.in_parent(path, |dir, name| unless(sys::symlinkat(target, dir, name), &[EEXIST]).map(drop))
}

/// Makes the same symbolic link as the one that `link` is; one that is there already must be the same.
#[inline(never)] // as above
pub(crate) fn copy_symlink(root: &Root, link: &Fd, path: &CStr) -> Result<()> {
    // A path of the kernel's has its NUL within as many bytes.
    let (mut wanted, mut found) = ([0; 4096], [0; 4096]);
    let len = sys::readlinkat(link.raw(), c"", &mut wanted)?.len();
    let target =
        CStr::from_bytes_until_nul(&wanted).map_err(|_| Fault::errno(nr::READLINKAT, ENAMETOOLONG))?;
    root.in_parent(path, |dir, name| match sys::symlinkat(target, dir, name) {
        Err(fault) if fault.is(EEXIST) => {
            let there = unless(sys::readlinkat(dir, name, &mut found), &[EINVAL])?;
            if there.is_some_and(|there| Some(there) == wanted.get(..len)) { Ok(()) } else { Err(fault) }
        }
        made => made.map(drop),
    })
}

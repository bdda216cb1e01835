//! Device nodes, FIFOs and symbolic links of the root.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::nr;
use super::path::{Kept, Root};
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
    /// Requires a file of the same kind and, where that means something, of the same device.
    fn check(&self, stat: &Statx) -> Result<()> {
        let kind = self.mode & S_IFMT;
        let same_device = (stat.rdev_major, stat.rdev_minor) == (self.major, self.minor);
        let same = stat.kind() == kind && (kind == S_IFIFO || same_device);
        if same { Ok(()) } else { Err(Fault::check(Check::OtherNode)) }
    }
}

/// Makes a node; one that exists must be the same, and is left as it is.
#[inline(never)] // its name is not to take room on the stack of other steps
pub(crate) fn make_node<'a>(root: &Root, path: &'a CStr, node: &Node, kept: &mut Kept<'a>) -> Result<()> {
    let (dir, name) = root.parent(path, kept)?;
    let name = name.c_str();
    let made = unless(sys::mknodat(dir, name, node.mode, device(node.major, node.minor)), &[EEXIST])?;
    let stat = sys::statx_link(dir, name)?;
    node.check(&stat)?;
    if made.is_some() && (stat.uid, stat.gid) != (node.uid, node.gid) {
        // What is changed is what was looked at.
        let file = sys::openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0)?;
        node.check(&sys::statx(file.raw(), c"")?)?;
        sys::fchownat(file.raw(), c"", node.uid, node.gid, AT_EMPTY_PATH)?;
    }
    Ok(())
}

/// Makes a symbolic link, unless its name is taken.
#[inline(never)] // as above
pub(crate) fn make_symlink<'a>(
    root: &Root,
    target: &CStr,
    path: &'a CStr,
    kept: &mut Kept<'a>,
) -> Result<()> {
    let (dir, name) = root.parent(path, kept)?;
    unless(sys::symlinkat(target, dir, name.c_str()), &[EEXIST]).map(drop)
}

/// Makes the same symbolic link as the one that `link` is; one that is there already must be the same.
#[inline(never)] // as above
pub(crate) fn copy_symlink(root: &Root, link: &Fd, path: &CStr) -> Result<()> {
    // A path of the kernel's has its NUL within as many bytes.
    let (mut wanted, mut found) = ([0; 4096], [0; 4096]);
    let len = sys::readlinkat(link.raw(), c"", &mut wanted)?.len();
    let target =
        CStr::from_bytes_until_nul(&wanted).map_err(|_| Fault::errno(nr::READLINKAT, ENAMETOOLONG))?;
    let mut kept = None;
    let (dir, name) = root.parent(path, &mut kept)?;
    match sys::symlinkat(target, dir, name.c_str()) {
        Err(fault) if fault.is(EEXIST) => {
            let there = unless(sys::readlinkat(dir, name.c_str(), &mut found), &[EINVAL])?;
            if there.is_some_and(|there| Some(there) == wanted.get(..len)) { Ok(()) } else { Err(fault) }
        }
        made => made.map(drop),
    }
}

//! Mounts, by descriptor: everything is set on a tree before it is attached.

use core::ffi::CStr;

use super::abi::*;
use super::copy;
use super::fault::{Fault, Result, unless};
use super::nr;
use super::path::{Kept, Leaf, Root};
use super::sys::{self, Fd};
use super::wire::{Attrs, Check, List, Setting, Str};

/// Attributes that a mount may bring along into a user namespace, where nobody can clear them.
pub(crate) const LOCKABLE: u32 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Sets a mount's attributes; its own first, those of all mounts below it and of itself then. The index of a fault are those that
/// a user namespace keeps.
pub(crate) fn set(mount: i32, attrs: &Attrs) -> Result<()> {
    let recursive = attrs.propagation & MS_REC != 0;
    let propagation = attrs.propagation & !MS_REC;
    let (all, own) = if recursive { (propagation, 0) } else { (0, propagation) };
    match apply(mount, 0, attrs.set, attrs.clear | attrs.implied, own) {
        Err(fault) if fault.is(EPERM) => {
            let has = sys::mount_flags(mount)? & LOCKABLE;
            apply(mount, 0, attrs.set, attrs.clear | attrs.implied & !has, own)
                .map_err(|fault| kept(fault, mount, 0, attrs.set, attrs.clear))?;
        }
        answer => answer?,
    }
    apply(mount, AT_RECURSIVE, attrs.set_all, attrs.clear_all, all)
        .map_err(|fault| kept(fault, mount, AT_RECURSIVE, attrs.set_all, attrs.clear_all))
}

/// Finds out which of several changes the kernel refuses, by trying each by itself. The whole field of access times stands for
/// any change of it.
fn kept(fault: Fault, mount: i32, flags: u32, set: u32, clear: u32) -> Fault {
    if !fault.is(EPERM) {
        return fault;
    }
    let times = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
    let mut kept = 0;
    for bit in [MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC] {
        if apply(mount, flags, 0, clear & bit, 0).is_err() {
            kept |= bit;
        }
    }
    if apply(mount, flags, set & times, clear & times, 0).is_err() {
        kept |= MOUNT_ATTR__ATIME;
    }
    fault.at(kept as usize)
}

fn apply(mount: i32, flags: u32, set: u32, clear: u32, propagation: u32) -> Result<()> {
    if set | clear | propagation == 0 {
        return Ok(());
    }
    let (set, clear, propagation) = (u64::from(set), u64::from(clear), u64::from(propagation));
    sys::mount_setattr(mount, flags, &MountAttr { set, clear, propagation, userns_fd: 0 })
}

/// A detached copy of the mount at a path; `flags` are `AT_RECURSIVE` and `AT_SYMLINK_NOFOLLOW`.
pub(crate) fn clone_tree(dir: i32, path: &CStr, flags: u32) -> Result<Fd> {
    let empty = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    sys::open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | empty | flags)
}

/// Attaches a detached tree at `path` of the root, and looks whether it is there. A missing path is made where `leaf` says what.
pub(crate) fn attach<'a>(
    tree: &Fd,
    mounted: &Statx,
    root: &Root,
    path: &'a CStr,
    leaf: Option<Leaf>,
    kept: &mut Kept<'a>,
) -> Result<()> {
    if attach_by_name(tree, mounted, root, path, leaf, kept)? {
        return Ok(());
    }
    root.settle(kept)?;
    let target = leaf.map_or_else(|| root.open(path), |leaf| root.ensure(path, leaf))?;
    attach_known(tree, mounted, &target, root, path)
}

/// The same by the last name of the path, in its directory: false where that name is a symbolic link, or nothing can be mounted
/// on it. Whether the path leads to that directory is looked at when the directory is given up.
fn attach_by_name<'a>(
    tree: &Fd,
    mounted: &Statx,
    root: &Root,
    path: &'a CStr,
    leaf: Option<Leaf>,
    kept: &mut Kept<'a>,
) -> Result<bool> {
    let Some((dir, name)) = root.neighbour(path, leaf.is_some(), kept)? else { return Ok(false) };
    let name = name.c_str();
    // The kernel itself mounts no directory on a link.
    let is_link = |stat: Statx| stat.kind() == S_IFLNK;
    if mounted.kind() != S_IFDIR && sys::statx_link(dir, name).is_ok_and(is_link) {
        return Ok(false);
    }
    let attach = || sys::move_mount(tree.raw(), c"", dir, name, MOVE_MOUNT_F_EMPTY_PATH);
    let attached = match (attach(), leaf) {
        (Err(fault), Some(leaf)) if fault.is(ENOENT) => leaf.make(dir, name).and_then(|_| attach()),
        (answer, _) => answer,
    };
    if attached.is_err() {
        return Ok(false);
    }
    if let Some(kept) = kept {
        kept.mounted = true;
    }
    if sys::mount_at(dir, name)? == mounted.mnt_id { Ok(true) } else { Err(Fault::check(Check::MountMoved)) }
}

/// Attaches a detached tree at `target`, which was opened as `path`, and looks whether it is there.
pub(crate) fn attach_on(tree: &Fd, target: &Fd, root: &Root, path: &CStr) -> Result<()> {
    attach_known(tree, &sys::statx(tree.raw(), c"")?, target, root, path)
}

/// The same for a tree that has been looked at: its mount keeps its number.
fn attach_known(tree: &Fd, mounted: &Statx, target: &Fd, root: &Root, path: &CStr) -> Result<()> {
    attach_at(tree, target.raw()).map_err(|fault| name_mismatch(fault, tree, target))?;
    if path == c"/" {
        // No name leads there that could be another's meanwhile, nor to what is mounted on it.
        return Ok(());
    }
    // What is mounted, or mounted over, may be a symbolic link itself.
    let link = mounted.kind() == S_IFLNK
        || mounted.kind() != S_IFDIR && sys::statx(target.raw(), c"")?.kind() == S_IFLNK;
    let there = root.open_with(path, if link { O_PATH | O_NOFOLLOW } else { O_PATH })?;
    let there = sys::statx(there.raw(), c"")?;
    if there.mnt_id != mounted.mnt_id {
        // It is not to stay where somebody has led it: this process ends, but what it joined may go on.
        let _ = detach(tree);
        return Err(Fault::check(Check::MountMoved));
    }
    Ok(())
}

/// A directory over a file, or a file over a directory, is ENOTDIR to `mount(2)` and to everybody who reads its
/// errors; `move_mount(2)` has no more to say than EINVAL.
fn name_mismatch(fault: Fault, tree: &Fd, target: &Fd) -> Fault {
    let is_directory = |fd: &Fd| sys::statx(fd.raw(), c"").map(|stat| stat.kind() == S_IFDIR);
    match (is_directory(tree), is_directory(target)) {
        (Ok(tree), Ok(target)) if fault.is(EINVAL) && tree != target => Fault::errno(nr::MOVE_MOUNT, ENOTDIR),
        _ => fault,
    }
}

/// Attaches a detached tree at `target`; `AT_FDCWD` is the current directory.
pub(crate) fn attach_at(tree: &Fd, target: i32) -> Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    sys::move_mount(tree.raw(), c"", target, c"", flags).map(drop)
}

/// A new, detached mount of a file system with these options, each a key with or without a value. In a fault
/// the index is that of the option at fault, or the number of options where the whole was refused.
pub(crate) fn new_with<'a, I>(fstype: &CStr, source: Option<&CStr>, options: I, flags: u32) -> Result<Fd>
where
    I: Iterator<Item = (&'a CStr, Option<&'a CStr>)>,
{
    let context = sys::fsopen(fstype, FSOPEN_CLOEXEC)?;
    let set = |key, value: Option<&CStr>| {
        let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
        sys::fsconfig(context.raw(), command, Some(key), value, 0)
    };
    let mut count = 0;
    for (key, value) in options {
        set(key, value).map_err(|fault| fault.at(count))?;
        count += 1;
    }
    if source.is_some() {
        set(c"source", source).map_err(|fault| fault.at(count))?;
    }
    sys::fsconfig(context.raw(), FSCONFIG_CMD_CREATE, None, None, 0).map_err(|fault| fault.at(count))?;
    sys::fsmount(&context, FSMOUNT_CLOEXEC, flags).map_err(|fault| fault.at(count))
}

/// A new, detached tmpfs; the label is one option more.
pub(crate) fn tmpfs<const N: usize>(options: [(&CStr, &CStr); N], label: Option<Setting<'_>>) -> Result<Fd> {
    let options = options.into_iter().map(|(key, value)| (key, Some(value)));
    let label = label.iter().map(|label| (label.key.c_str(), label.value.map(|value| value.c_str())));
    new_with(c"tmpfs", None, options.chain(label), 0)
}

/// Gives the root directory of a mount an SELinux label.
pub(crate) fn label(mount: &Fd, label: Str<'_>) -> Result<()> {
    let dir = sys::openat(mount.raw(), c".", O_DIRECTORY | O_CLOEXEC, 0)?;
    sys::fsetxattr(dir.raw(), c"security.selinux", label.bytes()).map(drop)
}

/// What `fsopen(2)` and `fsconfig(2)` take.
pub(crate) struct Filesystem<'a> {
    pub(crate) fstype: Str<'a>,
    pub(crate) source: Option<Str<'a>>,
    pub(crate) options: List<'a, Setting<'a>>,
    pub(crate) keep_mode: bool,
    pub(crate) copy_up: bool,
}

/// A new, detached mount of a file system for `target` in the root.
pub(crate) fn filesystem(new: &Filesystem<'_>, attrs: &Attrs, root: &Root, target: &CStr) -> Result<Fd> {
    let covered = if new.keep_mode || new.copy_up { root.open_existing(target)? } else { None };
    let mode = match covered.as_ref().filter(|_| new.keep_mode) {
        Some(covered) => Some(octal(sys::statx(covered.raw(), c"")?.mode.into())),
        None => None,
    };
    let mode = mode.iter().map(|digits| (c"mode", CStr::from_bytes_until_nul(digits).ok()));
    let options = new.options.iter();
    let options = options.map(|option| (option.key.c_str(), option.value.map(|value| value.c_str())));
    let options = options.chain(mode);
    // A new mount has no attribute that could be cleared, and nothing below it.
    let flags = attrs.set | attrs.set_all & !attrs.clear;
    let source = new.source.map(|source| source.c_str());
    let mount = new_with(new.fstype.c_str(), source, options, flags)?;
    apply(mount.raw(), 0, 0, 0, attrs.propagation & !MS_REC)?;
    if let Some(covered) = covered.filter(|_| new.copy_up) {
        copy::contents(&covered, &mount)?;
    }
    Ok(mount)
}

/// Attaches a new mount at `target` in the root.
pub(crate) fn place<'a>(mount: &Fd, root: &Root, target: &'a CStr, kept: &mut Kept<'a>) -> Result<()> {
    attach(mount, &sys::statx(mount.raw(), c"")?, root, target, Some(Leaf::Directory), kept)
}

/// The permissions of a mode as text, NUL-terminated.
fn octal(mode: u32) -> [u8; 5] {
    let digit = |place: u32| b'0' + (mode >> (3 * place) & 7) as u8;
    [digit(3), digit(2), digit(1), digit(0), 0]
}

/// What `mount(2)` takes.
pub(crate) struct Legacy<'a> {
    pub(crate) fstype: Str<'a>,
    pub(crate) source: Str<'a>,
    pub(crate) flags: u64,
    pub(crate) data: Str<'a>,
}

/// Mounts with `mount(2)` at `target` in the root, or changes the mount that is there; answers the root of that mount.
pub(crate) fn legacy(mount: &Legacy<'_>, attrs: &Attrs, root: &Root, target: &CStr) -> Result<Fd> {
    if mount.flags & MS_REMOUNT != 0 {
        let there = root.open(target)?;
        // With MS_BIND the attributes are all that changes.
        if mount.flags & MS_BIND == 0 {
            call_mount(mount, &there, root)?;
        }
        set(there.raw(), attrs)?;
        return Ok(there);
    }
    let dir = root.ensure(target, Leaf::Directory)?;
    call_mount(mount, &dir, root)?;
    // Whoever joined the mount namespace of others leaves nothing there that is not as it should be, nor where somebody has led it.
    settle(&dir, attrs, root, target).inspect_err(|_| {
        let _ = detach(&dir);
    })
}

/// Finds what has just been mounted over `dir` at `target`, and gives it its attributes.
fn settle(dir: &Fd, attrs: &Attrs, root: &Root, target: &CStr) -> Result<Fd> {
    let there = root.open(target)?;
    let (below, stat) = (sys::statx(dir.raw(), c"")?, sys::statx(there.raw(), c"")?);
    if stat.mnt_id == below.mnt_id || stat.attributes & STATX_ATTR_MOUNT_ROOT == 0 {
        return Err(Fault::check(Check::MountMoved));
    }
    set(there.raw(), attrs)?;
    Ok(there)
}

/// Takes back the mount on top at a directory.
fn detach(dir: &Fd) -> Result<()> {
    sys::fchdir(dir.raw())?;
    sys::umount2(c".", MNT_DETACH).map(drop)
}

/// Calls `mount(2)`, which takes paths alone, for the directory `dir`.
fn call_mount(mount: &Legacy<'_>, dir: &Fd, root: &Root) -> Result<()> {
    sys::fchdir(dir.raw())?;
    let (source, fstype) = (Some(mount.source.c_str()), Some(mount.fstype.c_str()));
    sys::mount(source, c".", fstype, mount.flags, Some(mount.data.c_str()))?;
    sys::fchdir(root.dir).map(drop)
}

/// What is to be mounted elsewhere too.
pub(crate) struct Source<'a> {
    pub(crate) path: Str<'a>,
    pub(crate) recursive: bool,
    /// A symbolic link at the end is meant itself.
    pub(crate) link: bool,
}

/// A detached copy of the mounts at a path, in `root` if that is given, with these attributes.
pub(crate) fn open_source(source: &Source<'_>, root: Option<&Root>, attrs: &Attrs) -> Result<Fd> {
    let path = source.path.c_str();
    let all = if source.recursive { AT_RECURSIVE } else { 0 };
    let (link, nofollow) = if source.link { (AT_SYMLINK_NOFOLLOW, O_NOFOLLOW) } else { (0, 0) };
    let tree = match root {
        Some(root) => clone_tree(root.open_with(path, O_PATH | nofollow)?.raw(), c"", all)?,
        None => clone_tree(AT_FDCWD, path, all | link)?,
    };
    set(tree.raw(), attrs)?;
    Ok(tree)
}

/// Maps the ids of a detached tree as a user namespace does.
pub(crate) fn map_ids(tree: i32, recursive: bool, namespace: i32) -> Result<()> {
    let attr = MountAttr { set: MOUNT_ATTR_IDMAP, userns_fd: namespace as u64, ..MountAttr::default() };
    sys::mount_setattr(tree, if recursive { AT_RECURSIVE } else { 0 }, &attr)
}

/// Attaches a detached tree at `target` in the root; with `link` over a symbolic link that is there.
pub(crate) fn bind<'a>(
    tree: &Fd,
    root: &Root,
    target: &'a CStr,
    link: bool,
    kept: &mut Kept<'a>,
) -> Result<()> {
    let stat = sys::statx(tree.raw(), c"")?;
    if link {
        root.settle(kept)?;
        if let Some(there) = unless(root.open_with(target, O_PATH | O_NOFOLLOW), &[ENOENT])? {
            return attach_known(tree, &stat, &there, root, target);
        }
    }
    let leaf = if stat.kind() == S_IFDIR { Leaf::Directory } else { Leaf::File };
    attach(tree, &stat, root, target, Some(leaf), kept)
}

/// Detaches the mount on top at `target` in the root. A directory may be renamed meanwhile, but no link leads from it to a mount
/// that hides something.
#[inline(never)] // its path is not to take room on the stack of other steps
pub(crate) fn unmount(root: &Root, target: &CStr) -> Result<()> {
    let there = root.open(target)?;
    if sys::statx(there.raw(), c"")?.attributes & STATX_ATTR_MOUNT_ROOT == 0 {
        return Err(Fault::errno(nr::UMOUNT2, EINVAL));
    }
    let mut kept = None;
    let (parent, name) = root.parent(target, &mut kept)?;
    sys::fchdir(parent)?;
    sys::umount2(name.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW)?;
    sys::fchdir(root.dir).map(drop)
}

/// Detaches the mount with this number, if it is what `target` in the root leads to. Links may lead there, since the number tells.
#[inline(never)] // as above
pub(crate) fn take_back(root: &Root, target: &CStr, mount: u32) -> Result<()> {
    let is_it = |fd: &Fd| sys::mount_number(fd.raw()).map(|number| number == u64::from(mount));
    let Some(there) = root.open_existing(target)? else { return Ok(()) };
    if !is_it(&there)? {
        return Ok(());
    }
    if sys::statx(there.raw(), c"")?.kind() == S_IFDIR {
        detach(&there)?;
    } else {
        let mut kept = None;
        let (parent, name) = root.parent(target, &mut kept)?;
        // A file on which something is mounted cannot be renamed, so that the name stays this mount's.
        if !is_it(&sys::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0)?)? {
            return Err(Fault::check(Check::MountMoved));
        }
        sys::fchdir(parent)?;
        sys::umount2(name.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW)?;
    }
    sys::fchdir(root.dir).map(drop)
}

/// Makes the mount that holds the current directory private.
pub(crate) fn private_parent() -> Result<()> {
    // A path has at most as many names as bytes.
    let mut dir = sys::openat(AT_FDCWD, c".", O_PATH | O_CLOEXEC, 0)?;
    for _ in 0..4096 {
        match apply(dir.raw(), 0, 0, 0, MS_PRIVATE) {
            // Not the root of a mount.
            Err(fault) if fault.is(EINVAL) => dir = sys::openat(dir.raw(), c"..", O_PATH | O_CLOEXEC, 0)?,
            answer => return answer,
        }
    }
    apply(dir.raw(), 0, 0, 0, MS_PRIVATE)
}

/// Keeps what is mounted on a mount here, where others have it too.
pub(crate) fn make_slave(mount: &Fd) -> Result<()> {
    apply(mount.raw(), 0, 0, 0, MS_SLAVE)
}

/// Clones the tree at the current directory and mounts it over itself.
pub(crate) fn take_root(attrs: &Attrs) -> Result<Fd> {
    let tree = clone_tree(AT_FDCWD, c"", AT_RECURSIVE)?;
    set(tree.raw(), attrs)?;
    attach_at(&tree, AT_FDCWD)?;
    Ok(tree)
}

/// Makes `root` the root of the mount namespace and detaches the old one.
pub(crate) fn pivot(root: &Fd, isolate: bool) -> Result<()> {
    let old = sys::openat(AT_FDCWD, c"/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0)?;
    sys::fchdir(root.raw())?;
    // Both names are the same directory: the old root comes to lie on the new one, and needs no place in it.
    sys::pivot_root(c".", c".")?;
    sys::fchdir(old.raw())?;
    if isolate {
        apply(old.raw(), AT_RECURSIVE, 0, 0, MS_SLAVE)?;
    }
    sys::umount2(c".", MNT_DETACH)?;
    // What goes is the mount on top: if the host has something over its root, that was not it yet.
    while unless(sys::umount2(c".", MNT_DETACH), &[EINVAL])?.is_some() {}
    sys::chdir(c"/").map(drop)
}

/// Moves `root` over the root of the mount namespace, where that one cannot be pivoted.
pub(crate) fn move_root(root: &Fd) -> Result<()> {
    sys::fchdir(root.raw())?;
    sys::mount(Some(c"."), c"/", None, MS_MOVE, None)?;
    sys::chroot(c".")?;
    sys::chdir(c"/").map(drop)
}

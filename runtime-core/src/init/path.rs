//! Paths inside the root: every name is resolved by the kernel with the root as its bounds.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::mountinfo::unescape;
use super::nr;
use super::sys::{self, Fd};
use super::wire::Check;

/// Symbolic links in the root work, and stay in it.
const IN_ROOT: u64 = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/// Dangling symbolic links that are followed for one path, as the kernel's limit.
const MAX_LINKS: u32 = 40;

/// What is made where a path ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Directory,
    File,
}

impl Leaf {
    /// Makes it in `dir`.
    pub(crate) fn make(self, dir: i32, name: &CStr) -> Result<usize> {
        match self {
            Self::File => sys::mknodat(dir, name, S_IFREG | 0o644, 0),
            Self::Directory => sys::mkdirat(dir, name, 0o755),
        }
    }
}

/// How a path is resolved.
#[derive(Clone, Copy)]
pub(crate) struct Root {
    /// The root's directory.
    pub(crate) dir: i32,
    /// Refuse symbolic links anywhere in the path.
    pub(crate) nofollow: bool,
    /// Nobody else is in the mount namespace: what is mounted is not seen before all of it is there.
    pub(crate) alone: bool,
}

impl Root {
    /// Opens a path of the root, of any type and without effect on it.
    pub(crate) fn open(&self, path: &CStr) -> Result<Fd> {
        self.open_with(path, O_PATH)
    }

    /// Opens a path of the root, unless it is missing.
    pub(crate) fn open_existing(&self, path: &CStr) -> Result<Option<Fd>> {
        unless(self.open(path), &[ENOENT, ENOTDIR])
    }

    /// Opens a path of the root with these flags.
    pub(crate) fn open_with(&self, path: &CStr, flags: u32) -> Result<Fd> {
        let resolve = if self.nofollow { IN_ROOT | RESOLVE_NO_SYMLINKS } else { IN_ROOT };
        sys::openat2(self.dir, path, flags | O_CLOEXEC, resolve)
    }

    /// Opens a path of the root; what is missing of it is made: directories (0755), and at its end a
    /// directory or an empty file. Symbolic links that point to nothing are followed too.
    pub(crate) fn ensure(&self, path: &CStr, leaf: Leaf) -> Result<Fd> {
        match self.open(path) {
            Err(fault) if fault.is(ENOENT) => self.make(path, leaf),
            answer => answer,
        }
    }

    /// [`ensure`](Self::ensure) where something is missing; apart from it, for the sake of the stack.
    #[inline(never)]
    fn make(&self, given: &CStr, leaf: Leaf) -> Result<Fd> {
        let mut path = Buffer::EMPTY;
        path.push(given.to_bytes())?;
        for _ in 0..MAX_LINKS {
            match self.walk(&mut path, leaf)? {
                Walk::Done(Some(fd)) => return Ok(fd),
                Walk::Done(None) => return self.open(c"."),
                Walk::Dangling { dir, from, end } => {
                    self.redirect(&mut path, dir.as_ref().map_or(self.dir, Fd::raw), from, end)?;
                }
            }
        }
        Err(Fault::check(Check::SymlinkLoop))
    }

    /// Goes down `path`, making what is missing, up to its end or to a symbolic link that leads nowhere.
    fn walk(&self, path: &mut Buffer, leaf: Leaf) -> Result<Walk> {
        let (mut dir, mut start) = (None, 0);
        while let Some((from, end)) = component(path.bytes(), start) {
            let last = component(path.bytes(), end).is_none();
            let above = dir.as_ref().map_or(self.dir, Fd::raw);
            let leaf = if last { leaf } else { Leaf::Directory };
            let next = path.cut_at(end, |path| self.enter(above, path.c_str(), path.from(from), leaf))?;
            if next.is_none() {
                return Ok(Walk::Dangling { dir, from, end });
            }
            (dir, start) = (next, end);
        }
        Ok(Walk::Done(dir))
    }

    /// Opens `path`, whose last name is made in `dir` where it is missing; `None` where that is a link that leads nowhere.
    fn enter(&self, dir: i32, path: &CStr, name: &CStr, leaf: Leaf) -> Result<Option<Fd>> {
        if let Some(there) = unless(self.open(path), &[ENOENT])? {
            return Ok(Some(there));
        }
        match unless(leaf.make(dir, name), &[EEXIST])? {
            Some(_) => self.open(path).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the symbolic link between `from` and `end` of the path, which stands in `dir`, by what it says.
    #[inline(never)]
    fn redirect(&self, path: &mut Buffer, dir: i32, from: usize, end: usize) -> Result<()> {
        let mut target = [0; Buffer::SIZE];
        let target = match path.cut_at(end, |path| sys::readlinkat(dir, path.from(from), &mut target)) {
            // No link: it came to be meanwhile, and the next walk finds it.
            Err(fault) if fault.is(EINVAL) => return Ok(()),
            answer => answer?,
        };
        if self.nofollow {
            return Err(Fault::errno(nr::OPENAT2, ELOOP));
        }
        let before = match target.first() {
            Some(b'/') => &[][..],
            _ => path.bytes().get(..from).unwrap_or_default(),
        };
        let mut redirected = Buffer::EMPTY;
        redirected.push(before)?;
        redirected.push(target)?;
        redirected.push(b"/")?;
        redirected.push(path.bytes().get(end..).unwrap_or_default())?;
        *path = redirected;
        Ok(())
    }

    /// The directory in which the last name of `path` stands, made where it is missing, and that name. The directory is kept,
    /// also for neighbours of `path`, which then need not look for it.
    #[inline(never)] // once for all steps
    pub(crate) fn parent<'a>(&self, path: &'a CStr, kept: &mut Kept<'a>) -> Result<(i32, Name)> {
        let (head, name) = split(path).ok_or(Fault::errno(nr::OPENAT2, EINVAL))?;
        Ok((self.directory(head, true, kept)?, Name::new(name)?))
    }

    /// The same where a path can go by its last name, since nobody else is about; a directory is made with `make` alone.
    #[inline(never)] // as above
    pub(crate) fn neighbour<'a>(
        &self,
        path: &'a CStr,
        make: bool,
        kept: &mut Kept<'a>,
    ) -> Result<Option<(i32, Name)>> {
        let Some((head, name)) = split(path).filter(|_| self.alone) else { return Ok(None) };
        let tolerated: &[u32] = if make { &[] } else { &[ENOENT, ENOTDIR] };
        let Some(dir) = unless(self.directory(head, make, kept), tolerated)? else { return Ok(None) };
        Ok(Some((dir, Name::new(name)?)))
    }

    fn directory<'a>(&self, head: &'a [u8], make: bool, kept: &mut Kept<'a>) -> Result<i32> {
        if let Some(kept) = kept.as_ref().filter(|kept| kept.head == head && kept.nofollow == self.nofollow) {
            return Ok(kept.dir.raw());
        }
        self.settle(kept)?;
        if head.iter().all(|&byte| byte == b'/') {
            return Ok(self.dir);
        }
        let dir = self.open_head(head, make)?;
        Ok(kept.insert(Directory { head, nofollow: self.nofollow, dir, mounted: false }).dir.raw())
    }

    /// Gives up what is kept. Where something was mounted in it by name, its path must still lead to it.
    #[inline(never)] // as above
    pub(crate) fn settle(&self, kept: &mut Kept<'_>) -> Result<()> {
        let Some(kept) = kept.take().filter(|kept| kept.mounted) else { return Ok(()) };
        let there = Self { nofollow: kept.nofollow, ..*self }.open_head(kept.head, false)?;
        let (kept, there) = (sys::statx(kept.dir.raw(), c"")?, sys::statx(there.raw(), c"")?);
        let place = |stat: &Statx| (stat.mnt_id, stat.dev_major, stat.dev_minor, stat.ino);
        if place(&kept) == place(&there) { Ok(()) } else { Err(Fault::check(Check::MountMoved)) }
    }

    /// Opens what stands before the last name of a path, which ends with a slash; with `make` what is missing is made.
    fn open_head(&self, head: &[u8], make: bool) -> Result<Fd> {
        match Name::new(head) {
            Ok(short) => self.open_directory(short.c_str(), make),
            Err(_) => self.open_long_head(head, make),
        }
    }

    #[inline(never)] // its buffer is not to take room on the stack of what is usual
    fn open_long_head(&self, head: &[u8], make: bool) -> Result<Fd> {
        let mut path = Buffer::EMPTY;
        path.push(head)?;
        self.open_directory(path.c_str(), make)
    }

    fn open_directory(&self, path: &CStr, make: bool) -> Result<Fd> {
        if make { self.ensure(path, Leaf::Directory) } else { self.open_with(path, O_PATH | O_DIRECTORY) }
    }

    /// The kind of file that a path leads to, unless it is missing.
    pub(crate) fn kind<'a>(&self, path: &'a CStr, kept: &mut Kept<'a>) -> Result<Option<u32>> {
        if let Some((dir, name)) = self.neighbour(path, false, kept)? {
            match unless(sys::statx_link(dir, name.c_str()), &[ENOENT])? {
                Some(stat) if stat.kind() == S_IFLNK => {}
                there => return Ok(there.map(|stat| stat.kind())),
            }
        }
        let Some(there) = self.open_existing(path)? else { return Ok(None) };
        sys::statx(there.raw(), c"").map(|stat| Some(stat.kind()))
    }

    /// Requires that `path` is a real directory, reached without any symbolic link; a missing one is made, or
    /// passed over.
    pub(crate) fn real_directory(self, path: &CStr, create: bool) -> Result<()> {
        let strict = Self { nofollow: true, ..self };
        let mut kept = None;
        let (dir, name) = strict.parent(path, &mut kept)?;
        let stat = match unless(sys::statx_link(dir, name.c_str()), &[ENOENT])? {
            None if !create => return Ok(()),
            None => {
                unless(Leaf::Directory.make(dir, name.c_str()), &[EEXIST])?;
                sys::statx_link(dir, name.c_str())?
            }
            Some(stat) => stat,
        };
        if stat.kind() == S_IFDIR { Ok(()) } else { Err(Fault::check(Check::NotDirectory)) }
    }
}

/// A directory of the root, and how it was named: everything of a path up to its last name.
pub(crate) struct Directory<'a> {
    head: &'a [u8],
    nofollow: bool,
    dir: Fd,
    /// What was mounted in it by name is where it should be if this directory is.
    pub(crate) mounted: bool,
}

/// The directory of the path before this one.
pub(crate) type Kept<'a> = Option<Directory<'a>>;

/// A path's last name, and everything before it; without the former where that is no name of its own.
fn split(path: &CStr) -> Option<(&[u8], &[u8])> {
    let path = path.to_bytes();
    let end = path.iter().rposition(|&byte| byte != b'/')? + 1;
    let path = path.get(..end)?;
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (head, name) = path.split_at_checked(start)?;
    (!matches!(name, b"." | b"..")).then_some((head, name))
}

/// The name of a file, or another short path, and the NUL behind it.
pub(crate) struct Name([u8; 256]);

impl Name {
    fn new(name: &[u8]) -> Result<Self> {
        let mut bytes = [0; 256];
        // The last byte stays NUL.
        if name.len() >= bytes.len() {
            return Err(Fault::errno(nr::OPENAT2, ENAMETOOLONG));
        }
        for (place, byte) in bytes.iter_mut().zip(name) {
            *place = *byte;
        }
        Ok(Self(bytes))
    }

    pub(crate) fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// How far a walk came. Without a directory, that is the root.
enum Walk {
    Done(Option<Fd>),
    /// The name between `from` and `end` of the path is there, in `dir`, and leads nowhere.
    Dangling {
        dir: Option<Fd>,
        from: usize,
        end: usize,
    },
}

/// Where the next name of `path` at or after `start` begins and ends.
fn component(path: &[u8], start: usize) -> Option<(usize, usize)> {
    let rest = path.get(start..)?;
    let from = start + rest.iter().position(|&byte| byte != b'/')?;
    let len = path.get(from..)?.iter().position(|&byte| byte == b'/');
    Some((from, len.map_or(path.len(), |len| from + len)))
}

/// A path that is put together here; always NUL-terminated.
pub(crate) struct Buffer {
    bytes: [u8; Self::SIZE],
    len: usize,
}

impl Buffer {
    const SIZE: usize = 4096;
    const EMPTY: Self = Self { bytes: [0; Self::SIZE], len: 0 };

    /// A path of mountinfo.
    pub(crate) fn unescaped(path: &[u8]) -> Result<Self> {
        let mut buffer = Self::EMPTY;
        let room = buffer.bytes.split_last_mut().map(|(_, room)| room).unwrap_or_default();
        let len = unescape(path, room);
        buffer.len = len.ok_or(Fault::errno(nr::OPENAT2, ENAMETOOLONG))?;
        Ok(buffer)
    }

    fn push(&mut self, more: &[u8]) -> Result<()> {
        let end = self.len.saturating_add(more.len());
        // The last byte stays NUL.
        let room = self.bytes.get_mut(self.len..end).filter(|_| end < Self::SIZE);
        let room = room.ok_or(Fault::errno(nr::OPENAT2, ENAMETOOLONG))?;
        for (place, byte) in room.iter_mut().zip(more) {
            *place = *byte;
        }
        self.len = end;
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What `act` makes of the path when it ends at `end`.
    fn cut_at<T>(&mut self, end: usize, act: impl FnOnce(&Self) -> T) -> T {
        let cut = self.bytes.get_mut(end).map(core::mem::take);
        let answer = act(self);
        if let (Some(place), Some(byte)) = (self.bytes.get_mut(end), cut) {
            *place = byte;
        }
        answer
    }

    /// The path as the kernel takes it.
    pub(crate) fn c_str(&self) -> &CStr {
        self.from(0)
    }

    /// The path from this byte on.
    fn from(&self, start: usize) -> &CStr {
        let rest = self.bytes.get(start..).unwrap_or_default();
        CStr::from_bytes_until_nul(rest).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::path::PathBuf;
    use std::{env, fs, process};

    use super::*;

    /// A directory with `root` in it, and `outside` beside that.
    struct Tree(PathBuf, fs::File);

    impl Tree {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("corten-path-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("root")).unwrap();
            fs::create_dir(path.join("outside")).unwrap();
            let root = fs::File::open(path.join("root")).unwrap();
            Self(path, root)
        }

        fn root(&self) -> Root {
            Root { dir: self.1.as_raw_fd(), nofollow: false, alone: true }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.join("root").join(path)
        }

        fn link(&self, target: &str, path: &str) {
            symlink(target, self.at(path)).unwrap();
        }

        fn untouched_outside(&self) {
            assert_eq!(fs::read_dir(self.0.join("outside")).unwrap().count(), 0);
            assert_eq!(fs::read_dir(&self.0).unwrap().count(), 2);
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn makes_what_is_missing() {
        let tree = Tree::new("missing");
        tree.root().ensure(c"/a//b/./c/", Leaf::Directory).unwrap();
        assert!(tree.at("a/b/c").is_dir());
        tree.root().ensure(c"a/b/../d/file", Leaf::File).unwrap();
        assert!(tree.at("a/d/file").is_file());
        tree.root().ensure(c"/a/d/file", Leaf::Directory).unwrap();
        assert!(tree.at("a/d/file").is_file());
        tree.root().ensure(c"/../../outside/x", Leaf::Directory).unwrap();
        assert!(tree.at("outside/x").is_dir());
        tree.untouched_outside();
    }

    #[test]
    fn links_stay_inside() {
        let tree = Tree::new("links");
        tree.link("../outside", "up");
        tree.link("/outside/deep", "absolute");
        tree.link("absolute/more", "chain");
        tree.link("/proc/self/root/etc", "magic");
        tree.root().ensure(c"up/x", Leaf::Directory).unwrap();
        tree.root().ensure(c"chain/file", Leaf::File).unwrap();
        tree.root().ensure(c"magic/file", Leaf::File).unwrap();
        assert!(tree.at("outside/x").is_dir());
        assert!(tree.at("outside/deep/more/file").is_file());
        assert!(tree.at("proc/self/root/etc/file").is_file());
        tree.untouched_outside();
    }

    #[test]
    fn dangling_file_link() {
        let tree = Tree::new("resolv");
        fs::create_dir(tree.at("etc")).unwrap();
        tree.link("../run/systemd/resolve/stub", "etc/resolv.conf");
        tree.root().ensure(c"/etc/resolv.conf", Leaf::File).unwrap();
        assert!(tree.at("run/systemd/resolve/stub").is_file());
    }

    #[test]
    fn loops_end() {
        let tree = Tree::new("loops");
        tree.link("two", "one");
        tree.link("one", "two");
        // Each round leads to a longer path that is missing, too.
        tree.link("grow/x", "grow");
        assert!(tree.root().ensure(c"one/x", Leaf::Directory).unwrap_err().is(ELOOP));
        assert!(tree.root().ensure(c"grow/y", Leaf::Directory).is_err());
        fs::write(tree.at("file"), "").unwrap();
        assert!(tree.root().ensure(c"file/x", Leaf::Directory).unwrap_err().is(ENOTDIR));
    }

    #[test]
    fn no_links_where_none_are_wanted() {
        let tree = Tree::new("nofollow");
        fs::create_dir(tree.at("real")).unwrap();
        tree.link("real", "link");
        tree.link("missing", "dangling");
        let strict = Root { nofollow: true, ..tree.root() };
        for path in [c"link/x", c"dangling", c"dangling/x"] {
            assert!(strict.ensure(path, Leaf::Directory).unwrap_err().is(ELOOP), "{path:?}");
        }
        let not_directory = Fault::check(Check::NotDirectory);
        for path in [c"link", c"dangling"] {
            assert_eq!(strict.real_directory(path, true).unwrap_err(), not_directory);
            assert_eq!(strict.real_directory(path, false).unwrap_err(), not_directory);
        }
        strict.real_directory(c"/new", false).unwrap();
        assert!(!tree.at("new").exists());
        strict.real_directory(c"/new", true).unwrap();
        assert!(tree.at("new").is_dir());
        assert!(!tree.at("missing").exists());
    }

    #[test]
    fn parents() {
        let tree = Tree::new("parents");
        for (path, name) in [(c"/dev/null", "null"), (c"null", "null"), (c"/a/b//null//", "null")] {
            let mut kept = None;
            let (dir, found) = tree.root().parent(path, &mut kept).unwrap();
            assert_eq!(found.c_str().to_str().unwrap(), name);
            sys::mknodat(dir, found.c_str(), S_IFIFO | 0o600, 0).unwrap();
        }
        for path in ["dev/null", "null", "a/b/null"] {
            assert!(fs::symlink_metadata(tree.at(path)).unwrap().file_type().is_fifo());
        }
        for path in [c"", c"/", c"a/..", c"a/.", c".."] {
            assert!(tree.root().parent(path, &mut None).is_err(), "{path:?}");
        }
        let long = std::ffi::CString::new("n".repeat(256)).unwrap();
        assert!(tree.root().parent(&long, &mut None).is_err_and(|fault| fault.is(ENAMETOOLONG)));
        let (deep, mut kept) = (std::ffi::CString::new("deep/".repeat(60) + "null").unwrap(), None);
        let (dir, name) = tree.root().parent(&deep, &mut kept).unwrap();
        sys::mkdirat(dir, name.c_str(), 0o755).unwrap();
        assert!(tree.at(deep.to_str().unwrap()).is_dir());
    }

    #[test]
    fn neighbours_share_a_directory() {
        let tree = Tree::new("neighbours");
        let mut kept = None;
        let mut dirs = Vec::new();
        for path in [c"/dev/null", c"/dev/zero/", c"/etc/null", c"/zero", c"null"] {
            let (dir, name) = tree.root().parent(path, &mut kept).unwrap();
            dirs.push(sys::statx(dir, c"").unwrap().ino);
            sys::mknodat(dir, name.c_str(), S_IFIFO | 0o600, 0).unwrap();
        }
        let inode = |path: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(tree.at(path)).unwrap());
        assert_eq!(dirs, [inode("dev"), inode("dev"), inode("etc"), inode("."), inode(".")]);
        for path in ["dev/null", "dev/zero", "etc/null", "zero", "null"] {
            assert!(fs::symlink_metadata(tree.at(path)).unwrap().file_type().is_fifo(), "{path}");
        }
    }

    #[test]
    fn what_was_mounted_in_a_directory_counts_where_that_is_still_found() {
        type Change = fn(&Tree);
        let moves: [(&str, Change, bool); 4] = [
            ("stays", |_| {}, true),
            ("goes", |tree| fs::rename(tree.at("a"), tree.at("b")).unwrap(), false),
            (
                "led-elsewhere",
                |tree| {
                    fs::rename(tree.at("a"), tree.at("b")).unwrap();
                    fs::create_dir(tree.at("a")).unwrap();
                },
                false,
            ),
            (
                "led-back",
                |tree| {
                    fs::rename(tree.at("a"), tree.at("b")).unwrap();
                    tree.link("b", "a");
                },
                true,
            ),
        ];
        for (name, change, found) in moves {
            let tree = Tree::new(name);
            for mounted in [false, true] {
                let mut kept = None;
                let (dir, _) = tree.root().neighbour(c"/a/mount", true, &mut kept).unwrap().unwrap();
                assert_eq!(dir, kept.as_ref().unwrap().dir.raw());
                kept.as_mut().unwrap().mounted = mounted;
                if mounted {
                    change(&tree);
                }
                assert_eq!(tree.root().settle(&mut kept).is_ok(), found || !mounted, "{name}");
                assert!(kept.is_none());
            }
        }
    }

    #[test]
    fn names_are_for_those_who_are_alone() {
        let tree = Tree::new("names");
        let root = tree.root();
        for (root, path, make) in
            [(Root { alone: false, ..root }, c"a/b", true), (root, c"/", true), (root, c"missing/b", false)]
        {
            assert!(root.neighbour(path, make, &mut None).unwrap().is_none(), "{path:?}");
        }
        let mut kept = None;
        assert!(root.neighbour(c"/b", false, &mut kept).unwrap().is_some_and(|(dir, _)| dir == root.dir));
        assert!(kept.is_none() && !tree.at("missing").exists());
    }

    #[test]
    fn kinds() {
        let tree = Tree::new("kinds");
        fs::create_dir(tree.at("dir")).unwrap();
        fs::write(tree.at("dir/file"), "").unwrap();
        tree.link("dir/file", "link");
        tree.link("missing", "dangling");
        for root in [tree.root(), Root { alone: false, ..tree.root() }] {
            let kind = |path| root.kind(path, &mut None).unwrap();
            assert_eq!([c"/dir", c"/dir/file", c"/link"].map(kind), [S_IFDIR, S_IFREG, S_IFREG].map(Some));
            assert_eq!([c"/dangling", c"/missing", c"/missing/x", c"/dir/file/x"].map(kind), [None; 4]);
        }
    }

    #[test]
    fn long_paths_are_refused() {
        let tree = Tree::new("long");
        let long = std::ffi::CString::new("a/".repeat(2100)).unwrap();
        assert!(tree.root().ensure(&long, Leaf::Directory).unwrap_err().is(ENAMETOOLONG));
        let name = std::ffi::CString::new("n".repeat(300)).unwrap();
        assert!(tree.root().ensure(&name, Leaf::Directory).unwrap_err().is(ENAMETOOLONG));
    }
}

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

/// How a path is resolved.
#[derive(Clone, Copy)]
pub(crate) struct Root {
    /// The root's directory.
    pub(crate) dir: i32,
    /// Refuse symbolic links anywhere in the path.
    pub(crate) nofollow: bool,
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
            Err(fault) if fault.is(ENOENT) => {}
            answer => return answer,
        }
        let mut path = Buffer::new(path.to_bytes())?;
        for _ in 0..MAX_LINKS {
            match self.walk(&path, leaf)? {
                Walk::Done(fd) => return Ok(fd),
                Walk::Dangling { dir, from, end } => path = self.redirect(&path, &dir, from, end)?,
            }
        }
        Err(Fault::check(Check::SymlinkLoop))
    }

    /// Goes down `path`, making what is missing, up to its end or to a symbolic link that leads nowhere.
    fn walk(&self, path: &Buffer, leaf: Leaf) -> Result<Walk> {
        let mut dir = self.open(c".")?;
        let (mut start, bytes) = (0, path.bytes());
        while let Some((from, end)) = component(bytes, start) {
            let prefix = Buffer::new(bytes.get(..end).unwrap_or_default())?;
            let next = match self.open(prefix.c_str()) {
                Err(fault) if fault.is(ENOENT) => {
                    let name = Buffer::new(bytes.get(from..end).unwrap_or_default())?;
                    let last = component(bytes, end).is_none();
                    let made = match leaf {
                        Leaf::File if last => sys::mknodat(dir.raw(), name.c_str(), S_IFREG | 0o644, 0),
                        _ => sys::mkdirat(dir.raw(), name.c_str(), 0o755),
                    };
                    match made {
                        Err(fault) if fault.is(EEXIST) => return Ok(Walk::Dangling { dir, from, end }),
                        made => made?,
                    };
                    self.open(prefix.c_str())?
                }
                answer => answer?,
            };
            dir = next;
            start = end;
        }
        Ok(Walk::Done(dir))
    }

    /// The path with the symbolic link between `from` and `end`, which stands in `dir`, replaced by what it says.
    fn redirect(&self, path: &Buffer, dir: &Fd, from: usize, end: usize) -> Result<Buffer> {
        let name = Buffer::new(path.bytes().get(from..end).unwrap_or_default())?;
        let mut target = [0; Buffer::SIZE];
        let target = match sys::readlinkat(dir.raw(), name.c_str(), &mut target) {
            // No link: it came to be meanwhile, and the next walk finds it.
            Err(fault) if fault.is(EINVAL) => return Buffer::new(path.bytes()),
            answer => answer?,
        };
        if self.nofollow {
            return Err(Fault::errno(nr::OPENAT2, ELOOP));
        }
        let before = match target.first() {
            Some(b'/') => &[][..],
            _ => path.bytes().get(..from).unwrap_or_default(),
        };
        let mut redirected = Buffer::new(before)?;
        redirected.push(target)?;
        redirected.push(b"/")?;
        redirected.push(path.bytes().get(end..).unwrap_or_default())?;
        Ok(redirected)
    }

    /// The directory in which the last name of `path` stands, made where it is missing, and that name.
    pub(crate) fn parent(&self, path: &CStr) -> Result<(Fd, Buffer)> {
        let path = path.to_bytes();
        let trimmed = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        let path = path.get(..trimmed).unwrap_or_default();
        let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let (head, name) = path.split_at_checked(start).unwrap_or_default();
        if matches!(name, b"" | b"." | b"..") {
            return Err(Fault::errno(nr::OPENAT2, EINVAL));
        }
        let head = if head.is_empty() { b"." } else { head };
        let dir = self.ensure(Buffer::new(head)?.c_str(), Leaf::Directory)?;
        Ok((dir, Buffer::new(name)?))
    }

    /// Requires that `path` is a real directory, reached without any symbolic link; a missing one is made, or
    /// passed over.
    pub(crate) fn real_directory(self, path: &CStr, create: bool) -> Result<()> {
        let strict = Self { nofollow: true, ..self };
        let opened = if create {
            strict.ensure(path, Leaf::Directory)
        } else {
            match strict.open(path) {
                Err(fault) if fault.is(ENOENT) => return Ok(()),
                answer => answer,
            }
        };
        match opened {
            Ok(fd) if sys::statx(fd.raw(), c"")?.kind() == S_IFDIR => Ok(()),
            Err(fault) if !fault.is(ELOOP) && !fault.is(ENOTDIR) => Err(fault),
            _ => Err(Fault::check(Check::NotDirectory)),
        }
    }
}

/// How far a walk came.
enum Walk {
    Done(Fd),
    /// The name between `from` and `end` of the path is there, in `dir`, and leads nowhere.
    Dangling {
        dir: Fd,
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

    fn new(path: &[u8]) -> Result<Self> {
        let mut buffer = Self { bytes: [0; Self::SIZE], len: 0 };
        buffer.push(path)?;
        Ok(buffer)
    }

    /// A path of mountinfo.
    pub(crate) fn unescaped(path: &[u8]) -> Result<Self> {
        let mut buffer = Self { bytes: [0; Self::SIZE], len: 0 };
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

    /// The path as the kernel takes it.
    pub(crate) fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
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
            Root { dir: self.1.as_raw_fd(), nofollow: false }
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
            let (dir, found) = tree.root().parent(path).unwrap();
            assert_eq!(found.c_str().to_str().unwrap(), name);
            sys::mknodat(dir.raw(), found.c_str(), S_IFIFO | 0o600, 0).unwrap();
        }
        for path in ["dev/null", "null", "a/b/null"] {
            assert!(fs::symlink_metadata(tree.at(path)).unwrap().file_type().is_fifo());
        }
        for path in [c"", c"/", c"a/..", c"a/.", c".."] {
            assert!(tree.root().parent(path).is_err(), "{path:?}");
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

//! Paths inside the root: every name is resolved by the kernel with the root as its bounds.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result, unless};
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

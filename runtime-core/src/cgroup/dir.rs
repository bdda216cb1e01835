//! A directory of a cgroup file system, held by descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, fstatfs};
use nix::unistd::{Uid, UnlinkatFlags, fchownat, read, unlinkat, write};

use super::Error;
use crate::listing;
use crate::sys::again;

/// Names are resolved below the directory, and never through a link or into another file system.
const BENEATH: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS)
    .union(ResolveFlag::RESOLVE_NO_XDEV);

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// A cgroup, or the root of a hierarchy.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// The root of a hierarchy, verified to be one: of the unified hierarchy, or of one of version 1.
    pub(super) fn root(mount: &Path, unified: bool) -> Result<Self, Error> {
        let how = OpenHow::new().flags(DIRECTORY);
        let fd = again(|| openat2(AT_FDCWD, mount, how)).map_err(|errno| io("open", mount, errno))?;
        let magic: FsType = if unified { CGROUP2_SUPER_MAGIC } else { CGROUP_SUPER_MAGIC };
        let found = fstatfs(&fd).map_err(|errno| io("statfs", mount, errno))?.filesystem_type();
        if found != magic {
            return Err(Error::NotCgroup { path: mount.into() });
        }
        Ok(Self { fd, path: mount.into() })
    }

    /// Any directory, for tests that make up a cgroup's files.
    #[cfg(test)]
    pub(super) fn any(path: &Path) -> Self {
        let fd = openat2(AT_FDCWD, path, OpenHow::new().flags(DIRECTORY)).unwrap();
        Self { fd, path: path.into() }
    }

    /// The cgroup `name` (one or more components) below this one; `None` if there is none.
    pub(super) fn find(&self, name: &str) -> Result<Option<Self>, Error> {
        match self.open(name, DIRECTORY) {
            // Without `.` in between.
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name).components().collect() })),
            Err(Error::Io { errno: Errno::ENOENT, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The cgroup above. A cgroup never gets another parent.
    pub(super) fn parent(&self) -> Result<Self, Error> {
        let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(DIRECTORY).resolve(resolve);
        let fd = again(|| openat2(&self.fd, "..", how)).map_err(|errno| self.error("open", "..", errno))?;
        Ok(Self { fd, path: self.path.parent().unwrap_or(Path::new("/")).into() })
    }

    /// Makes the child cgroup `name`; whether it was made by this call, or there already.
    pub(super) fn make(&self, name: &str) -> Result<bool, Error> {
        match mkdirat(&self.fd, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(self.error("mkdir", name, errno)),
        }
    }

    /// Removes the child cgroup `name`; one that is gone already is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.error("rmdir", name, errno)),
        }
    }

    /// Opens a file or directory below this cgroup.
    pub(super) fn open(&self, name: &str, flags: OFlag) -> Result<OwnedFd, Error> {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(BENEATH);
        again(|| openat2(&self.fd, name, how)).map_err(|errno| self.error("open", name, errno))
    }

    /// The content of a file.
    pub(super) fn read(&self, name: &str) -> Result<String, Error> {
        let file = self.open(name, OFlag::O_RDONLY)?;
        read_all(&file).map_err(|errno| self.error("read", name, errno))
    }

    /// The content of a file that makes it up as a whole, as those with one value do: less than was asked for is all of it.
    pub(super) fn read_short(&self, name: &str) -> Result<String, Error> {
        let file = self.open(name, OFlag::O_RDONLY)?;
        let mut buffer = [0; 1024];
        let count = again(|| read(&file, &mut buffer)).map_err(|errno| self.error("read", name, errno))?;
        match buffer.get(..count).map(std::str::from_utf8) {
            Some(Ok(content)) if count < buffer.len() => Ok(content.to_owned()),
            _ => self.read(name),
        }
    }

    /// Writes a file with one call, as the kernel wants it.
    pub(super) fn write(&self, name: &str, value: &str) -> Result<(), Error> {
        let file = self.open(name, OFlag::O_WRONLY)?;
        again(|| write(&file, value.as_bytes())).map_err(|errno| self.error("write", name, errno))?;
        Ok(())
    }

    /// Makes a user the owner of a file, or of the cgroup itself: `.`.
    pub(super) fn give(&self, name: &str, owner: u32) -> Result<(), Error> {
        let file = self.open(name, OFlag::O_PATH)?;
        fchownat(&file, "", Some(Uid::from_raw(owner)), None, AtFlags::AT_EMPTY_PATH)
            .map_err(|errno| self.error("chown", name, errno))
    }

    /// Names of the child cgroups; of one that is removed meanwhile there are none.
    pub(super) fn children(&self) -> Result<Vec<String>, Error> {
        self.list().or_else(|error| if error.is_gone() { Ok(Vec::new()) } else { Err(error) })
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        let fd = self.open(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut names = Vec::new();
        let listed = listing::each(fd, |name, is_cgroup| {
            if is_cgroup {
                names.push(name.to_string_lossy().into_owned());
            }
        });
        listed.map_err(|errno| self.error("read", ".", errno))?;
        Ok(names)
    }

    /// Where it stands, for messages and for mounts.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor alone.
    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// An error about a file in this cgroup.
    pub(super) fn error(&self, action: &'static str, name: &str, errno: Errno) -> Error {
        io(action, &self.path.join(name), errno)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn io(action: &'static str, path: &Path, errno: Errno) -> Error {
    Error::Io { action, path: path.into(), errno }
}

/// Everything a kernel file has to say.
pub(super) fn read_all(file: &OwnedFd) -> nix::Result<String> {
    let mut content = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = again(|| read(file, &mut buffer))?;
        match buffer.get(..count) {
            Some([]) | None => return Ok(String::from_utf8_lossy(&content).into_owned()),
            Some(part) => content.extend_from_slice(part),
        }
    }
}

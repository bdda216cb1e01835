//! The host's procfs, with the pids of this process's pid namespace: `/proc`, or a private instance where something else stands there.

use std::iter;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd;

use crate::init::{self, mount};
use crate::listing;
use crate::sys;

/// The inode of the root of every procfs.
const ROOT_INODE: u64 = 1;

struct Procfs {
    root: OwnedFd,
    /// It is what lies at `/proc`, so that paths lead into it too.
    mounted: bool,
}

/// Found the first time, and kept.
fn get() -> Result<&'static Procfs, Errno> {
    static PROCFS: OnceLock<Procfs> = OnceLock::new();
    if let Some(procfs) = PROCFS.get() {
        return Ok(procfs);
    }
    // A failure is not kept: what was missing may be there the next time.
    let found = find()?;
    Ok(PROCFS.get_or_init(|| found))
}

fn find() -> Result<Procfs, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let public = openat(AT_FDCWD, "/proc", flags, Mode::empty()).ok().filter(is_own);
    if let Some(root) = public {
        return Ok(Procfs { root, mounted: true });
    }
    // Made where it is needed alone: to drop it takes the kernel a grace period.
    let flags = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let private = mount::new_with(c"proc", None, iter::empty(), flags as u32);
    let root = private.map_err(Errno::from)?;
    log::debug!("/proc is no whole procfs of this pid namespace: a private one is used in its place");
    Ok(Procfs { root: sys::adopt(root), mounted: false })
}

/// Whether this is the root of a procfs, of one that shows more than processes, and these by the pids that this process knows: in one of
/// another pid namespace they are those of strangers.
fn is_own(root: &OwnedFd) -> bool {
    fstatfs(root).is_ok_and(|fs| fs.filesystem_type() == PROC_SUPER_MAGIC)
        && fstat(root).is_ok_and(|stat| stat.st_ino == ROOT_INODE)
        && fstatat(root, "sys", AtFlags::empty()).is_ok()
        && init::sys::readlinkat(root.as_raw_fd(), c"self", &mut [0; 16]).is_ok_and(is_own_pid)
}

fn is_own_pid(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|pid| pid.parse() == Ok(unistd::getpid().as_raw()))
}

/// Its root.
pub(crate) fn root() -> Result<BorrowedFd<'static>, Errno> {
    Ok(get()?.root.as_fd())
}

/// The path of a file of this thread. Of the first thread it is that of the process, which takes the kernel less to make up.
pub(crate) fn own(name: &str) -> String {
    let first = unistd::gettid() == unistd::getpid();
    format!("{}/{name}", if first { "self" } else { "thread-self" })
}

/// Opens a file by its path below `/proc`.
pub(crate) fn open(path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    openat(root()?, path, flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// The status of a file.
pub(crate) fn stat(path: &str) -> Result<FileStat, Errno> {
    fstatat(root()?, path, AtFlags::empty())
}

/// The beginning of a small file: with one read, which std takes several for.
pub(crate) fn read_short(path: &str) -> Result<String, Errno> {
    let file = open(path, OFlag::O_RDONLY)?;
    let mut text = [0; 1024];
    let len = sys::again(|| unistd::read(&file, &mut text))?;
    Ok(String::from_utf8_lossy(text.get(..len).unwrap_or_default()).into_owned())
}

/// A file, whole.
pub(crate) fn read(path: &str) -> Result<String, Errno> {
    let file = open(path, OFlag::O_RDONLY)?;
    std::io::read_to_string(std::fs::File::from(file)).map_err(|error| crate::error::errno_of(&error))
}

/// Writes a file with one call.
pub(crate) fn write(path: &str, text: &str) -> Result<(), Errno> {
    let file = open(path, OFlag::O_WRONLY)?;
    sys::again(|| unistd::write(&file, text.as_bytes())).map(drop)
}

/// The entries of a directory that are numbers: processes, or the threads of one.
pub(crate) fn numbers(path: &str) -> Result<Vec<i32>, Errno> {
    let mut numbers = Vec::new();
    listing::each(open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?, |name, _| {
        numbers.extend(name.to_str().ok().and_then(|name| name.parse::<i32>().ok()));
    })?;
    Ok(numbers)
}

/// A short path to what is open, for calls that take no descriptor; where none leads there, its own.
pub(crate) fn short_path(open: impl AsFd, own: &Path) -> PathBuf {
    if get().is_ok_and(|procfs| procfs.mounted) {
        PathBuf::from(format!("/proc/self/fd/{}", open.as_fd().as_raw_fd()))
    } else {
        own.to_owned()
    }
}

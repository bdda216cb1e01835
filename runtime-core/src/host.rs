//! Facts about this host, read once and when they are first asked for.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::fstat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::utsname::uname;
use nix::unistd::read;

use crate::config::Seccomp;
use crate::init;
use crate::plan::Facts;
use crate::procfs;
use crate::seccomp::{self, flag};
use crate::sys;

/// The oldest kernel with everything that is used without a fallback: `clone3` into a cgroup, `openat2`, the mount
/// API, `mount_setattr`, `cgroup.kill`.
const OLDEST: (u32, u32) = (5, 14);

/// The kernel from which on a new time namespace is entered by executing a program.
const TIME_BY_EXEC: (u32, u32) = (6, 3);

/// A capability that every such kernel knows: `CAP_CHECKPOINT_RESTORE`.
const KNOWN_CAPABILITY: u8 = 40;

/// The inode of the host's first user namespace, on every host.
const FIRST_USER_NAMESPACE: u64 = 0xefff_fffd;

/// Why this host cannot run containers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel is too old.
    #[error("the kernel is Linux {0}; corten needs {major}.{minor} or later", major = OLDEST.0, minor = OLDEST.1)]
    Kernel(String),
    /// `/proc` is something else.
    #[error(
        "/proc is not the root of a whole procfs of this pid namespace: mount one there (one for the runtime alone is refused: {})",
        crate::error::errno_text(*.0)
    )]
    NotProc(Errno),
    /// A file of procfs cannot be read.
    #[error("read /proc/{path}: {}", crate::error::errno_text(*errno))]
    Read {
        /// The file.
        path: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The kernel lacks what a profile of system calls needs.
    #[error(transparent)]
    Seccomp(seccomp::Error),
}

impl Error {
    /// The JSON pointer of the config value at fault, where one is.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Seccomp(error) => Some(&error.pointer),
            _ => None,
        }
    }
}

/// This host.
#[derive(Debug)]
pub(crate) struct Host {
    proc: BorrowedFd<'static>,
    facts: Facts,
}

impl Host {
    /// The host, read the first time.
    pub(crate) fn get() -> Result<&'static Self, Error> {
        static HOST: OnceLock<Host> = OnceLock::new();
        if let Some(host) = HOST.get() {
            return Ok(host);
        }
        // A failure is not kept: what was missing may be there the next time.
        let host = Self::read()?;
        Ok(HOST.get_or_init(|| host))
    }

    fn read() -> Result<Self, Error> {
        let proc = host_procfs()?;
        let version = kernel(proc)?;
        let last_capability =
            (KNOWN_CAPABILITY + 1..64).take_while(|number| sys::knows_capability(*number)).last();
        let in_first = is_first(own_user_namespace());
        let facts = Facts {
            last_capability: last_capability.unwrap_or(KNOWN_CAPABILITY),
            kcore: procfs::stat("kcore").is_ok(),
            time_by_exec: version >= TIME_BY_EXEC,
            may_mount: may_mount(in_first),
            in_user_namespace: !in_first && !has_all_ids(),
            in_first_user_namespace: in_first,
        };
        Ok(Self { proc, facts })
    }

    /// What plans have to know.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// The root of the host's procfs, verified to be one.
    pub(crate) fn proc(&self) -> BorrowedFd<'static> {
        self.proc
    }
}

/// The root of a procfs that shows processes by the pids of the caller's pid namespace: `/proc`, or a private one where something
/// else stands there.
///
/// # Errors
/// [`Error::NotProc`] where none can be made either.
pub fn host_procfs() -> Result<BorrowedFd<'static>, Error> {
    procfs::root().map_err(Error::NotProc)
}

/// Whether the kernel knows a flag of seccomp filters.
pub(crate) fn has_seccomp_flag(flag: u32) -> bool {
    // This one needs the other.
    let listener = if flag == flag::WAIT_KILLABLE_RECV { flag::NEW_LISTENER } else { 0 };
    sys::seccomp_has_flags(flag | listener)
}

/// Makes sure that the kernel has what a profile asks for, which init could say only when the container starts.
pub(crate) fn can_filter(profile: &Seccomp) -> Result<(), Error> {
    let lacking = seccomp::lacking(profile, sys::seccomp_has_flags, sys::seccomp_has_action);
    lacking.map_or(Ok(()), |error| Err(Error::Seccomp(error)))
}

/// How files of procfs are opened: a container manager may have bound `/proc/sys` over itself, so other mounts are
/// let in, and what is opened must be of procfs again.
fn inside(flags: OFlag) -> OpenHow {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve)
}

/// Whether this process is in another user namespace than the host's first one, or one with the ids of that.
pub(crate) fn in_user_namespace() -> bool {
    !is_first(own_user_namespace()) && !has_all_ids()
}

/// The device and inode of this thread's user namespace.
fn own_user_namespace() -> nix::Result<(u64, u64)> {
    procfs::stat(&procfs::own("ns/user")).map(|stat| (stat.st_dev, stat.st_ino))
}

fn is_first(namespace: nix::Result<(u64, u64)>) -> bool {
    namespace.is_ok_and(|(_, inode)| inode == FIRST_USER_NAMESPACE)
}

/// Whether every id of the host is the same one here. What cannot be found out counts as otherwise.
fn has_all_ids() -> bool {
    const WHOLE: [&str; 3] = ["0", "0", "4294967295"];
    let map = procfs::read_short(&procfs::own("uid_map")).unwrap_or_default();
    map.split_whitespace().eq(WHOLE)
}

/// Whether this process may make mounts: it has the capability, and over the user namespace that its mounts belong to, which is below
/// the first one.
fn may_mount(in_first: bool) -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let capable = init::sys::capget().is_ok_and(|sets| sets.effective & CAP_SYS_ADMIN != 0);
    let identity = |fd: OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let mounts = || procfs::open(&procfs::own("ns/mnt"), OFlag::O_RDONLY);
    let owner = || identity(sys::namespace_owner(mounts()?)?);
    capable && (in_first || matches!((owner(), own_user_namespace()), (Ok(owner), Ok(own)) if owner == own))
}

/// The version of the kernel.
fn kernel(proc: BorrowedFd<'_>) -> Result<(u32, u32), Error> {
    let told = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    // A process with the personality of an old kernel is told that it is on one.
    recent(told).or_else(|_| recent(read_proc(proc, "sys/kernel/osrelease")?))
}

/// The version in the release of a kernel that is new enough.
fn recent(release: String) -> Result<(u32, u32), Error> {
    version(&release).filter(|version| *version >= OLDEST).ok_or(Error::Kernel(release))
}

/// The one line of a file of procfs.
fn read_proc(proc: BorrowedFd<'_>, path: &'static str) -> Result<String, Error> {
    let failed = |errno| Error::Read { path, errno };
    let file = openat2(proc, path, inside(OFlag::O_RDONLY)).map_err(failed)?;
    if fstatfs(&file).map_err(failed)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(failed(Errno::EINVAL));
    }
    let mut line = [0; 128];
    let len = read(&file, &mut line).map_err(failed)?;
    Ok(String::from_utf8_lossy(line.get(..len).unwrap_or_default()).trim_end().to_owned())
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::{FIRST_USER_NAMESPACE, Host, OLDEST, version};

    #[test]
    fn releases() {
        assert_eq!(version("6.18.44-custom"), Some((6, 18)));
        assert_eq!(version("5.14"), Some((5, 14)));
        assert_eq!(version("5.4.0-rc1"), Some((5, 4)));
        assert_eq!(version("linux"), None);
        assert!(version("5.4.0").unwrap() < OLDEST);
        assert!(version("10.1.2").unwrap() > OLDEST);
    }

    #[test]
    fn this_host() {
        let host = Host::get().unwrap();
        let last: u8 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        assert_eq!(host.facts().last_capability, last);
        let first = fs::metadata("/proc/self/ns/user").unwrap().ino() == FIRST_USER_NAMESPACE;
        assert!(!(first && host.facts().in_user_namespace));
        assert!(std::ptr::eq(host, Host::get().unwrap()));
    }
}

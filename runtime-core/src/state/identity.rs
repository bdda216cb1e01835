//! Which process a pid meant when it was written down.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::stat::fstat;
use nix::sys::statfs::{FsType, fstatfs};
use serde::{Deserialize, Serialize};

use crate::procfs;
use crate::sys::{self, ended};

/// The magic number of pidfs (Linux 6.9), whose inode numbers are never used twice until the next boot.
const PIDFS: u32 = 0x5049_4446;

/// A process, told apart from any other that has or had its pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its pid, in the pid namespace of the runtime that wrote it down.
    pub(crate) pid: i32,
    /// The boot in which it lives.
    boot: String,
    /// What tells it apart within the boot.
    mark: Mark,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mark {
    /// Inode number of its pidfd.
    Pidfs(u64),
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`), on kernels without pidfs.
    Started(u64),
}

impl Identity {
    /// The identity of the process that a pidfd refers to.
    pub(crate) fn of(pid: i32, pidfd: impl AsFd) -> Result<Self, Errno> {
        Ok(Self { pid, boot: boot_id()?.to_owned(), mark: Mark::of(pid, pidfd)? })
    }

    /// The calling process.
    pub(crate) fn own() -> Result<Self, Errno> {
        let pid = nix::unistd::getpid().as_raw();
        Self::of(pid, sys::pidfd_open(pid)?)
    }

    /// Whether it is that of a process of this boot.
    pub(crate) fn is_of_this_boot(&self) -> Result<bool, Errno> {
        Ok(boot_id()? == self.boot)
    }

    /// A pidfd of the process, if it lives: not ended, not a zombie, not another one with its pid.
    pub(crate) fn open(&self) -> Result<Option<OwnedFd>, Errno> {
        let pidfd = match sys::pidfd_open(self.pid) {
            Ok(pidfd) => pidfd,
            // EINVAL: the pid is now that of a thread.
            Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let same = match self.mark.is_of(self.pid, &pidfd) {
            Err(Errno::ESRCH | Errno::ENOENT) => false,
            answer => answer?,
        };
        // The boot last: one that has ended needs no look at it.
        let lives = same && !ended(&pidfd, PollTimeout::ZERO)? && self.is_of_this_boot()?;
        Ok(lives.then_some(pidfd))
    }
}

impl Mark {
    fn of(pid: i32, pidfd: impl AsFd) -> Result<Self, Errno> {
        if fstatfs(&pidfd)?.filesystem_type() == FsType(PIDFS as _) {
            return Ok(Self::Pidfs(fstat(&pidfd)?.st_ino));
        }
        Self::started(pid)
    }

    /// Whether it is that of a process of this boot, which has one kernel only: where there was pidfs there still is.
    fn is_of(&self, pid: i32, pidfd: impl AsFd) -> Result<bool, Errno> {
        match self {
            Self::Pidfs(inode) => Ok(fstat(&pidfd)?.st_ino == *inode),
            Self::Started(_) => Ok(Self::started(pid)? == *self),
        }
    }

    fn started(pid: i32) -> Result<Self, Errno> {
        let stat = procfs::read_short(&format!("{pid}/stat"))?;
        // The name of the program, in parentheses, may itself hold blanks and parentheses.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let started = fields.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
        started.map(Self::Started).ok_or(Errno::ESRCH)
    }
}

/// The boot that this process lives in, read once.
fn boot_id() -> Result<&'static str, Errno> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot);
    }
    let boot = procfs::read_short("sys/kernel/random/boot_id")?;
    Ok(BOOT.get_or_init(|| boot.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let identity = Identity::of(pid, sys::pidfd_open(pid).unwrap()).unwrap();
        assert!(identity.open().unwrap().is_some());
        let text = serde_json::to_string(&identity).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&text).unwrap(), identity);

        child.kill().unwrap();
        assert!(ended(sys::pidfd_open(pid).unwrap(), PollTimeout::NONE).unwrap());
        assert!(identity.open().unwrap().is_none(), "a zombie is no container's process");
        child.wait().unwrap();
        assert!(identity.open().unwrap().is_none());
    }

    #[test]
    fn another_process_with_the_pid_is_not_it() {
        let own = Identity::own().unwrap();
        assert!(own.open().unwrap().is_some());
        for mark in [Mark::Pidfs(1), Mark::Started(1)] {
            assert!(Identity { mark, ..own.clone() }.open().unwrap().is_none());
        }
        assert!(Identity { boot: "another".to_owned(), ..own }.open().unwrap().is_none());
    }
}

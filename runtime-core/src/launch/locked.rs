//! Clones of mounts for a container in a user namespace: what these mounts restrict nobody in there can lift.
//!
//! The kernel locks what mounts restrict when it copies a mount namespace for another user namespace, and there a clone of a
//! mount keeps the locks. So there is such a copy for a moment, for a user namespace with nothing in it; a child with this
//! process's rights goes there, finds the same paths, and leaves the clones in the descriptors that it shares with this process.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::Error;
use super::clone::{Work, clone};
use crate::container::reap;
use crate::init::abi::{AT_FDCWD, CLONE_FILES, CLONE_NEWNS, CLONE_NEWUSER, Control, O_CLOEXEC, SIGKILL};
use crate::init::fault::Result as SysResult;
use crate::init::{mount, sys};

/// What is to be cloned.
pub(super) struct Place {
    /// Its path.
    pub(super) path: CString,
    /// `AT_RECURSIVE` and `AT_SYMLINK_NOFOLLOW`.
    pub(super) flags: u32,
}

impl Place {
    /// A detached clone, in the mount namespace of whoever calls this.
    pub(super) fn open(&self) -> SysResult<sys::Fd> {
        mount::clone_tree(AT_FDCWD, &self.path, self.flags)
    }
}

/// Clones of all places, each with its locks, or why there is none. `proc` is the host's procfs.
pub(super) fn clone_all(places: &[Place], proc: BorrowedFd<'_>) -> Result<Vec<SysResult<sys::Fd>>, Error> {
    let failed = Error::system(Error::LOCK);
    let mut copy = CopyNamespace { proc: proc.as_raw_fd(), namespace: None };
    let clones = run(CLONE_NEWUSER | CLONE_NEWNS, &mut copy).and_then(|()| {
        let namespace = answer(copy.namespace)?;
        let clones = places.iter().map(|_| None).collect();
        let (parent, namespace) = (std::process::id(), namespace.raw());
        let mut visit = CloneThere { parent, namespace, places, entered: None, clones };
        run(0, &mut visit)?;
        answer(visit.entered)?;
        visit.clones.into_iter().collect::<Option<_>>().ok_or(KILLED)
    });
    clones.map_err(failed)
}

/// Why a child has left no answer.
const KILLED: Errno = Errno::EINTR;

fn answer<T>(left: Option<SysResult<T>>) -> Result<T, Errno> {
    Ok(left.ok_or(KILLED)??)
}

/// Lets a child do its work, in these new namespaces, to its end.
fn run(namespaces: u64, work: &mut impl Work) -> Result<(), Errno> {
    let child = clone(namespaces | CLONE_FILES, None, work)?;
    // It has ended already; of how, what it left tells enough.
    let _ = reap(child.pidfd.as_fd());
    Ok(())
}

/// Makes the copy by being born in it, and opens it.
struct CopyNamespace {
    proc: i32,
    namespace: Option<SysResult<sys::Fd>>,
}

impl Work for CopyNamespace {
    const INTERRUPTIBLE: bool = false;

    fn run(&mut self) {
        self.namespace = Some(sys::openat(self.proc, c"self/ns/mnt", O_CLOEXEC, 0));
    }
}

/// Goes to the copy and clones there.
struct CloneThere<'a> {
    /// The pid of the caller.
    parent: u32,
    namespace: i32,
    places: &'a [Place],
    entered: Option<SysResult<usize>>,
    clones: Vec<Option<SysResult<sys::Fd>>>,
}

impl Work for CloneThere<'_> {
    // A path may lead to a file system that does not answer.
    const INTERRUPTIBLE: bool = true;

    fn run(&mut self) {
        let _ = sys::prctl(Control::SetPdeathsig, SIGKILL, 0, 0, 0);
        if sys::getppid() != self.parent {
            // The caller has ended before that.
            return;
        }
        let entered = sys::setns(self.namespace, CLONE_NEWNS as u32);
        self.entered = Some(entered);
        if entered.is_ok() {
            for (place, opened) in self.places.iter().zip(&mut self.clones) {
                *opened = Some(place.open());
            }
        }
    }
}

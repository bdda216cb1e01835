//! Opens what the plan's descriptors stand for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};

use super::{Error, tree};
use crate::plan::{Descriptor, Plan};
use crate::sys;
use crate::wire::{Fd, Step};

/// Where descriptors come from that the host side holds already.
#[derive(Default)]
pub(crate) struct Sources<'a> {
    /// The directory of the root file system.
    pub(crate) rootfs: Option<BorrowedFd<'a>>,
    /// The root of a running container.
    pub(crate) container_root: Option<BorrowedFd<'a>>,
    /// The host's `/proc`.
    pub(crate) proc: Option<BorrowedFd<'a>>,
    /// The listening socket of the start gate.
    pub(crate) gate: Option<BorrowedFd<'a>>,
    /// The files through which init enters cgroups of version 1.
    pub(crate) files: Vec<BorrowedFd<'a>>,
    /// The directory of the container's cgroup (v2).
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// A pidfd of the container's init.
    pub(crate) container: Option<BorrowedFd<'a>>,
    /// The container's user namespace.
    pub(crate) user_namespace: Option<BorrowedFd<'a>>,
    /// Where hooks in the container's namespaces write.
    pub(crate) hook_output: Option<BorrowedFd<'a>>,
}

/// A descriptor for init: borrowed from the sources, or opened for it.
pub(crate) enum Source<'a> {
    Held(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Source<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Held(fd) => *fd,
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

/// One descriptor for each that the plan names, in its order.
pub(super) fn open_all<'a>(plan: &Plan, sources: &Sources<'a>) -> Result<Vec<Source<'a>>, Error> {
    let mut trees = tree::open_all(plan, sources)?.into_iter();
    let open = |(number, wanted)| open_one(plan, Fd(number), wanted, sources, &mut trees);
    (0..).zip(plan.descriptors()).map(open).collect()
}

fn open_one<'a>(
    plan: &Plan,
    number: Fd,
    wanted: &Descriptor,
    sources: &Sources<'a>,
    trees: &mut impl Iterator<Item = OwnedFd>,
) -> Result<Source<'a>, Error> {
    let held = match wanted {
        Descriptor::Tree(_) => return trees.next().map(Source::Opened).ok_or(Error::LACKING),
        Descriptor::Rootfs => sources.rootfs,
        Descriptor::ContainerRoot => sources.container_root,
        Descriptor::Proc => sources.proc,
        Descriptor::Gate => sources.gate,
        Descriptor::CgroupFile(index) => sources.files.get(*index).copied(),
        Descriptor::CgroupDir => sources.cgroup,
        Descriptor::ContainerPidfd => sources.container,
        Descriptor::HookOutput => sources.hook_output,
        Descriptor::Namespace { path, kind, changed } => {
            let pointer = pointer(plan, number);
            let opened = namespace(path, *kind, &pointer)?;
            if *changed && sources.proc.is_some_and(|proc| is_own(&opened, *kind, proc)) {
                return Err(Error::OwnNamespace { pointer, path: path.clone() });
            }
            return Ok(Source::Opened(opened));
        }
    };
    held.map(Source::Held).ok_or(Error::LACKING)
}

/// The JSON pointer of the namespace that a descriptor stands for.
fn pointer(plan: &Plan, number: Fd) -> String {
    let joins = |step: &Step<'_>| matches!(step, Step::Setns { target, .. } if *target == number);
    plan.steps().find(|(step, _)| joins(step)).and_then(|(_, origin)| origin).unwrap_or_default().to_owned()
}

/// Opens a namespace by its path; it must be one, and of the kind that the config says.
pub(super) fn namespace(path: &Path, kind: u32, pointer: &str) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::Namespace { pointer: pointer.to_owned(), path: path.to_owned(), errno };
    // Not to be blocked by a FIFO.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fd = sys::again(|| open(path, flags, Mode::empty())).map_err(failed)?;
    match sys::namespace_kind(&fd) {
        Ok(found) if found == kind => Ok(fd),
        Ok(_) | Err(Errno::ENOTTY) => {
            Err(Error::NotNamespace { pointer: pointer.to_owned(), path: path.to_owned() })
        }
        Err(errno) => Err(failed(errno)),
    }
}

/// Whether a namespace is the one in which this thread is.
fn is_own(namespace: &OwnedFd, kind: u32, proc: BorrowedFd<'_>) -> bool {
    let name = format!("thread-self/ns/{}", file_name(kind));
    let identity = |stat: FileStat| (stat.st_dev, stat.st_ino);
    let own = fstatat(proc, name.as_str(), AtFlags::empty()).map(identity);
    // What cannot be told apart counts as the same.
    own.is_err() || own == fstat(namespace).map(identity)
}

/// The name of a namespace's file in procfs.
fn file_name(kind: u32) -> &'static str {
    match kind as i32 {
        libc::CLONE_NEWUTS => "uts",
        libc::CLONE_NEWIPC => "ipc",
        libc::CLONE_NEWNET => "net",
        libc::CLONE_NEWUSER => "user",
        libc::CLONE_NEWPID => "pid",
        libc::CLONE_NEWNS => "mnt",
        libc::CLONE_NEWCGROUP => "cgroup",
        _ => "time",
    }
}

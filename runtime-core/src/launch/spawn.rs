//! The birth of init: a child that shares the caller's memory until it executes the image.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use super::Error;
use super::channel::Channel;
use super::clone::{Born, Work, clone};
use super::image::{Image, Way};
use crate::container::reap;
use crate::init::abi::*;
use crate::init::fault::{Fault, Result as SysResult};
use crate::init::{nr, sys};

/// What init is started with.
pub(crate) struct Request<'a> {
    /// The encoded plan.
    pub(crate) program: &'a [u8],
    /// The payload's descriptors, from 0 on without a gap; at least the three standard streams.
    pub(crate) payload: &'a [BorrowedFd<'a>],
    /// The descriptors that the plan's steps name.
    pub(crate) extra: &'a [BorrowedFd<'a>],
    /// `CLONE_NEW*`: the namespaces in which init is born.
    pub(crate) namespaces: u64,
    /// The directory of the cgroup (v2) in which init is born.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// Init, running.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its pid, as the caller sees it.
    pub(crate) pid: i32,
    /// A pidfd of it.
    pub(crate) pidfd: OwnedFd,
    /// The conversation with it.
    pub(crate) channel: Channel,
    /// It was born in the cgroup of the request; otherwise it has yet to be moved there.
    pub(crate) in_cgroup: bool,
    /// The device and inode of its image.
    pub(crate) image: (u64, u64),
    /// How that was made.
    pub(crate) way: Way,
}

/// Starts init. Where the host lets no memfd be executed another kind of image is tried.
///
/// # Errors
/// What the kernel refused: the image, the clone, the exec.
pub(crate) fn spawn(request: &Request<'_>) -> Result<Child, Error> {
    let mut refused = None;
    for way in Way::ALL {
        match spawn_patiently(request, way) {
            Err(error) if error.denies_image() => refused = refused.or(Some(error)),
            answer => return answer,
        }
    }
    Err(refused.unwrap_or(Error::System { doing: Error::EXECUTE, errno: Errno::EACCES }))
}

/// Tries again while the image seems to be open for writing: a child that another thread starts has a copy of the
/// descriptor until its own exec. A memfd does not mind.
pub(super) fn spawn_patiently(request: &Request<'_>, way: Way) -> Result<Child, Error> {
    for _ in 0..100 {
        match spawn_by(request, way) {
            Err(Error::System { errno: Errno::EBUSY | Errno::ETXTBSY, doing })
                if [Error::MAKE_IMAGE, Error::EXECUTE].contains(&doing) =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            answer => return answer,
        }
    }
    spawn_by(request, way)
}

fn spawn_by(request: &Request<'_>, way: Way) -> Result<Child, Error> {
    let image = Image::new(request.program, way)?;
    let (channel, theirs) = Channel::new().map_err(Error::system("make a channel to init"))?;
    // The payload's first, then the channel, the image, and what the steps name.
    let own = [theirs.as_fd(), image.as_fd()];
    let all = request.payload.iter().chain(&own).chain(request.extra);
    let mut fds: Vec<i32> = all.map(AsRawFd::as_raw_fd).collect();
    let base = CString::new(request.payload.len().to_string()).unwrap_or_default();
    let args = [c"corten-init".as_ptr(), base.as_ptr(), ptr::null()];
    let env = [ptr::null()];
    let mut task = Task {
        fds: &mut fds,
        image: request.payload.len() + 1,
        args: args.as_ptr(),
        env: env.as_ptr(),
        raise: request.namespaces & CLONE_NEWUSER != 0,
        ran: false,
        fault: None,
    };
    let mut born =
        clone(request.namespaces, request.cgroup, &mut task).map_err(Error::system(Error::CLONE))?;
    if request.cgroup.is_some() && !task.ran {
        // The kernel (6.18 for one) kills what is born into a cgroup that `cgroup.kill` was not written to as often as to the
        // caller's.
        let _ = reap(born.pidfd.as_fd());
        born = clone(request.namespaces, None, &mut task).map_err(Error::system(Error::CLONE))?;
    }
    // What the child wrote before it ended, if it could not execute the image.
    if let Some(fault) = task.fault {
        let _ = reap(born.pidfd.as_fd());
        let errno = Errno::from(fault);
        let executed = fault.call() == nr::EXECVEAT;
        // The arguments are two short words: what does not fit is the memory that the cgroup grants.
        if executed && [Errno::E2BIG, Errno::ENOMEM].contains(&errno) {
            return Err(Error::Memory { errno });
        }
        let doing = if executed { Error::EXECUTE } else { "hand descriptors to init" };
        return Err(Error::System { doing, errno });
    }
    let Born { pid, pidfd, in_cgroup } = born;
    Ok(Child { pid, pidfd, channel, in_cgroup, image: image.identity(), way })
}

/// What the child works on; all of it was made before.
struct Task<'a> {
    /// The descriptors that become 0, 1, 2, …
    fds: &'a mut [i32],
    /// The place of the image among them.
    image: usize,
    args: *const *const c_char,
    env: *const *const c_char,
    /// Carry the capabilities through the exec, which would drop them in a user namespace without maps.
    raise: bool,
    /// It was not killed at its birth.
    ran: bool,
    /// Why it could not go on.
    fault: Option<Fault>,
}

impl Work for Task<'_> {
    // Init does not heed signals until it is ready.
    const INTERRUPTIBLE: bool = false;

    fn run(&mut self) {
        self.ran = true;
        self.fault = Some(match prepare(self) {
            // SAFETY: the lists were made null-terminated, of NUL-terminated strings, and the caller keeps them.
            Ok(()) => unsafe { sys::execveat(self.image as i32, self.args, self.env) },
            Err(fault) => fault,
        });
    }
}

fn prepare(task: &mut Task<'_>) -> SysResult<()> {
    let count = task.fds.len() as i32;
    // First out of the places that others take, then each to its own.
    for (place, fd) in (0..).zip(task.fds.iter_mut()) {
        if *fd < count && *fd != place {
            *fd = sys::fcntl(*fd, F_DUPFD_CLOEXEC, count as u32)? as i32;
        }
    }
    for (place, fd) in (0..).zip(task.fds.iter()) {
        if *fd == place {
            sys::fcntl(place, F_SETFD, 0)?;
        } else {
            sys::dup3(*fd, place, 0)?;
        }
    }
    sys::close_range(count as u32, u32::MAX, CLOSE_RANGE_CLOEXEC)?;
    if task.raise {
        raise_capabilities()?;
    }
    Ok(())
}

/// Makes all permitted capabilities inheritable and ambient.
fn raise_capabilities() -> SysResult<()> {
    let caps = sys::capget()?;
    sys::capset(&Capabilities { inheritable: caps.permitted, ..caps })?;
    for cap in (0..64).filter(|cap| caps.permitted & 1 << cap != 0) {
        sys::prctl(Control::CapAmbient, CAP_AMBIENT_RAISE, cap, 0, 0)?;
    }
    Ok(())
}

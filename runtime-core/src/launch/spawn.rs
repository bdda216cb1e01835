//! The birth of init: a child that shares the caller's memory until it executes the image.
//!
//! Between the clone and the exec only the system calls of [`init::sys`](crate::init::sys) are made: no
//! allocation, no lock, no libc. So it is sound in a program with any number of threads, and costs the same
//! whatever the size of its memory. That child joins nothing and changes no credentials, since both would
//! expose the memory that it shares.
#![allow(unsafe_code)]

use std::arch::asm;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use super::Error;
use super::channel::Channel;
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
    let mut born = clone(request, request.cgroup, &mut task).map_err(Error::system(Error::CLONE))?;
    if request.cgroup.is_some() && !task.ran {
        // The kernel (6.18 for one) kills what is born into a cgroup that `cgroup.kill` was not written to as often as to the
        // caller's.
        let _ = reap(born.pidfd.as_fd());
        born = clone(request, None, &mut task).map_err(Error::system(Error::CLONE))?;
    }
    // What the child wrote before it ended, if it could not execute the image.
    if let Some(fault) = task.fault {
        let _ = reap(born.pidfd.as_fd());
        let errno = Errno::from_raw(fault.value() as i32);
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

/// The child's whole life up to the exec.
///
/// # Safety
/// `task` must be valid, and the caller's other threads must not use it until the child is gone.
unsafe extern "C" fn child(task: *mut Task<'_>) -> ! {
    // SAFETY: by the contract this is the only reference.
    let task = unsafe { &mut *task };
    task.ran = true;
    task.fault = Some(match prepare(task) {
        // SAFETY: the lists were made null-terminated, of NUL-terminated strings, and the caller keeps them.
        Ok(()) => unsafe { sys::execveat(task.image as i32, task.args, task.env) },
        Err(fault) => fault,
    });
    sys::exit(127)
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

/// What the clone answered.
struct Born {
    pid: i32,
    pidfd: OwnedFd,
    in_cgroup: bool,
}

/// Clones a child that runs `child` on a stack of its own, while this thread waits until it has executed the
/// image or ended.
fn clone(request: &Request<'_>, cgroup: Option<BorrowedFd<'_>>, task: &mut Task<'_>) -> Result<Born, Errno> {
    let mut stack = Stack([MaybeUninit::uninit(); Stack::SIZE]);
    let stack = stack.0.as_mut_ptr() as usize;
    let mut pidfd = -1i32;
    let flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | request.namespaces;
    let place = cgroup.map_or(0, |_| CLONE_INTO_CGROUP);
    let args = CloneArgs {
        flags: flags | CLONE_CLEAR_SIGHAND | place,
        pidfd: &raw mut pidfd as u64,
        exit_signal: SIGCHLD,
        stack: stack as u64,
        stack_size: Stack::SIZE as u64,
        cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    // No signal may run a handler of this program in the child.
    let mask = sys::signal_mask(u64::MAX).map_err(|fault| Errno::from_raw(fault.value() as i32))?;
    // SAFETY: the arguments are of the given size and live through the call, as do stack and task. The call returns when the child
    // has its own memory or has ended, so that no two threads use the task at a time.
    let mut answer = unsafe { vfork(nr::CLONE3, &raw const args as usize, size_of::<CloneArgs>(), 0, task) };
    let mut in_cgroup = cgroup.is_some();
    if matches!(answer, Err(Errno::ENOSYS | Errno::EPERM)) && flags & 0xff == 0 {
        in_cgroup = false;
        let (flags, top) = ((flags | SIGCHLD) as usize, stack + Stack::SIZE);
        // SAFETY: as above: the first call made no child; the older one takes the end of the stack and where to put the pidfd.
        answer = unsafe { vfork(nr::CLONE, flags, top, &raw mut pidfd as usize, task) };
    }
    // Restoring a mask that was in force before cannot fail.
    let _ = sys::signal_mask(mask);
    let pid = answer?;
    // SAFETY: the kernel has just made this descriptor for the clone; nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Born { pid, pidfd, in_cgroup })
}

/// Makes one of the clone calls; the child goes to [`child`] and never comes back.
///
/// # Safety
/// The operands must be those of a clone with `CLONE_VM|CLONE_VFORK` and a stack that is free.
unsafe fn vfork(number: usize, a: usize, b: usize, c: usize, task: *mut Task<'_>) -> Result<i32, Errno> {
    let entry: unsafe extern "C" fn(*mut Task<'_>) -> ! = child;
    let answer: isize;
    // SAFETY: the parent finds its registers as the call leaves them, and memory as the child does, of which the compiler
    // assumes nothing here; the child, on its own stack, leaves this code at once for a function that does not return.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") number as isize => answer, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") 0, in("r8") 0, in("r12") task, in("r13") entry, lateout("rcx") _, lateout("r11") _);
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x30, xzr", "mov x0, x20", "br x21", "2:",
            in("x8") number, inlateout("x0") a as isize => answer, in("x1") b, in("x2") c,
            in("x3") 0, in("x4") 0, in("x20") task, in("x21") entry);
    }
    if answer < 0 { Err(Errno::from_raw(-answer as i32)) } else { Ok(answer as i32) }
}

/// A stack for the child, in the frame of the caller, who needs nothing below it as long as the child does.
#[repr(align(16))]
struct Stack([MaybeUninit<u8>; Self::SIZE]);

impl Stack {
    const SIZE: usize = 16 * 1024;
}

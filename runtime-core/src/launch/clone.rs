//! Children that share the caller's memory until they execute a program or end.
//!
//! What they do makes only the system calls of [`init::sys`](crate::init::sys): no allocation, no lock, no libc. So
//! it is sound in a program with any number of threads, and costs the same whatever the size of its memory. They join
//! nothing in which a container's process is and change no credentials, since both would expose the memory that they share.
#![allow(unsafe_code)]

use std::arch::asm;
use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;

use crate::init::abi::*;
use crate::init::{nr, sys};

/// What a child does, by system calls alone; all that it works on was made before.
pub(super) trait Work {
    /// It may take long, so that a signal shall end the caller meanwhile; its child is born with the caller's mask of signals then,
    /// otherwise with all blocked.
    const INTERRUPTIBLE: bool;

    /// Its whole life.
    fn run(&mut self);
}

/// What the clone answered.
pub(super) struct Born {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// It was born in the cgroup that was asked for.
    pub(super) in_cgroup: bool,
}

/// Clones a child that does `work` on a stack of its own, while this thread waits until it has executed a program or ended.
pub(super) fn clone<W: Work>(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    work: &mut W,
) -> Result<Born, Errno> {
    let stack = Stack::new()?;
    let mut pidfd = -1i32;
    let flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | flags;
    let place = cgroup.map_or(0, |_| CLONE_INTO_CGROUP);
    let args = CloneArgs {
        flags: flags | CLONE_CLEAR_SIGHAND | place,
        pidfd: &raw mut pidfd as u64,
        exit_signal: SIGCHLD,
        stack: stack.address as u64,
        stack_size: Stack::SIZE as u64,
        cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    let mut blocked = if W::INTERRUPTIBLE { None } else { Some(Blocked::new()?) };
    // SAFETY: the arguments are of the given size and live through the call, as do stack and work. The call returns when the child
    // has its own memory or has ended, so that no two threads use the work at a time.
    let mut answer = unsafe { vfork(nr::CLONE3, &raw const args as usize, size_of::<CloneArgs>(), 0, work) };
    let mut in_cgroup = cgroup.is_some();
    if matches!(answer, Err(Errno::ENOSYS | Errno::EPERM)) && flags & 0xff == 0 {
        in_cgroup = false;
        // The older call leaves this program's handlers to the child, in which none may run.
        blocked = blocked.map_or_else(Blocked::new, Ok).map(Some)?;
        let (flags, top) = ((flags | SIGCHLD) as usize, stack.address as usize + Stack::SIZE);
        // SAFETY: as above: the first call made no child; the older one takes the end of the stack and where to put the pidfd.
        answer = unsafe { vfork(nr::CLONE, flags, top, &raw mut pidfd as usize, work) };
    }
    drop(blocked);
    let pid = answer?;
    // SAFETY: the kernel has just made this descriptor for the clone; nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Born { pid, pidfd, in_cgroup })
}

/// # Safety
/// `work` must be valid, and the caller's other threads must not use it until the child is gone.
unsafe extern "C" fn child<W: Work>(work: *mut W) -> ! {
    // SAFETY: by the contract this is the only reference.
    unsafe { &mut *work }.run();
    sys::exit(0)
}

/// Makes one of the clone calls; the child goes to [`child`] and never comes back.
///
/// # Safety
/// The operands must be those of a clone with `CLONE_VM|CLONE_VFORK` and a stack that is free.
unsafe fn vfork<W: Work>(number: usize, a: usize, b: usize, c: usize, work: *mut W) -> Result<i32, Errno> {
    let entry: unsafe extern "C" fn(*mut W) -> ! = child;
    let answer: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the parent finds its registers as the call leaves them, and memory as the child does, of which the compiler
    // assumes nothing here; the child, on its own stack, leaves this code at once for a function that does not return.
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") number as isize => answer, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") 0, in("r8") 0, in("r12") work, in("r13") entry, lateout("rcx") _, lateout("r11") _);
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x0, x20", "blr x21", "brk #1", "2:",
            in("x8") number, inlateout("x0") a as isize => answer, in("x1") b, in("x2") c,
            in("x3") 0, in("x4") 0, in("x20") work, in("x21") entry);
    }
    if answer < 0 { Err(Errno::from_raw(-answer as i32)) } else { Ok(answer as i32) }
}

/// All signals of this thread, blocked.
struct Blocked(u64);

impl Blocked {
    fn new() -> Result<Self, Errno> {
        Ok(Self(sys::signal_mask(u64::MAX)?))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // Restoring a mask that was in force before cannot fail.
        let _ = sys::signal_mask(self.0);
    }
}

/// A stack for the child, with a page below it that nothing may touch.
struct Stack {
    address: *mut c_void,
}

impl Stack {
    const SIZE: usize = 64 * 1024;
    /// A page on every kernel.
    const GUARD: usize = 64 * 1024;
    /// How much of it is there before the child is born, below its end.
    const PRESENT: usize = 8 * 1024;

    fn new() -> Result<Self, Errno> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let size = Self::GUARD + Self::SIZE;
        // SAFETY: a new mapping touches none that exists.
        let mapping = unsafe { libc::mmap(ptr::null_mut(), size, access, kind | libc::MAP_STACK, -1, 0) };
        if mapping == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // SAFETY: within the mapping, of which the guard is the first part.
        let stack = Self { address: unsafe { mapping.byte_add(Self::GUARD) } };
        // SAFETY: this part is the mapping's own and nothing is there yet.
        Errno::result(unsafe { libc::mprotect(mapping, Self::GUARD, libc::PROT_NONE) })?;
        stack.touch();
        Ok(stack)
    }

    /// Writes to what the child needs first. Had the child to ask for it, its cgroup would be charged, and where that grants
    /// nothing it would fault for ever: the kernel ends no child of vfork for want of memory. The child's code is the program's, of which
    /// the pages around are in use.
    fn touch(&self) {
        for depth in (4096..=Self::PRESENT).step_by(4096) {
            // SAFETY: within the mapping, which nobody else uses.
            unsafe { self.address.cast::<u8>().byte_add(Self::SIZE - depth).write_volatile(0) };
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, which nobody uses any more: the child has its own memory or has ended.
        unsafe { libc::munmap(self.address.byte_sub(Self::GUARD), Self::GUARD + Self::SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;
    use crate::container::reap;

    /// Needs more of a stack than its caller has.
    struct Deep {
        done: bool,
    }

    impl Work for Deep {
        const INTERRUPTIBLE: bool = false;

        fn run(&mut self) {
            self.done = black_box(&[1; 32 * 1024]).iter().all(|&byte: &u8| byte == 1);
        }
    }

    #[test]
    fn a_thread_with_the_smallest_stack_has_children() {
        let thread = thread::Builder::new().stack_size(16 * 1024);
        let done = thread.spawn(|| {
            let mut work = Deep { done: false };
            let born = clone(0, None, &mut work).unwrap();
            reap(born.pidfd.as_fd()).unwrap();
            work.done
        });
        assert!(done.unwrap().join().unwrap());
    }
}

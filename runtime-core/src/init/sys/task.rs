//! Processes: their signals, births, programs and ends.

use core::{ffi::c_char, marker::PhantomData, slice};

use super::*;

/// Gives a signal its default disposition.
pub(crate) fn default_signal(signal: u32) -> Result<usize> {
    let action = [0u64; 4];
    // SAFETY: a zeroed `struct sigaction` is `SIG_DFL`; the kernel's has no more than 32 bytes.
    unsafe { call(nr::RT_SIGACTION, [signal as usize, action.as_ptr() as usize, 0, 8]) }
}

/// Lets a signal end this process by a handler, whatever the kernel spares it.
pub(crate) fn end_by(signal: u32) -> Result<usize> {
    const SA_RESTORER: u64 = 0x0400_0000;
    const SA_NODEFER: u64 = 0x4000_0000;
    const SA_RESETHAND: u64 = 0x8000_0000;

    /// The signal has its default disposition again and ends all but the first process of a pid namespace.
    extern "C" fn end(signal: u32) -> ! {
        let _ = kill(getpid() as i32, signal);
        exit(128 + signal)
    }

    // The handler never returns to the restorer, which x86_64 wants all the same.
    let handler: extern "C" fn(u32) -> ! = end;
    let action = [handler as usize as u64, SA_NODEFER | SA_RESETHAND | SA_RESTORER, 0, 0];
    // SAFETY: the kernel's `struct sigaction`: handler, flags, restorer, mask; the handler touches no memory.
    unsafe { call(nr::RT_SIGACTION, [signal as usize, action.as_ptr() as usize, 0, 8]) }
}

/// Sets the mask of blocked signals and answers the old one.
pub(crate) fn signal_mask(mask: u64) -> Result<u64> {
    const SIG_SETMASK: usize = 2;
    let mut old = 0u64;
    let words = [SIG_SETMASK, &raw const mask as usize, &raw mut old as usize, 8];
    // SAFETY: the kernel reads and writes one mask of eight bytes.
    unsafe { call(nr::RT_SIGPROCMASK, words) }?;
    Ok(old)
}

/// Waits for the end of a child.
pub(crate) fn wait_child(pidfd: i32) -> Result<Ending> {
    const P_PIDFD: usize = 3;
    const WEXITED: usize = 4;
    const CLD_EXITED: u32 = 1;
    let mut info = [0u32; 32];
    let words = [P_PIDFD, pidfd as usize, info.as_mut_ptr() as usize, WEXITED, 0];
    // SAFETY: `siginfo_t` has 128 bytes, as the array.
    unsafe { call(nr::WAITID, words) }?;
    // si_code is the third word, si_status the seventh.
    let [_, _, code, _, _, _, status, ..] = info;
    Ok(if code == CLD_EXITED { Ending::Exited(status) } else { Ending::Killed(status) })
}

/// How many pointers stand where their list stands.
const FEW: usize = 32;

/// A list of strings as `execve(2)` takes it: pointers, and a null one after the last. A short one needs no memory of its own.
pub(crate) struct Pointers<'a> {
    few: [*const u8; FEW],
    many: Option<&'static mut [*const u8]>,
    texts: PhantomData<&'a CStr>,
}

impl<'a> Pointers<'a> {
    /// The pointers to `count` strings; further ones are left out.
    pub(crate) fn new(texts: impl Iterator<Item = &'a CStr>, count: usize) -> Result<Self> {
        let mut pointers = Self { few: [ptr::null(); FEW], many: None, texts: PhantomData };
        let places = if count < FEW {
            &mut pointers.few[..]
        } else {
            let words = count.saturating_add(1);
            let memory = memory(words.saturating_mul(size_of::<usize>()))?;
            // SAFETY: zeroed memory of that size, aligned to a page, is as many null pointers.
            let many = unsafe { slice::from_raw_parts_mut(memory.as_mut_ptr().cast::<*const u8>(), words) };
            &mut *pointers.many.insert(many)
        };
        for (place, text) in places.iter_mut().take(count).zip(texts) {
            *place = text.as_ptr().cast();
        }
        Ok(pointers)
    }

    fn word(&self) -> usize {
        self.many.as_deref().unwrap_or(&self.few).as_ptr() as usize
    }
}

/// `execve(2)`; answers only its failure.
pub(crate) fn execve(path: &CStr, args: &Pointers<'_>, env: &Pointers<'_>) -> Fault {
    let words = [path.word(), args.word(), env.word()];
    // SAFETY: the path and all strings behind the null-terminated lists are NUL-terminated and alive.
    match unsafe { call(nr::EXECVE, words) } {
        Err(fault) => fault,
        Ok(_) => Fault::errno(nr::EXECVE, ENOSYS),
    }
}

/// Executes the file `image`; answers only its failure.
///
/// # Safety
/// `args` and `env` must be null-terminated lists of NUL-terminated strings.
pub(crate) unsafe fn execveat(image: i32, args: *const *const c_char, env: *const *const c_char) -> Fault {
    let words = [image as usize, c"".word(), args as usize, env as usize, AT_EMPTY_PATH as usize];
    // SAFETY: the caller vouches for the lists; the path is empty.
    match unsafe { call(nr::EXECVEAT, words) } {
        Err(fault) => fault,
        Ok(_) => Fault::errno(nr::EXECVEAT, ENOSYS),
    }
}

/// Which side of a clone runs.
pub(crate) enum Forked {
    Child,
    Parent { pid: u32, pidfd: Fd },
}

/// A copy of this process: its child, or with `sibling` one more child of its parent, born in `cgroup` if given.
pub(crate) fn fork(sibling: bool, cgroup: Option<i32>) -> Result<Forked> {
    let mut pidfd = -1i32;
    let parent = if sibling { CLONE_PARENT } else { 0 };
    let place = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let args = CloneArgs {
        flags: CLONE_PIDFD | parent | place,
        pidfd: &raw mut pidfd as u64,
        // A sibling takes over the signal with which this process would end.
        exit_signal: if sibling { 0 } else { SIGCHLD },
        cgroup: cgroup.unwrap_or(0) as u64,
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM the child has its own copy of the stack that both return on.
    let answer = unsafe { call(nr::CLONE3, [&raw const args as usize, size_of::<CloneArgs>()]) }?;
    Ok(match answer {
        0 => Forked::Child,
        pid => Forked::Parent { pid: pid as u32, pidfd: Fd(pidfd) },
    })
}

//! System calls of the host side that neither nix nor libc wraps, each behind a safe function.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::init::{self, fault::Fault};

/// One instruction of an eBPF program.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BpfInsn {
    /// Operation code.
    pub(crate) op: u8,
    /// Destination register below, source register above four bits.
    pub(crate) registers: u8,
    /// Distance of a jump, or offset in memory.
    pub(crate) offset: i16,
    /// Constant.
    pub(crate) value: i32,
}

/// bpf(2) commands and constants.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// The argument of bpf(2). Some kernels write more of it than they were given, so it is larger than any
/// of them knows, and zero where nothing is set.
#[repr(C, align(8))]
struct BpfAttr([u8; 256]);

impl BpfAttr {
    fn new() -> Self {
        Self([0; 256])
    }

    fn set(mut self, offset: usize, value: &[u8]) -> Self {
        if let Some(field) = self.0.get_mut(offset..offset + value.len()) {
            field.copy_from_slice(value);
        }
        self
    }

    fn u32(self, offset: usize, value: u32) -> Self {
        self.set(offset, &value.to_ne_bytes())
    }

    fn fd(self, offset: usize, fd: BorrowedFd<'_>) -> Self {
        self.set(offset, &fd.as_raw_fd().to_ne_bytes())
    }

    fn pointer<T>(self, offset: usize, pointer: *const T) -> Self {
        self.set(offset, &(pointer as u64).to_ne_bytes())
    }

    fn read_u32(&self, offset: usize) -> u32 {
        let bytes = self.0.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    }

    /// Calls bpf(2).
    ///
    /// # Safety
    /// Pointers in the attributes must be valid for what the command does with them.
    unsafe fn call(&mut self, command: libc::c_long) -> nix::Result<libc::c_int> {
        // SAFETY: the argument is valid for its whole size; its pointers are the caller's promise.
        let answer = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        Errno::result(answer as libc::c_int)
    }
}

/// A descriptor that the kernel has just made.
fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel returned this descriptor, so it is open and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Standard input, output and error, as those of std are, but without their buffers.
pub(crate) fn standard_streams<'a>() -> [BorrowedFd<'a>; 3] {
    // SAFETY: they are open as long as the program runs; one that has closed them has broken its promise to std.
    let stream = |fd| unsafe { BorrowedFd::borrow_raw(fd) };
    [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO].map(stream)
}

/// The same descriptor, owned in the way of the standard library.
pub(crate) fn adopt(fd: init::sys::Fd) -> OwnedFd {
    owned(fd.into_raw())
}

/// The id of the mount that an open file is on.
pub(crate) fn mount_id(file: impl AsFd) -> nix::Result<u64> {
    let stat = init::sys::statx(file.as_fd().as_raw_fd(), c"");
    Ok(stat?.mnt_id)
}

/// What init's system calls say where the host side makes them.
impl From<Fault> for Errno {
    fn from(fault: Fault) -> Self {
        Self::from_raw(fault.value() as i32)
    }
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
pub(crate) fn bpf_load_device_program(program: &[BpfInsn]) -> nix::Result<OwnedFd> {
    let mut attr = BpfAttr::new()
        .u32(0, BPF_PROG_TYPE_CGROUP_DEVICE)
        .u32(4, program.len() as u32)
        .pointer(8, program.as_ptr())
        .pointer(16, c"Apache-2.0".as_ptr())
        .set(48, b"corten_devices")
        .u32(68, BPF_CGROUP_DEVICE);
    loop {
        // SAFETY: program and licence live through the call, and the program's length is its own.
        match unsafe { attr.call(BPF_PROG_LOAD) } {
            // The verifier was interrupted by a signal.
            Err(Errno::EAGAIN) => {}
            answer => return answer.map(owned),
        }
    }
}

/// Attaches a device program to a cgroup beside those that are there, or in place of one of them.
pub(crate) fn bpf_attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    let mut attr = BpfAttr::new().fd(0, cgroup).fd(4, program).u32(8, BPF_CGROUP_DEVICE);
    attr = match replaced {
        Some(old) => attr.u32(12, BPF_F_ALLOW_MULTI | BPF_F_REPLACE).fd(16, old),
        None => attr.u32(12, BPF_F_ALLOW_MULTI),
    };
    // SAFETY: there are no pointers in these attributes.
    unsafe { attr.call(BPF_PROG_ATTACH) }.map(drop)
}

/// Takes a device program from a cgroup.
pub(crate) fn bpf_detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> nix::Result<()> {
    let mut attr = BpfAttr::new().fd(0, cgroup).fd(4, program).u32(8, BPF_CGROUP_DEVICE);
    // SAFETY: there are no pointers in these attributes.
    unsafe { attr.call(BPF_PROG_DETACH) }.map(drop)
}

/// Ids of the device programs attached to a cgroup; the kernel allows 64.
pub(crate) fn bpf_attached_device_programs(cgroup: BorrowedFd<'_>) -> nix::Result<Vec<u32>> {
    let mut ids = vec![0u32; 64];
    let mut attr = BpfAttr::new()
        .fd(0, cgroup)
        .u32(4, BPF_CGROUP_DEVICE)
        .pointer(16, ids.as_mut_ptr())
        .u32(24, ids.len() as u32);
    // SAFETY: the array has room for as many ids as the attributes say, and lives through the call.
    unsafe { attr.call(BPF_PROG_QUERY) }?;
    ids.truncate(attr.read_u32(24) as usize);
    Ok(ids)
}

/// The program with an id.
pub(crate) fn bpf_program_by_id(id: u32) -> nix::Result<OwnedFd> {
    let mut attr = BpfAttr::new().u32(0, id);
    // SAFETY: there are no pointers in these attributes.
    unsafe { attr.call(BPF_PROG_GET_FD_BY_ID) }.map(owned)
}

/// A system call, again as long as a signal interrupts it.
pub(crate) fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

/// Reads entries of a directory, as many as there is room for: `getdents64(2)`. None at its end.
pub(crate) fn getdents(dir: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    let (dir, size) = (dir.as_fd().as_raw_fd(), buffer.len());
    // SAFETY: the kernel writes no more than the size of the buffer.
    let count = unsafe { libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), size) };
    Errno::result(count).map(|count| count as usize)
}

/// A descriptor that refers to a process: `pidfd_open(2)`.
pub(crate) fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    Ok(owned(fd as libc::c_int))
}

/// Waits until the process behind a pidfd has ended, reaped or not, or the other end of a pipe is closed; false where the time was
/// up first.
pub(crate) fn ended(fd: impl AsFd, timeout: PollTimeout) -> nix::Result<bool> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    again(|| poll(&mut fds, timeout)).map(|ready| ready > 0)
}

/// A copy of a descriptor of the process that a pidfd refers to: `pidfd_getfd(2)`.
pub(crate) fn pidfd_getfd(pidfd: impl AsFd, fd: u32) -> nix::Result<OwnedFd> {
    // SAFETY: takes three integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_fd().as_raw_fd(), fd, 0) };
    Errno::result(fd).map(|fd| owned(fd as libc::c_int))
}

/// How a process ended that has been reaped, as wait(2) tells it: `PIDFD_GET_INFO`. ESRCH before that, ENOTTY and the like on
/// kernels that do not remember it.
pub(crate) fn pidfd_exit(pidfd: impl AsFd) -> nix::Result<i32> {
    /// `_IOWR(0xff, 11, struct pidfd_info)` in its first version.
    const PIDFD_GET_INFO: u32 = 0xc040_ff0b;
    const PIDFD_INFO_EXIT: u32 = 1 << 3;
    // `struct pidfd_info`: what is asked for and answered, a cgroup, eleven numbers of the process, how it ended.
    let mut info = [0u32; 16];
    info[0] = PIDFD_INFO_EXIT;
    // SAFETY: the request says the size of the structure, which is that of the array.
    let answer = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO as _, info.as_mut_ptr()) };
    Errno::result(answer)?;
    if info[0] & PIDFD_INFO_EXIT == 0 { Err(Errno::ESRCH) } else { Ok(info[15] as i32) }
}

/// Whether the kernel knows a capability: `PR_CAPBSET_READ`.
pub(crate) fn knows_capability(number: u8) -> bool {
    // SAFETY: takes a number and changes nothing.
    unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number)) >= 0 }
}

/// Whether the kernel knows a result of seccomp filters: `seccomp(SECCOMP_GET_ACTION_AVAIL)`.
pub(crate) fn seccomp_has_action(action: u32) -> bool {
    let get = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: the kernel reads one number.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, get, 0, &raw const action) };
    answer == 0
}

/// Whether the kernel knows these flags of seccomp filters together. It looks at them before the filter, and there is none.
pub(crate) fn seccomp_has_flags(flags: u32) -> bool {
    let none = std::ptr::null::<u8>();
    // SAFETY: the kernel finds nothing to read at a null pointer.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, none) };
    Errno::result(answer) == Err(Errno::EFAULT)
}

/// Sends a signal to the process that a pidfd refers to: `pidfd_send_signal(2)`. Signal 0 only asks.
pub(crate) fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> nix::Result<()> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the siginfo pointer is null, which is allowed.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, std::ptr::null::<u8>(), 0) };
    Errno::result(sent).map(drop)
}

/// Renames a file, failing with EEXIST where the new name is taken: `renameat2(RENAME_NOREPLACE)`.
pub(crate) fn rename_noreplace(dir: impl AsFd, from: &CStr, to: &CStr) -> nix::Result<()> {
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: both names are NUL-terminated and outlive the call.
    let renamed = unsafe {
        libc::syscall(libc::SYS_renameat2, dir, from.as_ptr(), dir, to.as_ptr(), libc::RENAME_NOREPLACE)
    };
    Errno::result(renamed).map(drop)
}

/// Reads the soft and hard resource limit of a process, and sets them where `new` says so: `prlimit(2)`.
pub(crate) fn prlimit(pid: i32, resource: u32, new: Option<(u64, u64)>) -> nix::Result<(u64, u64)> {
    let new = new.map(|(soft, hard)| libc::rlimit64 { rlim_cur: soft, rlim_max: hard });
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both pointers are null or to structures that outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, &raw mut old) })?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// Waits for the end of a child behind a pidfd and reaps it: `CLD_*`, and the exit status or the signal, of which nix does not
/// know the real-time ones.
pub(crate) fn wait_end(pidfd: BorrowedFd<'_>) -> nix::Result<(i32, i32)> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let (flags, fd) = (libc::WEXITED | libc::__WALL, pidfd.as_raw_fd() as libc::id_t);
    // SAFETY: the kernel fills the structure, which has its full size.
    Errno::result(unsafe { libc::waitid(libc::P_PIDFD, fd, info.as_mut_ptr(), flags) })?;
    // SAFETY: zeroes are a value of the structure, and after success its fields are those of SIGCHLD.
    unsafe {
        let info = info.assume_init();
        Ok((info.si_code, info.si_status()))
    }
}

/// The `CLONE_NEW*` bit of the namespace that a descriptor refers to; ENOTTY where it refers to none.
pub(crate) fn namespace_kind(fd: impl AsFd) -> nix::Result<u32> {
    /// `NS_GET_NSTYPE` of ioctl_nsfs(2).
    const NS_GET_NSTYPE: u32 = 0xb703;
    // SAFETY: the request takes no argument.
    let kind = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_NSTYPE as _) };
    Errno::result(kind).map(|kind| kind as u32)
}

/// The user namespace that owns the namespace a descriptor refers to.
pub(crate) fn namespace_owner(fd: impl AsFd) -> nix::Result<OwnedFd> {
    /// `NS_GET_USERNS` of ioctl_nsfs(2).
    const NS_GET_USERNS: u32 = 0xb701;
    // SAFETY: the request takes no argument.
    let owner = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_USERNS as _) };
    Errno::result(owner).map(owned)
}

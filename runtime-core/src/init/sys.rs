//! Every system call that init makes, and all of its `unsafe`.
//!
//! Usable in a child that shares its parent's memory: nothing here allocates, locks or touches thread-local
//! state.
#![allow(unsafe_code)]

use core::{arch::asm, ffi::CStr, ptr, slice};

use super::abi::*;
use super::fault::{Fault, Result};
use super::nr;

mod ioctl;
mod task;

pub(crate) use ioctl::*;
pub(crate) use task::*;

/// # Safety
/// The operands must be what the call demands; memory that they point to must be valid for what it does there.
#[cfg(target_arch = "x86_64")]
unsafe fn syscall(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; the caller vouches for the operands.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => answer, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

/// # Safety
/// The operands must be what the call demands; memory that they point to must be valid for what it does there.
#[cfg(target_arch = "aarch64")]
unsafe fn syscall(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the kernel keeps all registers but x0; the caller vouches for the operands.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => answer, in("x1") b, in("x2") c,
            in("x3") d, in("x4") e, in("x5") f, options(nostack));
    }
    answer
}

/// Calls the kernel; an interrupted call is made again.
///
/// # Safety
/// As [`syscall`].
#[inline(always)]
unsafe fn call<const N: usize>(number: usize, words: [usize; N]) -> Result<usize> {
    let word = |place| words.get(place).copied().unwrap_or(0);
    // SAFETY: the caller vouches for the operands.
    unsafe { persist(word(0), word(1), word(2), word(3), word(4), word(5), number) }
}

/// [`call`], once for all call sites, with its operands in registers to keep those small.
///
/// # Safety
/// As [`syscall`].
#[inline(never)]
unsafe fn persist(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    number: usize,
) -> Result<usize> {
    loop {
        // SAFETY: the caller vouches for the operands.
        let answer = unsafe { syscall(number, [a, b, c, d, e, f]) };
        match answer.checked_neg() {
            Some(errno @ 1..=4095) if errno as u32 == EINTR => {}
            Some(errno @ 1..=4095) => return Err(Fault::errno(number, errno as u32)),
            _ => return Ok(answer as usize),
        }
    }
}

/// What is passed to the kernel as one word: a number, or a string that it only reads.
trait Word {
    fn word(self) -> usize;
}

macro_rules! words {
    ($($number:ty)*) => {$(
        impl Word for $number {
            fn word(self) -> usize {
                self as usize
            }
        }
    )*};
}
words!(i32 u32 u64 Control);

impl Word for &CStr {
    fn word(self) -> usize {
        self.as_ptr() as usize
    }
}

impl Word for Option<&CStr> {
    fn word(self) -> usize {
        self.map_or(0, |text| text.as_ptr() as usize)
    }
}

macro_rules! calls {
    ($($number:ident $name:ident($($operand:ident: $ty:ty),*);)*) => {$(
        pub(crate) fn $name($($operand: $ty),*) -> Result<usize> {
            // SAFETY: this call reads NUL-terminated strings that live until it returns, and takes numbers.
            unsafe { call(nr::$number, [$($operand.word()),*]) }
        }
    )*};
}

calls! {
    ACCEPT4 accept4_raw(socket: i32, address: u32, len: u32, flags: u32);
    CHDIR chdir(path: &CStr);
    CHROOT chroot(path: &CStr);
    CLOSE close(fd: i32);
    CLOSE_RANGE close_range(first: u32, last: u32, flags: u32);
    DUP3 dup3(from: i32, to: i32, flags: u32);
    FACCESSAT2 faccessat2(dir: i32, path: &CStr, mode: u32, flags: u32);
    FCHDIR fchdir(dir: i32);
    FCHMODAT fchmodat(dir: i32, path: &CStr, mode: u32);
    FCHOWN fchown(fd: i32, uid: u32, gid: u32);
    FCHOWNAT fchownat(dir: i32, path: &CStr, uid: u32, gid: u32, flags: u32);
    FSCONFIG fsconfig(context: i32, command: u32, key: Option<&CStr>, value: Option<&CStr>, aux: u32);
    FSMOUNT fsmount_raw(context: i32, flags: u32, attrs: u32);
    FSOPEN fsopen_raw(fstype: &CStr, flags: u32);
    GETPID getpid_raw();
    GETPPID getppid_raw();
    IOPRIO_SET ioprio_set(which: u32, who: u32, priority: u32);
    KILL kill(pid: i32, signal: u32);
    MEMFD_CREATE memfd_create_raw(name: &CStr, flags: u32);
    MKDIRAT mkdirat(dir: i32, name: &CStr, mode: u32);
    MKNODAT mknodat(dir: i32, name: &CStr, mode: u32, device: u64);
    MOUNT mount(source: Option<&CStr>, target: &CStr, fstype: Option<&CStr>, flags: u64, data: Option<&CStr>);
    MOVE_MOUNT move_mount(from: i32, path: &CStr, to: i32, target: &CStr, flags: u32);
    OPENAT openat_raw(dir: i32, path: &CStr, flags: u32, mode: u32);
    OPEN_TREE open_tree_raw(dir: i32, path: &CStr, flags: u32);
    PERSONALITY personality(persona: u32);
    PIVOT_ROOT pivot_root(new: &CStr, old: &CStr);
    PRCTL prctl(option: Control, a: u32, b: u32, c: u32, d: u32);
    SENDFILE sendfile_raw(to: i32, from: i32, offset: u32, count: u32);
    SETNS setns(fd: i32, kinds: u32);
    SETPGID setpgid(pid: u32, group: u32);
    SETRESGID setresgid(real: u32, effective: u32, saved: u32);
    SETRESUID setresuid(real: u32, effective: u32, saved: u32);
    SETSID setsid();
    SOCKET socket_raw(family: u32, kind: u32, protocol: u32);
    SYMLINKAT symlinkat(target: &CStr, dir: i32, name: &CStr);
    UMASK umask(mask: u32);
    UMOUNT2 umount2(path: &CStr, flags: u32);
    UNLINKAT unlinkat(dir: i32, name: &CStr, flags: u32);
    UNSHARE unshare(kinds: u32);
    FCNTL fcntl(fd: i32, command: u32, value: u32);
}

/// A descriptor that is closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Fd {
    /// Takes over descriptor `number`.
    pub(crate) fn own(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    /// Its number; whoever takes it closes it.
    pub(crate) fn into_raw(self) -> i32 {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // Nothing can be done about a failed close, and the descriptor is gone either way.
        let _ = close(self.0);
    }
}

/// The descriptor that a call answered.
fn opened(answer: Result<usize>) -> Result<Fd> {
    answer.map(|number| Fd(number as i32))
}

pub(crate) fn accept4(socket: i32, flags: u32) -> Result<Fd> {
    opened(accept4_raw(socket, 0, 0, flags))
}

pub(crate) fn fsmount(context: &Fd, flags: u32, attrs: u32) -> Result<Fd> {
    opened(fsmount_raw(context.raw(), flags, attrs))
}

pub(crate) fn fsopen(fstype: &CStr, flags: u32) -> Result<Fd> {
    opened(fsopen_raw(fstype, flags))
}

pub(crate) fn memfd_create(name: &CStr, flags: u32) -> Result<Fd> {
    opened(memfd_create_raw(name, flags))
}

pub(crate) fn openat(dir: i32, path: &CStr, flags: u32, mode: u32) -> Result<Fd> {
    opened(openat_raw(dir, path, flags, mode))
}

pub(crate) fn open_tree(dir: i32, path: &CStr, flags: u32) -> Result<Fd> {
    opened(open_tree_raw(dir, path, flags))
}

pub(crate) fn socket(family: u32, kind: u32) -> Result<Fd> {
    opened(socket_raw(family, kind, 0))
}

/// `openat2(2)`, made again where the kernel could not rule out a race.
pub(crate) fn openat2(dir: i32, path: &CStr, flags: u32, resolve: u64) -> Result<Fd> {
    let how = OpenHow { flags: u64::from(flags), mode: 0, resolve };
    let words = [dir as usize, path.word(), &raw const how as usize, size_of::<OpenHow>()];
    let mut tries = 0;
    loop {
        // SAFETY: the kernel reads the path and `how`, of the given size.
        let answer = unsafe { call(nr::OPENAT2, words) };
        tries += 1;
        match answer {
            Err(fault) if fault.is(EAGAIN) && tries < 128 => {}
            _ => return opened(answer),
        }
    }
}

pub(crate) fn getpid() -> u32 {
    getpid_raw().unwrap_or(0) as u32
}

pub(crate) fn getppid() -> u32 {
    getppid_raw().unwrap_or(0) as u32
}

/// Ends the process.
pub(crate) fn exit(status: u32) -> ! {
    loop {
        // SAFETY: takes a number and does not return.
        let _ = unsafe { call(nr::EXIT_GROUP, [status as usize]) };
    }
}

pub(crate) fn read(fd: i32, into: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes into the exclusive slice.
    unsafe { call(nr::READ, [fd as usize, into.as_mut_ptr() as usize, into.len()]) }
}

/// Reads entries of a directory, `struct linux_dirent64` each.
pub(crate) fn getdents64(dir: i32, into: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes into the exclusive slice.
    unsafe { call(nr::GETDENTS64, [dir as usize, into.as_mut_ptr() as usize, into.len()]) }
}

/// Copies up to `count` bytes from where `from` stands; 0 at its end.
pub(crate) fn sendfile(to: i32, from: i32, count: u32) -> Result<usize> {
    sendfile_raw(to, from, 0, count)
}

pub(crate) fn write(fd: i32, from: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads `len` bytes of the slice.
    unsafe { call(nr::WRITE, [fd as usize, from.as_ptr() as usize, from.len()]) }
}

pub(crate) fn fsetxattr(fd: i32, name: &CStr, value: &[u8]) -> Result<usize> {
    let words = [fd as usize, name.word(), value.as_ptr() as usize, value.len(), 0];
    // SAFETY: the kernel reads the name and `len` bytes of the slice.
    unsafe { call(nr::FSETXATTR, words) }
}

pub(crate) fn pread(fd: i32, into: &mut [u8], offset: usize) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes into the exclusive slice.
    unsafe { call(nr::PREAD64, [fd as usize, into.as_mut_ptr() as usize, into.len(), offset]) }
}

pub(crate) fn pwrite(fd: i32, from: &[u8], offset: usize) -> Result<usize> {
    // SAFETY: the kernel reads `len` bytes of the slice.
    unsafe { call(nr::PWRITE64, [fd as usize, from.as_ptr() as usize, from.len(), offset]) }
}

/// The target of a symbolic link; as many bytes of `into` as it has.
pub(crate) fn readlinkat<'a>(dir: i32, name: &CStr, into: &'a mut [u8]) -> Result<&'a [u8]> {
    let words = [dir as usize, name.word(), into.as_mut_ptr() as usize, into.len()];
    // SAFETY: the kernel reads the name and writes at most `len` bytes into the exclusive slice.
    let len = unsafe { call(nr::READLINKAT, words) }?;
    into.get(..len).ok_or(Fault::errno(nr::READLINKAT, ENAMETOOLONG))
}

/// True when the current directory can be reached from the root.
pub(crate) fn cwd_is_reachable() -> Result<bool> {
    match cwd_starts_at_root::<256>() {
        Err(fault) if fault.is(ERANGE) => cwd_starts_at_root::<4096>(),
        answer => answer,
    }
}

/// The same where the current directory's path has less than `N` bytes.
#[inline(never)] // the long buffer is not to take room on the stack of what is usual
fn cwd_starts_at_root<const N: usize>() -> Result<bool> {
    let mut path = [0u8; N];
    // SAFETY: the kernel writes at most `len` bytes into the exclusive array.
    let answer = unsafe { call(nr::GETCWD, [path.as_mut_ptr() as usize, path.len()]) };
    // The kernel writes "(unreachable)" before what it cannot reach.
    answer.map(|_| path.first() == Some(&b'/'))
}

/// `statx(2)`: of `path`, or of `dir` itself where the path is empty.
pub(crate) fn statx(dir: i32, path: &CStr) -> Result<Statx> {
    let flags = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    statx_of(dir, path, flags, STATX_BASIC_STATS | STATX_MNT_ID | STATX_MNT_ID_UNIQUE)
}

/// `statx(2)` of what `name` is in `dir`, also where that is a symbolic link.
pub(crate) fn statx_link(dir: i32, name: &CStr) -> Result<Statx> {
    statx_of(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS)
}

/// The number of the mount on top at `name` in `dir`, as [`statx`] has it.
pub(crate) fn mount_at(dir: i32, name: &CStr) -> Result<u64> {
    Ok(statx_of(dir, name, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID | STATX_MNT_ID_UNIQUE)?.mnt_id)
}

/// The number of the mount that holds `fd`, as mountinfo has it.
pub(crate) fn mount_number(fd: i32) -> Result<u64> {
    Ok(statx_of(fd, c"", AT_EMPTY_PATH, STATX_MNT_ID)?.mnt_id)
}

fn statx_of(dir: i32, path: &CStr, flags: u32, mask: u32) -> Result<Statx> {
    let mut answer = Statx::default();
    const { assert!(size_of::<Statx>() == 256) };
    let words = [dir as usize, path.word(), flags as usize, mask as usize, &raw mut answer as usize];
    // SAFETY: the kernel reads the path and fills the structure, which has its full size.
    unsafe { call(nr::STATX, words) }?;
    Ok(answer)
}

/// The magic number of the file system that holds `fd`.
pub(crate) fn filesystem(fd: i32) -> Result<u64> {
    Ok(statfs(fd)?.first().copied().unwrap_or(0))
}

/// What holds for the mount of `fd`, its own attributes and those of its file system: `ST_*`.
pub(crate) fn mount_flags(fd: i32) -> Result<u32> {
    Ok(statfs(fd)?.get(10).copied().unwrap_or(0) as u32)
}

fn statfs(fd: i32) -> Result<[u64; 15]> {
    let mut answer = [0u64; 15];
    // SAFETY: `struct statfs` has 120 bytes on 64-bit machines; the array is as long.
    unsafe { call(nr::FSTATFS, [fd as usize, answer.as_mut_ptr() as usize]) }?;
    Ok(answer)
}

pub(crate) fn mount_setattr(mount: i32, flags: u32, attr: &MountAttr) -> Result<()> {
    let attr = ptr::from_ref(attr) as usize;
    let words = [mount as usize, c"".word(), (AT_EMPTY_PATH | flags) as usize, attr, size_of::<MountAttr>()];
    // SAFETY: the kernel reads the empty path and the structure of the given size.
    unsafe { call(nr::MOUNT_SETATTR, words) }.map(drop)
}

pub(crate) fn sethostname(name: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads `len` bytes of the slice.
    unsafe { call(nr::SETHOSTNAME, [name.as_ptr() as usize, name.len()]) }
}

pub(crate) fn setdomainname(name: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads `len` bytes of the slice.
    unsafe { call(nr::SETDOMAINNAME, [name.as_ptr() as usize, name.len()]) }
}

/// `setgroups(2)` with ids as the wire holds them: four bytes each, little-endian as both machines are.
pub(crate) fn setgroups(ids: &[u8]) -> Result<usize> {
    // SAFETY: the kernel copies four bytes for each id out of the slice, of any alignment.
    unsafe { call(nr::SETGROUPS, [ids.len() / 4, ids.as_ptr() as usize]) }
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

pub(crate) fn capget() -> Result<Capabilities> {
    let header = [CAPABILITY_VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: version 3 has two blocks of three words; the header says so and the array holds them.
    unsafe { call(nr::CAPGET, [header.as_ptr() as usize, data.as_mut_ptr() as usize]) }?;
    let [e0, p0, i0, e1, p1, i1] = data;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Capabilities { effective: join(e0, e1), permitted: join(p0, p1), inheritable: join(i0, i1) })
}

pub(crate) fn capset(caps: &Capabilities) -> Result<()> {
    let header = [CAPABILITY_VERSION_3, 0];
    let Capabilities { effective: e, permitted: p, inheritable: i } = *caps;
    let high = |set: u64| (set >> 32) as u32;
    let data = [e as u32, p as u32, i as u32, high(e), high(p), high(i)];
    // SAFETY: version 3 has two blocks of three words; the header says so and the array holds them.
    unsafe { call(nr::CAPSET, [header.as_ptr() as usize, data.as_ptr() as usize]) }.map(drop)
}

pub(crate) fn setrlimit(resource: u32, soft: u64, hard: u64) -> Result<usize> {
    let limits = [soft, hard];
    // SAFETY: the kernel reads the two numbers; no old limits are asked for.
    unsafe { call(nr::PRLIMIT64, [0, resource as usize, limits.as_ptr() as usize, 0]) }
}

/// Sets the processors on which this process may run.
pub(crate) fn sched_setaffinity(cpus: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads `len` bytes of the slice.
    unsafe { call(nr::SCHED_SETAFFINITY, [0, cpus.len(), cpus.as_ptr() as usize]) }
}

pub(crate) fn sched_setattr(attr: &SchedAttr) -> Result<usize> {
    // SAFETY: the kernel reads the structure, which says its own size.
    unsafe { call(nr::SCHED_SETATTR, [0, ptr::from_ref(attr) as usize, 0]) }
}

/// `set_mempolicy(2)` with one bit for each node.
pub(crate) fn set_mempolicy(mode: u32, nodes: &[u8]) -> Result<usize> {
    // The kernel reads whole words, and one bit less than it is told.
    let mut words = [0u64; 16];
    for (word, bytes) in words.iter_mut().zip(nodes.chunks_exact(8)) {
        *word = bytes.try_into().map_or(0, u64::from_ne_bytes);
    }
    let (words, count) = if nodes.is_empty() { (0, 0) } else { (words.as_ptr() as usize, 16 * 64 + 1) };
    // SAFETY: the kernel reads as many bits as the array has.
    unsafe { call(nr::SET_MEMPOLICY, [mode as usize, words, count]) }
}

/// Loads a seccomp filter, instructions of eight bytes; with a flag for that it answers the listener's descriptor.
pub(crate) fn load_filter(program: &[u8], flags: u32) -> Result<usize> {
    let program = FilterProgram { len: (program.len() / 8) as u16, filter: program.as_ptr() };
    let words = [SECCOMP_SET_MODE_FILTER, flags as usize, &raw const program as usize];
    // SAFETY: the kernel copies eight bytes for each instruction out of the slice, of any alignment.
    unsafe { call(nr::SECCOMP, words) }
}

/// Waits until `fd` can be read; false when `seconds` went by before (0: no limit).
pub(crate) fn wait_readable(fd: i32, seconds: u32) -> Result<bool> {
    let mut poll = PollFd { fd, events: POLLIN, revents: 0 };
    let limit = Timespec { seconds: i64::from(seconds), nanoseconds: 0 };
    let limit = if seconds == 0 { 0 } else { &raw const limit as usize };
    // SAFETY: one `pollfd`, exclusive; a time limit that lives until the call returns; no signal mask.
    unsafe { call(nr::PPOLL, [&raw mut poll as usize, 1, limit, 0, 0]) }.map(|ready| ready != 0)
}

/// `struct cmsghdr` of one descriptor, which comes after it: its length, level and type.
const ONE_DESCRIPTOR: [u64; 2] = {
    const SOL_SOCKET: u64 = 1;
    const SCM_RIGHTS: u64 = 1;
    [20, SOL_SOCKET | SCM_RIGHTS << 32]
};

/// Sends one message, and a descriptor with it.
pub(crate) fn send(socket: i32, message: &[u8], fd: Option<i32>) -> Result<()> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let part = [message.as_ptr() as usize, message.len()];
    let [size, kind] = ONE_DESCRIPTOR;
    let control = [size, kind, u64::from(fd.unwrap_or(0) as u32)];
    let (control, control_len) = if fd.is_some() { (control.as_ptr() as usize, 24) } else { (0, 0) };
    // `struct msghdr`: no address, one part, the control data.
    let header = [0, 0, part.as_ptr() as usize, 1, control, control_len, 0];
    // SAFETY: the header's pointers are to the arrays above, with their lengths; the kernel reads them only.
    unsafe { call(nr::SENDMSG, [socket as usize, header.as_ptr() as usize, MSG_NOSIGNAL]) }.map(drop)
}

/// Receives one message, as many bytes as it has, and the descriptor that comes with it.
pub(crate) fn receive(socket: i32, into: &mut [u8]) -> Result<(usize, Option<Fd>)> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    const MSG_CTRUNC: usize = 8;
    let part = [into.as_mut_ptr() as usize, into.len()];
    let mut control = [0u64; 3];
    // `struct msghdr`: no address, one part, the control data.
    let mut header =
        [0, 0, part.as_ptr() as usize, 1, control.as_mut_ptr() as usize, size_of_val(&control), 0];
    let words = [socket as usize, header.as_mut_ptr() as usize, MSG_CMSG_CLOEXEC];
    // SAFETY: the header's pointers are to the exclusive slice and arrays above, with their lengths.
    let len = unsafe { call(nr::RECVMSG, words) }?;
    if header[6] & MSG_CTRUNC != 0 {
        // There is no room for one more descriptor, or a security module refuses it.
        return Err(Fault::errno(nr::RECVMSG, EMFILE));
    }
    let [size, kind, fd] = control;
    Ok((len, ([size, kind] == ONE_DESCRIPTOR).then(|| Fd::own(fd as i32))))
}

/// Joins the session keyring of this name, or a new one, and answers its serial.
pub(crate) fn join_session_keyring(name: &CStr) -> Result<u32> {
    // SAFETY: the kernel reads the name.
    unsafe { call(nr::KEYCTL, [KEYCTL_JOIN_SESSION_KEYRING as usize, name.word()]) }.map(|key| key as u32)
}

pub(crate) fn set_key_permissions(key: u32, permissions: u32) -> Result<usize> {
    // SAFETY: takes numbers.
    unsafe { call(nr::KEYCTL, [KEYCTL_SETPERM as usize, key as usize, permissions as usize]) }
}

const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;

/// Where init maps what it needs, if there is room: near its text (`init.ld`), so that no further page tables are needed.
const IMAGE: usize = 0x48_0000;
const MEMORY: usize = 0x50_0000;

/// Maps the first `len` bytes of a file that nobody changes any more.
pub(crate) fn map_sealed(file: i32, len: usize) -> Result<&'static [u8]> {
    // SAFETY: a new mapping touches none that exists.
    let address = unsafe { call(nr::MMAP, [IMAGE, len, PROT_READ, MAP_PRIVATE, file as usize, 0]) }?;
    // SAFETY: the mapping is readable, never unmapped, and the image behind it is sealed.
    Ok(unsafe { slice::from_raw_parts(address as *const u8, len) })
}

/// Fresh zeroed memory, which is never given back.
pub(crate) fn memory(len: usize) -> Result<&'static mut [u8]> {
    let (access, kind) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    // SAFETY: a new mapping touches none that exists.
    let address = unsafe { call(nr::MMAP, [MEMORY, len, access, kind, usize::MAX, 0]) }?;
    // SAFETY: the mapping is fresh, readable and writable, and nobody else knows it.
    Ok(unsafe { slice::from_raw_parts_mut(address as *mut u8, len) })
}

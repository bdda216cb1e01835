//! The kernel's constants and structures, as far as init uses them.

pub(crate) const EPERM: u32 = 1;
pub(crate) const ENOENT: u32 = 2;
pub(crate) const EINTR: u32 = 4;
pub(crate) const EAGAIN: u32 = 11;
pub(crate) const EACCES: u32 = 13;
pub(crate) const EEXIST: u32 = 17;
pub(crate) const ENOTDIR: u32 = 20;
pub(crate) const EISDIR: u32 = 21;
pub(crate) const EINVAL: u32 = 22;
pub(crate) const EMFILE: u32 = 24;
pub(crate) const ENOTTY: u32 = 25;
pub(crate) const EROFS: u32 = 30;
pub(crate) const ENAMETOOLONG: u32 = 36;
pub(crate) const ERANGE: u32 = 34;
pub(crate) const ENOSYS: u32 = 38;
pub(crate) const ELOOP: u32 = 40;
pub(crate) const EOVERFLOW: u32 = 75;
pub(crate) const ECONNABORTED: u32 = 103;
pub(crate) const ECONNRESET: u32 = 104;
pub(crate) const EDQUOT: u32 = 122;

pub(crate) const AT_FDCWD: i32 = -100;
pub(crate) const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
pub(crate) const AT_NO_AUTOMOUNT: u32 = 0x800;
pub(crate) const AT_EACCESS: u32 = 0x200;
pub(crate) const AT_EMPTY_PATH: u32 = 0x1000;
pub(crate) const AT_RECURSIVE: u32 = 0x8000;

pub(crate) const O_RDONLY: u32 = 0;
pub(crate) const O_WRONLY: u32 = 1;
pub(crate) const O_RDWR: u32 = 2;
pub(crate) const O_CREAT: u32 = 0o100;
pub(crate) const O_EXCL: u32 = 0o200;
pub(crate) const O_NOCTTY: u32 = 0o400;
pub(crate) const O_NONBLOCK: u32 = 0o4000;
#[cfg(target_arch = "x86_64")]
pub(crate) const O_DIRECTORY: u32 = 0o200_000;
#[cfg(target_arch = "x86_64")]
pub(crate) const O_NOFOLLOW: u32 = 0o400_000;
#[cfg(target_arch = "aarch64")]
pub(crate) const O_DIRECTORY: u32 = 0o40_000;
#[cfg(target_arch = "aarch64")]
pub(crate) const O_NOFOLLOW: u32 = 0o100_000;
pub(crate) const O_CLOEXEC: u32 = 0o2_000_000;
pub(crate) const O_PATH: u32 = 0o10_000_000;

pub(crate) const RESOLVE_NO_XDEV: u64 = 0x01;
pub(crate) const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub(crate) const RESOLVE_NO_SYMLINKS: u64 = 0x04;
pub(crate) const RESOLVE_BENEATH: u64 = 0x08;
pub(crate) const RESOLVE_IN_ROOT: u64 = 0x10;

pub(crate) const S_IFMT: u32 = 0o170_000;
pub(crate) const S_IFSOCK: u32 = 0o140_000;
pub(crate) const S_IFLNK: u32 = 0o120_000;
pub(crate) const S_IFREG: u32 = 0o100_000;
pub(crate) const S_IFDIR: u32 = 0o040_000;
pub(crate) const S_IFCHR: u32 = 0o020_000;
pub(crate) const S_IFIFO: u32 = 0o010_000;

pub(crate) const OPEN_TREE_CLONE: u32 = 1;
pub(crate) const OPEN_TREE_CLOEXEC: u32 = O_CLOEXEC;
pub(crate) const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
pub(crate) const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
pub(crate) const FSOPEN_CLOEXEC: u32 = 1;
pub(crate) const FSMOUNT_CLOEXEC: u32 = 1;
pub(crate) const FSCONFIG_SET_FLAG: u32 = 0;
pub(crate) const FSCONFIG_SET_STRING: u32 = 1;
pub(crate) const FSCONFIG_CMD_CREATE: u32 = 6;
pub(crate) const MOUNT_ATTR_RDONLY: u32 = 0x1;
pub(crate) const MOUNT_ATTR_NOSUID: u32 = 0x2;
pub(crate) const MOUNT_ATTR_NODEV: u32 = 0x4;
pub(crate) const MOUNT_ATTR_NOEXEC: u32 = 0x8;
pub(crate) const MOUNT_ATTR__ATIME: u32 = 0x70;
pub(crate) const MOUNT_ATTR_NODIRATIME: u32 = 0x80;
pub(crate) const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
pub(crate) const MS_REMOUNT: u64 = 0x20;
pub(crate) const MS_BIND: u64 = 0x1000;
pub(crate) const MS_MOVE: u64 = 0x2000;
pub(crate) const MS_REC: u32 = 0x4000;
pub(crate) const MS_PRIVATE: u32 = 1 << 18;
pub(crate) const MS_SLAVE: u32 = 1 << 19;
pub(crate) const MNT_DETACH: u32 = 2;
pub(crate) const UMOUNT_NOFOLLOW: u32 = 8;
pub(crate) const DEVPTS_MAGIC: u64 = 0x1cd1;

pub(crate) const CLONE_VM: u64 = 0x100;
pub(crate) const CLONE_FILES: u64 = 0x400;
pub(crate) const CLONE_PIDFD: u64 = 0x1000;
pub(crate) const CLONE_VFORK: u64 = 0x4000;
pub(crate) const CLONE_PARENT: u64 = 0x8000;
pub(crate) const CLONE_NEWNS: u64 = 0x2_0000;
pub(crate) const CLONE_NEWUSER: u64 = 0x1000_0000;
pub(crate) const CLONE_NEWNET: u64 = 0x4000_0000;
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
pub(crate) const CLONE_INTO_CGROUP: u64 = 1 << 33;

pub(crate) const CLOSE_RANGE_CLOEXEC: u32 = 4;
pub(crate) const F_SETFD: u32 = 2;
pub(crate) const F_DUPFD_CLOEXEC: u32 = 1030;
pub(crate) const MFD_CLOEXEC: u32 = 1;
pub(crate) const SIGKILL: u32 = 9;
pub(crate) const SIGCHLD: u64 = 17;
pub(crate) const SIGCONT: u32 = 18;
pub(crate) const SIGSTOP: u32 = 19;
pub(crate) const SIGTSTP: u32 = 20;
pub(crate) const SIGTTIN: u32 = 21;
pub(crate) const SIGTTOU: u32 = 22;
pub(crate) const SIGURG: u32 = 23;
pub(crate) const SIGWINCH: u32 = 28;
pub(crate) const AF_INET: u32 = 2;
pub(crate) const AF_NETLINK: u32 = 16;
pub(crate) const SOCK_DGRAM: u32 = 2;
pub(crate) const SOCK_RAW: u32 = 3;
pub(crate) const SOCK_CLOEXEC: u32 = O_CLOEXEC;
pub(crate) const POLLIN: i16 = 1;
pub(crate) const X_OK: u32 = 1;
/// "Leave this id as it is" for the calls that change an owner.
pub(crate) const NO_ID: u32 = u32::MAX;

pub(crate) const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;
pub(crate) const KEYCTL_SETPERM: u32 = 5;

/// The options of `prctl(2)` whose operands are all numbers.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Control {
    SetPdeathsig = 1,
    SetDumpable = 4,
    SetKeepcaps = 8,
    CapbsetRead = 23,
    CapbsetDrop = 24,
    SetNoNewPrivs = 38,
    CapAmbient = 47,
}

pub(crate) const SECCOMP_SET_MODE_FILTER: usize = 1;
pub(crate) const SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 8;

pub(crate) const CAP_AMBIENT_RAISE: u32 = 2;
pub(crate) const CAP_AMBIENT_CLEAR_ALL: u32 = 4;

/// `struct open_how`.
#[repr(C)]
pub(crate) struct OpenHow {
    pub(crate) flags: u64,
    pub(crate) mode: u64,
    pub(crate) resolve: u64,
}

/// `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

/// `struct clone_args`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct CloneArgs {
    pub(crate) flags: u64,
    pub(crate) pidfd: u64,
    pub(crate) child_tid: u64,
    pub(crate) parent_tid: u64,
    pub(crate) exit_signal: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    pub(crate) tls: u64,
    pub(crate) set_tid: u64,
    pub(crate) set_tid_size: u64,
    pub(crate) cgroup: u64,
}

/// `struct statx`, up to the fields that are used; the kernel fills [`Statx::SIZE`] bytes.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Statx {
    pub(crate) mask: u32,
    pub(crate) blksize: u32,
    pub(crate) attributes: u64,
    pub(crate) nlink: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u16,
    pub(crate) spare0: u16,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) blocks: u64,
    pub(crate) attributes_mask: u64,
    pub(crate) times: [u64; 8],
    pub(crate) rdev_major: u32,
    pub(crate) rdev_minor: u32,
    pub(crate) dev_major: u32,
    pub(crate) dev_minor: u32,
    pub(crate) mnt_id: u64,
    pub(crate) spare: [u64; 13],
}

pub(crate) const STATX_BASIC_STATS: u32 = 0x7ff;
pub(crate) const STATX_MNT_ID: u32 = 0x1000;
pub(crate) const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
pub(crate) const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;

impl Statx {
    /// The kind of file, one of `S_IF*`.
    pub(crate) fn kind(&self) -> u32 {
        u32::from(self.mode) & S_IFMT
    }

    /// The number of the device that it is, as `mknod(2)` takes it.
    pub(crate) fn device(&self) -> u64 {
        device(self.rdev_major, self.rdev_minor)
    }
}

/// A device number as `mknod(2)` takes it.
pub(crate) fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12
}

/// `struct sock_fprog`.
#[repr(C)]
pub(crate) struct FilterProgram {
    pub(crate) len: u16,
    pub(crate) filter: *const u8,
}

/// `struct pollfd`.
#[repr(C)]
pub(crate) struct PollFd {
    pub(crate) fd: i32,
    pub(crate) events: i16,
    pub(crate) revents: i16,
}

/// `struct timespec`.
#[repr(C)]
pub(crate) struct Timespec {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

/// The capability sets of a process, one bit for each capability.
#[derive(Clone, Copy, Default)]
pub(crate) struct Capabilities {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

/// `struct sched_attr`.
#[repr(C)]
pub(crate) struct SchedAttr {
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
    /// Least and greatest share of a processor, both unset.
    pub(crate) clamps: [u32; 2],
}

pub(crate) const IOPRIO_WHO_PROCESS: u32 = 1;

/// How a child ended.
pub(crate) enum Ending {
    Exited(u32),
    Killed(u32),
}

//! System calls: their numbers on each machine, and their names.

macro_rules! numbers {
    ($($constant:ident $name:literal $x86_64:literal $aarch64:literal)*) => {
        $(
            #[cfg(target_arch = "x86_64")]
            pub(crate) const $constant: usize = $x86_64;
            #[cfg(target_arch = "aarch64")]
            pub(crate) const $constant: usize = $aarch64;
        )*

        /// The name of a system call that init makes.
        pub(crate) fn name(number: usize) -> Option<&'static str> {
            match number {
                $($constant => Some($name),)*
                _ => None,
            }
        }
    };
}

numbers! {
    ACCEPT4 "accept4" 288 242
    CAPGET "capget" 125 90
    CAPSET "capset" 126 91
    CHDIR "chdir" 80 49
    CHROOT "chroot" 161 51
    CLONE "clone" 56 220
    CLONE3 "clone3" 435 435
    CLOSE "close" 3 57
    CLOSE_RANGE "close_range" 436 436
    DUP3 "dup3" 292 24
    EXECVE "execve" 59 221
    EXECVEAT "execveat" 322 281
    EXIT_GROUP "exit_group" 231 94
    FACCESSAT2 "faccessat2" 439 439
    FCHDIR "fchdir" 81 50
    FCHMODAT "fchmodat" 268 53
    FCHOWN "fchown" 93 55
    FCHOWNAT "fchownat" 260 54
    FCNTL "fcntl" 72 25
    FSCONFIG "fsconfig" 431 431
    FSETXATTR "fsetxattr" 190 7
    FSMOUNT "fsmount" 432 432
    FSOPEN "fsopen" 430 430
    FSTATFS "fstatfs" 138 44
    GETCWD "getcwd" 79 17
    GETDENTS64 "getdents64" 217 61
    GETPID "getpid" 39 172
    GETPPID "getppid" 110 173
    IOCTL "ioctl" 16 29
    IOPRIO_SET "ioprio_set" 251 30
    KEYCTL "keyctl" 250 219
    KILL "kill" 62 129
    MEMFD_CREATE "memfd_create" 319 279
    MKDIRAT "mkdirat" 258 34
    MKNODAT "mknodat" 259 33
    MMAP "mmap" 9 222
    MOUNT "mount" 165 40
    MOUNT_SETATTR "mount_setattr" 442 442
    MOVE_MOUNT "move_mount" 429 429
    OPENAT "openat" 257 56
    OPENAT2 "openat2" 437 437
    OPEN_TREE "open_tree" 428 428
    PERSONALITY "personality" 135 92
    PIVOT_ROOT "pivot_root" 155 41
    PPOLL "ppoll" 271 73
    PRCTL "prctl" 157 167
    PREAD64 "pread64" 17 67
    PRLIMIT64 "prlimit64" 302 261
    PWRITE64 "pwrite64" 18 68
    READ "read" 0 63
    READLINKAT "readlinkat" 267 78
    RT_SIGACTION "rt_sigaction" 13 134
    RT_SIGPROCMASK "rt_sigprocmask" 14 135
    SCHED_SETAFFINITY "sched_setaffinity" 203 122
    SCHED_SETATTR "sched_setattr" 314 274
    SECCOMP "seccomp" 317 277
    SENDFILE "sendfile" 40 71
    SENDMSG "sendmsg" 46 211
    RECVMSG "recvmsg" 47 212
    SETDOMAINNAME "setdomainname" 171 162
    SETGROUPS "setgroups" 116 159
    SETHOSTNAME "sethostname" 170 161
    SETNS "setns" 308 268
    SETPGID "setpgid" 109 154
    SETRESGID "setresgid" 119 149
    SETRESUID "setresuid" 117 147
    SETSID "setsid" 112 157
    SET_MEMPOLICY "set_mempolicy" 238 237
    SOCKET "socket" 41 198
    STATX "statx" 332 291
    SYMLINKAT "symlinkat" 266 36
    UMASK "umask" 95 166
    UMOUNT2 "umount2" 166 39
    UNLINKAT "unlinkat" 263 35
    UNSHARE "unshare" 272 97
    WAITID "waitid" 247 95
    WRITE "write" 1 64
}

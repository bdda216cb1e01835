//! The steps of a plan, each written down once.

use super::PROGRAM_VERSION;
use super::field::{Attrs, Bytes, Fd, Field, List, Reader, Setting, Sink, Str, Value};
use super::message::of_version;

/// Defines [`Step`] with its encoding, so that a step is written down once.
macro_rules! steps {
    ($($(#[$doc:meta])* $op:literal $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),* $(,)? })*) => {
        /// What a program of this version looks like, in the words below.
        #[cfg(test)]
        const LAYOUT: &str = concat!($($op, stringify!($name), $(stringify!($field), stringify!($ty),)*)*);

        /// One kernel action of the container side, with all its operands ready.
        #[derive(Clone, Copy)]
        pub enum Step<'a> {
            $($(#[$doc])* $name { $($(#[$fdoc])* $field: $ty),* },)*
        }

        impl<'a> Step<'a> {
            /// The step's name, as `corten plan` prints it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Step::$name { .. } => stringify!($name),)*
                }
            }

            /// Calls `see` with each operand's name and value.
            pub fn operands(&self, see: &mut dyn FnMut(&'static str, Value<'a>)) {
                match self {
                    $(Step::$name { $($field),* } => { $(see(stringify!($field), $field.value());)* let _ = &see; })*
                }
            }

            /// Appends the step to a program.
            pub fn encode<S: Sink>(&self, sink: &mut S) {
                match self {
                    $(Step::$name { $($field),* } => { ($op as u32).encode(sink); $($field.encode(sink);)* })*
                }
            }

            /// Reads one step; `None` where the bytes are not one.
            pub fn decode(reader: &mut Reader<'a>) -> Option<Self> {
                match u32::decode(reader)? {
                    $($op => Some(Step::$name { $($field: Field::decode(reader)?),* }),)*
                    _ => None,
                }
            }
        }
    };
}

steps! {
    /// Makes init's `/proc` entries root's and keeps ptrace away: `prctl(PR_SET_DUMPABLE, 0)`. Done anew after every step
    /// that changes credentials, where the kernel takes it back.
    1 Undumpable {}
    /// SIGKILL for init when the thread that made it ends: `prctl(PR_SET_PDEATHSIG)`. Done anew after every step that changes
    /// credentials, and after `Fork`; `AwaitStart` ends it.
    2 DieWithParent {}
    /// All signals to their default dispositions.
    3 ResetSignals {}
    /// The same, but signals that end a process by default get a handler that ends init: the kernel spares the first process of a
    /// pid namespace what it does not handle. `Exec` takes that back.
    72 HeedSignals {}
    /// Moves init, which has one thread, by writing `0` to an open `tasks` (v1) or `cgroup.procs` file.
    4 EnterCgroup {
        /// The open file.
        file: Fd
    }
    /// `setns(2)`, if that has not been done before.
    5 Setns {
        /// A namespace file, or a pidfd.
        target: Fd,
        /// `CLONE_NEW*` bits: one for a file, any for a pidfd.
        kinds: u32,
        /// A first try with the caller's rights: EPERM leaves it to the second, in a user namespace joined meanwhile.
        early: bool,
    }
    /// In a user namespace just entered: no groups where that may be set and none are kept, then the ids of its root, or the first ones that
    /// are mapped.
    6 BecomeRoot {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Keep the groups of the caller.
        keep_groups: bool,
    }
    /// `unshare(2)`.
    7 Unshare {
        /// `CLONE_NEW*` bits.
        kinds: u32
    }
    /// The second clone: a child of init's parent (`CLONE_PARENT`) goes on with the next step and init ends. It enters the
    /// pid namespace joined before. The host side gets [`Tag::Child`] with a pidfd, and answers
    /// [`Order::Proceed`].
    8 Fork {
        /// The cgroup v2 directory in which the child is born.
        cgroup: Option<Fd>
    }
    /// Reports and waits until the host side has done its part and answers.
    9 Rendezvous {
        /// A [`Point`].
        point: u32
    }
    /// `fchdir(2)` to the root file system's directory: the root's identity for `TakeRoot`. Stands before `Unshare` of the mount
    /// namespace, since a descriptor of another mount namespace cannot be mounted.
    10 EnterRootfs {
        /// The directory, opened by the host side.
        dir: Fd
    }
    /// Opens `/` as the root (slot 0), where the container has one already. Mounts in it are told from then on ([`Tag::Attaching`]).
    11 OpenRoot {}
    /// Changes the propagation of the mount at a path: `mount(NULL, path, NULL, flags)`.
    12 Propagation {
        /// The path, in init's own mount namespace.
        path: Str<'a>,
        /// `MS_*` propagation with `MS_REC` or not.
        flags: u32,
    }
    /// Makes the mount that holds the current directory private, found by going up to its root.
    13 PrivateParent {}
    /// Clones the tree at the current directory (recursively) and mounts it over itself; it becomes the current directory
    /// and the root (slot 0).
    14 TakeRoot {
        /// Attributes set on the clone before it is attached.
        attrs: Attrs
    }
    /// Requires that a path of the root is a real directory, reached without any symbolic link.
    15 RealDirectory {
        /// The path in the root.
        path: Str<'a>,
        /// Make it (0755) where it is missing; otherwise missing is fine.
        create: bool,
    }
    /// Makes a directory and its parents (0755) inside the root; existing ones are left as they are.
    16 MakeDirectory {
        /// The path in the root.
        path: Str<'a>
    }
    /// Mounts a file system: `fsopen`, `fsconfig`, `fsmount`, `mount_setattr`, `move_mount`. In a fault the index is that of
    /// the option at fault, or the number of options where the file system as a whole was refused.
    17 MountFs {
        /// The file system's type.
        fstype: Str<'a>,
        /// The source, where the type takes one.
        source: Option<Str<'a>>,
        /// Options of the superblock.
        options: List<'a, Setting<'a>>,
        /// Attributes, set before the mount is attached.
        attrs: Attrs,
        /// Give its root directory the mode of the directory that it covers.
        keep_mode: bool,
        /// Where, in the root; missing directories are made.
        target: Str<'a>,
        /// Refuse symbolic links on the way to the target.
        nofollow: bool,
        /// The slot in which the mount is kept for a later `MountSetattr` or `Label`; with 0 it is the new root.
        keep: Option<u32>,
        /// Copy into it what it covers.
        copy_up: bool,
    }
    /// Mounts a file system with `mount(2)`: for option values over 255 bytes, which `fsconfig(2)` refuses. With
    /// `MS_REMOUNT` it changes the mount at the target instead, and with `MS_BIND` too only its attributes.
    18 MountData {
        /// The file system's type.
        fstype: Str<'a>,
        /// The source.
        source: Str<'a>,
        /// `MS_*` flags.
        flags: u64,
        /// The options, as `mount(2)` takes them.
        data: Str<'a>,
        /// Attributes, set on the mount after it is attached.
        attrs: Attrs,
        /// Where, in the root; missing directories are made.
        target: Str<'a>,
    }
    /// Bind mounts: `open_tree`, `mount_setattr`, `move_mount`.
    19 BindMount {
        /// What, in init's own mount namespace.
        source: Str<'a>,
        /// The source is a path in the root.
        inside: bool,
        /// A symbolic link where the source ends is taken itself.
        source_link: bool,
        /// The same as a detached tree that the host side has made, with its attributes set: for what init may not reach.
        tree: Option<Fd>,
        /// With all mounts below it.
        recursive: bool,
        /// Attributes, set before the mount is attached.
        attrs: Attrs,
        /// The host side maps its ids, by the mapping with this number ([`Tag::Tree`]).
        ids: Option<u32>,
        /// Where, in the root; a missing target is made a directory or an empty file, like the source.
        target: Str<'a>,
        /// Refuse symbolic links on the way to the target.
        nofollow: bool,
        /// A symbolic link where the target ends is mounted over itself.
        target_link: bool,
        /// A source that is a symbolic link is not mounted: the target becomes the same link.
        copy_link: bool,
        /// The slot in which the mount is kept; with 0 it is the new root.
        keep: Option<u32>,
    }
    /// Detaches the mount on top at a path, reached without symbolic links, with all mounts below it.
    80 Unmount {
        /// The path in the root.
        target: Str<'a>,
        /// Only the mount with this number, reached in any way; what cannot be taken back is told ([`Tag::Tolerated`]).
        mount: Option<u32>,
    }
    /// Changes a kept mount.
    20 MountSetattr {
        /// Its slot; 0 is the root.
        slot: u32,
        /// The attributes.
        attrs: Attrs,
    }
    /// Labels the root directory of a kept mount: `fsetxattr(security.selinux)`, where the file system takes no `context=`.
    81 Label {
        /// Its slot.
        slot: u32,
        /// The label.
        label: Str<'a>,
    }
    /// Makes a device node or FIFO; one that exists must be the same.
    21 MakeNode {
        /// The path in the root.
        path: Str<'a>,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO` with the permissions.
        mode: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    }
    /// Makes a symbolic link; whatever has the name already is left alone.
    22 MakeSymlink {
        /// What it says.
        target: Str<'a>,
        /// The path in the root.
        path: Str<'a>,
    }
    /// Covers paths by an empty read-only file or directory; missing ones are skipped.
    23 Mask {
        /// The paths in the root.
        paths: List<'a, Str<'a>>,
        /// The option by which the cover gets the label of the container's mounts.
        label: Option<Setting<'a>>,
        /// The tree that is left behind is init's alone and may have the cover's mount.
        aside: bool,
    }
    /// Makes paths read-only by a bind of themselves; missing ones are skipped.
    24 Readonly {
        /// The paths in the root.
        paths: List<'a, Str<'a>>
    }
    /// Writes a sysctl through the host's procfs, before pivot. One that still has its old value then was not set.
    25 WriteSysctl {
        /// The host's `/proc`.
        proc: Fd,
        /// The path below it (`sys/net/…`).
        path: Str<'a>,
        /// What to write.
        value: Str<'a>,
    }
    /// Runs a hook as init's child, in its namespaces, and waits for it.
    26 RunHook {
        /// The program.
        path: Str<'a>,
        /// Its arguments, from `argv[0]` on.
        args: List<'a, Str<'a>>,
        /// Its environment.
        env: List<'a, Str<'a>>,
        /// The environment is the process's: `FindHome` has its part in it.
        home: bool,
        /// Seconds after which its process group is killed; 0 for no limit.
        timeout: u32,
        /// The container's state document, given on standard input.
        state: Bytes<'a>,
        /// Where in it a field of [`PID_WIDTH`] blanks stands for init's own pid.
        pid_at: u32,
        /// Where its output goes; absent, as after `CloseFds`: init's own standard output and error.
        output: Option<Fd>,
    }
    /// Makes slot 0 the root with `pivot_root(2)` and detaches the old one.
    27 PivotRoot {
        /// The old root is shared: first make it a slave, so that its unmounting stays here.
        isolate: bool
    }
    /// Makes slot 0 the root by `MS_MOVE` and `chroot(2)`, where the host's root is one that cannot be pivoted.
    28 MoveRoot {
        /// The host's `/proc`, through which the host's procfs and sysfs are found, to cover them first.
        proc: Fd
    }
    /// Makes the current directory, which is slot 0, the root with `chroot(2)`, where the mount namespace is others' too.
    70 Chroot {}
    /// `chdir(2)` to the root file system's directory, by its path in a joined mount namespace.
    71 EnterPath {
        /// The path there.
        path: Str<'a>
    }
    /// `sethostname(2)`.
    29 Sethostname {
        /// The name.
        name: Str<'a>
    }
    /// `setdomainname(2)`.
    30 Setdomainname {
        /// The name.
        name: Str<'a>
    }
    /// Brings the loopback interface up.
    31 LoopbackUp {}
    /// Waits for the network namespace that the host side makes ([`Order::Network`]), and joins it.
    ///
    /// [`Order::Network`]: super::Order::Network
    82 EnterNetwork {}
    /// `setsid(2)`.
    32 NewSession {}
    /// Opens a pty in the root's devpts, sends the master ([`Tag::Terminal`]), and makes the slave standard input, output
    /// and error and the controlling terminal.
    33 OpenConsole {
        /// Columns; 0 leaves the size alone.
        columns: u32,
        /// Rows.
        rows: u32,
        /// The user who owns the slave.
        uid: u32,
        /// Bind the slave over `/dev/console`.
        bind: bool,
    }
    /// Joins a new session keyring; where the user may have no more keys ([`Tag::Tolerated`]) the caller's stays.
    34 SessionKeyring {
        /// Its description.
        name: Str<'a>
    }
    /// Gives the user standard streams that are terminals, pipes or sockets, where that is allowed.
    35 OwnStdio {
        /// The user.
        uid: u32,
    }
    /// Finds the user's home directory in the root's `/etc/passwd`; `Exec` adds it to the environment as `HOME` (`/` where there is none).
    36 FindHome {
        /// The user.
        uid: u32
    }
    /// Closes every descriptor but the payload's and the ones that later steps need.
    37 CloseFds {
        /// The start gate, if there is one.
        gate: Option<Fd>
    }
    /// `chdir(2)`, and the current directory must lie inside the root.
    38 Chdir {
        /// The directory.
        path: Str<'a>,
        /// The second try, as the container's user; skipped where the first succeeded. The first forgives EACCES.
        last: bool,
    }
    /// Drops every capability that is not kept from the bounding set.
    39 CapBound {
        /// One bit for each kept one.
        keep: u64
    }
    /// `setgroups(2)`.
    40 SetGroups {
        /// The supplementary groups.
        groups: List<'a, u32>,
        /// Forgive EPERM: the caller's user namespace denies it.
        lenient: bool,
    }
    /// `setresgid(2)` and `setresuid(2)`, keeping the permitted capabilities.
    41 SetIds {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    }
    /// `capset(2)`, then the ambient set.
    42 SetCaps {
        /// Effective set.
        effective: u64,
        /// Permitted set.
        permitted: u64,
        /// Inheritable set.
        inheritable: u64,
        /// Ambient set.
        ambient: u64,
    }
    /// `prctl(PR_SET_NO_NEW_PRIVS)`.
    43 NoNewPrivs {}
    /// Tries which candidate can be executed. Where none can it reports the first fault that is more than absence
    /// (`ENOENT`, `ENOTDIR`), else the first; the index is the candidate's.
    44 Lookup {
        /// The paths, in the order of `PATH`.
        candidates: List<'a, Str<'a>>
    }
    /// Unblocks all signals, reports [`Tag::Ready`], and waits: for `Start` on the channel, or for `Commit` there and then for a
    /// connection to the gate that says `Start`, which is answered by [`Tag::Accepted`].
    45 AwaitStart {
        /// The listening socket in the state directory.
        gate: Option<Fd>
    }
    /// `setrlimit(2)`.
    46 SetRlimit {
        /// `RLIMIT_*`.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    }
    /// `umask(2)`.
    47 Umask {
        /// The mask.
        mask: u32
    }
    /// `seccomp(SECCOMP_SET_MODE_FILTER)`. A filter with a listener is followed by [`Tag::Listener`] and a wait for
    /// [`Order::Proceed`].
    50 LoadSeccomp {
        /// Instructions of eight bytes, `struct sock_filter` each.
        program: Bytes<'a>,
        /// `SECCOMP_FILTER_FLAG_*`.
        flags: u32,
    }
    /// Each hook from here on loads this filter in its own process, right before its program.
    73 ConfineHooks {
        /// Instructions, as in `LoadSeccomp`.
        program: Bytes<'a>,
        /// `SECCOMP_FILTER_FLAG_*`.
        flags: u32,
    }
    /// Executes the candidate found by `Lookup`, or one after it where that has gone; the last step. Faults as there.
    48 Exec {
        /// The paths, as in `Lookup`.
        candidates: List<'a, Str<'a>>,
        /// The arguments, from `argv[0]` on.
        args: List<'a, Str<'a>>,
        /// The environment.
        env: List<'a, Str<'a>>,
    }
    /// Writes a file of init's own in the host's procfs.
    49 WriteOwn {
        /// The host's `/proc`.
        proc: Fd,
        /// The path below init's directory there.
        path: Str<'a>,
        /// The path on kernels that do not have the first.
        fallback: Option<Str<'a>>,
        /// What to write.
        value: Str<'a>,
    }
    /// Opens a netlink socket, sends it ([`Tag::Netlink`]), and waits until the host side has moved interfaces.
    66 ReceiveNetDevices {}
    /// `sched_setaffinity(2)`.
    60 SetAffinity {
        /// One bit for each processor; absent: all that the cgroup has.
        cpus: Option<Bytes<'a>>
    }
    /// `sched_setattr(2)`.
    61 SetScheduler {
        /// `SCHED_*`.
        policy: u32,
        /// `SCHED_FLAG_*`.
        flags: u64,
        /// Nice value, a signed number.
        nice: u32,
        /// Static priority.
        priority: u32,
        /// Nanoseconds of processor time in each period.
        runtime: u64,
        /// Nanoseconds within which they are given.
        deadline: u64,
        /// Nanoseconds from one period to the next.
        period: u64,
    }
    /// `ioprio_set(2)`.
    62 SetIoPriority {
        /// Class and level.
        priority: u32
    }
    /// `personality(2)`.
    63 SetPersonality {
        /// Domain and flags.
        persona: u32
    }
    /// `set_mempolicy(2)`.
    64 SetMempolicy {
        /// `MPOL_*` with `MPOL_F_*`.
        mode: u32,
        /// One bit for each node.
        nodes: Bytes<'a>,
    }
}

/// The width of the field for init's pid in a hook's state document.
pub const PID_WIDTH: usize = 10;

/// The steps of a program of this version, in their order; ends early at the first that cannot be decoded.
pub fn steps(program: &[u8]) -> Option<Steps<'_>> {
    of_version(program, PROGRAM_VERSION).map(Steps)
}

/// What [`steps`] returns: each step, or an error for one that is malformed.
#[derive(Clone, Copy)]
pub struct Steps<'a>(Reader<'a>);

impl<'a> Iterator for Steps<'a> {
    type Item = Result<Step<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let step = Step::decode(&mut self.0);
        if step.is_none() {
            self.0 = Reader::new(&[]);
        }
        Some(step.ok_or(Malformed))
    }
}

/// A step that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is recorded here changes together with the version, or a new `start` misreads the programs of older containers.
    #[test]
    fn another_layout_is_another_version() {
        let letters = LAYOUT.bytes().filter(|letter| !letter.is_ascii_whitespace());
        let sum = letters.fold(0xcbf2_9ce4_8422_2325_u64, |sum, letter| {
            (sum ^ u64::from(letter)).wrapping_mul(0x100_0000_01b3)
        });
        assert_eq!((PROGRAM_VERSION, sum), (4, 16_956_251_160_728_442_303));
    }
}

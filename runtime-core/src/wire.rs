//! The encoding of a plan's steps, and of the few messages between the host side, init and `start`.
//!
//! Shared with init, so it uses `core` alone and allocates nothing: the host side encodes into a [`Sink`],
//! init decodes in place and hands the kernel pointers into the mapped program. A string is stored with its
//! terminating NUL for that reason. Everything is little-endian and unaligned. The messages are versioned by
//! [`VERSION`] and never change meaning.

use core::ffi::CStr;

/// The version of the program and message encoding; init refuses any other.
pub const VERSION: u32 = 1;

/// What the last bytes of an image say: where in it the program lies.
pub const TRAILER_MAGIC: u64 = u64::from_le_bytes(*b"corten\x01\n");

/// The size of the trailer: magic, offset and length of the program, eight bytes each.
pub const TRAILER_SIZE: usize = 24;

/// The number of slots in which init keeps mounts that a later step changes; slot 0 is the root.
pub const SLOTS: usize = 64;

/// Where encoded bytes go: a growing buffer on the host side, nothing in init.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

/// Reads fields off the front of a slice; every read is checked.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// A value that stands in a step.
pub trait Field<'a>: Sized + Copy {
    /// Appends the value to `sink`.
    fn encode<S: Sink>(&self, sink: &mut S);
    /// Reads the value back; `None` where the bytes are not one.
    fn decode(reader: &mut Reader<'a>) -> Option<Self>;
    /// The value as something that can be shown.
    fn value(&self) -> Value<'a>;
}

/// A field's value for printing a plan.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A number, an id, a set of flags.
    Number(u64),
    /// A truth value.
    Flag(bool),
    /// A descriptor handed to init.
    Fd(u32),
    /// A string.
    Text(&'a [u8]),
    /// Bytes that are not a string.
    Bytes(&'a [u8]),
    /// Several strings.
    Texts(List<'a, Str<'a>>),
    /// Several numbers.
    Numbers(List<'a, u32>),
    /// File-system options.
    Settings(List<'a, Setting<'a>>),
    /// Mount attributes.
    Attrs(Attrs),
    /// An optional field that is absent.
    Absent,
}

macro_rules! integer {
    ($($int:ty)*) => {$(
        impl<'a> Field<'a> for $int {
            fn encode<S: Sink>(&self, sink: &mut S) {
                sink.put(&self.to_le_bytes());
            }
            fn decode(reader: &mut Reader<'a>) -> Option<Self> {
                Some(Self::from_le_bytes(reader.array()?))
            }
            fn value(&self) -> Value<'a> {
                Value::Number(u64::from(*self))
            }
        }
    )*};
}
integer!(u32 u64);

impl<'a> Field<'a> for bool {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.put(&[u8::from(*self)]);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
    fn value(&self) -> Value<'a> {
        Value::Flag(*self)
    }
}

/// A descriptor that the host side hands to init, by its place in the list of extra descriptors
/// (init adds the number of its first one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub u32);

impl<'a> Field<'a> for Fd {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.0.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        u32::decode(reader).map(Fd)
    }
    fn value(&self) -> Value<'a> {
        Value::Fd(self.0)
    }
}

/// A string without NUL bytes; on the wire it is followed by one.
#[derive(Clone, Copy)]
pub struct Str<'a> {
    bytes: &'a [u8],
    terminated: &'a CStr,
}

impl<'a> Str<'a> {
    /// `bytes` as a string of the wire. A NUL inside makes the encoded program one that the decoder refuses.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, terminated: c"" }
    }

    /// The bytes without the terminating NUL.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The string with its NUL, as the kernel takes it; empty where the string was not decoded.
    pub fn c_str(&self) -> &'a CStr {
        self.terminated
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Str<'_> {}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl<'a> Field<'a> for Str<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        Bytes(self.bytes).encode(sink);
        sink.put(&[0]);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let len = u32::decode(reader)? as usize;
        let text = reader.take(len.checked_add(1)?)?;
        let terminated = CStr::from_bytes_with_nul(text).ok()?;
        Some(Self { bytes: terminated.to_bytes(), terminated })
    }
    fn value(&self) -> Value<'a> {
        Value::Text(self.bytes)
    }
}

/// Bytes of any kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Bytes<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        // A program of 4 GiB is refused where it is sealed, so the length fits.
        (self.0.len() as u32).encode(sink);
        sink.put(self.0);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let len = u32::decode(reader)?;
        reader.take(len as usize).map(Bytes)
    }
    fn value(&self) -> Value<'a> {
        Value::Bytes(self.0)
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.is_some().encode(sink);
        if let Some(value) = self {
            value.encode(sink);
        }
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(if bool::decode(reader)? { Some(T::decode(reader)?) } else { None })
    }
    fn value(&self) -> Value<'a> {
        self.as_ref().map_or(Value::Absent, Field::value)
    }
}

/// A list of fields: a slice on the side that encodes, the checked bytes on the side that decodes.
#[derive(Clone, Copy)]
pub enum List<'a, T> {
    /// The items themselves.
    Items(&'a [T]),
    /// The items' encoding, already found valid, and their number.
    Encoded(&'a [u8], u32),
}

impl<'a, T: Field<'a>> List<'a, T> {
    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            List::Items(items) => items.len(),
            List::Encoded(_, count) => *count as usize,
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items' encoding where the list was decoded, else nothing.
    pub fn encoded(&self) -> &'a [u8] {
        match self {
            List::Items(_) => &[],
            List::Encoded(bytes, _) => bytes,
        }
    }

    /// The items in their order.
    pub fn iter(&self) -> ListIter<'a, T> {
        match *self {
            List::Items(items) => ListIter::Items(items),
            List::Encoded(bytes, _) => ListIter::Encoded(Reader(bytes)),
        }
    }
}

/// What [`List::iter`] returns.
pub enum ListIter<'a, T> {
    /// What is left of a slice.
    Items(&'a [T]),
    /// What is left of an encoding.
    Encoded(Reader<'a>),
}

impl<'a, T: Field<'a>> Iterator for ListIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            ListIter::Items(items) => {
                let (first, rest) = items.split_first()?;
                *items = rest;
                Some(*first)
            }
            ListIter::Encoded(reader) if reader.is_empty() => None,
            ListIter::Encoded(reader) => T::decode(reader),
        }
    }
}

/// A type whose lists can be shown.
pub trait Listed<'a>: Field<'a> {
    /// `list` as something that can be shown.
    fn listed(list: List<'a, Self>) -> Value<'a>;
}

impl<'a> Listed<'a> for Str<'a> {
    fn listed(list: List<'a, Self>) -> Value<'a> {
        Value::Texts(list)
    }
}

impl<'a> Listed<'a> for u32 {
    fn listed(list: List<'a, Self>) -> Value<'a> {
        Value::Numbers(list)
    }
}

impl<'a> Listed<'a> for Setting<'a> {
    fn listed(list: List<'a, Self>) -> Value<'a> {
        Value::Settings(list)
    }
}

impl<'a, T: Listed<'a>> Field<'a> for List<'a, T> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        (self.len() as u32).encode(sink);
        for item in self.iter() {
            item.encode(sink);
        }
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let count = u32::decode(reader)?;
        let start = reader.0;
        for _ in 0..count {
            T::decode(reader)?;
        }
        let used = start.len().checked_sub(reader.0.len())?;
        Some(List::Encoded(start.get(..used)?, count))
    }
    fn value(&self) -> Value<'a> {
        T::listed(*self)
    }
}

/// One option of a file system: `key` alone, or `key=value`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Setting<'a> {
    /// The option's name.
    pub key: Str<'a>,
    /// Its value, if it has one.
    pub value: Option<Str<'a>>,
}

impl<'a> Field<'a> for Setting<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.key.encode(sink);
        self.value.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self { key: Str::decode(reader)?, value: Option::decode(reader)? })
    }
    fn value(&self) -> Value<'a> {
        Value::Text(self.key.bytes)
    }
}

/// Attributes of a mount, as `mount_setattr(2)` takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// `MOUNT_ATTR_*` to set on the mount.
    pub set: u32,
    /// `MOUNT_ATTR_*` to clear on the mount.
    pub clear: u32,
    /// `MOUNT_ATTR_*` to set on the mount and all below it.
    pub set_all: u32,
    /// `MOUNT_ATTR_*` to clear on the mount and all below it.
    pub clear_all: u32,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` (with `MS_REC` for all below), or 0.
    pub propagation: u32,
}

impl<'a> Field<'a> for Attrs {
    fn encode<S: Sink>(&self, sink: &mut S) {
        for word in [self.set, self.clear, self.set_all, self.clear_all, self.propagation] {
            word.encode(sink);
        }
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            set: u32::decode(reader)?,
            clear: u32::decode(reader)?,
            set_all: u32::decode(reader)?,
            clear_all: u32::decode(reader)?,
            propagation: u32::decode(reader)?,
        })
    }
    fn value(&self) -> Value<'a> {
        Value::Attrs(*self)
    }
}

/// Defines [`Step`] with its encoding, so that a step is written down once.
macro_rules! steps {
    ($($(#[$doc:meta])* $op:literal $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),* $(,)? })*) => {
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
    /// Moves init, which has one thread, by writing `0` to an open `tasks` (v1) or `cgroup.procs` file.
    4 EnterCgroup {
        /// The open file.
        file: Fd
    }
    /// `setns(2)`.
    5 Setns {
        /// A namespace file, or a pidfd.
        target: Fd,
        /// `CLONE_NEW*` bits: one for a file, any for a pidfd.
        kinds: u32,
    }
    /// In a user namespace just entered: no groups where that may be set, then the ids of its root, or the first ones that
    /// are mapped.
    6 BecomeRoot {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
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
    /// Opens `/` as the root (slot 0), where the container has one already.
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
        /// The slot in which the mount is kept for a later `MountSetattr`.
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
        /// The same as a detached tree that the host side has made, with its attributes set: for what init may not reach.
        tree: Option<Fd>,
        /// With all mounts below it.
        recursive: bool,
        /// Attributes, set before the mount is attached.
        attrs: Attrs,
        /// Where, in the root; a missing target is made a directory or an empty file, like the source.
        target: Str<'a>,
        /// Refuse symbolic links on the way to the target.
        nofollow: bool,
    }
    /// Changes a kept mount.
    20 MountSetattr {
        /// Its slot; 0 is the root.
        slot: u32,
        /// The attributes.
        attrs: Attrs,
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
        paths: List<'a, Str<'a>>
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
        /// Mounts of the host that are detached first (its procfs and sysfs).
        hide: List<'a, Str<'a>>
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
    /// Joins a new session keyring.
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

/// Where init waits for the host side. The numbers are part of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Point {
    /// The namespaces exist: id maps, placement in cgroups.
    Placed = 1,
    /// The mounts are made and the root is not yet pivoted: hooks in the runtime's namespaces.
    Mounted = 2,
    /// Everything that the host side reads through init's `/proc` entry can be read.
    Prepared = 3,
    /// Nothing is done yet: somebody else moves init into its cgroup.
    Born = 4,
}

/// What a message of init says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tag {
    /// A `Rendezvous` is reached; `value` is its point.
    Reached = 1,
    /// A step failed; init has ended.
    Failed = 2,
    /// `Fork` made the payload's process; `value` is its pid, the descriptor a pidfd of it.
    Child = 3,
    /// The descriptor is the master of the payload's terminal.
    Terminal = 4,
    /// Everything up to `AwaitStart` is done.
    Ready = 5,
    /// The gate's `Start` was taken.
    Accepted = 6,
    /// A filter is loaded; `value` is the number of init's descriptor for its listener.
    Listener = 7,
    /// The descriptor is a netlink socket of the container's network namespace; init waits for [`Order::Proceed`].
    Netlink = 8,
}

/// What went wrong in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// `value` is an errno.
    Errno = 1,
    /// A hook exited; `value` is its status.
    Exit = 2,
    /// A hook was killed; `value` is the signal.
    Signal = 3,
    /// A hook ran longer than its timeout, `value` seconds.
    Timeout = 4,
    /// Something is not as it must be; `value` is a [`Check`].
    Check = 5,
}

/// What a step found otherwise than it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Check {
    /// The program cannot be decoded.
    Program = 1,
    /// The current directory lies outside the root.
    CwdOutside = 2,
    /// A mount is not at its target: the path was changed meanwhile.
    MountMoved = 3,
    /// Another file has the name of a device node.
    OtherNode = 4,
    /// `/dev/pts/ptmx` is not the multiplexer of a devpts.
    NotPtmx = 5,
    /// A sysctl reads back otherwise.
    SysctlValue = 6,
    /// The file to execute is not a regular one.
    NotRegular = 7,
    /// A path is not a real directory.
    NotDirectory = 8,
    /// The host side sent something that the step does not wait for.
    Message = 9,
    /// A symbolic link leads nowhere that can be made.
    SymlinkLoop = 10,
}

macro_rules! numbered {
    ($($name:ident { $($variant:ident)* })*) => {$(
        impl $name {
            /// The value with this number.
            pub fn from_number(number: u32) -> Option<Self> {
                $(if number == Self::$variant as u32 { return Some(Self::$variant); })*
                None
            }
        }
    )*};
}
numbered! {
    Point { Placed Mounted Prepared Born }
    Tag { Reached Failed Child Terminal Ready Accepted Listener Netlink }
    Kind { Errno Exit Signal Timeout Check }
    Check { Program CwdOutside MountMoved OtherNode NotPtmx SysctlValue NotRegular NotDirectory Message SymlinkLoop }
    Order { Proceed Commit Start }
}

/// A message of init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it says.
    pub tag: Tag,
    /// The step's place in the program, from 0.
    pub step: u32,
    /// For `Failed`: what went wrong.
    pub kind: Kind,
    /// For an errno: the number of the system call that gave it.
    pub call: u32,
    /// Which item of a list, from 0.
    pub index: u32,
    /// The value that tag and kind give a meaning.
    pub value: u32,
}

impl Report {
    /// The size of an encoded report.
    pub const SIZE: usize = 28;

    /// The report as it is sent.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let words =
            [VERSION, self.tag as u32, self.step, self.kind as u32, self.call, self.index, self.value];
        let mut bytes = [0; Self::SIZE];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a report; `None` where the bytes are not one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if u32::decode(&mut reader)? != VERSION {
            return None;
        }
        let report = Self {
            tag: Tag::from_number(u32::decode(&mut reader)?)?,
            step: u32::decode(&mut reader)?,
            kind: Kind::from_number(u32::decode(&mut reader)?)?,
            call: u32::decode(&mut reader)?,
            index: u32::decode(&mut reader)?,
            value: u32::decode(&mut reader)?,
        };
        reader.is_empty().then_some(report)
    }
}

/// What the host side tells init: on the channel, or `start` on the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Order {
    /// Go on after a rendezvous or a `Fork`.
    Proceed = 1,
    /// The container is created: outlive the creator, wait at the gate.
    Commit = 2,
    /// Execute the payload.
    Start = 3,
}

impl Order {
    /// The size of an encoded order.
    pub const SIZE: usize = 8;

    /// The order as it is sent.
    pub fn encode(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (place, word) in bytes.chunks_exact_mut(4).zip([VERSION, self as u32]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads an order; `None` where the bytes are not one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if u32::decode(&mut reader)? != VERSION {
            return None;
        }
        let order = Self::from_number(u32::decode(&mut reader)?)?;
        reader.is_empty().then_some(order)
    }
}

/// The steps of a program, in their order; ends early at the first that cannot be decoded.
pub fn steps(program: &[u8]) -> Option<Steps<'_>> {
    let mut reader = Reader(program);
    if u32::decode(&mut reader)? != VERSION {
        return None;
    }
    Some(Steps(reader))
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
            self.0 = Reader(&[]);
        }
        Some(step.ok_or(Malformed))
    }
}

/// A step that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

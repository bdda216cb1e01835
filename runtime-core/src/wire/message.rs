//! What init and the host side say to one another.

use super::VERSION;
use super::field::{Field, Reader};

/// Defines enums whose numbers are part of the encoding, with the way back from a number.
macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $number,)*
        }

        impl $name {
            /// The value with this number.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

numbered! {
    /// Where init waits for the host side. The numbers are part of the encoding.
    Point {
        /// The namespaces exist: id maps, placement in cgroups.
        Placed = 1,
        /// The mounts are made and the root is not yet pivoted: hooks in the runtime's namespaces.
        Mounted = 2,
        /// Nothing is done yet: somebody else moves init into its cgroup.
        Born = 4,
    }

    /// What a message of init says.
    Tag {
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
        /// The descriptor is a detached tree whose ids the host side maps, `value` the number of the mapping; init waits for
        /// [`Order::Proceed`].
        Tree = 9,
        /// A step did without what the kernel refused, which is told as in `Failed`; init goes on.
        Tolerated = 10,
        /// A mount comes to a container that runs, or has just come: `value` is its number, as mountinfo has it.
        Attaching = 12,
    }

    /// What went wrong in a step.
    Kind {
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
    Check {
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
        /// A procfs or sysfs of the host cannot be hidden.
        HostVisible = 11,
    }

    /// What the host side tells init: on the channel, or `start` on the gate.
    Order {
        /// Go on after a rendezvous or a `Fork`.
        Proceed = 1,
        /// The container is created: outlive the creator, wait at the gate.
        Commit = 2,
        /// Execute the payload.
        Start = 3,
        /// The descriptor is the container's new network namespace.
        Network = 4,
    }
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
        encoded([VERSION, self.tag as u32, self.step, self.kind as u32, self.call, self.index, self.value])
    }

    /// Reads a report; `None` where the bytes are not one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = of_version(bytes, VERSION)?;
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

impl Order {
    /// The size of an encoded order.
    pub const SIZE: usize = 8;

    /// The order as it is sent.
    pub fn encode(self) -> [u8; Self::SIZE] {
        encoded([VERSION, self as u32])
    }

    /// Reads an order; `None` where the bytes are not one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = of_version(bytes, VERSION)?;
        let order = Self::from_number(u32::decode(&mut reader)?)?;
        reader.is_empty().then_some(order)
    }
}

/// The words of a message one behind the other.
fn encoded<const WORDS: usize, const SIZE: usize>(words: [u32; WORDS]) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A reader of what stands behind the version, if that is this one.
pub(super) fn of_version(bytes: &[u8], version: u32) -> Option<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    (u32::decode(&mut reader)? == version).then_some(reader)
}

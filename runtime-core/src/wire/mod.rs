//! The encoding of a plan's steps, and of the few messages between the host side, init and `start`.
//!
//! Shared with init, so it uses `core` alone and allocates nothing: the host side encodes into a [`Sink`],
//! init decodes in place and hands the kernel pointers into the mapped program. A string is stored with its
//! terminating NUL for that reason. Everything is little-endian and unaligned. Programs are versioned by
//! [`PROGRAM_VERSION`], messages by [`VERSION`]: a container that one release of the library has created may be started by the next.

mod field;
mod message;
mod step;

pub use field::{Attrs, Bytes, Fd, Field, List, ListIter, Listed, Reader, Setting, Sink, Str, Value};
pub use message::{Check, Kind, Order, Point, Report, Tag};
pub use step::{Malformed, PID_WIDTH, Step, Steps, steps};

/// The version of the messages, which any `start` and any init that waits must understand: new ones may come, none changes its meaning.
pub const VERSION: u32 = 1;

/// The version of programs, whose readers refuse any other. To be raised with every change of a step's number, operands or meaning.
pub const PROGRAM_VERSION: u32 = 4;

/// What the last bytes of an image say: where in it the program lies.
pub const TRAILER_MAGIC: u64 = u64::from_le_bytes(*b"corten\x01\n");

/// The size of the trailer: magic, offset and length of the program, eight bytes each.
pub const TRAILER_SIZE: usize = 24;

/// The number of slots in which init keeps mounts that a later step changes; slot 0 is the root.
pub const SLOTS: usize = 64;

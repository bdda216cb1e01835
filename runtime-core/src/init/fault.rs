//! What a step fails with.

use super::wire::{Check, Kind};

/// The part of a failed [`Report`](super::wire::Report) that the step itself knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) call: u32,
    pub(crate) index: u32,
    pub(crate) value: u32,
}

pub(crate) type Result<T> = core::result::Result<T, Fault>;

impl Fault {
    /// The system call `call` gave `errno`.
    pub(crate) fn errno(call: usize, errno: u32) -> Self {
        Self { kind: Kind::Errno, call: call as u32, index: 0, value: errno }
    }

    /// A check of init's own failed.
    pub(crate) fn check(check: Check) -> Self {
        Self { kind: Kind::Check, call: 0, index: 0, value: check as u32 }
    }

    /// True for this errno.
    pub(crate) fn is(&self, errno: u32) -> bool {
        self.kind == Kind::Errno && self.value == errno
    }

    /// The same fault of the item at `index` of a list.
    pub(crate) fn at(self, index: usize) -> Self {
        Self { index: index as u32, ..self }
    }
}

/// Turns faults that the caller tolerates into `None`.
pub(crate) fn unless<T>(result: Result<T>, tolerated: &[u32]) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(fault) if tolerated.iter().any(|&errno| fault.is(errno)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

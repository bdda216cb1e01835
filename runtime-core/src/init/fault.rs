//! What a step fails with.

use core::num::NonZeroU64;

use super::wire::{Check, Kind, Report, Tag};

/// The part of a failed [`Report`] that the step itself knows: the kind (from bit 60), the system call (48), the
/// index (24) and the value. One word, since every call can fail, and init is much smaller when that fits in a
/// register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(NonZeroU64);

pub(crate) type Result<T> = core::result::Result<T, Fault>;

/// The largest index or value; larger ones are told as this.
const LARGEST: u64 = (1 << 24) - 1;

impl Fault {
    /// A fault of this kind.
    pub(crate) const fn new(kind: Kind, call: usize, value: u32) -> Self {
        let value = if (value as u64) < LARGEST { value as u64 } else { LARGEST };
        match NonZeroU64::new((kind as u64) << 60 | (call as u64 & 0xfff) << 48 | value) {
            Some(word) => Self(word),
            // No kind is 0.
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The system call `call` gave `errno`.
    pub(crate) const fn errno(call: usize, errno: u32) -> Self {
        Self::new(Kind::Errno, call, errno)
    }

    /// A check of init's own failed.
    pub(crate) const fn check(check: Check) -> Self {
        Self::new(Kind::Check, 0, check as u32)
    }

    /// The same fault of the item at `index` of a list.
    pub(crate) fn at(self, index: usize) -> Self {
        Self(self.0 | (index as u64).min(LARGEST) << 24)
    }

    /// True for this errno.
    pub(crate) fn is(self, errno: u32) -> bool {
        self.0.get() >> 60 == Kind::Errno as u64 && self.value() == errno
    }

    /// The number of the system call, or 0.
    pub(crate) fn call(self) -> usize {
        (self.0.get() >> 48 & 0xfff) as usize
    }

    /// The item of a list, or 0.
    pub(crate) fn index(self) -> u32 {
        (self.0.get() >> 24 & LARGEST) as u32
    }

    /// The errno, status, signal, time or check.
    pub(crate) fn value(self) -> u32 {
        (self.0.get() & LARGEST) as u32
    }

    /// The report of this fault in a step.
    pub(crate) fn report(self, step: u32) -> Report {
        let word = self.0.get();
        Report {
            tag: Tag::Failed,
            step,
            kind: Kind::from_number((word >> 60) as u32).unwrap_or(Kind::Check),
            call: self.call() as u32,
            index: self.index(),
            value: self.value(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let report = Fault::errno(442, 22).at(3).report(7);
        let told = (report.kind, report.call, report.index, report.value, report.step);
        assert_eq!(told, (Kind::Errno, 442, 3, 22, 7));
        let report = Fault::new(Kind::Timeout, 0, u32::MAX).at(usize::MAX).report(0);
        assert_eq!((report.kind, report.index, report.value), (Kind::Timeout, 0xff_ffff, 0xff_ffff));
        assert!(!Fault::check(Check::Program).is(Check::Program as u32));
    }
}

//! `/linux/seccomp`: the filter as init loads it.

use super::Error;
use crate::config::Seccomp;
use crate::seccomp::{self, Arch};
use crate::wire::{Bytes, Step};

/// A compiled profile.
pub(super) struct Filter {
    program: Vec<u8>,
    flags: u32,
    /// There is a listener, to which the host side hands a descriptor.
    pub(super) notifies: bool,
}

impl Filter {
    pub(super) fn of(profile: &Seccomp) -> Result<Self, Error> {
        let native = Arch::NATIVE.ok_or_else(|| {
            Error::at("/linux/seccomp", "profiles have no name for the architecture of this machine")
        })?;
        let filter = seccomp::compile(profile, native)
            .map_err(|error| Error::at(error.pointer, error.fault.to_string()))?;
        let program = filter.program.iter().flat_map(|instruction| instruction.to_bytes()).collect();
        Ok(Self { program, flags: filter.flags, notifies: filter.notifies() })
    }

    /// Loads it now.
    pub(super) fn load(&self) -> Step<'_> {
        Step::LoadSeccomp { program: Bytes(&self.program), flags: self.flags }
    }

    /// Has hooks load it.
    pub(super) fn confine_hooks(&self) -> Step<'_> {
        Step::ConfineHooks { program: Bytes(&self.program), flags: self.flags }
    }
}

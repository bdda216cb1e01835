//! `pause` and `resume`: freezing and thawing.

use super::{Container, Status, status};
use crate::error::Error;

impl Container {
    /// Freezes all processes of the container.
    ///
    /// # Errors
    /// [`Error::NotRunning`] unless it is created or running.
    pub fn pause(&self) -> Result<(), Error> {
        let _lock = self.entry.lock_exclusive()?;
        match status(&self.entry, &*self.record()?)?.0 {
            Status::Created | Status::Running => Ok(self.cgroup()?.freeze()?),
            Status::Creating | Status::Paused | Status::Stopped => Err(Error::NotRunning),
        }
    }

    /// Thaws the container.
    ///
    /// # Errors
    /// [`Error::NotPaused`] unless it is paused.
    pub fn resume(&self) -> Result<(), Error> {
        let _lock = self.entry.lock_exclusive()?;
        match status(&self.entry, &*self.record()?)?.0 {
            Status::Paused => Ok(self.cgroup()?.thaw()?),
            _ => Err(Error::NotPaused),
        }
    }
}

//! What a container uses, and when its memory runs out.

use std::os::fd::OwnedFd;

use super::{Container, Status, status};
use crate::cgroup::{OomEvents, Stats};
use crate::error::Error;

impl Container {
    /// What the container has used up to now.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has stopped or is still being made; [`Error::Cgroup`].
    pub fn stats(&self) -> Result<Stats, Error> {
        self.living()?;
        Ok(self.cgroup().stats()?)
    }

    /// Its memory running out, from now on; none where it has no memory controller.
    ///
    /// # Errors
    /// As for [`stats`](Self::stats).
    pub fn oom_events(&self) -> Result<Option<OomEvents>, Error> {
        self.living()?;
        Ok(self.cgroup().oom_events()?)
    }

    /// A pidfd of init, whoever made the container: it becomes readable when the container ends.
    ///
    /// # Errors
    /// As for [`stats`](Self::stats).
    pub fn living(&self) -> Result<OwnedFd, Error> {
        match status(&self.entry, &self.entry.read()?)? {
            (Status::Created | Status::Running | Status::Paused, Some(init)) => Ok(init),
            _ => Err(Error::NotRunning),
        }
    }
}

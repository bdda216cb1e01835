//! `update`: other limits for a container.

use super::{Container, Status, status};
use crate::check::{self, Finding};
use crate::config::Resources;
use crate::error::Error;

impl Container {
    /// Changes limits of a container that is created, running or paused. What `changes` does not name keeps its value;
    /// device rules are never touched. After an error all limits are what they were.
    ///
    /// # Errors
    /// [`Error::Config`] for limits that make no sense, [`Error::Cgroup`] for those that the kernel refuses, with the
    /// pointers that they have in a `config.json`; [`Error::NotRunning`].
    pub fn update(&self, changes: &Resources) -> Result<(), Error> {
        let changes = &Resources { devices: Vec::new(), ..changes.clone() };
        let findings = check::check_resources(changes, "/linux/resources");
        if findings.iter().any(Finding::is_fatal) {
            return Err(Error::Config(findings));
        }
        for finding in findings {
            log::warn!("{finding}");
        }
        let _lock = self.entry.lock_exclusive()?;
        let before = self.entry.read()?;
        if !matches!(status(&self.entry, &before)?.0, Status::Created | Status::Running | Status::Paused) {
            return Err(Error::NotRunning);
        }
        let changes = changes.with_partners(&before.resources);
        let mut after = before.clone();
        after.resources = before.resources.updated(&changes);
        self.entry.write(&after)?;
        let updated = crate::cgroup::open(before.cgroup.clone()).update(&changes);
        if updated.is_err() {
            if let Err(error) = self.entry.write(&before) {
                log::warn!("the saved limits may not be those in force: {error}");
            }
        }
        Ok(updated?)
    }
}

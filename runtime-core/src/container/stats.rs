//! What a container uses, and when its memory runs out.

use std::os::fd::OwnedFd;

use super::{Container, Status, status};
use nix::libc::CLONE_NEWNET;
use serde::Serialize;

use super::network::{NetworkInterface, interfaces_of};
use super::resctrl::IntelRdtStats;
use crate::cgroup::{self, OomEvents};
use crate::error::Error;
use crate::state::Record;

/// What a container has used up to now. Serialised, it is the document that runc's `events` prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The figures of its cgroup.
    #[serde(flatten)]
    pub cgroup: cgroup::Stats,
    /// Caches and memory bandwidth.
    pub intel_rdt: IntelRdtStats,
    /// The interfaces of its network namespace, where that is not the runtime's.
    pub network_interfaces: Option<Vec<NetworkInterface>>,
}

impl Container {
    /// What the container has used up to now.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has stopped or is still being made; [`Error::Cgroup`].
    pub fn stats(&self) -> Result<Stats, Error> {
        let (record, _) = self.alive()?;
        let has_network = record.namespaces & CLONE_NEWNET as u32 != 0;
        let init = record.init.as_ref().filter(|_| has_network).map(|init| init.identity.pid);
        Ok(Stats {
            cgroup: cgroup::open(record.cgroup).stats()?,
            intel_rdt: record.resctrl.map(|class| class.stats()).unwrap_or_default(),
            network_interfaces: init.and_then(interfaces_of),
        })
    }

    /// Its memory running out, from now on; none where it has no memory controller.
    ///
    /// # Errors
    /// As for [`stats`](Self::stats).
    pub fn oom_events(&self) -> Result<Option<OomEvents>, Error> {
        self.living()?;
        Ok(self.cgroup()?.oom_events()?)
    }

    /// A pidfd of init, whoever made the container: it becomes readable when the container ends.
    ///
    /// # Errors
    /// As for [`stats`](Self::stats).
    pub fn living(&self) -> Result<OwnedFd, Error> {
        self.alive().map(|(_, init)| init)
    }

    /// The record of a container that has not ended, with a pidfd of init.
    fn alive(&self) -> Result<(Record, OwnedFd), Error> {
        let record = self.entry.read()?;
        match status(&self.entry, &record)? {
            (Status::Created | Status::Running | Status::Paused, Some(init)) => Ok((record, init)),
            _ => Err(Error::NotRunning),
        }
    }
}

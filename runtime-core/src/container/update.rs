//! `update`: other limits for a container.

use super::{Container, Resctrl, Status, status};
use crate::cgroup::Manager;
use crate::check::{self, Finding};
use crate::config::{IntelRdt, Resources};
use crate::error::Error;
use crate::procfs;
use crate::state::Record;

/// What is to be changed of a container's limits. What is not named keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Limits of its cgroup. Device rules are never touched.
    pub resources: Resources,
    /// Another share of caches and memory bandwidth: schemata alone. A container without a class gets one.
    pub intel_rdt: IntelRdt,
}

impl Container {
    /// Changes limits of a container that is created, running or paused. After an error all limits are what they were.
    ///
    /// # Errors
    /// [`Error::Config`] for limits that make no sense, [`Error::Cgroup`] and [`Error::IntelRdt`] for those that the kernel refuses,
    /// with the pointers that they have in a `config.json`; [`Error::NotRunning`].
    pub fn update(&self, changes: &Changes) -> Result<(), Error> {
        let resources = &Resources { devices: Vec::new(), ..changes.resources.clone() };
        let mut findings = check::check_resources(resources, "/linux/resources");
        findings.extend(check::check_intel_rdt(&changes.intel_rdt));
        if findings.iter().any(Finding::is_fatal) {
            return Err(Error::Config(findings));
        }
        for finding in findings {
            log::warn!("{finding}");
        }
        let _lock = self.entry.lock_exclusive()?;
        let before = self.entry.renew(self.entry.read()?)?;
        if !matches!(status(&self.entry, &before)?.0, Status::Created | Status::Running | Status::Paused) {
            return Err(Error::NotRunning);
        }
        let resources = resources.with_partners(&before.resources);
        let mut after = before.clone();
        *after.resources = before.resources.updated(&resources);
        if before.resctrl.is_none() && !changes.intel_rdt.is_nothing() {
            after.resctrl = Some(Resctrl::plan(&changes.intel_rdt, self.id.as_str())?);
        }
        self.entry.write(&after)?;
        let updated = apply(&before, &after, &resources, &changes.intel_rdt);
        if updated.is_err() {
            if let Err(error) = self.entry.write(&before) {
                log::warn!("the saved limits may not be those in force: {error}");
            }
        }
        updated
    }
}

/// Puts new limits in force, all or none.
fn apply(before: &Record, after: &Record, resources: &Resources, rdt: &IntelRdt) -> Result<(), Error> {
    let mut cgroup = crate::cgroup::open(before.cgroup.clone());
    let Some(class) = after.resctrl.as_ref().filter(|_| !rdt.is_nothing()) else {
        return Ok(cgroup.update(resources)?);
    };
    let changed = match &before.resctrl {
        Some(class) => class.change(rdt).map(Some),
        None => join_class(class, rdt, cgroup.as_ref()).map(|()| None),
    };
    let undo = |former: Option<&[String]>| match former {
        Some(former) => class.restore(former),
        None => {
            if let Err(error) = class.remove() {
                log::warn!("{error}");
            }
        }
    };
    match changed {
        Ok(former) => cgroup.update(resources).map_err(|error| {
            undo(former.as_deref());
            error.into()
        }),
        Err(error) => {
            if before.resctrl.is_none() {
                undo(None);
            }
            Err(error)
        }
    }
}

/// Makes a class and puts all processes of a container into it.
fn join_class(class: &Resctrl, rdt: &IntelRdt, cgroup: &dyn Manager) -> Result<(), Error> {
    class.make(rdt)?;
    class.enter_all(|| Ok(cgroup.pids()?.into_iter().flat_map(threads).collect()))
}

/// The threads of a process; none of one that has ended.
fn threads(pid: i32) -> Vec<i32> {
    procfs::numbers(&format!("{pid}/task")).unwrap_or_default()
}

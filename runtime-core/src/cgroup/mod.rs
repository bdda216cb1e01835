//! A container's cgroup: made, limited, entered, frozen, emptied and removed.
//!
//! [`plan`] says what will be made, so that it can be saved first; [`open`] gives a [`Manager`] for it, now
//! or later from what was saved. But beside systemd no process is ever moved by its id, since that waits for every processor of
//! the host: a process is born into the unified hierarchy, and enters those of version 1 by itself
//! ([`Placement`]).
//!
//! All names are resolved below a verified root, without links ([`dir`]); the limits are translated by
//! pure functions ([`limits`], [`devices`]).

mod cgroupfs;
mod delegate;
mod devices;
mod dir;
mod error;
mod freezer;
mod layout;
mod limits;
mod make;
mod oom;
mod path;
mod placement;
mod processes;
mod remove;
mod saved;
pub mod stats;
mod systemd;
mod threaded;
mod walk;

use std::time::Duration;

use crate::config::Resources;

pub use error::Error;
pub(crate) use freezer::Freezers;
pub use freezer::is_frozen;
pub use layout::{Hierarchy, Layout, Version};
pub use oom::OomEvents;
pub use path::plan;
pub use placement::{Placement, SubCgroup};
pub(crate) use saved::Brief;
pub use saved::{Driver, Group, Saved};
pub use stats::Stats;
pub use systemd::{Scope, Unit, plan_scope};

/// A container's cgroup, in all hierarchies at once.
pub trait Manager: std::fmt::Debug + Send + Sync {
    /// What has to be kept to find it again; `create` brings it up to date.
    fn saved(&self) -> &Saved;

    /// Makes it and sets its limits, before any process is in it; [`Manager::confine`] does the rest. One that exists already has to
    /// be empty and not frozen. After an error, what was made is there until [`Manager::remove`], and
    /// [`Manager::saved`] says what that is.
    fn create(&mut self, resources: &Resources) -> Result<(), Error>;

    /// Puts the device rules in force that `create` has left out: those of a new cgroup of version 2, which hinder no init and
    /// take the kernel as long as many of its steps.
    fn confine(&self, resources: &Resources) -> Result<(), Error>;

    /// Moves a process into it that waits for that, where [`Placement`] says so, and sets the limits.
    fn adopt(&mut self, pid: i32, resources: &Resources) -> Result<(), Error>;

    /// Writes other limits, while there are processes in it. After an error those of before are in force.
    fn update(&mut self, changes: &Resources) -> Result<(), Error>;

    /// How a process gets in, or into a sub-cgroup that exists.
    fn placement(&self, sub_cgroups: &[SubCgroup]) -> Result<Placement, Error>;

    /// The same, but in the unified hierarchy to where a process of the container is now: after the
    /// container has made sub-cgroups its own one may take no processes any more.
    fn placement_beside(&self, pid: i32) -> Result<Placement, Error>;

    /// Has somebody with more rights move a process into it, for a caller who may not: whether there is such a somebody.
    fn move_by_manager(&self, pid: i32) -> Result<bool, Error>;

    /// Stops all its processes; an error if they have not stopped in time, and then they run again.
    fn freeze(&self) -> Result<(), Error>;

    /// Lets its processes run again.
    fn thaw(&self) -> Result<(), Error>;

    /// What it has used up to now.
    fn stats(&self) -> Result<Stats, Error>;

    /// Its memory running out, from now on; none where it has no memory controller.
    fn oom_events(&self) -> Result<Option<OomEvents>, Error>;

    /// Its processes and those of its sub-cgroups.
    fn pids(&self) -> Result<Vec<i32>, Error>;

    /// Sends SIGKILL to all its processes, frozen ones too; does not wait for their end. Processes in a
    /// cgroup that `create` has found there and not taken are left alone.
    fn kill(&self) -> Result<(), Error>;

    /// Removes what was made for the container, unless there are processes in it, or cgroups below it: whether nobody is left that could be
    /// killed. What has gone by then does no harm to [`Manager::kill`] and [`Manager::remove`].
    fn remove_free(&mut self) -> Result<bool, Error>;

    /// Removes what was made for the container, with the sub-cgroups it has made itself, and waits for the
    /// last processes to be gone.
    fn remove(&mut self, timeout: Duration) -> Result<(), Error>;
}

/// Whether no limit is asked for. Device rules are none: who may not manage cgroups cannot make devices either.
pub fn limits_nothing(resources: &Resources) -> bool {
    limits::settings(resources, |_| true).is_ok_and(|settings| settings.is_empty())
}

/// The manager of a cgroup that is planned or exists.
pub fn open(saved: Saved) -> Box<dyn Manager> {
    match saved.unit.clone() {
        Some(unit) => Box::new(systemd::Systemd::new(saved, unit)),
        None => Box::new(cgroupfs::Cgroupfs::new(saved)),
    }
}

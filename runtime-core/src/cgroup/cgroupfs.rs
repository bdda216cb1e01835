//! The driver that works on the cgroup file systems themselves: version 1, 2 and both.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::dir::Dir;
use super::freezer::Freezer;
use super::limits::{self, Setting};
use super::path::join;
use super::placement::{self, Placement, SubCgroup};
use super::saved::{Driver, Group, Saved};
use super::stats::{self, Stats};
use super::{Error, Manager, OomEvents, delegate, devices, make, processes, remove, threaded};
use crate::config::{Memory, Resources};

/// A cgroup made by this runtime itself.
#[derive(Debug)]
pub(super) struct Cgroupfs {
    saved: Saved,
}

/// What a container's resources come to.
#[derive(Debug)]
pub(super) struct Request {
    settings: Vec<Setting>,
    rules: Vec<devices::Rule>,
}

/// The directories of a cgroup, each opened when it is first needed and held from then on.
struct Dirs<'a>(Vec<(&'a Group, OnceCell<Dir>)>);

impl<'a> Dirs<'a> {
    fn of(saved: &'a Saved) -> Self {
        Self(saved.groups.iter().map(|group| (group, OnceCell::new())).collect())
    }

    /// The directory of one of the groups, which has to exist.
    fn get(&self, group: &Group) -> Result<&Dir, Error> {
        let gone = || Error::Gone { path: group.full_path() };
        let (_, cell) = self.0.iter().find(|(known, _)| std::ptr::eq(*known, group)).ok_or_else(gone)?;
        if let Some(dir) = cell.get() {
            return Ok(dir);
        }
        let dir = group.existing()?;
        Ok(cell.get_or_init(|| dir))
    }
}

impl Cgroupfs {
    pub(super) fn new(saved: Saved) -> Self {
        Self { saved }
    }

    /// What limits and device rules come to; the faults that can be seen without a cgroup.
    pub(super) fn request(&self, resources: &Resources) -> Result<Request, Error> {
        let settings = limits::settings(resources, |controller| self.saved.v1(controller).is_some())?;
        Ok(Request { settings, rules: devices::rules(resources)? })
    }

    /// Makes the directories of some groups.
    pub(super) fn make(&mut self, which: impl Fn(&Group) -> bool) -> Result<(), Error> {
        self.saved.groups.iter_mut().filter(|group| which(group)).try_for_each(make::make)
    }

    /// Takes what is there for the container's own from now on.
    pub(super) fn take(&mut self) {
        self.saved.taken = true;
    }

    /// Puts limits and device rules in force.
    pub(super) fn limit(&self, request: &Request, resources: &Resources) -> Result<(), Error> {
        let dirs = Dirs::of(&self.saved);
        for group in &self.saved.groups {
            if group.hierarchy.is_unified() {
                threaded::follow_parent(group, &self.needed(&request.settings))?;
            } else if group.hierarchy.has("cpuset") {
                make::inherit_cpuset(group)?;
            }
        }
        self.prepare(resources, &request.settings, &dirs)?;
        limits::apply(&request.settings, |setting| self.dir_of(&dirs, setting))?;
        self.hand_over(&dirs)
    }

    /// Puts a process with one thread into the directories of version 1.
    pub(super) fn enter(&self, pid: i32) -> Result<(), Error> {
        let mut v1 = self.saved.groups.iter().filter(|group| !group.hierarchy.is_unified());
        v1.try_for_each(|group| group.root()?.write(&join(&group.path, "tasks"), &pid.to_string()))
    }

    /// Puts other limits in force, and says what those of before were.
    pub(super) fn replace(&self, changes: &Resources) -> Result<Vec<Setting>, Error> {
        let settings = limits::settings(changes, |controller| self.saved.v1(controller).is_some())?;
        let dirs = Dirs::of(&self.saved);
        self.prepare(changes, &settings, &dirs)?;
        limits::replace(&settings, |setting| self.dir_of(&dirs, setting))
    }

    /// Puts limits of before in force again.
    pub(super) fn restore(&self, former: Vec<Setting>) {
        let dirs = Dirs::of(&self.saved);
        limits::restore(former, |setting| self.dir_of(&dirs, setting));
    }

    /// The freezer of a cgroup that has to exist.
    fn freezer(&self) -> Result<Freezer, Error> {
        let gone = |group: &Group| Error::Gone { path: group.full_path() };
        let missing = || self.saved.main().map_or(Error::NoCgroup, gone);
        Freezer::of(&self.saved)?.ok_or_else(missing)
    }

    /// The directory in which a setting belongs.
    fn dir_of<'a>(&self, dirs: &'a Dirs<'_>, setting: &Setting) -> Result<&'a Dir, Error> {
        let group = self.saved.v1(setting.controller()).or(self.saved.unified());
        dirs.get(group.ok_or_else(|| Error::NoController {
            pointer: setting.pointer.clone().into_owned(),
            controller: setting.controller().into(),
            path: "/sys/fs/cgroup".into(),
        })?)
    }

    /// One setting for each controller that the unified hierarchy has to hand down; its core is always there.
    fn needed<'a>(&self, settings: &'a [Setting]) -> Vec<&'a Setting> {
        let mut needed: Vec<&Setting> = Vec::new();
        for setting in settings.iter().filter(|setting| self.saved.v1(setting.controller()).is_none()) {
            let known = needed.iter().any(|other| other.controller() == setting.controller());
            if !known && setting.controller() != "cgroup" {
                needed.push(setting);
            }
        }
        needed
    }

    /// Sees to it that limits can be written, as far as that can be known before.
    fn prepare(&self, resources: &Resources, settings: &[Setting], dirs: &Dirs<'_>) -> Result<(), Error> {
        if let Some(group) = self.saved.unified() {
            let enabled = make::enable(group, &self.needed(settings));
            // One that is gone has no controllers either, but that is not why.
            enabled.or_else(|error| dirs.get(group).and(Err(error)))?;
        }
        match &resources.memory {
            Some(memory) if memory.check_before_update == Some(true) => self.check_usage(dirs, memory),
            _ => Ok(()),
        }
    }

    /// Refuses a limit below what is in use already. In version 1 the kernel does.
    fn check_usage(&self, dirs: &Dirs<'_>, memory: &Memory) -> Result<(), Error> {
        let Some(group) = self.saved.unified() else { return Ok(()) };
        match dirs.get(group)?.read("memory.current") {
            Ok(usage) => limits::check_usage(memory, usage.trim().parse().unwrap_or_default()),
            Err(Error::Io { errno: Errno::ENOENT, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives the cgroup to its owner. One that was there before stays its maker's, and version 1 is not safe to delegate.
    fn hand_over(&self, dirs: &Dirs<'_>) -> Result<(), Error> {
        match (self.saved.owner, self.saved.groups.as_slice()) {
            (Some(owner), [group])
                if group.hierarchy.is_unified()
                    && (group.made > 0 || self.saved.driver == Driver::Systemd) =>
            {
                delegate::hand_over(dirs.get(group)?, owner)
            }
            _ => Ok(()),
        }
    }

    /// Whether device rules may come after init: a program is attached in one step, while the list of version 1 denies all before
    /// it allows some; and what an earlier container has left may deny anything.
    fn confines_late(&self) -> bool {
        let unified = self.saved.unified();
        self.saved.v1("devices").is_none() && unified.is_some_and(|group| group.made > 0)
    }

    /// Applies the device rules where this host has a way to.
    pub(super) fn filter_devices(&self, request: &Request) -> Result<(), Error> {
        let rules = &request.rules;
        if let Some(group) = self.saved.v1("devices") {
            return devices::list::apply(&group.existing()?, rules);
        }
        match self.saved.unified() {
            Some(group) => devices::filter::apply(&group.existing()?, rules, group.made == 0),
            None => Err(Error::NoController {
                pointer: "/linux/resources/devices".into(),
                controller: "devices".into(),
                path: "/sys/fs/cgroup".into(),
            }),
        }
    }
}

impl Manager for Cgroupfs {
    fn saved(&self) -> &Saved {
        &self.saved
    }

    fn create(&mut self, resources: &Resources) -> Result<(), Error> {
        let request = self.request(resources)?;
        self.make(|_| true)?;
        for group in self.saved.groups.iter().filter(|group| group.made == 0) {
            make::check_unused(group, &group.existing()?)?;
        }
        self.take();
        self.limit(&request, resources)?;
        if self.confines_late() { Ok(()) } else { self.filter_devices(&request) }
    }

    fn confine(&self, resources: &Resources) -> Result<(), Error> {
        if !self.confines_late() {
            return Ok(());
        }
        self.filter_devices(&self.request(resources)?)
    }

    fn adopt(&mut self, _: i32, _: &Resources) -> Result<(), Error> {
        Ok(())
    }

    fn update(&mut self, changes: &Resources) -> Result<(), Error> {
        self.replace(changes).map(drop)
    }

    fn placement(&self, sub_cgroups: &[SubCgroup]) -> Result<Placement, Error> {
        placement::into(&self.saved, sub_cgroups)
    }

    fn placement_beside(&self, pid: i32) -> Result<Placement, Error> {
        placement::beside(&self.saved, pid)
    }

    fn move_by_manager(&self, _: i32) -> Result<bool, Error> {
        Ok(false)
    }

    fn freeze(&self) -> Result<(), Error> {
        self.freezer()?.freeze()
    }

    fn thaw(&self) -> Result<(), Error> {
        self.freezer()?.thaw()
    }

    fn stats(&self) -> Result<Stats, Error> {
        stats::of(&self.saved)
    }

    fn oom_events(&self) -> Result<Option<OomEvents>, Error> {
        OomEvents::of(&self.saved)
    }

    fn pids(&self) -> Result<Vec<i32>, Error> {
        processes::of(&self.saved)
    }

    fn kill(&self) -> Result<(), Error> {
        match processes::kill_all(&self.saved.owned()) {
            // Removed meanwhile: nobody was left in it.
            Err(error) if error.is_gone() => Ok(()),
            outcome => outcome,
        }
    }

    fn remove_free(&mut self) -> Result<bool, Error> {
        let own = self.saved.owned();
        // One that was there before stays, whoever is in it.
        if own.groups.is_empty() || own.groups.iter().any(|group| group.made == 0) {
            return Ok(false);
        }
        // The freezer last: with it those who are left elsewhere are killed at once.
        let (freezers, others): (Vec<_>, _) =
            own.groups.iter().partition(|group| group.hierarchy.has("freezer"));
        for group in others.into_iter().chain(freezers) {
            if !remove::remove_free(group)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn remove(&mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        self.saved
            .groups
            .iter()
            .filter(|group| group.made > 0)
            .try_for_each(|group| remove::remove(group, deadline))
    }
}

//! The driver that works on the cgroup file systems themselves: version 1, 2 and both.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::dir::Dir;
use super::freezer::Freezer;
use super::limits::{self, Setting};
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
    pub(super) fn make(&mut self, which: impl Fn(&Group) -> bool) -> Result<Vec<Dir>, Error> {
        self.saved.groups.iter_mut().filter(|group| which(group)).map(make::make).collect()
    }

    /// The directories of all groups, which have to exist.
    pub(super) fn dirs(&self) -> Result<Vec<Dir>, Error> {
        let find = |group: &Group| group.find()?.ok_or_else(|| Error::Gone { path: group.full_path() });
        self.saved.groups.iter().map(find).collect()
    }

    /// Takes what is there for the container's own from now on.
    pub(super) fn take(&mut self) {
        self.saved.taken = true;
    }

    /// Puts limits and device rules in force.
    pub(super) fn limit(&self, request: &Request, resources: &Resources, dirs: &[Dir]) -> Result<(), Error> {
        for (group, dir) in self.saved.groups.iter().zip(dirs) {
            if group.hierarchy.is_unified() {
                threaded::follow_parent(group, dir, &self.needed(&request.settings))?;
            } else if group.hierarchy.has("cpuset") {
                make::inherit_cpuset(group)?;
            }
        }
        self.prepare(resources, &request.settings, dirs)?;
        limits::apply(&request.settings, |setting| self.dir_of(dirs, setting))?;
        self.hand_over(dirs)
    }

    /// Puts a process with one thread into the directories of version 1.
    pub(super) fn enter(&self, pid: i32, dirs: &[Dir]) -> Result<(), Error> {
        let groups = self.saved.groups.iter().zip(dirs);
        let mut v1 = groups.filter(|(group, _)| !group.hierarchy.is_unified());
        v1.try_for_each(|(_, dir)| dir.write("tasks", &pid.to_string()))
    }

    /// Puts other limits in force, and says what those of before were.
    pub(super) fn replace(&self, changes: &Resources) -> Result<Vec<Setting>, Error> {
        let settings = limits::settings(changes, |controller| self.saved.v1(controller).is_some())?;
        let dirs = self.dirs()?;
        self.prepare(changes, &settings, &dirs)?;
        limits::replace(&settings, |setting| self.dir_of(&dirs, setting))
    }

    /// Puts limits of before in force again.
    pub(super) fn restore(&self, former: Vec<Setting>) {
        match self.dirs() {
            Ok(dirs) => limits::restore(former, |setting| self.dir_of(&dirs, setting)),
            Err(error) => log::warn!("limits could not be restored: {error}"),
        }
    }

    /// The freezer of a cgroup that has to exist.
    fn freezer(&self) -> Result<Freezer, Error> {
        let gone = |group: &Group| Error::Gone { path: group.full_path() };
        let missing = || self.saved.main().map_or(Error::NoCgroup, gone);
        Freezer::of(&self.saved)?.ok_or_else(missing)
    }

    /// The directory in which a setting belongs.
    fn dir_of<'a>(&self, dirs: &'a [Dir], setting: &Setting) -> Result<&'a Dir, Error> {
        let index = self.saved.groups.iter().position(|group| group.hierarchy.has(setting.controller()));
        let index = index.or_else(|| self.saved.groups.iter().position(|group| group.hierarchy.is_unified()));
        index.and_then(|index| dirs.get(index)).ok_or_else(|| Error::NoController {
            pointer: setting.pointer.clone().into_owned(),
            controller: setting.controller().into(),
            path: "/sys/fs/cgroup".into(),
        })
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
    fn prepare(&self, resources: &Resources, settings: &[Setting], dirs: &[Dir]) -> Result<(), Error> {
        if let Some(group) = self.saved.unified() {
            make::enable(group, &self.needed(settings))?;
        }
        match &resources.memory {
            Some(memory) if memory.check_before_update == Some(true) => self.check_usage(dirs, memory),
            _ => Ok(()),
        }
    }

    /// Refuses a limit below what is in use already. In version 1 the kernel does.
    fn check_usage(&self, dirs: &[Dir], memory: &Memory) -> Result<(), Error> {
        let groups = self.saved.groups.iter().zip(dirs);
        for (_, dir) in groups.filter(|(group, _)| group.hierarchy.is_unified()) {
            match dir.read("memory.current") {
                Ok(usage) => limits::check_usage(memory, usage.trim().parse().unwrap_or_default())?,
                Err(Error::Io { errno: Errno::ENOENT, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the cgroup to its owner. One that was there before stays its maker's, and version 1 is not safe to delegate.
    fn hand_over(&self, dirs: &[Dir]) -> Result<(), Error> {
        match (self.saved.owner, self.saved.groups.as_slice(), dirs) {
            (Some(owner), [group], [dir])
                if group.hierarchy.is_unified()
                    && (group.made > 0 || self.saved.driver == Driver::Systemd) =>
            {
                delegate::hand_over(dir, owner)
            }
            _ => Ok(()),
        }
    }

    /// Whether device rules may come after init: a program is attached in one step, while the list of version 1 denies all before
    /// it allows some; and what an earlier container has left may deny anything.
    fn confines_late(&self) -> bool {
        let by_list = self.saved.groups.iter().any(|group| group.hierarchy.has("devices"));
        let unified = self.saved.unified();
        !by_list && unified.is_some_and(|group| group.made > 0)
    }

    /// Applies the device rules where this host has a way to.
    pub(super) fn filter_devices(&self, dirs: &[Dir], request: &Request) -> Result<(), Error> {
        let rules = &request.rules;
        let groups = || self.saved.groups.iter().zip(dirs);
        if let Some((_, dir)) = groups().find(|(group, _)| group.hierarchy.has("devices")) {
            return devices::list::apply(dir, rules);
        }
        match groups().find(|(group, _)| group.hierarchy.is_unified()) {
            Some((group, dir)) => devices::filter::apply(dir, rules, group.made == 0),
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
        let dirs = self.make(|_| true)?;
        for (group, dir) in self.saved.groups.iter().zip(&dirs).filter(|(group, _)| group.made == 0) {
            make::check_unused(group, dir)?;
        }
        self.take();
        self.limit(&request, resources, &dirs)?;
        if self.confines_late() { Ok(()) } else { self.filter_devices(&dirs, &request) }
    }

    fn confine(&self, resources: &Resources) -> Result<(), Error> {
        if !self.confines_late() {
            return Ok(());
        }
        self.filter_devices(&self.dirs()?, &self.request(resources)?)
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

    fn is_frozen(&self) -> Result<bool, Error> {
        match Freezer::of(&self.saved) {
            // Made by somebody with another view of the cgroup file systems, from which alone this could be told.
            Err(error) if error.is_gone() || matches!(error, Error::NotCgroup { .. }) => Ok(false),
            freezer => freezer?.map_or(Ok(false), |freezer| freezer.is_frozen()),
        }
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

    fn remove(&mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        self.saved
            .groups
            .iter()
            .filter(|group| group.made > 0)
            .try_for_each(|group| remove::remove(group, deadline))
    }
}

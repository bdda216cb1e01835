//! The driver that works on the cgroup file systems themselves: version 1, 2 and both.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::dir::Dir;
use super::freezer::Freezer;
use super::limits::{self, Setting};
use super::placement::{self, Placement, SubCgroup};
use super::saved::{Group, Saved};
use super::stats::{self, Stats};
use super::{Error, Manager, OomEvents, devices, make, processes, remove, threaded};
use crate::config::{Memory, Resources};

/// A cgroup made by this runtime itself.
#[derive(Debug)]
pub(super) struct Cgroupfs {
    saved: Saved,
}

impl Cgroupfs {
    pub(super) fn new(saved: Saved) -> Self {
        Self { saved }
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

    /// Applies the device rules where this host has a way to.
    fn filter_devices(&self, dirs: &[Dir], rules: &[devices::Rule]) -> Result<(), Error> {
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
        let settings = limits::settings(resources, |controller| self.saved.v1(controller).is_some())?;
        let rules = devices::rules(resources)?;
        let dirs: Vec<Dir> = self.saved.groups.iter_mut().map(make::make).collect::<Result<_, _>>()?;
        for (group, dir) in self.saved.groups.iter().zip(&dirs).filter(|(group, _)| group.made == 0) {
            make::check_unused(group, dir)?;
        }
        self.saved.taken = true;
        for (group, dir) in self.saved.groups.iter().zip(&dirs) {
            if group.hierarchy.is_unified() {
                threaded::follow_parent(group, dir, &self.needed(&settings))?;
            } else if group.hierarchy.has("cpuset") {
                make::inherit_cpuset(group)?;
            }
        }
        self.prepare(resources, &settings, &dirs)?;
        limits::apply(&settings, |setting| self.dir_of(&dirs, setting))?;
        self.filter_devices(&dirs, &rules)
    }

    fn update(&mut self, changes: &Resources) -> Result<(), Error> {
        let settings = limits::settings(changes, |controller| self.saved.v1(controller).is_some())?;
        let find = |group: &Group| group.find()?.ok_or_else(|| Error::Gone { path: group.full_path() });
        let dirs: Vec<Dir> = self.saved.groups.iter().map(find).collect::<Result<_, _>>()?;
        self.prepare(changes, &settings, &dirs)?;
        limits::replace(&settings, |setting| self.dir_of(&dirs, setting))
    }

    fn placement(&self, sub_cgroups: &[SubCgroup]) -> Result<Placement, Error> {
        placement::into(&self.saved, sub_cgroups)
    }

    fn placement_beside(&self, pid: i32) -> Result<Placement, Error> {
        placement::beside(&self.saved, pid)
    }

    fn freeze(&self) -> Result<(), Error> {
        self.freezer()?.freeze()
    }

    fn thaw(&self) -> Result<(), Error> {
        self.freezer()?.thaw()
    }

    fn is_frozen(&self) -> Result<bool, Error> {
        Freezer::of(&self.saved)?.map_or(Ok(false), |freezer| freezer.is_frozen())
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

//! The driver that works on the cgroup file systems themselves: version 1, 2 and both.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::devices;
use super::dir::Dir;
use super::freezer::{self, Events, Freezer, PAUSE};
use super::limits::{self, Setting};
use super::placement::{self, Placement, SubCgroup};
use super::saved::{Group, Saved};
use super::stats::{self, Stats};
use super::{Error, Manager, OomEvents};
use crate::config::{Memory, Resources};

/// Controllers that a container gets on version 2 even without a limit, for the figures they count.
const COUNTING: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// How often to look for processes to kill where they cannot be frozen first.
const KILL_ROUNDS: usize = 100;

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
        let path = || self.saved.main().map(Group::full_path).unwrap_or_default();
        Freezer::of(&self.saved)?.ok_or_else(|| Error::Gone { path: path() })
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
            enable(group, &self.needed(settings))?;
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
        let dirs: Vec<Dir> = self.saved.groups.iter_mut().map(make).collect::<Result<_, _>>()?;
        for (group, dir) in self.saved.groups.iter().zip(&dirs).filter(|(group, _)| group.made == 0) {
            check_unused(group, dir)?;
        }
        self.saved.taken = true;
        if let Some(group) = self.saved.v1("cpuset") {
            inherit_cpuset(group)?;
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
        pids(&self.saved)
    }

    fn kill(&self) -> Result<(), Error> {
        match kill_all(&self.saved.owned()) {
            // Removed meanwhile: nobody was left in it.
            Err(error) if error.is_gone() => Ok(()),
            outcome => outcome,
        }
    }

    fn remove(&mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        self.saved.groups.iter().filter(|group| group.made > 0).try_for_each(|group| remove(group, deadline))
    }
}

/// The processes of a cgroup in all hierarchies.
fn pids(saved: &Saved) -> Result<Vec<i32>, Error> {
    let mut pids = Vec::new();
    if let Some(dir) = saved.main().map(Group::find).transpose()?.flatten() {
        collect_pids(&dir, &mut pids)?;
    }
    Ok(pids)
}

/// Sends SIGKILL to all processes, frozen ones too.
fn kill_all(own: &Saved) -> Result<(), Error> {
    let freezer = Freezer::of(own)?;
    if let Some(dir) = own.unified().map(Group::find).transpose()?.flatten() {
        dir.write("cgroup.kill", "1")?;
        return match freezer {
            // Under the freezer of version 1 a signal waits.
            Some(freezer @ Freezer::V1(_)) => freezer.thaw(),
            _ => Ok(()),
        };
    }
    for _ in 0..KILL_ROUNDS {
        let frozen = freezer.as_ref().map(Freezer::freeze);
        let killed = kill_each(own);
        freezer.as_ref().map_or(Ok(()), Freezer::thaw)?;
        // Nothing is born in a frozen cgroup: one round gets all.
        if killed? == 0 || matches!(frozen, Some(Ok(()))) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Sends SIGKILL to each process, and says to how many.
fn kill_each(saved: &Saved) -> Result<usize, Error> {
    let pids = pids(saved)?;
    Ok(pids.into_iter().filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).count())
}

/// Makes what is missing of a group's path, and notes how much that was. Another container may make or
/// remove the same parents at this moment.
fn make(group: &mut Group) -> Result<Dir, Error> {
    const TRIES: usize = 100;
    let root = group.root()?;
    for _ in 0..TRIES {
        match make_path(&root, &group.path) {
            Err(Error::Io { errno: Errno::ENOENT, .. }) => {}
            Err(error) => return Err(error),
            Ok((dir, made)) => {
                group.made = made;
                return Ok(dir);
            }
        }
    }
    Err(Error::Gone { path: group.full_path() })
}

/// The directory, and how many of the last components of its path were made.
fn make_path(root: &Dir, path: &str) -> Result<(Dir, usize), Error> {
    if let Some(dir) = root.find(path)? {
        return Ok((dir, 0));
    }
    let (new, above) = match path.rsplit_once('/') {
        None => (root.make(path)?, 0),
        Some((parent, name)) => {
            let (parent, made) = make_path(root, parent)?;
            (parent.make(name)?, made)
        }
    };
    let dir = root.find(path)?.ok_or_else(|| root.error("open", path, Errno::ENOENT))?;
    Ok((dir, if new { above + 1 } else { 0 }))
}

/// An existing cgroup may be taken only if nothing is in it, and nothing would stop in it.
fn check_unused(group: &Group, dir: &Dir) -> Result<(), Error> {
    let mut pids = Vec::new();
    collect_pids(dir, &mut pids)?;
    if !pids.is_empty() {
        return Err(Error::NotEmpty { path: dir.path().into(), count: pids.len() });
    }
    let frozen = match &group.hierarchy {
        hierarchy if hierarchy.is_unified() => freezer::is_frozen_v2(dir)?,
        hierarchy if hierarchy.has("freezer") => freezer::is_frozen_v1(dir)?,
        _ => false,
    };
    if frozen { Err(Error::Frozen { path: dir.path().into() }) } else { Ok(()) }
}

/// Lets the parents hand down the controllers that a group of the unified hierarchy needs, and those that
/// count, as far as they are there. What is enabled already costs one look.
fn enable(group: &Group, needed: &[&Setting]) -> Result<(), Error> {
    let root = group.root()?;
    let ancestors: Vec<&str> =
        group.path.match_indices('/').filter_map(|(at, _)| group.path.get(..at)).collect();
    let open = |path: &str| root.find(path)?.ok_or_else(|| Error::Gone { path: root.path().join(path) });

    let parent = open(ancestors.last().copied().unwrap_or("."))?;
    let enabled = parent.read("cgroup.subtree_control")?;
    let wanted = || COUNTING.into_iter().chain(needed.iter().map(|setting| setting.controller()));
    if wanted().all(|controller| has_word(&enabled, controller)) {
        return Ok(());
    }
    for path in std::iter::once(".").chain(ancestors) {
        let dir = open(path)?;
        let enabled = dir.read("cgroup.subtree_control")?;
        for setting in needed.iter().filter(|setting| !has_word(&enabled, setting.controller())) {
            enable_one(&dir, setting)?;
        }
        let available = dir.read("cgroup.controllers")?;
        for controller in COUNTING {
            if has_word(&available, controller) && !has_word(&enabled, controller) {
                if let Err(error) = dir.write("cgroup.subtree_control", &format!("+{controller}")) {
                    log::debug!("no figures of {controller}: {error}");
                }
            }
        }
    }
    Ok(())
}

fn enable_one(dir: &Dir, setting: &Setting) -> Result<(), Error> {
    const FILE: &str = "cgroup.subtree_control";
    let value = format!("+{}", setting.controller());
    let pointer = || setting.pointer.clone().into_owned();
    match dir.write(FILE, &value) {
        Err(Error::Io { errno: Errno::ENOENT | Errno::EINVAL, .. }) => Err(Error::NoController {
            pointer: pointer(),
            controller: setting.controller().into(),
            path: dir.path().into(),
        }),
        Err(Error::Io { errno, path, .. }) => Err(Error::Limit { pointer: pointer(), path, value, errno }),
        answer => answer,
    }
}

fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|other| other == word)
}

/// A new cgroup of version 1's cpuset has neither processors nor memory, and takes no process before it
/// has: it gets those of its parent.
fn inherit_cpuset(group: &Group) -> Result<(), Error> {
    let root = group.root()?;
    let mut values = ["cpuset.cpus", "cpuset.mems"].map(|file| (file, String::new()));
    let ends = group.path.match_indices('/').map(|(at, _)| at).chain([group.path.len()]);
    for path in std::iter::once(".").chain(ends.filter_map(|end| group.path.get(..end))) {
        let Some(dir) = root.find(path)? else { return Err(Error::Gone { path: root.path().join(path) }) };
        for (file, value) in &mut values {
            let own = dir.read(file)?.trim().to_owned();
            if own.is_empty() { dir.write(file, value)? } else { *value = own }
        }
    }
    Ok(())
}

/// The processes of a cgroup and of all below it.
fn collect_pids(dir: &Dir, pids: &mut Vec<i32>) -> Result<(), Error> {
    match dir.read("cgroup.procs") {
        // Processes of another pid namespace have the number 0.
        Ok(list) => {
            pids.extend(list.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid > 0))
        }
        // A threaded cgroup: its processes are those of the one above.
        Err(Error::Io { errno: Errno::EOPNOTSUPP, .. }) => {}
        Err(error) if error.is_gone() => return Ok(()),
        Err(error) => return Err(error),
    }
    for child in dir.children()? {
        if let Some(child) = dir.find(&child)? {
            collect_pids(&child, pids)?;
        }
    }
    Ok(())
}

/// Removes a group's directory and the parents made with it, these only if nobody else uses them.
fn remove(group: &Group, deadline: Instant) -> Result<(), Error> {
    let root = group.root()?;
    let mut path = group.path.as_str();
    for index in 0..group.made {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        if let Some(parent) = root.find(parent)? {
            if index == 0 {
                remove_tree(&parent, name, deadline)?;
            } else if let Err(error) = parent.remove(name) {
                log::debug!("a parent cgroup stays: {error}");
                return Ok(());
            }
        }
        path = parent;
    }
    Ok(())
}

/// Removes a cgroup and all below it, as soon as the last process has left.
fn remove_tree(parent: &Dir, name: &str, deadline: Instant) -> Result<(), Error> {
    loop {
        match parent.remove(name) {
            Err(Error::Io { errno: Errno::EBUSY, .. }) => {}
            answer => return answer,
        }
        let Some(dir) = parent.find(name)? else { return Ok(()) };
        for child in dir.children()? {
            remove_tree(&dir, &child, deadline)?;
        }
        if Instant::now() >= deadline {
            let mut pids = Vec::new();
            collect_pids(&dir, &mut pids)?;
            return Err(Error::NotEmpty { path: dir.path().into(), count: pids.len() });
        }
        wait_until_empty(&dir, deadline)?;
    }
}

/// Waits for the sign that version 2 gives; version 1 has none.
fn wait_until_empty(dir: &Dir, deadline: Instant) -> Result<(), Error> {
    match Events::open(dir) {
        Ok(events) => {
            if events.wait("populated", false, deadline)? {
                return Ok(());
            }
        }
        Err(Error::Io { errno: Errno::ENOENT, .. }) => {}
        Err(error) => return Err(error),
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

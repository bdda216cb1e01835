//! The driver that lets systemd make the cgroup: a scope, which is one around processes that exist already.
//!
//! systemd moves the waiting init into the scope and keeps the directory; the limits are written into the same files as by
//! the other driver, and told to systemd beside that.

mod annotation;
mod bus;
mod message;
mod properties;
mod unit;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::bus::{Bus, Failure};
use self::message::{Body, Property, Value};
pub use self::unit::Unit;
use super::cgroupfs::Cgroupfs;
use super::layout::Layout;
use super::make;
use super::path::{clean, join, missing};
use super::placement::{Placement, SubCgroup};
use super::remove::remove;
use super::saved::{Driver, Group, Saved};
use super::{Error, Manager, OomEvents, Stats, Version};
use crate::config::Resources;
use crate::host::in_user_namespace;

/// Where the bus of the system is.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// How long to wait between looks at what systemd is about to remove.
const PAUSE: Duration = Duration::from_millis(5);

/// What a scope is made of.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `linux.cgroupsPath`, of the form `slice:prefix:name`.
    pub cgroups_path: Option<&'a str>,
    /// The container's id.
    pub id: &'a str,
    /// The container's annotations, which may name properties.
    pub annotations: &'a BTreeMap<String, String>,
    /// The address of the bus on which systemd is, where it is not the usual one.
    pub bus: Option<&'a str>,
}

/// What will be made for a container by systemd, before anything is. An unprivileged caller has a systemd of its own, which
/// has to be asked where its cgroup is.
pub fn plan_scope(layout: &Layout, scope: &Scope<'_>) -> Result<Saved, Error> {
    let privileged = nix::unistd::geteuid().is_root() && !in_user_namespace();
    let properties = annotation::collect(scope.annotations)?;
    let default_slice = if privileged { "system.slice" } else { "user.slice" };
    let (slice, name) = unit::parse(scope.cgroups_path, scope.id, default_slice)?;
    let usual_bus = || match privileged {
        true => SYSTEM_BUS.to_owned(),
        false => format!("unix:path=/run/user/{}/bus", nix::unistd::geteuid()),
    };
    let bus = scope.bus.map_or_else(usual_bus, str::to_owned);
    let base = if privileged {
        String::new()
    } else if layout.version() != Version::V2 {
        return Err(Error::NoUserManager);
    } else {
        let asked = Bus::connect(&bus)?.manager_property("ControlGroup");
        clean(&asked.map_err(|failure| failure.during("ask where its cgroup is"))?)
    };
    let path = join(&base, &join(&unit::slice_path(&slice).unwrap_or_default(), &name));
    let mut groups = Vec::with_capacity(layout.hierarchies.len());
    for hierarchy in layout.hierarchies() {
        let mut group = Group { hierarchy: hierarchy.clone(), path: path.clone(), made: 0 };
        if !group.is_systemds() {
            group.made = missing(group.root()?.as_ref(), &path)?;
        }
        groups.push(group);
    }
    let unit = Some(Unit { name, slice, bus, properties });
    Ok(Saved { driver: Driver::Systemd, groups, taken: false, owner: None, unit })
}

/// A cgroup made by systemd.
#[derive(Debug)]
pub(super) struct Systemd {
    files: Cgroupfs,
    unit: Unit,
}

impl Systemd {
    pub(super) fn new(saved: Saved, unit: Unit) -> Self {
        Self { files: Cgroupfs::new(saved), unit }
    }

    fn is_v1(&self) -> bool {
        self.saved().version() != Version::V2
    }

    /// Makes the scope around a process. One that has failed earlier and is still remembered is forgotten first.
    fn start(&self, bus: &mut Bus, pid: i32, resources: &Resources) -> Result<(), Error> {
        let mut properties = self.scope(pid)?;
        properties.extend(properties::of(resources, self.is_v1()));
        let body = || {
            let name = Value::string(&*self.unit.name);
            let named = Body::default().with(&name).with(&Value::string("replace"));
            named.with_properties(&properties).with_none("a(sa(sv))", 8)
        };
        let started = match bus.job("StartTransientUnit", body()) {
            Err(failure) if failure.is("UnitExists") && self.forget_failed(bus) => {
                bus.job("StartTransientUnit", body())
            }
            started => started,
        };
        started.map_err(|failure| failure.during(format!("make {}", self.unit.name)))
    }

    /// Whether the unit had failed, and is forgotten now.
    fn forget_failed(&self, bus: &mut Bus) -> bool {
        let state = bus.active_state(&self.unit.name).unwrap_or_default();
        let name = Body::default().with(&Value::string(&*self.unit.name));
        matches!(state.as_str(), "failed" | "inactive") && bus.manager("ResetFailedUnit", name).is_ok()
    }

    /// What every scope of a container is; annotations may say otherwise.
    fn scope(&self, pid: i32) -> Result<Vec<Property>, Error> {
        let flag = |name: &str, value| (name.to_owned(), Value::Bool(value));
        let text = |name: &str, value: &str| (name.to_owned(), Value::string(value));
        let io = if self.is_v1() { "BlockIOAccounting" } else { "IOAccounting" };
        let usual = [
            text("Description", &format!("container {}", self.unit.name)),
            text("Slice", &self.unit.slice),
            ("PIDs".to_owned(), Value::Array("u", vec![Value::Uint32(pid.unsigned_abs())])),
            flag("Delegate", true),
            flag("CPUAccounting", true),
            flag("MemoryAccounting", true),
            flag(io, true),
            flag("TasksAccounting", true),
            flag("DefaultDependencies", false),
            text("CollectMode", "inactive-or-failed"),
        ];
        let asked = self.unit.properties.iter().map(|(name, text)| annotation::property(name, text));
        let asked: Vec<Property> = asked.collect::<Result<_, _>>()?;
        let stays = |(name, _): &Property| !asked.iter().any(|(other, _)| other == name);
        Ok(usual.into_iter().filter(stays).chain(asked.clone()).collect())
    }

    /// Waits until systemd has removed the directory of a scope that has ended.
    fn wait_until_gone(&self, deadline: Instant) -> Result<bool, Error> {
        loop {
            if !self.exists()? {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether there is a directory of the scope.
    fn exists(&self) -> Result<bool, Error> {
        for group in self.saved().groups.iter().filter(|group| group.is_systemds()) {
            if group.find()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Manager for Systemd {
    fn saved(&self) -> &Saved {
        self.files.saved()
    }

    /// A scope that is there already is refused before there is a process, which would stop in one that is frozen.
    fn create(&mut self, resources: &Resources) -> Result<(), Error> {
        for group in self.saved().groups.iter().filter(|group| group.is_systemds()) {
            if let Some(dir) = group.find()? {
                make::check_unused(group, &dir)?;
            }
        }
        self.files.request(resources).map(drop)
    }

    fn confine(&self, _: &Resources) -> Result<(), Error> {
        Ok(())
    }

    fn adopt(&mut self, pid: i32, resources: &Resources) -> Result<(), Error> {
        let resources = &properties::possible(resources);
        let request = self.files.request(resources)?;
        let mut bus = Bus::connect(&self.unit.bus)?;
        self.start(&mut bus, pid, resources)?;
        // Not before: systemd removes what is empty of the scope's path in the hierarchies of version 1, and takes processes out.
        self.files.make(|group| !group.is_systemds())?;
        self.files.take();
        self.files.limit(&request, resources)?;
        self.files.filter_devices(&request)?;
        self.files.enter(pid)
    }

    fn update(&mut self, changes: &Resources) -> Result<(), Error> {
        let mut bus = Bus::connect(&self.unit.bus)?;
        let changes = &properties::settled(changes);
        let former = self.files.replace(changes)?;
        let properties = properties::of(changes, self.is_v1());
        if properties.is_empty() {
            return Ok(());
        }
        let name = Value::string(&*self.unit.name);
        let body = Body::default().with(&name).with(&Value::Bool(true)).with_properties(&properties);
        if let Err(failure) = bus.manager("SetUnitProperties", body) {
            self.files.restore(former);
            return Err(failure.during(format!("change {}", self.unit.name)));
        }
        // systemd writes to the files too, between this answer and its next, and not all that was asked for: a period without
        // a quota becomes its own default.
        let name = Body::default().with(&name);
        bus.manager("GetUnit", name)
            .map_err(|failure| failure.during(format!("look at {}", self.unit.name)))?;
        self.files.replace(&properties::beyond(changes)).map(drop)
    }

    fn placement(&self, sub_cgroups: &[SubCgroup]) -> Result<Placement, Error> {
        if self.saved().taken {
            return self.files.placement(sub_cgroups);
        }
        Ok(Placement { moved: true, ..Placement::default() })
    }

    fn placement_beside(&self, pid: i32) -> Result<Placement, Error> {
        self.files.placement_beside(pid)
    }

    fn move_by_manager(&self, pid: i32) -> Result<bool, Error> {
        let pids = Value::Array("u", vec![Value::Uint32(pid.unsigned_abs())]);
        let unit = Body::default().with(&Value::string(&*self.unit.name)).with(&Value::string(""));
        let moved = Bus::connect(&self.unit.bus)?.manager("AttachProcessesToUnit", unit.with(&pids));
        moved.map(|_| true).map_err(|failure| failure.during(format!("attach to {}", self.unit.name)))
    }

    fn freeze(&self) -> Result<(), Error> {
        self.files.freeze()
    }

    fn thaw(&self) -> Result<(), Error> {
        self.files.thaw()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.files.stats()
    }

    fn oom_events(&self) -> Result<Option<OomEvents>, Error> {
        self.files.oom_events()
    }

    fn pids(&self) -> Result<Vec<i32>, Error> {
        self.files.pids()
    }

    fn kill(&self) -> Result<(), Error> {
        self.files.kill()
    }

    /// systemd has to be told first.
    fn remove_free(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn remove(&mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        if self.saved().taken && self.exists()? {
            let body = Body::default().with(&Value::string(&*self.unit.name)).with(&Value::string("replace"));
            let stopped = Bus::connect(&self.unit.bus)
                .map_err(Failure::Broken)
                .and_then(|mut bus| bus.job("StopUnit", body));
            match stopped {
                // It has ended with its last process.
                Err(failure) if failure.is("NoSuchUnit") => {}
                Err(failure) => {
                    log::warn!("{}", failure.during(format!("stop {}", self.unit.name)));
                }
                Ok(()) => {}
            }
            if !self.wait_until_gone(deadline)? {
                // It cannot be reached, or leaves it lying.
                let groups = self.saved().groups.iter().filter(|group| group.is_systemds());
                groups
                    .map(|group| Group { made: 1, ..group.clone() })
                    .try_for_each(|group| remove(&group, deadline))?;
            }
        }
        self.files.remove(deadline.saturating_duration_since(Instant::now()))
    }
}

//! A container and what can be done to it; one file for each operation.

mod agent;
mod create;
mod delete;
mod exec;
mod kill;
mod list;
mod mounts;
mod network;
mod notify;
mod pause;
mod processes;
mod resctrl;
mod rootfs;
mod start;
mod state;
mod stats;
mod update;
mod wait;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;

pub use create::{CgroupDriver, CreateOptions, Start};
pub use exec::{ExecOptions, Prepared, Process};
pub use list::{Containers, Listed, States};
pub use network::NetworkInterface;
pub(crate) use resctrl::Resctrl;
pub use resctrl::{CacheOccupancy, IntelRdtStats, L3CacheInfo, MemBwInfo, MemoryBandwidth};
use start::Held;
pub use start::StartOptions;
pub use state::{State, Status};
pub use stats::Stats;
pub use update::Changes;
pub use wait::Exit;
pub(crate) use wait::{end, reap};

use crate::cgroup;
use crate::config;
use crate::error::Error;
use crate::id::Id;
use crate::launch::gate::{self, GATE};
use crate::procfs;
use crate::state::{Entry, Init, KeptConfig, Record, Store};

/// The version of the specification that the library follows.
pub const OCI_VERSION: &str = "1.3.0";

/// A state root: the place where containers are known by their ids.
///
/// ```no_run
/// # fn main() -> Result<(), runtime_core::Error> {
/// use runtime_core::{Bundle, CreateOptions, Id, Runtime, StartOptions};
/// let runtime = Runtime::new("/run/example");
/// let bundle = Bundle::load("/srv/bundle")?;
/// let mut container = runtime.create(&Id::new("web-1")?, &bundle, &CreateOptions::default())?;
/// container.start(&StartOptions::default())?;
/// println!("{:?}", container.wait()?);
/// container.delete()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Runtime {
    root: PathBuf,
}

impl Runtime {
    /// A runtime with its state in `root`, an absolute path. It is made (0700) by the first `create`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The state root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The container with an id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::State`] where its record cannot be read.
    pub fn load(&self, id: &Id) -> Result<Container, Error> {
        let store = Store::open(&self.root)?.ok_or(Error::NotFound)?;
        Container::load(&Arc::new(store), id.clone())
    }
}

/// A container.
#[derive(Debug)]
pub struct Container {
    store: Arc<Store>,
    id: Id,
    entry: Entry,
    record: Record,
    /// The record's file, where this value has written it and is what deletes the container: of a command, which has no more of them.
    written: Option<File>,
    /// What is kept of its config, once it has been asked for.
    config: OnceLock<KeptConfig<'static>>,
    /// Init, where this value made it.
    pidfd: Option<OwnedFd>,
    /// The master of the payload's terminal, until it is taken.
    terminal: Option<OwnedFd>,
    /// What starts it, where this value alone can.
    held: Option<Held>,
}

impl Container {
    fn load(store: &Arc<Store>, id: Id) -> Result<Self, Error> {
        let entry = store.find(&id)?;
        let record = entry.read()?;
        Ok(Self::new(Arc::clone(store), id, entry, record))
    }

    fn new(store: Arc<Store>, id: Id, entry: Entry, record: Record) -> Self {
        let config = OnceLock::new();
        Self { store, id, entry, record, written: None, config, pidfd: None, terminal: None, held: None }
    }

    /// The container's id.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The bundle's directory, absolute.
    pub fn bundle(&self) -> &Path {
        &self.record.bundle
    }

    /// `process` of the config that the container was made from: what a new process starts from.
    ///
    /// # Errors
    /// [`Error::State`] and [`Error::System`] where it cannot be read; [`Error::NotFound`] of a container that has been deleted.
    pub fn process(&self) -> Result<&config::Process, Error> {
        Ok(&self.config()?.process)
    }

    /// User and group, as the caller sees them, that are root in the container: who owns what its processes share with the
    /// caller, pipes for one.
    pub fn root(&self) -> (u32, u32) {
        self.record.id_maps.host_root()
    }

    /// The pid of init in the caller's pid namespace, whether it lives or not; `None` before there is one.
    pub fn pid(&self) -> Option<i32> {
        self.record.init.as_ref().map(|init| init.identity.pid)
    }

    /// A pidfd of init, where this value made the container.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// The master of the payload's terminal: once, after a `create` with `process.terminal`.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The container's state now. Takes no lock, so it may be that of a moment ago.
    ///
    /// # Errors
    /// [`Error::System`] and [`Error::Cgroup`] where it cannot be found out. A container that has been deleted meanwhile has stopped.
    pub fn state(&self) -> Result<State, Error> {
        let outline = self.outline()?;
        if !self.record.annotated {
            return Ok(outline);
        }
        match self.config() {
            Err(Error::NotFound) => Ok(outline),
            config => Ok(State { annotations: config?.annotations.clone().into_owned(), ..outline }),
        }
    }

    /// The same without annotations.
    fn outline(&self) -> Result<State, Error> {
        let record = self.record()?;
        let status = glance(&self.entry, &record)?;
        let pid = match status {
            Status::Stopped => 0,
            _ => record.init.as_ref().map_or(0, |init| init.identity.pid),
        };
        Ok(State {
            oci_version: OCI_VERSION,
            id: record.id.clone(),
            pid,
            status,
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            annotations: BTreeMap::new(),
            owner: String::new(),
        })
    }

    /// The record as it is now, but for limits: once a container is made, `update` alone changes it.
    fn record(&self) -> Result<Cow<'_, Record>, Error> {
        match self.record.creator {
            Some(_) => self.entry.read().map(Cow::Owned),
            None => Ok(Cow::Borrowed(&self.record)),
        }
    }

    /// What is kept of the config, which never changes.
    fn config(&self) -> Result<&KeptConfig<'static>, Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.entry.config()?;
        Ok(self.config.get_or_init(|| config))
    }

    fn cgroup(&self) -> Result<Box<dyn cgroup::Manager>, Error> {
        Ok(cgroup::open(self.record()?.cgroup.clone()))
    }
}

/// The status alone.
fn glance(entry: &Entry, record: &Record) -> Result<Status, Error> {
    match &record.init {
        Some(init) if record.creator.is_none() && waits(init, entry.has(GATE)) => {
            Ok(if cgroup::is_frozen(&record.cgroup)? { Status::Paused } else { Status::Created })
        }
        _ => Ok(status(entry, record)?.0),
    }
}

/// Whether the init of a container that has its gate certainly waits there. There is no need to hold it: as long as its program is the image
/// that nobody else executes, it lives and is no other process.
fn waits(init: &Init, gate: bool) -> bool {
    gate && init.image_is_unique
        && init.identity.is_of_this_boot() == Ok(true)
        && runs_image(init) == Ok(true)
}

/// What a container is doing, found out and never remembered, with a pidfd of init while it lives.
fn status(entry: &Entry, record: &Record) -> Result<(Status, Option<OwnedFd>), Error> {
    match &record.init {
        None if record.creator.is_some() && entry.is_locked()? => Ok((Status::Creating, None)),
        None => Ok((Status::Stopped, None)),
        Some(init) if record.creator.is_some() => Ok(match living(init)? {
            None => (Status::Stopped, None),
            pidfd => (Status::Creating, pidfd),
        }),
        Some(init) => made_status(entry, init, || cgroup::is_frozen(&record.cgroup)),
    }
}

/// The same of a container that is made.
fn made_status(
    entry: &Entry,
    init: &Init,
    is_frozen: impl FnOnce() -> Result<bool, cgroup::Error>,
) -> Result<(Status, Option<OwnedFd>), Error> {
    let Some(pidfd) = living(init)? else { return Ok((Status::Stopped, None)) };
    if is_frozen()? {
        return Ok((Status::Paused, Some(pidfd)));
    }
    let status = match runs_image(init) {
        Ok(true) if entry.has(GATE) => Status::Created,
        // Once the gate has gone, so has init, even if an agent lets it wait before it executes the payload.
        Ok(_) => Status::Running,
        // Init is closed to an unprivileged caller where it has joined a user namespace, and so may its payload be: the gate tells.
        Err(Errno::EACCES) => match gate::is_open(&entry.short_path(GATE)) {
            Ok(true) => Status::Created,
            Ok(false) => Status::Running,
            Err(errno) => return Err(Error::system("connect", entry.path().join(GATE))(errno)),
        },
        // It has ended since it was opened, or its first thread has.
        Err(Errno::ENOENT | Errno::ESRCH) => Status::Stopped,
        Err(errno) => return Err(Error::system("stat", format!("/proc/{}/exe", init.identity.pid))(errno)),
    };
    Ok((status, Some(pidfd)))
}

/// A pidfd of init, if it lives.
fn living(init: &Init) -> Result<Option<OwnedFd>, Error> {
    init.identity.open().map_err(|errno| Error::system("open process", init.identity.pid.to_string())(errno))
}

/// True while init's process still runs the image that it was started from.
fn runs_image(init: &Init) -> Result<bool, Errno> {
    let exe = procfs::stat(&(init.identity.pid.to_string() + "/exe"))?;
    Ok((exe.st_dev, exe.st_ino) == init.image)
}

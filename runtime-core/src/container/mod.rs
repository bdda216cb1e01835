//! A container and what can be done to it; one file for each operation.

mod agent;
mod create;
mod delete;
mod exec;
mod kill;
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
use crate::state::{Entry, KeptConfig, Record, Store};

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

    /// All containers, in the order of their ids, each read when it is asked for: many at a time would take many descriptors. One that
    /// cannot be read is an error of its own.
    ///
    /// # Errors
    /// [`Error::System`] with ENOENT where the state root does not exist.
    pub fn list(&self) -> Result<Containers, Error> {
        let Some(store) = Store::open(&self.root)? else {
            return Err(Error::system("open", &self.root)(Errno::ENOENT));
        };
        let mut ids = store.ids()?;
        ids.sort_unstable();
        Ok(Containers { store: Arc::new(store), ids: ids.into_iter(), freezer: None })
    }
}

/// The containers of a state root: [`Runtime::list`].
#[derive(Debug)]
pub struct Containers {
    store: Arc<Store>,
    ids: std::vec::IntoIter<String>,
    /// The hierarchy of cgroups that says which of them are paused, open for all.
    freezer: Option<cgroup::Hierarchy>,
}

impl Iterator for Containers {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        loop {
            let id = self.ids.next()?;
            match Id::new(id.as_str()).and_then(|id| Container::load(&self.store, id)) {
                // One that was deleted since the directory was read is no container.
                Err(Error::NotFound) => {}
                Err(error) => return Some((id, Err(error))),
                Ok(mut container) => {
                    container.record.cgroup.share_freezer(&mut self.freezer);
                    return Some((id, Ok(container)));
                }
            }
        }
    }
}

/// An id and its container, or why that cannot be read.
pub type Listed = (String, Result<Container, Error>);

/// A container.
#[derive(Debug)]
pub struct Container {
    store: Arc<Store>,
    id: Id,
    entry: Entry,
    record: Record,
    /// The record's file, where this value has written it and is what deletes the container.
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

    /// The user who owns the container's state.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn owner(&self) -> Result<u32, Error> {
        self.entry.owner()
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

    /// The same without annotations, which are read from a file of their own and may be long.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn outline(&self) -> Result<State, Error> {
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

/// The status alone. Of a container that waits to be started there is no need to hold init: as long as its program is the image that
/// nobody else executes, it lives and is no other process.
fn glance(entry: &Entry, record: &Record) -> Result<Status, Error> {
    let init = record.init.as_ref().filter(|init| init.image_is_unique);
    let init = init.filter(|_| record.creator.is_none() && entry.has(GATE));
    match init.map(|init| Ok(init.identity.is_of_this_boot()? && runs_image(init.identity.pid, init.image)?))
    {
        Some(Ok(true)) if cgroup::is_frozen(&record.cgroup)? => Ok(Status::Paused),
        Some(Ok(true)) => Ok(Status::Created),
        None | Some(Ok(false) | Err::<_, Errno>(_)) => Ok(status(entry, record)?.0),
    }
}

/// What a container is doing, found out and never remembered, with a pidfd of init while it lives.
fn status(entry: &Entry, record: &Record) -> Result<(Status, Option<OwnedFd>), Error> {
    let Some(init) = &record.init else {
        let creating = record.creator.is_some() && entry.is_locked()?;
        return Ok((if creating { Status::Creating } else { Status::Stopped }, None));
    };
    let failed = |errno| Error::system("open process", init.identity.pid.to_string())(errno);
    let Some(pidfd) = init.identity.open().map_err(failed)? else { return Ok((Status::Stopped, None)) };
    if record.creator.is_some() {
        return Ok((Status::Creating, Some(pidfd)));
    }
    if cgroup::is_frozen(&record.cgroup)? {
        return Ok((Status::Paused, Some(pidfd)));
    }
    let status = match runs_image(init.identity.pid, init.image) {
        Ok(true) if entry.has(GATE) => Status::Created,
        // Once the gate has gone, so has init, even if an agent lets it wait before it executes the payload.
        Ok(_) => Status::Running,
        // Init is closed to an unprivileged caller where it has joined a user namespace, and so may its payload be: the gate tells.
        Err(Errno::EACCES) if gate::is_open(&entry.short_path(GATE)).map_err(failed)? => Status::Created,
        Err(Errno::EACCES) => Status::Running,
        // It has ended since it was opened.
        Err(Errno::ENOENT | Errno::ESRCH) => return Ok((Status::Stopped, None)),
        Err(errno) => return Err(Error::system("stat", format!("/proc/{}/exe", init.identity.pid))(errno)),
    };
    Ok((status, Some(pidfd)))
}

/// True while a process still runs the image that init was started from.
fn runs_image(pid: i32, image: (u64, u64)) -> Result<bool, Errno> {
    let exe = procfs::stat(&format!("{pid}/exe"))?;
    Ok((exe.st_dev, exe.st_ino) == image)
}

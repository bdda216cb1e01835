//! The containers of a state root: each as a whole, or what a list shows of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Container, OCI_VERSION, Runtime, State, Status, made_status, waits};
use crate::cgroup;
use crate::error::Error;
use crate::id::Id;
use crate::launch::gate::GATE;
use crate::state::{Below, Outline, Store};

impl Runtime {
    /// All containers, in the order of their ids, each read when it is asked for: many at a time would take many descriptors. One that
    /// cannot be read is an error of its own.
    ///
    /// # Errors
    /// [`Error::System`] with ENOENT where the state root does not exist.
    pub fn list(&self) -> Result<Containers, Error> {
        let (store, ids) = self.ids()?;
        Ok(Containers { store, ids })
    }

    /// The states of all containers, each with the user who owns its directory in the state root; else like [`list`](Self::list). A state is
    /// found out when it is asked for.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn states(&self) -> Result<States, Error> {
        let (store, ids) = self.ids()?;
        let freezers = cgroup::Freezers::default();
        Ok(States { store, ids, annotated: true, path: Below::default(), record: Vec::new(), freezers })
    }

    fn ids(&self) -> Result<(Arc<Store>, Ids), Error> {
        let Some(store) = Store::open(&self.root)? else {
            return Err(Error::system("open", &self.root)(Errno::ENOENT));
        };
        let mut ids = store.ids()?;
        ids.sort_unstable();
        Ok((Arc::new(store), ids.into_iter()))
    }
}

type Ids = std::vec::IntoIter<String>;

/// An id, and what there is with it or why that cannot be read.
pub type Listed<T> = (String, Result<T, Error>);

/// The containers of a state root: [`Runtime::list`].
#[derive(Debug)]
pub struct Containers {
    store: Arc<Store>,
    ids: Ids,
}

impl Iterator for Containers {
    type Item = Listed<Container>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = self.ids.next()?;
            match Id::new(id.as_str()).and_then(|id| Container::load(&self.store, id)) {
                // One that was deleted since the directory was read is no container.
                Err(Error::NotFound) => {}
                container => return Some((id, container)),
            }
        }
    }
}

/// The states of a state root's containers: [`Runtime::states`].
#[derive(Debug)]
pub struct States {
    store: Arc<Store>,
    ids: Ids,
    annotated: bool,
    /// What one container leaves to the next: memory, and the open hierarchy of its cgroup.
    path: Below,
    record: Vec<u8>,
    freezers: cgroup::Freezers,
}

impl Iterator for States {
    type Item = Listed<(State, u32)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = self.ids.next()?;
            match Id::new(id.as_str()).and_then(|id| self.state(id)) {
                Err(Error::NotFound) => {}
                state => return Some((id, state)),
            }
        }
    }
}

impl States {
    /// The same without annotations, which are read from a file of their own and may be long.
    #[must_use]
    pub fn without_annotations(self) -> Self {
        Self { annotated: false, ..self }
    }

    fn state(&mut self, id: Id) -> Result<(State, u32), Error> {
        self.path.set(&id);
        let owner = self.store.record(&mut self.path, &mut self.record)?;
        let outline = Outline::of(&self.record).filter(|outline| !(self.annotated && outline.annotated));
        let Some(Outline { created, bundle, rootfs, init, cgroup, .. }) = outline else {
            let container = Container::load(&self.store, id)?;
            let state = if self.annotated { container.state()? } else { container.outline()? };
            return Ok((state, owner));
        };
        let mut is_frozen = || self.freezers.is_frozen(&cgroup);
        let status = if waits(&init, self.store.has(&mut self.path, GATE)) {
            if is_frozen()? { Status::Paused } else { Status::Created }
        } else {
            // Another container may have the id by now, but none has this init.
            made_status(&self.store.find(&id)?, &init, is_frozen)?.0
        };
        let state = State {
            oci_version: OCI_VERSION,
            id: id.as_str().to_owned(),
            pid: if status == Status::Stopped { 0 } else { init.identity.pid },
            status,
            bundle: PathBuf::from(bundle),
            rootfs: PathBuf::from(rootfs),
            created: created.to_owned(),
            annotations: BTreeMap::new(),
            owner: String::new(),
        };
        Ok((state, owner))
    }
}

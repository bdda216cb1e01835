//! Mounts made in a running container, and taken from it.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Container, Status, end, status};
use crate::check::{self, Finding, Severity};
use crate::config::Mount;
use crate::error::Error;
use crate::host::Host;
use crate::launch::descriptors::Sources;
use crate::launch::handshake::{self, Stop};
use crate::launch::{self, Payload};
use crate::plan::{self, Facts, Plan, Running};
use crate::state::{Record, RootMount};

type Planner = fn(&[Mount], &Facts, &Running<'_>) -> Result<Plan, plan::Error>;

impl Container {
    /// Makes mounts in the container, all or none: bind mounts and new file systems, as `mounts` of a config describes them, under the
    /// same rules. Nothing remembers them but the container's mount namespace.
    ///
    /// # Errors
    /// [`Error::Config`] for faults of the list, whose pointers begin with a mount's place in it; [`Error::NotRunning`];
    /// [`Error::SharedMounts`]; [`Error::Sources`]; [`Error::Mounts`].
    pub fn add_mounts(&self, mounts: &[Mount]) -> Result<(), Error> {
        let faults = check::check_mounts(mounts, "");
        if faults.iter().any(Finding::is_fatal) {
            return Err(Error::Config(faults));
        }
        for warning in faults {
            log::warn!("{warning}");
        }
        let _lock = self.entry.lock_exclusive()?;
        let record = self.entry.read()?;
        sources_outside(mounts, &record)?;
        let mut made = 0;
        self.change_mounts(&record, mounts, plan::mounts_added, || made += 1).inspect_err(|_| {
            let made = mounts.get(..made).unwrap_or_default();
            if let Err(error) = self.change_mounts(&record, made, plan::mounts_removed, || {}) {
                log::warn!("after a failure: {error}");
            }
        })
    }

    /// Takes mounts from the container, the last first: at each destination the one on top, whether it was added or came with the config.
    ///
    /// # Errors
    /// As [`add_mounts`](Self::add_mounts); where a destination is no mount those after it are gone.
    pub fn remove_mounts(&self, mounts: &[Mount]) -> Result<(), Error> {
        let _lock = self.entry.lock_exclusive()?;
        self.change_mounts(&self.entry.read()?, mounts, plan::mounts_removed, || {})
    }

    /// Runs a plan in the container's mount namespace; `made` is told of each mount that is there.
    fn change_mounts(
        &self,
        record: &Record,
        mounts: &[Mount],
        planner: Planner,
        mut made: impl FnMut(),
    ) -> Result<(), Error> {
        if mounts.is_empty() {
            return Ok(());
        }
        let init = match status(&self.entry, record)? {
            (Status::Created | Status::Running | Status::Paused, Some(init)) => init,
            _ => return Err(Error::NotRunning),
        };
        if record.root != RootMount::Own {
            return Err(Error::SharedMounts);
        }
        let host = Host::get()?;
        let (namespaces, id_maps) = (record.namespaces, &record.id_maps);
        let user_namespace =
            format!("/proc/{}/ns/user", record.init.as_ref().map_or(0, |init| init.identity.pid));
        let user_namespace = Path::new(&user_namespace);
        let running = Running {
            bundle: &record.bundle,
            annotations: &self.config()?.annotations,
            mount_label: record.mount_label.as_deref(),
            namespaces,
            id_maps,
            user_namespace,
        };
        let plan = planner(mounts, &host.facts(), &running)?;
        let sources =
            Sources { container: Some(init.as_fd()), proc: Some(host.proc()), ..Sources::default() };
        let payload = Payload { stdio: None, inherit: &[] };
        let mut child = launch::launch(&plan, &sources, &payload).map_err(Error::Sources)?;
        let done = handshake::until_ready(&mut child, &plan, None, |_, _| {
            made();
            Ok(())
        });
        // It has nothing more to do, and may be gone already.
        end(&child);
        done.map(drop).map_err(|stop| match stop {
            Stop::Step(error) => Error::Mounts(error),
            Stop::Host(error) => error,
            Stop::Died(exit) => Error::InitDied(format!("ended without a word: {exit:?}")),
        })
    }
}

/// Refuses sources in the root file system: the container may turn their paths into links, and the host's side follows those.
fn sources_outside(mounts: &[Mount], record: &Record) -> Result<(), Error> {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let rootfs = identity(&record.rootfs);
    let sources =
        mounts.iter().enumerate().filter_map(|(index, mount)| Some((index, mount.source.as_ref()?)));
    for (index, source) in sources {
        let path = record.bundle.join(source);
        if rootfs.is_some() && path.ancestors().any(|directory| identity(directory) == rootfs) {
            return Err(Error::Config(vec![Finding {
                pointer: format!("/{index}/source"),
                severity: Severity::Error,
                message: format!(
                    "{source:?} lies in the root file system, whose paths the container can change"
                ),
                hint: Some("give a file or directory outside of it".to_owned()),
            }]));
        }
    }
    Ok(())
}

//! Mounts made in a running container, and taken from it.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::{Container, Status, end, status};
use crate::check::{self, Finding, Severity};
use crate::config::Mount;
use crate::error::Error;
use crate::host::Host;
use crate::launch::descriptors::Sources;
use crate::launch::handshake::{self, Call, Stop};
use crate::launch::{self, Payload};
use crate::plan::{self, Facts, Plan, Running};
use crate::procfs;
use crate::state::{Record, RootMount};
use crate::sys;

impl Container {
    /// Makes mounts in the container, all or none: bind mounts and new file systems, as `mounts` of a config describes them, under the
    /// same rules. Nothing remembers them but the container's mount namespace: should this process be killed meanwhile, those that are made
    /// already stay. So does one over which the container has mounted something by the time it is taken back.
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
        self.change_mounts(&record, |facts, running| plan::mounts_added(mounts, facts, running))
    }

    /// Takes mounts from the container, the last first: at each destination the one on top, whether it was added or came with the config.
    ///
    /// # Errors
    /// As [`add_mounts`](Self::add_mounts); where a destination is no mount those after it are gone.
    pub fn remove_mounts(&self, mounts: &[Mount]) -> Result<(), Error> {
        let _lock = self.entry.lock_exclusive()?;
        let record = self.entry.read()?;
        self.change_mounts(&record, |facts, running| plan::mounts_removed(mounts, facts, running))
    }

    /// Carries a plan out in the container's mount namespace. What it has added goes again where it fails.
    fn change_mounts(
        &self,
        record: &Record,
        planner: impl FnOnce(&Facts, &Running<'_>) -> Result<Plan, plan::Error>,
    ) -> Result<(), Error> {
        let init = match status(&self.entry, record)? {
            (Status::Created | Status::Running | Status::Paused, Some(init)) => init,
            _ => return Err(Error::NotRunning),
        };
        if record.root != RootMount::Own {
            return Err(Error::SharedMounts);
        }
        let host = Host::get()?;
        let (namespaces, id_maps) = (record.namespaces, &record.id_maps);
        let running = Running {
            bundle: &record.bundle,
            annotations: &self.config()?.annotations,
            mount_label: record.mount_label.as_deref(),
            namespaces,
            id_maps,
        };
        let facts = host.facts();
        let plan = planner(&facts, &running)?;
        let needed = facts.may_mount && running.joins_user_namespace();
        let user_namespace = needed.then(|| user_namespace(record, init.as_fd())).transpose()?;
        let sources = Sources {
            container: Some(init.as_fd()),
            user_namespace: user_namespace.as_ref().map(AsFd::as_fd),
            proc: Some(host.proc()),
            ..Sources::default()
        };
        let mut made = Vec::new();
        carry_out(&plan, &sources, &mut made).inspect_err(|_| {
            if !made.is_empty() {
                let undo = plan::mounts_undone(&plan, &made, &facts, &running);
                if let Err(error) = carry_out(&undo, &sources, &mut Vec::new()) {
                    log::warn!("after a failure: {error}");
                }
            }
        })
    }
}

/// Runs a plan to its end; `made` gets each mount that may be there now: the step, and the mount's number.
fn carry_out(plan: &Plan, sources: &Sources<'_>, made: &mut Vec<(u32, u32)>) -> Result<(), Error> {
    let payload = Payload { stdio: None, inherit: &[] };
    let mut child = launch::launch(plan, sources, &payload).map_err(Error::Sources)?;
    let done = handshake::until_ready(&mut child, plan, None, None, |call, _| {
        if let Call::Attaches { step, mount } = call {
            made.push((step, mount));
        }
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

/// The user namespace of a container's init.
fn user_namespace(record: &Record, init: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let path = format!("{}/ns/user", record.init.as_ref().map_or(0, |init| init.identity.pid));
    let opened = procfs::open(&path, OFlag::O_RDONLY);
    // While init has not been reaped nobody else has had its pid.
    match sys::pidfd_send_signal(init, 0) {
        Err(Errno::ESRCH) => Err(Error::NotRunning),
        _ => opened.map_err(Error::system("open", Path::new("/proc").join(path))),
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

//! `delete`: everything that `create` has made goes, and `poststop` hooks run.

use std::borrow::Cow;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::SIGKILL;
use nix::mount::{MntFlags, umount2};
use nix::poll::PollTimeout;
use nix::sys::stat::Mode;

use super::{Container, Resctrl, Runtime, Status, status};
use crate::cgroup::{self, Manager};
use crate::error::Error;
use crate::id::Id;
use crate::launch::hooks;
use crate::plan::HookState;
use crate::procfs;
use crate::state::{Entry, Init, Lock, Record, RootMount, Store};
use crate::sys;

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what kills a container waits for another operation on the container.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(2);

impl Container {
    /// Deletes a container that has stopped or was never started, by this value where it alone could do that.
    ///
    /// # Errors
    /// [`Error::NotStopped`]; [`Error::NotFound`] when somebody else has deleted it meanwhile; what keeps its processes or cgroup
    /// from going.
    pub fn delete(&self) -> Result<(), Error> {
        let known = self.written.as_ref().map(|file| (file, &self.record));
        // What this value alone could start ends with it.
        delete(&self.store, &self.id, &self.entry, known, self.held.is_some())
    }

    /// [`Runtime::delete_forced`] of this container alone: one that has been made under its id since is left as it is.
    ///
    /// # Errors
    /// As there.
    pub fn delete_forced(&self) -> Result<(), Error> {
        force(&self.store, &self.id, &self.entry)
    }
}

impl Runtime {
    /// [`Container::delete`]. A directory of that name that holds no container, whose record has gone, goes too.
    ///
    /// # Errors
    /// The same; [`Error::NotFound`] also where there was such a directory alone.
    pub fn delete(&self, id: &Id) -> Result<(), Error> {
        let store = Store::open(&self.root)?.ok_or(Error::NotFound)?;
        match store.find(id).and_then(|entry| delete(&store, id, &entry, None, false)) {
            Err(Error::NotFound) => {
                discard(&store, id)?;
                Err(Error::NotFound)
            }
            deleted => deleted,
        }
    }

    /// Deletes a container whatever it is doing, also one whose making was cut off. A missing one is no error.
    ///
    /// # Errors
    /// [`Error::StillRunning`] and whatever else keeps it from going.
    pub fn delete_forced(&self, id: &Id) -> Result<(), Error> {
        let Some(store) = Store::open(&self.root)? else { return Ok(()) };
        match store.find(id).and_then(|entry| force(&store, id, &entry)) {
            Err(Error::NotFound) => {
                // A creator that was killed before it had claimed the id is found by its unlocked directory.
                store.ids().map(drop)
            }
            other => other,
        }
    }
}

/// Deletes a container that has stopped or was never started; also one in the making where nobody else can go on with that. A record that
/// is known, by the file that it was written to, is not read once more.
fn delete(
    store: &Store,
    id: &Id,
    entry: &Entry,
    known: Option<(&File, &Record)>,
    held: bool,
) -> Result<(), Error> {
    let lock = entry.lock_exclusive()?;
    let record = match known {
        Some((file, record)) if entry.holds(file) => Cow::Borrowed(record),
        _ => Cow::Owned(entry.read()?),
    };
    let (status, init) = status(entry, &record)?;
    match status {
        Status::Stopped | Status::Created => {}
        Status::Creating if held => {}
        status => return Err(Error::NotStopped { id: id.to_string(), status }),
    }
    clear_away(store, id, entry, &record, init, lock)
}

/// Removes a directory without a record: one that is being made or deleted has it as long as it has its id.
fn discard(store: &Store, id: &Id) -> Result<(), Error> {
    let entry = match store.find(id) {
        Err(Error::NotFound) => return Ok(()),
        found => found?,
    };
    match entry.read() {
        Err(Error::NotFound) => store.release(id, &entry),
        read => read.map(drop),
    }
}

fn force(store: &Store, id: &Id, entry: &Entry) -> Result<(), Error> {
    let lock = match entry.lock_exclusive_for(LOCK_PATIENCE) {
        Ok(Some(lock)) => lock,
        // It has been deleted meanwhile, or is no container's directory.
        Err(Error::NotFound) => return store.release(id, entry),
        Err(error) => return Err(error),
        Ok(None) => {
            // Whoever holds the lock sees init end, fails and rolls back.
            let record = entry.read()?;
            end_processes(&record, cgroup::open(record.cgroup.clone()).as_ref())?;
            match entry.lock_exclusive_for(LOCK_PATIENCE)? {
                Some(lock) => lock,
                None => {
                    end_creator(&record)?;
                    entry.lock_exclusive_for(LOCK_PATIENCE)?.ok_or_else(|| still_running(&record))?
                }
            }
        }
    };
    let record = match entry.read() {
        Ok(record) => record,
        // Nothing can be learnt from it, so there is nothing but the directory to remove.
        Err(error @ (Error::State { .. } | Error::NotFound)) => {
            log::debug!("{id}: {error}");
            drop(lock);
            return store.release(id, entry);
        }
        Err(error) => return Err(error),
    };
    destroy(store, id, entry, &record, lock)
}

/// Ends a creator that does not react, if it is a command and not an embedding program.
fn end_creator(record: &Record) -> Result<(), Error> {
    let Some(creator) = record.creator.as_ref().filter(|creator| creator.command) else { return Ok(()) };
    let failed = |errno| Error::system("signal", creator.identity.pid.to_string())(errno);
    let Some(pidfd) = creator.identity.open().map_err(failed)? else { return Ok(()) };
    match sys::pidfd_send_signal(&pidfd, SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Kills init and whatever else is in the container's cgroup, and waits until init has gone.
pub(super) fn end_processes(record: &Record, cgroup: &dyn Manager) -> Result<(), Error> {
    end_with(record, living_init(record)?.as_ref(), cgroup)
}

/// A pidfd of init, if it lives.
fn living_init(record: &Record) -> Result<Option<OwnedFd>, Error> {
    let Some(Init { identity, .. }) = &record.init else { return Ok(None) };
    identity.open().map_err(|errno| Error::system("signal", identity.pid.to_string())(errno))
}

/// The same with init already held, or known to have ended.
fn end_with(record: &Record, pidfd: Option<&OwnedFd>, cgroup: &dyn Manager) -> Result<(), Error> {
    let pid = record.init.as_ref().map_or(0, |init| init.identity.pid);
    let failed = |errno| Error::system("signal", pid.to_string())(errno);
    if let Some(pidfd) = pidfd {
        match sys::pidfd_send_signal(pidfd, SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    // Also thaws, without which a frozen process of cgroup v1 does not die.
    cgroup.kill()?;
    if let Some(pidfd) = pidfd {
        if !sys::ended(pidfd, PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX)).map_err(failed)? {
            return Err(still_running(record));
        }
        // Where it is a child of this process it would stay a zombie; where it is not, that is its parent's business.
        reap_if_child(pidfd);
    }
    Ok(())
}

/// What is known of an init that does not end: in the state D it waits for a device, or a file system.
fn still_running(record: &Record) -> Error {
    let Some(init) = &record.init else { return Error::StillRunning(String::new()) };
    let pid = init.identity.pid;
    let status = procfs::read(&format!("{pid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).map_or("unknown", str::trim);
    Error::StillRunning(format!(": process {pid} in the state {state}"))
}

fn reap_if_child(pidfd: impl AsFd) {
    use nix::sys::wait::{Id as WaitId, WaitPidFlag, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    if let Err(errno) = waitid(WaitId::PIDFd(pidfd.as_fd()), flags) {
        log::trace!("init is not a child: {errno}");
    }
}

/// Takes the container's mounts out of the runtime's own mount namespace, if they are there.
fn unmount_root(record: &Record) -> Result<(), Error> {
    let RootMount::Over(below) = record.root else { return Ok(()) };
    let failed = |errno| Error::system("unmount", record.rootfs.display().to_string())(errno);
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = match open(&record.rootfs, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    if sys::mount_id(&root).map_err(failed)? == below {
        return Ok(());
    }
    drop(root);
    match umount2(&record.rootfs, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        // What was mounted there has gone too.
        Err(Errno::EINVAL) => Ok(()),
        unmounted => unmounted.map_err(failed),
    }
}

/// Removes everything that belongs to a container, then its id, then runs its `poststop` hooks.
pub(super) fn destroy(
    store: &Store,
    id: &Id,
    entry: &Entry,
    record: &Record,
    lock: Lock,
) -> Result<(), Error> {
    clear_away(store, id, entry, record, living_init(record)?, lock)
}

/// The same with init, if it lives.
fn clear_away(
    store: &Store,
    id: &Id,
    entry: &Entry,
    record: &Record,
    init: Option<OwnedFd>,
    lock: Lock,
) -> Result<(), Error> {
    let mut cgroup = cgroup::open(record.cgroup.clone());
    // Of one that has stopped nobody is left, as a rule.
    if init.is_some() || !cgroup.remove_free()? {
        end_with(record, init.as_ref(), cgroup.as_ref())?;
        cgroup.remove(PATIENCE)?;
    }
    unmount_root(record)?;
    record.resctrl.as_ref().map_or(Ok(()), Resctrl::remove)?;
    // With the directory it would be gone, and without it the hooks still have to run.
    let annotations = match record.hooks.poststop.is_empty() {
        true => Cow::default(),
        false => entry.config().map(|config| config.annotations).unwrap_or_else(|error| {
            log::warn!("poststop hooks are run without annotations: {error}");
            Cow::default()
        }),
    };
    store.release(id, entry)?;
    drop(lock);
    let state = HookState::new(id.as_str(), &record.bundle, &annotations);
    for (index, hook) in record.hooks.poststop.iter().enumerate() {
        if let Err(error) = hooks::run("poststop", index, hook, &record.hook_env, &state, None) {
            log::warn!("{error}");
        }
    }
    Ok(())
}

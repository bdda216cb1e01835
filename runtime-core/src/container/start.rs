//! `start`: the gate opens, the payload is executed.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollTimeout;

use super::delete::{self, LOCK_PATIENCE};
use super::notify::Notify;
use super::{Container, Status, status};
use crate::cgroup;
use crate::error::Error;
use crate::launch::channel::Channel;
use crate::launch::gate::{self, GATE, Outcome};
use crate::launch::handshake::{self, Stop};
use crate::launch::{self, hooks};
use crate::plan::{HookState, Plan};
use crate::procfs;
use crate::state::Record;
use crate::sys;

/// Milliseconds that an init which has failed may take to end: many, where its cgroup gets little processor time.
const LEAVING: u16 = 10_000;

/// How a container is started.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// The service manager's socket (`NOTIFY_SOCKET`): `start` returns when the payload has said `READY=1`, which is passed on.
    /// The container must have been made with [`CreateOptions::notify_socket`](crate::CreateOptions::notify_socket).
    pub notify_socket: Option<PathBuf>,
}

/// An init that its creator alone can start.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) channel: Channel,
    pub(super) plan: Plan,
    /// It has the order, and executes the payload when it is ready.
    pub(super) released: bool,
}

impl Container {
    /// Executes the payload. Where a seccomp agent lets that wait, it returns after 10 s and what the `startContainer`
    /// hooks may take, with a warning in the log; hooks without a limit are waited for.
    ///
    /// # Errors
    /// [`Error::StartStopped`], [`Error::StartRunning`], [`Error::StartPaused`]; [`Error::Enter`] when the program cannot be executed
    /// or a `startContainer` hook fails, after which the container has stopped; [`Error::Hook`] for a `poststart` hook, after
    /// which it is killed.
    pub fn start(&mut self, options: &StartOptions) -> Result<(), Error> {
        match self.held.take_if(|held| held.released) {
            Some(held) => self.look_after(&held),
            None => self.let_go(options),
        }
    }

    /// What has come of an init that had its order before.
    fn look_after(&self, held: &Held) -> Result<(), Error> {
        let init = self.pidfd().ok_or(Error::NotRunning)?;
        // No agent decides over it: such a one is not released.
        let executed = handshake::until_executed(&held.channel, init, &held.plan, PollTimeout::NONE);
        after_its_end(executed.map_err(explain), init)
    }

    /// Starts an init that waits.
    fn let_go(&mut self, options: &StartOptions) -> Result<(), Error> {
        let lock = self.entry.lock_exclusive()?;
        let found = if self.held.is_some() {
            self.may_release().map(|()| None)
        } else {
            self.find_created().map(Some)
        }?;
        if !self.record.hooks.poststart.is_empty() {
            // They are told of the annotations, which have to be there before the payload runs.
            self.config()?;
        }
        let notify =
            options.notify_socket.as_deref().map(|host| Notify::bind(&self.entry, host)).transpose()?;
        let patience = handshake::patience(self.record.notifies, &self.record.hooks.start_container);
        let started = match &found {
            Some(_) => self.open_gate(patience),
            None => self.release(patience),
        };
        let init = found.as_ref().or(self.pidfd.as_ref());
        match init {
            Some(init) => after_its_end(started, init.as_fd())?,
            None => started?,
        }
        drop(lock);
        self.poststart()?;
        match notify.zip(init) {
            Some((notify, init)) => notify.wait_ready(self.pid().unwrap_or_default(), init),
            None => Ok(()),
        }
    }

    /// Init, which has to wait at the gate.
    fn find_created(&mut self) -> Result<OwnedFd, Error> {
        if self.record.creator.is_some() {
            self.record = self.entry.read()?;
        }
        match status(&self.entry, &self.record)? {
            (Status::Created, Some(pidfd)) => Ok(pidfd),
            (status, _) => Err(refusal(status)),
        }
    }

    /// Makes sure that the init which waits for this value alone can go: in a frozen cgroup it would be waited for, under the lock.
    fn may_release(&self) -> Result<(), Error> {
        if cgroup::is_frozen(&self.record.cgroup)? { Err(Error::StartPaused) } else { Ok(()) }
    }

    /// Lets that init go. Whatever comes of it, it waits no longer.
    fn release(&mut self, patience: PollTimeout) -> Result<(), Error> {
        let record = Record { creator: None, ..self.record.clone() };
        self.written = Some(self.entry.write(&record)?);
        self.record = record;
        let (Some(held), Some(init)) = (self.held.take(), self.pidfd()) else {
            return Err(Error::NotRunning);
        };
        handshake::execute(&held.channel, init, &held.plan, patience).map_err(explain)
    }

    /// Lets the init go that waits at the gate.
    fn open_gate(&self, patience: PollTimeout) -> Result<(), Error> {
        let init = self.pid().unwrap_or_default();
        let exe = format!("{init}/exe");
        // Holds the plan, which explains a failure when init has gone. Where init is closed to its caller, or of another release, the
        // config has to do.
        let image = match procfs::open(&exe, OFlag::O_RDONLY) {
            Ok(image) => Some(File::from(image)),
            Err(Errno::EACCES | Errno::EPERM) => None,
            Err(_) => return Err(Error::StartStopped),
        };
        let outcome = gate::start(&self.entry.short_path(GATE), patience);
        match outcome.map_err(Error::system("start", self.entry.path()))? {
            Outcome::Accepted => {}
            Outcome::Pending => log::warn!("{}", Error::AgentSilent),
            Outcome::Failed(report) => {
                let error = match image.and_then(launch::plan_of) {
                    Some(plan) => plan.explain(&report),
                    None => {
                        let args = self.process().map(|process| process.args.as_slice()).unwrap_or_default();
                        Plan::explain_start(args, &report)
                    }
                };
                return Err(Error::Enter(error));
            }
            Outcome::Nobody if matches!(status(&self.entry, &self.record)?.0, Status::Running) => {
                return Err(Error::StartRunning);
            }
            Outcome::Nobody => return Err(Error::StartStopped),
        }
        self.entry.unlink(GATE);
        Ok(())
    }

    fn poststart(&self) -> Result<(), Error> {
        let Record { bundle, hooks: lists, .. } = &self.record;
        if lists.poststart.is_empty() {
            return Ok(());
        }
        let pid = self.pid().unwrap_or_default();
        let annotations = &self.config()?.annotations;
        let state = HookState::new(self.id.as_str(), bundle, annotations).with(Status::Running.as_str(), pid);
        for (index, hook) in lists.poststart.iter().enumerate() {
            if let Err(error) = hooks::run("poststart", index, hook, &self.record.hook_env, &state, None) {
                self.end_after(&error)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Kills a container whose `poststart` hook has failed, unless somebody has deleted it meanwhile and its cgroup is another's.
    fn end_after(&self, failure: &Error) -> Result<(), Error> {
        let _lock = match self.entry.lock_exclusive_for(LOCK_PATIENCE) {
            Err(Error::NotFound) => {
                log::debug!("deleted before it could be killed: {failure}");
                return Ok(());
            }
            lock => lock?,
        };
        delete::end_processes(&self.record, self.cgroup()?.as_ref())
    }
}

/// Waits for the end of an init that has said on its way out why it failed: whoever hears of it may delete the container.
fn after_its_end(started: Result<(), Error>, init: BorrowedFd<'_>) -> Result<(), Error> {
    if let Err(Error::Enter(_)) = started {
        let _ = sys::ended(init, LEAVING.into());
    }
    started
}

fn explain(stop: Stop) -> Error {
    match stop {
        Stop::Step(error) => Error::Enter(error),
        Stop::Host(error) => error,
        Stop::Died(_) => Error::StartStopped,
    }
}

fn refusal(status: Status) -> Error {
    match status {
        Status::Running => Error::StartRunning,
        Status::Paused => Error::StartPaused,
        Status::Stopped => Error::StartStopped,
        Status::Creating | Status::Created => Error::NotRunning,
    }
}

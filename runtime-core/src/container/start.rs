//! `start`: the gate opens, the payload is executed.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::notify::Notify;
use super::{Container, Status, delete, status};
use crate::error::Error;
use crate::launch::gate::{self, GATE, Outcome};
use crate::launch::{self, handshake, hooks};
use crate::plan::HookState;
use crate::state::Record;

/// How a container is started.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// The service manager's socket (`NOTIFY_SOCKET`): `start` returns when the payload has said `READY=1`, which is passed on.
    /// The container must have been made with [`CreateOptions::notify_socket`](crate::CreateOptions::notify_socket).
    pub notify_socket: Option<PathBuf>,
}

impl Container {
    /// Executes the payload. Where a seccomp agent lets that wait, it returns after 10 s, with a warning in the log.
    ///
    /// # Errors
    /// [`Error::StartStopped`], [`Error::StartRunning`], [`Error::StartPaused`]; [`Error::Enter`] when the program cannot be executed
    /// or a `startContainer` hook fails, after which the container has stopped; [`Error::Hook`] for a `poststart` hook, after
    /// which it is killed.
    pub fn start(&mut self, options: &StartOptions) -> Result<(), Error> {
        let lock = self.entry.lock_exclusive()?;
        self.record = self.entry.read()?;
        let (status, pidfd) = status(&self.entry, &self.record)?;
        let (Status::Created, Some(pidfd)) = (status, pidfd) else { return Err(refusal(status)) };
        let notify =
            options.notify_socket.as_deref().map(|host| Notify::bind(&self.entry, host)).transpose()?;
        let init = self.pid().unwrap_or_default();
        let exe = format!("/proc/{init}/exe");
        // Holds the plan, which explains a failure when init has gone; where init is closed to its caller the bare fault has to do.
        let image = match File::open(&exe) {
            Ok(image) => Some(image),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            Err(_) => return Err(Error::StartStopped),
        };
        let answered = self.record.notifies() && self.record.hooks.start_container.is_empty();
        let outcome = gate::start(&self.entry.short_path(GATE), handshake::patience(answered));
        match outcome.map_err(Error::system("start", self.entry.path()))? {
            Outcome::Accepted => {}
            Outcome::Pending => log::warn!("{}", Error::AgentSilent),
            Outcome::Failed(report) => {
                let plan = image.map(launch::plan_of).transpose()?.unwrap_or_default();
                return Err(Error::Enter(plan.explain(&report)));
            }
            Outcome::Nobody if matches!(super::status(&self.entry, &self.record)?.0, Status::Running) => {
                return Err(Error::StartRunning);
            }
            Outcome::Nobody => return Err(Error::StartStopped),
        }
        self.entry.unlink(GATE);
        drop(lock);
        self.poststart()?;
        match notify {
            Some(notify) => notify.wait_ready(init, &pidfd),
            None => Ok(()),
        }
    }

    fn poststart(&self) -> Result<(), Error> {
        let Record { bundle, annotations, hooks: lists, .. } = &self.record;
        let pid = self.pid().unwrap_or_default();
        let state = HookState::new(self.id.as_str(), bundle, annotations).with(Status::Running.as_str(), pid);
        for (index, hook) in lists.poststart.iter().enumerate() {
            if let Err(error) = hooks::run("poststart", index, hook, &self.record.hook_env, &state, None) {
                delete::end_processes(&self.record)?;
                return Err(error);
            }
        }
        Ok(())
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

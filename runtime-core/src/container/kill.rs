//! `kill`: a signal for a container's processes.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::SIGKILL;

use super::Container;
use crate::cgroup;
use crate::error::Error;
use crate::state::Record;
use crate::sys;

/// How long a signal waits for another operation on the container.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

impl Container {
    /// Sends a signal to the container's first process. SIGKILL reaches every process of a container that has no pid namespace
    /// of its own; with one the kernel sees to that. A paused container is thawed by SIGKILL, so that it arrives.
    ///
    /// With `all`, a container that has stopped is no error.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has stopped and left nobody behind, or is still being made.
    pub fn kill(&self, signal: i32, all: bool) -> Result<(), Error> {
        if self.record()?.creator.is_some() {
            return if all { Ok(()) } else { Err(Error::NotRunning) };
        }
        // A start whose hooks take their time must not keep a signal from its process, which the pidfd tells from any other.
        let _lock = self.entry.lock_shared_for(LOCK_PATIENCE)?;
        let record = self.record()?;
        let everybody = signal == SIGKILL && !record.own_pid_namespace;
        let sent = self.signal(&record, signal)?;
        // Without init: what it has left behind in a shared pid namespace.
        if everybody && (sent || record.creator.is_none() && !self.cgroup()?.pids()?.is_empty()) {
            return Ok(self.cgroup()?.kill()?);
        }
        if sent || all { Ok(()) } else { Err(Error::NotRunning) }
    }

    /// Sends a signal to init; false where there is none any more.
    fn signal(&self, record: &Record, signal: i32) -> Result<bool, Error> {
        let Some(init) = record.init.as_ref().filter(|_| record.creator.is_none()) else { return Ok(false) };
        let failed = |errno| Error::system("open process", init.identity.pid.to_string())(errno);
        let Some(pidfd) = init.identity.open().map_err(failed)? else { return Ok(false) };
        // What else kills its processes thaws them too.
        let paused = signal == SIGKILL && record.own_pid_namespace && cgroup::is_frozen(&record.cgroup)?;
        match sys::pidfd_send_signal(&pidfd, signal) {
            Ok(()) if paused => self.cgroup()?.thaw()?,
            Ok(()) => {}
            Err(Errno::ESRCH) => return Ok(false),
            Err(errno) => return Err(Error::system("signal", "init")(errno)),
        }
        Ok(true)
    }
}

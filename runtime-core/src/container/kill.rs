//! `kill`: a signal for a container's processes.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::SIGKILL;

use super::{Container, Status, status};
use crate::error::Error;
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
        let (status, pidfd) = status(&self.entry, &record)?;
        let everybody = signal == SIGKILL && !record.own_pid_namespace;
        match (status, pidfd) {
            (Status::Created | Status::Running | Status::Paused, Some(pidfd)) => {
                match sys::pidfd_send_signal(&pidfd, signal) {
                    Err(Errno::ESRCH) if !all => return Err(Error::NotRunning),
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(errno) => return Err(Error::system("signal", "init")(errno)),
                }
                if everybody {
                    self.cgroup()?.kill()?;
                } else if signal == SIGKILL && status == Status::Paused {
                    self.cgroup()?.thaw()?;
                }
                Ok(())
            }
            // What init has left behind in a shared pid namespace.
            (Status::Stopped, _) if everybody && !self.cgroup()?.pids()?.is_empty() => {
                Ok(self.cgroup()?.kill()?)
            }
            _ if all => Ok(()),
            _ => Err(Error::NotRunning),
        }
    }
}

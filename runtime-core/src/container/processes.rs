//! `ps`: the processes of a container.

use super::{Container, Status, status};
use crate::cgroup;
use crate::error::Error;
use crate::procfs;

impl Container {
    /// The pids of all its processes in the caller's pid namespace; once it has stopped, of those that it has left behind in a pid
    /// namespace of others. Of a container without a cgroup these are the ones in its pid namespace, or its first process alone
    /// where that is shared too.
    ///
    /// # Errors
    /// [`Error::Cgroup`], [`Error::System`].
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let record = self.record()?;
        let (own, has_cgroup) = (record.own_pid_namespace, !record.cgroup.groups.is_empty());
        let init = record.init.as_ref().map(|init| init.identity.pid);
        match (status(&self.entry, &record)?.0, init) {
            // Those that are still dying are no more.
            (Status::Stopped, _) if own || !has_cgroup => Ok(Vec::new()),
            _ if has_cgroup => Ok(cgroup::open(record.cgroup.clone()).pids()?),
            (_, None) => Ok(Vec::new()),
            (_, Some(init)) if own => in_namespace_of(init),
            (_, Some(init)) => Ok(vec![init]),
        }
    }
}

/// The processes whose pid namespace is that of `init`, as far as the caller may look at them.
fn in_namespace_of(init: i32) -> Result<Vec<i32>, Error> {
    let namespace = |pid| procfs::stat(&format!("{pid}/ns/pid")).ok().map(|file| (file.st_dev, file.st_ino));
    let Some(wanted) = namespace(init) else { return Ok(Vec::new()) };
    let mut pids = procfs::numbers(".").map_err(Error::system("read", "/proc"))?;
    pids.retain(|&pid| namespace(pid) == Some(wanted));
    Ok(pids)
}

//! `ps`: the processes of a container.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Container, Status, status};
use crate::error::{Error, errno_of};

impl Container {
    /// The pids of all its processes in the caller's pid namespace; once it has stopped, of those that it has left behind in a pid
    /// namespace of others. Of a container without a cgroup these are the ones in its pid namespace, or its first process alone
    /// where that is shared too.
    ///
    /// # Errors
    /// [`Error::Cgroup`], [`Error::System`].
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let (own, has_cgroup) = (self.record.own_pid_namespace, !self.record.cgroup.groups.is_empty());
        match (status(&self.entry, &self.record)?.0, self.pid()) {
            // Those that are still dying are no more.
            (Status::Stopped, _) if own || !has_cgroup => Ok(Vec::new()),
            _ if has_cgroup => Ok(self.cgroup().pids()?),
            (_, None) => Ok(Vec::new()),
            (_, Some(init)) if own => in_namespace_of(init),
            (_, Some(init)) => Ok(vec![init]),
        }
    }
}

/// The processes whose pid namespace is that of `init`, as far as the caller may look at them.
fn in_namespace_of(init: i32) -> Result<Vec<i32>, Error> {
    let namespace =
        |pid| fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|file| (file.dev(), file.ino()));
    let failed = |error: std::io::Error| Error::system("read", "/proc")(errno_of(&error));
    let Some(wanted) = namespace(init) else { return Ok(Vec::new()) };
    let entries = fs::read_dir("/proc").map_err(failed)?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|&pid| namespace(pid) == Some(wanted)).collect())
}

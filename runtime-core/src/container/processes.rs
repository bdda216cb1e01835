//! `ps`: the processes of a container.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Container, Status, status};
use crate::error::{Error, errno_of};

impl Container {
    /// The pids of all its processes in the caller's pid namespace; none once it has stopped. Of a container without a cgroup
    /// these are the ones in its pid namespace, or its first process alone where that is shared too.
    ///
    /// # Errors
    /// [`Error::Cgroup`], [`Error::System`].
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        if !self.record.cgroup.groups.is_empty() {
            return Ok(self.cgroup().pids()?);
        }
        match (status(&self.entry, &self.record)?, self.pid()) {
            ((Status::Stopped, _), _) | (_, None) => Ok(Vec::new()),
            (_, Some(init)) if self.record.own_pid_namespace => in_namespace_of(init),
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

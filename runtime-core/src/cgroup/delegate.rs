//! Handing a cgroup of version 2 to the user who runs in it ("Cgroup ownership" of the specification): it may make cgroups
//! below its own, and never changes the limits of its own.

use nix::errno::Errno;

use super::Error;
use super::dir::Dir;

/// Where the kernel lists the files that a delegated cgroup's owner needs.
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// The list of kernels without one.
const USUAL: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Makes a host user the owner of a cgroup. The specification wants that where it can be had: a caller without the right to
/// give things away goes without.
pub(super) fn hand_over(dir: &Dir, owner: u32) -> Result<(), Error> {
    let list = std::fs::read_to_string(LIST).unwrap_or_else(|_| USUAL.to_owned());
    for name in std::iter::once(".").chain(list.lines()) {
        match dir.give(name, owner) {
            // Not every cgroup has every file.
            Ok(()) | Err(Error::Io { errno: Errno::ENOENT, .. }) => {}
            Err(error) if error.is_denied() => {
                log::debug!("the cgroup keeps its owner: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

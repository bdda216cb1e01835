//! Attaches the device program to a cgroup of the unified hierarchy.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Rule, program};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;
use crate::sys;

/// Puts the rules in force. A cgroup that `existed` may have programs of an earlier container: one is
/// replaced in one step, and others are taken away, since a program can only deny.
pub(in crate::cgroup) fn apply(dir: &Dir, rules: &[Rule], existed: bool) -> Result<(), Error> {
    let refused = |action| move |errno| Error::DeviceFilter { action, path: dir.path().into(), errno };
    let new = sys::bpf_load_device_program(&program::assemble(rules)).map_err(refused("loading"))?;

    let mut old = Vec::new();
    if existed {
        for id in sys::bpf_attached_device_programs(dir.as_fd()).map_err(refused("looking for"))? {
            old.push(sys::bpf_program_by_id(id).map_err(refused("opening"))?);
        }
    }
    let mut old = old.iter().map(|program| program.as_fd());
    let replaced: Option<BorrowedFd<'_>> = old.next();
    sys::bpf_attach_device_program(dir.as_fd(), new.as_fd(), replaced).map_err(refused("attaching"))?;
    for program in old {
        sys::bpf_detach_device_program(dir.as_fd(), program).map_err(refused("detaching"))?;
    }
    Ok(())
}

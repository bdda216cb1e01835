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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::layout::Layout;

    #[test]
    fn a_new_program_takes_the_place_of_the_old_one() {
        let layout = Layout::detect().unwrap();
        let Some((unified, _)) = layout.hierarchies.iter().find(|(hierarchy, _)| hierarchy.is_unified())
        else {
            return eprintln!("skipped: this host has no unified hierarchy");
        };
        let root = Dir::root(&unified.mount, true).unwrap();
        let name = format!("corten-filter-{}", std::process::id());
        if root.make(&name).is_err() {
            return eprintln!("skipped: needs root");
        }
        let dir = root.find(&name).unwrap().unwrap();
        let programs = || sys::bpf_attached_device_programs(dir.as_fd()).unwrap();
        apply(&dir, &[], false).unwrap();
        let first = programs();
        apply(&dir, &[], true).unwrap();
        let second = programs();
        root.remove(&name).unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_ne!(first, second);
    }
}

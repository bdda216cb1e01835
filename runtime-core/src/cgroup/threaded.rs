//! Threaded cgroups of version 2: below one there are only such, and they have only some controllers.

use super::Error;
use super::dir::Dir;
use super::limits::Setting;
use super::path::join;
use super::saved::Group;

const TYPE: &str = "cgroup.type";

/// The controllers that a threaded cgroup can have.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

/// Makes a new cgroup, and the parents made with it, threaded where they stand below a threaded one: before, no process can
/// be in them.
pub(super) fn follow_parent(group: &Group, needed: &[&Setting]) -> Result<(), Error> {
    let root = group.root()?;
    if !is_invalid(&root, &group.path)? {
        return Ok(());
    }
    if let Some(setting) = needed.iter().find(|setting| !CONTROLLERS.contains(&setting.controller())) {
        let (path, controller) = (group.full_path(), setting.controller());
        return Err(Error::Value {
            pointer: setting.pointer.clone().into_owned(),
            reason: format!(
                "{} is in a threaded cgroup, which cannot have the controller {controller}",
                path.display()
            ),
        });
    }
    let ends = group.path.match_indices('/').map(|(at, _)| at).chain([group.path.len()]);
    for path in ends.filter_map(|end| group.path.get(..end)) {
        if is_invalid(&root, path)? {
            root.write(&join(path, TYPE), "threaded")?;
        }
    }
    Ok(())
}

fn is_invalid(root: &Dir, path: &str) -> Result<bool, Error> {
    Ok(root.read_short(&join(path, TYPE))?.trim() == "domain invalid")
}

//! Threaded cgroups of version 2: below one there are only such, and they have only some controllers.

use super::Error;
use super::dir::Dir;
use super::limits::Setting;
use super::saved::Group;

const TYPE: &str = "cgroup.type";

/// The controllers that a threaded cgroup can have.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

/// Makes a new cgroup, and the parents made with it, threaded where they stand below a threaded one: before, no process can
/// be in them.
pub(super) fn follow_parent(group: &Group, dir: &Dir, needed: &[&Setting]) -> Result<(), Error> {
    if !is_invalid(dir)? {
        return Ok(());
    }
    if let Some(setting) = needed.iter().find(|setting| !CONTROLLERS.contains(&setting.controller())) {
        let (path, controller) = (dir.path().display(), setting.controller());
        return Err(Error::Value {
            pointer: setting.pointer.clone().into_owned(),
            reason: format!("{path} is in a threaded cgroup, which cannot have the controller {controller}"),
        });
    }
    let root = group.root()?;
    let ends = group.path.match_indices('/').map(|(at, _)| at).chain([group.path.len()]);
    for path in ends.filter_map(|end| group.path.get(..end)) {
        let dir = root.find(path)?.ok_or_else(|| Error::Gone { path: root.path().join(path) })?;
        if is_invalid(&dir)? {
            dir.write(TYPE, "threaded")?;
        }
    }
    Ok(())
}

fn is_invalid(dir: &Dir) -> Result<bool, Error> {
    Ok(dir.read_short(TYPE)?.trim() == "domain invalid")
}

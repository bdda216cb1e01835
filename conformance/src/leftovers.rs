//! What a container must not leave behind.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use crate::kernel::{Process, cgroups_named, mounts};

/// Everything that is still there of containers whose ids contain `name` and whose files are below `dir`.
pub(crate) fn leftovers(name: &str, state_root: &Path, dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(state_root).into_iter().flatten().flatten() {
        found.push(format!("state: {}", entry.path().display()));
    }
    found.extend(cgroups_named(name).iter().map(|cgroup| format!("cgroup: {}", cgroup.display())));
    let dir_text = dir.to_string_lossy();
    for mount in mounts(&Process(std::process::id()).file("mountinfo")) {
        if mount.point.contains(&*dir_text) || mount.root.contains(&*dir_text) {
            found.push(format!("mount: {} of {}", mount.point, mount.source));
        }
    }
    for process in Process::all().into_iter().filter(|process| belongs(*process, name, &dir_text)) {
        found.push(format!("process: {} {}", process.0, process.file("cmdline").replace('\0', " ")));
    }
    found
}

/// Whether a live process is in one of the cgroups, or was started with one of the paths.
fn belongs(process: Process, name: &str, dir: &str) -> bool {
    let mentions = process.file("cgroup").contains(name) || process.file("cmdline").contains(dir);
    mentions && process.0 != std::process::id() && process.is_alive()
}

/// Ends what is left of a test's processes, mounts and cgroups, so that a failed test does not disturb the next one.
pub(crate) fn sweep(name: &str, dir: &Path) {
    let dir = dir.to_string_lossy();
    for process in Process::all().into_iter().filter(|process| belongs(*process, name, &dir)) {
        process.signal(Signal::SIGKILL);
    }
    for mount in mounts(&Process(std::process::id()).file("mountinfo")).iter().rev() {
        if mount.point.contains(&*dir) {
            let _ = umount2(mount.point.as_str(), MntFlags::MNT_DETACH);
        }
    }
    // A cgroup can go when the last of its killed processes has gone.
    for _ in 0..100 {
        let mut cgroups = cgroups_named(name);
        if cgroups.is_empty() {
            return;
        }
        cgroups.sort_by_key(|path| std::cmp::Reverse(path.as_os_str().len()));
        for cgroup in cgroups {
            let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
            let _ = fs::write(cgroup.join("cgroup.freeze"), "0");
            let _ = fs::remove_dir(cgroup);
        }
        sleep(Duration::from_millis(10));
    }
}

//! The place where containers are made: a directory, a root filesystem, and a cgroup above all of theirs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::Call;
use crate::config::MAX_BINDS;
use crate::error::{At, Error, Result};
use crate::profile::Profile;
use crate::results::Pace;
use crate::view::{Hierarchy, View, mounted};

/// The place where containers are made.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    /// The cgroup above the containers' own, in each hierarchy; also the name of the directory.
    pub(crate) group: String,
    pub(crate) hierarchies: Vec<Hierarchy>,
    pub(crate) rest: Duration,
    pub(crate) rounds: usize,
    /// The rounds are those of `--long`.
    pub(crate) long: bool,
    /// For the case run-seccomp.
    pub(crate) seccomp: Option<Profile>,
}

impl Lab {
    /// Prepares the directory and the cgroups, in a view that has been entered.
    pub(crate) fn new(dir: PathBuf, view: View, rest: Duration, rounds: usize) -> Result<Self> {
        let group = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let lab =
            Self { dir, group, hierarchies: view.hierarchies()?, rest, rounds, long: false, seccomp: None };
        lab.make_rootfs()?;
        fs::create_dir(lab.source()).at(lab.source())?;
        lab.make_state()?;
        for hierarchy in &lab.hierarchies {
            make_group(hierarchy, &lab.group)?;
        }
        Ok(lab)
    }

    /// The root filesystem of all containers.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// What is mounted where a case wants more mounts: beside the root filesystem, since the kernel searches all that is mounted on
    /// the mount of a source, and what is in the root would be searched for longer with each further mount.
    pub(crate) fn source(&self) -> PathBuf {
        self.dir.join("source")
    }

    /// A call whose messages go to a file of this place; `slot` tells apart those that run at the same time.
    pub(crate) fn call(&self, program: &Path, slot: &str) -> Call<'_> {
        Call::new(program, self.dir.join(format!("messages-{slot}")))
    }

    /// Waits as long as the pace wants before a command.
    pub(crate) fn rest(&self, pace: Pace) {
        if pace == Pace::Rested {
            thread::sleep(self.rest);
        }
    }

    /// Where the programs keep their state: a tmpfs, as `/run` is wherever engines run, whatever the disk below is like.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The processes in a container's cgroup.
    pub(crate) fn processes(&self, id: &str) -> Result<Vec<i32>> {
        let Some(hierarchy) = self.hierarchies.first() else { return Ok(Vec::new()) };
        let path = hierarchy.dir.join(&self.group).join(id).join("cgroup.procs");
        let text = fs::read_to_string(&path).at(&path)?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether memory can be limited in this view.
    pub(crate) fn limits_memory(&self) -> bool {
        self.hierarchies.iter().any(|hierarchy| {
            let group = hierarchy.dir.join(&self.group);
            hierarchy.options == "memory"
                || (self.hierarchies.len() == 1
                    && fs::read_to_string(group.join("cgroup.subtree_control"))
                        .is_ok_and(|text| text.split_whitespace().any(|name| name == "memory")))
        })
    }

    /// The mount goes with the mount namespace of the view.
    fn make_state(&self) -> Result<()> {
        let (state, none): (_, Option<&str>) = (self.state(), None);
        fs::create_dir(&state).at(&state)?;
        mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, none).at(&state)
    }

    fn make_rootfs(&self) -> Result<()> {
        let root = self.rootfs();
        let busybox = find_program("busybox")
            .ok_or_else(|| Error::Usage("no busybox in PATH: install busybox-static".into()))?;
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "mnt"] {
            fs::create_dir_all(root.join(name)).at(&root)?;
        }
        fs::copy(&busybox, root.join("bin/busybox")).at(&busybox)?;
        for applet in ["true", "sleep"] {
            symlink("busybox", root.join("bin").join(applet)).at(&root)?;
        }
        for number in 0..MAX_BINDS {
            let target = root.join("mnt").join(number.to_string());
            fs::create_dir(&target).at(&target)?;
        }
        Ok(())
    }
}

/// A program of PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn make_group(hierarchy: &Hierarchy, group: &str) -> Result<()> {
    let path = hierarchy.dir.join(group);
    fs::create_dir(&path).at(&path)?;
    if hierarchy.options == "cpuset" {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let value = fs::read(hierarchy.dir.join(file)).at(hierarchy.dir.join(file))?;
            fs::write(path.join(file), value).at(path.join(file))?;
        }
    }
    if hierarchy.options.is_empty() {
        // Runtimes would switch on what a container needs; the floor does not, and should meet the same cgroups.
        let controllers = fs::read_to_string(path.join("cgroup.controllers")).at(&path)?;
        for name in controllers.split_whitespace() {
            // Some cannot be delegated everywhere; then nobody has them.
            let _ = fs::write(path.join("cgroup.subtree_control"), format!("+{name}"));
        }
    }
    Ok(())
}

/// Kills what is left in the cgroups of a lab and removes them, and its directory.
pub(crate) fn sweep(dir: &Path) {
    let Some(group) = dir.file_name() else { return };
    let groups: Vec<PathBuf> =
        mounted().unwrap_or_default().into_iter().map(|hierarchy| hierarchy.dir.join(group)).collect();
    let deadline = Instant::now() + Duration::from_secs(5);
    while groups.iter().fold(false, |left, group| !remove_group(group) | left) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    if let Err(e) = fs::remove_dir_all(dir) {
        eprintln!("{}: {e}", dir.display());
    }
}

/// Removes a cgroup and those in it; false while a process is still there.
fn remove_group(group: &Path) -> bool {
    let mut empty = true;
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty &= remove_group(&entry.path());
        }
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    // The error that counts is a directory that stays.
    let _ = fs::remove_dir(group);
    empty && !group.exists()
}

//! The cgroup driver on this host's cgroups, whatever their layout; again in a private mount namespace
//! where the unified hierarchy stands alone (`v2_view`). Needs root.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use runtime_core::cgroup::{self, Error, Layout, Manager, Placement, SubCgroup, Version};
use runtime_core::config::Resources;

/// A cgroup for one test, removed at its end.
struct Scratch(Box<dyn Manager>);

impl Scratch {
    /// `None` where this host does not let us, after saying so.
    fn plan(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let layout = match Layout::detect() {
            Ok(layout) => layout,
            Err(error) => {
                eprintln!("skipped: {error}");
                return None;
            }
        };
        let path = format!("/corten-test-{}-{name}/inner", std::process::id());
        Some(Self(cgroup::open(cgroup::plan(&layout, Some(&path), "id").unwrap())))
    }

    fn create(name: &str, resources: &str) -> Option<Self> {
        let mut scratch = Self::plan(name)?;
        let resources = resources_of(resources);
        scratch.0.create(&resources).unwrap();
        scratch.0.confine(&resources).unwrap();
        Some(scratch)
    }

    /// Runs a shell command in the cgroup.
    fn spawn(&self, script: &str) -> Child {
        spawn_in(self.0.placement(&[]).unwrap(), script)
    }

    fn run(&self, script: &str) -> ExitStatus {
        self.spawn(script).wait().unwrap()
    }

    /// The full path of a file of a controller, or of the unified hierarchy.
    fn file(&self, controller: &str, name: &str) -> Option<String> {
        let mut groups = self.0.saved().groups.iter();
        let fits = |group: &&cgroup::Group| match controller {
            "" => group.hierarchy.is_unified(),
            name => group.hierarchy.controllers.iter().any(|other| other == name),
        };
        let path = groups.find(fits)?.full_path().join(name);
        Some(fs::read_to_string(path).unwrap().trim().to_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.0.thaw();
        self.0.kill().unwrap();
        self.0.remove(Duration::from_secs(5)).unwrap();
        for group in &self.0.saved().groups {
            assert!(!group.full_path().exists() && !group.full_path().parent().unwrap().exists());
        }
    }
}

fn resources_of(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

/// A shell that enters the cgroup by itself, as init does, and then runs the script.
fn spawn_in(mut placement: Placement, script: &str) -> Child {
    placement.write_instead().unwrap();
    let inherit = |fd: &OwnedFd| {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        format!("echo 0 >/proc/self/fd/{} || exit 99; ", fd.as_raw_fd())
    };
    let enter: String = placement.files.iter().map(inherit).collect();
    let script = format!("{enter} {script}");
    Command::new("/bin/sh").args(["-c", &script]).stderr(Stdio::null()).spawn().unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The state of a process in its `stat` file.
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

#[test]
fn enters_all_hierarchies_and_leaves_nothing() {
    let Some(scratch) = Scratch::create("enter", "{}") else { return };
    let mut child = scratch.spawn("exec sleep 100");
    wait_until("the process is in", || scratch.0.pids().unwrap() == [child.id() as i32]);
    wait_until("it is in all hierarchies", || {
        let table = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
        scratch.0.saved().groups.iter().all(|group| {
            let line = format!(":{}:/{}", group.hierarchy.controllers.join(","), group.path);
            table.lines().any(|entry| entry.ends_with(&line))
        })
    });
    scratch.0.kill().unwrap();
    child.wait().unwrap();
    assert!(scratch.0.pids().unwrap().is_empty());
}

#[test]
fn neighbours_may_make_and_remove_the_same_parent() {
    if Scratch::plan("race").is_none() {
        return;
    }
    let layout = &Layout::detect().unwrap();
    let parent = &format!("/corten-test-{}-race", std::process::id());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for _ in 0..50 {
                    let path = format!("{parent}/{thread}");
                    let mut manager = cgroup::open(cgroup::plan(layout, Some(&path), "id").unwrap());
                    manager.create(&Resources::default()).unwrap();
                    manager.remove(Duration::from_secs(5)).unwrap();
                }
            });
        }
    });
    for hierarchy in layout.hierarchies() {
        let _ = fs::remove_dir(hierarchy.mount.join(&parent[1..]));
    }
}

#[test]
fn saved_state_is_enough() {
    let Some(scratch) = Scratch::create("saved", "{}") else { return };
    let json = serde_json::to_string(scratch.0.saved()).unwrap();
    let again = cgroup::open(serde_json::from_str(&json).unwrap());
    assert_eq!(again.saved(), scratch.0.saved());
    assert!(again.saved().groups.iter().all(|group| group.made == 2));
}

#[test]
fn an_existing_cgroup_is_taken_only_if_empty_and_awake() {
    let Some(first) = Scratch::create("taken", "{}") else { return };
    let path = format!("/{}", first.0.saved().groups[0].path);
    let plan = || cgroup::open(cgroup::plan(&Layout::detect().unwrap(), Some(&path), "id").unwrap());
    let mut second = plan();
    second.create(&Resources::default()).unwrap();
    assert!(second.saved().taken && second.saved().groups.iter().all(|group| group.made == 0));

    first.0.freeze().unwrap();
    let error = plan().create(&Resources::default()).unwrap_err();
    assert!(matches!(error, Error::Frozen { .. }), "{error}");
    first.0.thaw().unwrap();

    let mut child = first.spawn("exec sleep 100");
    wait_until("the process is in", || first.0.pids().unwrap().len() == 1);
    let mut third = plan();
    let error = third.create(&Resources::default()).unwrap_err();
    assert!(matches!(&error, Error::NotEmpty { pids, .. } if pids.len() == 1), "{error}");
    assert!(error.to_string().starts_with("container's cgroup is not empty: 1 process(es) found"));
    // What is not its own it neither kills nor removes.
    third.kill().unwrap();
    third.remove(Duration::ZERO).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert!(child.try_wait().unwrap().is_none());

    second.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn freezes_and_thaws() {
    let Some(scratch) = Scratch::create("freeze", "{}") else { return };
    let mut child = scratch.spawn("while :; do :; done");
    wait_until("the process runs", || scratch.0.pids().unwrap().len() == 1 && state(child.id()) == 'R');
    assert!(!cgroup::is_frozen(scratch.0.saved()).unwrap());
    scratch.0.freeze().unwrap();
    assert!(cgroup::is_frozen(scratch.0.saved()).unwrap());
    assert_ne!(state(child.id()), 'R');
    scratch.0.thaw().unwrap();
    assert!(!cgroup::is_frozen(scratch.0.saved()).unwrap());
    wait_until("the process runs again", || state(child.id()) == 'R');

    scratch.0.freeze().unwrap();
    scratch.0.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn kills_and_removes_sub_cgroups_too() {
    let Some(scratch) = Scratch::create("tree", "{}") else { return };
    for group in &scratch.0.saved().groups {
        fs::create_dir_all(group.full_path().join("sub/deep")).unwrap();
        if group.hierarchy.controllers.iter().any(|name| name == "cpuset") {
            for dir in ["sub", "sub/deep"] {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let value = fs::read_to_string(group.full_path().join(file)).unwrap();
                    fs::write(group.full_path().join(dir).join(file), value).unwrap();
                }
            }
        }
    }
    let subs = SubCgroup::parse_all(&["/sub/deep"]).unwrap();
    let mut child = spawn_in(scratch.0.placement(&subs).unwrap(), "sleep 100 & sleep 100");
    wait_until("all are in", || scratch.0.pids().unwrap().len() == 3);
    let beside = scratch.0.placement_beside(child.id() as i32).unwrap();
    if let Some(dir) = &beside.into {
        let path = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap();
        assert!(path.ends_with("inner/sub/deep"), "{path:?}");
    }

    let missing = SubCgroup::parse_all(&["none"]).unwrap();
    assert!(matches!(scratch.0.placement(&missing).unwrap_err(), Error::Gone { .. }));
    let unknown = SubCgroup::parse_all(&["flux:sub"]).unwrap();
    assert!(scratch.0.placement(&unknown).unwrap_err().to_string().contains("flux"));
    let outside = scratch.0.placement_beside(std::process::id() as i32);
    assert_eq!(outside.is_err(), beside.into.is_some());

    scratch.0.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn removal_waits_for_the_last_process() {
    let Some(scratch) = Scratch::create("wait", "{}") else { return };
    let mut child = scratch.spawn("exec sleep 0.3");
    wait_until("the process is in", || scratch.0.pids().unwrap().len() == 1);
    let mut again = cgroup::open(scratch.0.saved().clone());
    let error = again.remove(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(&error, Error::NotEmpty { pids, .. } if pids.len() == 1), "{error}");
    again.remove(Duration::from_secs(5)).unwrap();
    child.wait().unwrap();
}

#[test]
fn device_rules_hold() {
    let rules = r#"{"devices": [{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]}"#;
    let Some(scratch) = Scratch::create("devices", rules) else { return };
    // On a file system of its own, since nodes may be without effect on the host's.
    let run = |script: &str| {
        let script = format!("mount -t tmpfs none /tmp && cd /tmp && {script}");
        scratch.run(&format!("exec unshare -m --propagation private sh -c '{script}'"))
    };
    assert!(run("echo x >/dev/null && head -c 1 /dev/urandom >/dev/zero").success());
    assert!(run("mknod port c 1 4 && ! cat port").success());
    assert!(run("mknod kmsg c 1 11 && true <kmsg && ! true >kmsg").success());
    assert!(run("mknod loop b 7 0 && ! true <loop").success());
}

#[test]
fn limits_hold_where_there_are_controllers() {
    let limits = r#"{"pids": {"limit": 3}, "memory": {"limit": 16777216, "swap": 16777216},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0", "mems": "0"}}"#;
    let Some(mut scratch) = Scratch::plan("limits") else { return };
    let v1 = scratch.0.saved().version() != Version::V2;
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !v1 && !controllers.contains("memory") {
        let error = scratch.0.create(&resources_of(limits)).unwrap_err();
        assert_eq!(error.pointer(), Some("/linux/resources/memory/swap"), "{error}");
        assert!(error.to_string().contains("cgroup controller \"memory\" is not available"), "{error}");
        return;
    }
    scratch.0.create(&resources_of(limits)).unwrap();
    let expected = if v1 {
        [
            ("pids", "pids.max", "3"),
            ("memory", "memory.limit_in_bytes", "16777216"),
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "20000"),
            ("cpu", "cpu.cfs_period_us", "50000"),
            ("cpuset", "cpuset.cpus", "0"),
        ]
    } else {
        [
            ("", "pids.max", "3"),
            ("", "memory.max", "16777216"),
            ("", "memory.swap.max", "0"),
            ("", "cpu.weight", "59"),
            ("", "cpu.max", "20000 50000"),
            ("", "cpuset.cpus", "0"),
        ]
    };
    for (controller, file, expected) in expected {
        assert_eq!(scratch.file(controller, file).as_deref(), Some(expected), "{file}");
    }
    assert!(!scratch.run("sleep 1 & sleep 1 & sleep 1 & wait").success());
    assert!(!scratch.run("exec head -c 64m /dev/zero | tail >/dev/null").success());
}

#[test]
fn refused_limits_name_value_and_file() {
    for (resources, pointer, text) in [
        (r#"{"cpu": {"period": 5}}"#, "/linux/resources/cpu/period", "cpu"),
        (r#"{"cpu": {"cpus": "9999"}}"#, "/linux/resources/cpu/cpus", "cpuset"),
        (r#"{"memory": {"limit": 100, "swap": 50}}"#, "/linux/resources/memory/swap", "50 is less"),
    ] {
        let Some(mut scratch) = Scratch::plan("refused") else { return };
        let error = scratch.0.create(&resources_of(resources)).unwrap_err();
        assert_eq!(error.pointer(), Some(pointer), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn relative_paths_start_at_the_own_cgroup() {
    let Ok(layout) = Layout::detect() else { return eprintln!("skipped: no cgroups") };
    let table = fs::read_to_string("/proc/thread-self/cgroup").unwrap();
    let saved = cgroup::plan(&layout, Some("../x/./y"), "id").unwrap();
    for group in &saved.groups {
        let names = format!(":{}:", group.hierarchy.controllers.join(","));
        let own = table.lines().find_map(|line| line.split_once(&names)).unwrap().1;
        let own = Path::new(own);
        let base = if layout.version() == Version::V2 { own.parent().unwrap_or(own) } else { own };
        assert_eq!(Path::new("/").join(&group.path), base.join("x/y"));
    }
    assert!(cgroup::plan(&layout, None, "id").unwrap().groups.iter().all(|group| group.path.ends_with("id")));
}

/// Runs the tests again in a mount namespace of their own, where a command has changed what is mounted.
fn in_view(change: &str) {
    const MARK: &str = "CORTEN_CGROUP_TEST_IN_VIEW";
    let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists();
    if std::env::var_os(MARK).is_some() || !hybrid || !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: not on a hybrid host, or not root");
    }
    let script = format!("{change} && exec \"$0\"");
    let mut view = Command::new("unshare");
    view.args(["-m", "--propagation", "private", "sh", "-c", &script]);
    let output = view.arg(std::env::current_exe().unwrap()).env(MARK, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// As a host with the unified hierarchy alone sees it.
#[test]
fn v2_view() {
    in_view("mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup");
}

/// As a host without a unified hierarchy sees it.
#[test]
fn v1_view() {
    in_view("mount -t tmpfs none /sys/fs/cgroup/unified");
}

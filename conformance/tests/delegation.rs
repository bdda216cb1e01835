//! Cgroups of version 2 that their container manages itself: who owns them, and what is refused all the same.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use conformance::{Bundle, Container, Sandbox, View, corten_only, kernel, sandbox, skip};
use serde_json::json;

const FIRST: u32 = 100_000;

/// A bundle with a writable view of its cgroups, in a user namespace.
fn bundle(t: &Sandbox) -> Bundle {
    let mut bundle = t.bundle();
    let mapping = json!([{"containerID": 0, "hostID": FIRST, "size": 1000}]);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
    bundle.unmount("/sys/fs/cgroup").mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev"],
    );
    chown(bundle.rootfs(), Some(FIRST), Some(FIRST)).unwrap();
    bundle.args(["sleep", "1000"]);
    bundle
}

fn owner(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().uid()
}

/// The files that the kernel has for the owner of a delegated cgroup.
fn delegated() -> Vec<String> {
    let list = fs::read_to_string("/sys/kernel/cgroup/delegate");
    let list = list.unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads".into());
    list.lines().map(str::to_owned).collect()
}

#[test]
fn the_root_inside_owns_what_the_kernel_lists() {
    corten_only!(); // runc leaves that to systemd's driver
    let t = sandbox!(View::V2);
    let bundle = bundle(&t);
    let c = t.launch(&bundle);
    let dir = c.init().cgroup("").unwrap();
    let delegated = delegated();
    assert_eq!(owner(&dir), FIRST);
    for entry in fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let expected = if delegated.contains(&name) { FIRST } else { 0 };
        assert_eq!(owner(dir.join(&name)), expected, "{name}");
    }

    // A cgroup below the own one, for a process and its descendants.
    let script = "cd /sys/fs/cgroup && mkdir below && sleep 1000 & sleep 0.2; cd /sys/fs/cgroup && \
                  echo $! >below/cgroup.procs && cat below/cgroup.procs | wc -l && \
                  (echo 1 >cgroup.max.descendants) 2>&1; (echo 1 >cgroup.freeze) 2>&1; true";
    let shown = c.shell(script);
    assert_eq!(shown.matches("ermission denied").count(), 2, "{shown}");
    assert!(shown.starts_with("1\n"), "{shown}");
    assert_eq!(owner(dir.join("below")), FIRST);
    c.exec(["true"]).ok();
    c.call("pause").ok();
    c.call("resume").ok();
    c.force_delete();
    assert!(!dir.exists());
    t.assert_clean();
}

/// systemd makes the cgroup, and it is given away all the same.
#[test]
fn a_scope_has_the_same_owner() {
    let t = sandbox!();
    if !Path::new("/run/systemd/system").exists() || !View::host_is_v2() {
        skip!("this host does not run systemd with cgroup v2");
    }
    let (mut bundle, id) = (bundle(&t), t.id());
    bundle.set("/linux/cgroupsPath", format!("system.slice:ct:{id}")).write();
    let words = ["--systemd-cgroup", "run", "--detach", "--bundle"].map(OsStr::new);
    let output = t.runtime(words).args([bundle.dir().as_os_str(), id.as_ref()]).run();
    output.ok();
    let c = Container::new(&t, id, output);
    let dir = c.init().cgroup("").unwrap();
    for (file, expected) in [(".", FIRST), ("cgroup.procs", FIRST), ("memory.max", 0), ("pids.max", 0)] {
        assert_eq!(owner(dir.join(file)), expected, "{file}");
    }
    let made = c.shell(
        "mkdir /sys/fs/cgroup/below && echo 0 >/sys/fs/cgroup/below/cgroup.procs && cat /proc/self/cgroup",
    );
    assert_eq!(made, "0::/below\n");
    c.force_delete();
    assert!(!dir.exists());
    t.assert_clean();
}

/// Another user than root, and one that has no id outside.
#[test]
fn the_payloads_user_is_who_gets_it() {
    corten_only!();
    let t = sandbox!(View::V2);
    let mut bundle = bundle(&t);
    let owned_by = |bundle: &Bundle| {
        let c = t.launch(bundle);
        let dir = c.init().cgroup("").unwrap();
        let owners = (owner(&dir), owner(dir.join("cgroup.procs")));
        assert_eq!(owners.0, owners.1);
        c.force_delete();
        owners.0
    };
    bundle.set("/process/user", json!({"uid": 7, "gid": 7}));
    assert_eq!(owned_by(&bundle), FIRST + 7);
    bundle.set("/process/user", json!({"uid": 0, "gid": 0}));
    bundle.unmount("/sys/fs/cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
    assert_eq!(owned_by(&bundle), 0, "a view that cannot be written");
    t.assert_clean();
}

#[test]
fn one_that_was_there_stays_its_makers() {
    corten_only!(); // runc gives it away, and it stays so after the container
    let t = sandbox!(View::V2);
    let name = format!("corten-delegated-{}", std::process::id());
    let dir = kernel::hierarchy("").unwrap().join(&name);
    fs::create_dir(&dir).unwrap();
    let mut bundle = bundle(&t);
    let c = t.launch(bundle.set("/linux/cgroupsPath", format!("/{name}")));
    assert_eq!((owner(&dir), owner(dir.join("cgroup.procs"))), (0, 0));
    c.force_delete();
    fs::remove_dir(dir).unwrap();
    t.assert_clean();
}

/// Delegation is not safe in version 1.
#[test]
fn version_1_is_not_delegated() {
    let t = sandbox!();
    if View::host_is_v2() {
        skip!("this host has no cgroup v1");
    }
    let c = t.launch(&bundle(&t));
    for controller in ["", "pids", "memory", "cpu"] {
        if let Some(dir) = c.init().cgroup(controller) {
            assert_eq!(owner(&dir), 0, "{controller}");
        }
    }
}

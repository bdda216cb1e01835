//! Namespaces: new ones, the caller's, and joined ones; names and sysctls in them.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::process::{Command, Stdio};

use conformance::{
    Bundle, Container, Sandbox, View, corten_only, is_peer, kernel, sandbox, views, wait_until,
};
use nix::mount::{MntFlags, umount2};
use serde_json::json;

const KINDS: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
];

fn own() -> kernel::Process {
    kernel::Process(std::process::id())
}

views!(each_kind_is_new_or_the_callers);

fn each_kind_is_new_or_the_callers(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    for (_, link) in KINDS {
        assert_ne!(c.init().namespace(link), own().namespace(link), "{link} is new");
    }
    assert_eq!(c.init().namespace("user"), own().namespace("user"));
    drop(c);
    for (kind, link) in KINDS {
        if kind == "mount" {
            continue; // without it the root cannot be changed
        }
        let mut bundle = t.bundle();
        bundle.args(["sleep", "1000"]).without_namespace(kind);
        if kind == "uts" {
            bundle.remove("/hostname");
        }
        let c = t.launch(&bundle);
        assert_eq!(c.init().namespace(link), own().namespace(link), "{link} is the caller's");
        for (_, other) in KINDS.iter().filter(|(other, _)| *other != kind) {
            assert_ne!(c.init().namespace(other), own().namespace(other), "{other} is new without {kind}");
        }
    }
    t.assert_clean();
}

/// A container without a mount namespace of its own.
fn in_the_mount_namespace_of_others(t: &Sandbox) -> Bundle {
    let mut bundle = t.bundle();
    bundle.remove("/linux/maskedPaths").remove("/linux/readonlyPaths").without_namespace("mount");
    bundle.mount("/own", "tmpfs", "tmpfs", &[]).args(["sleep", "1000"]);
    fs::write(bundle.inside("seen"), "seen\n").unwrap();
    bundle
}

/// It has its own root all the same, and so has what is executed in it.
fn has_its_own_root(c: &Container<'_>, bundle: &Bundle) {
    assert_eq!(c.shell("cat /seen; cd /; stat -f -c %T ../../own"), "seen\ntmpfs\n");
    assert_eq!(c.init().link("root"), bundle.rootfs());
}

#[test]
fn without_a_mount_namespace_the_root_is_a_chroot() {
    let t = sandbox!();
    let bundle = in_the_mount_namespace_of_others(&t);
    let mounts = || kernel::read("/proc/self/mountinfo").matches(bundle.rootfs().to_str().unwrap()).count();
    let c = t.launch(&bundle);
    assert_eq!(c.init().namespace("mnt"), own().namespace("mnt"));
    if !is_peer() {
        has_its_own_root(&c, &bundle); // runc executes in the host's
    }
    assert_ne!(mounts(), 0);
    c.force_delete();
    if is_peer() {
        umount2(&bundle.rootfs(), MntFlags::MNT_DETACH).unwrap();
    }
    assert_eq!(mounts(), 0, "no mount is left");
}

#[test]
fn a_failed_create_without_a_mount_namespace_leaves_no_mount() {
    let t = sandbox!();
    corten_only!();
    let mut bundle = in_the_mount_namespace_of_others(&t);
    bundle.args(["/missing"]);
    t.create_fails(&bundle);
    assert!(!kernel::read("/proc/self/mountinfo").contains(bundle.rootfs().to_str().unwrap()));
}

#[test]
fn the_root_in_a_joined_mount_namespace_is_a_chroot() {
    let t = sandbox!();
    corten_only!(); // runc pivots the root of all that are in the namespace
    let mut other =
        Command::new("unshare").args(["--mount", "sleep", "10"]).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the mount namespace is new", || {
        kernel::Process(other.id()).namespace("mnt") != own().namespace("mnt")
    });
    let mut bundle = in_the_mount_namespace_of_others(&t);
    bundle.join_namespace("mount", &format!("/proc/{}/ns/mnt", other.id()));
    let c = t.launch(&bundle);
    assert_eq!(c.init().namespace("mnt"), kernel::Process(other.id()).namespace("mnt"));
    assert!(!kernel::read("/proc/self/mountinfo").contains(bundle.rootfs().to_str().unwrap()));
    has_its_own_root(&c, &bundle);
    assert_ne!(kernel::Process(other.id()).link("root"), bundle.rootfs(), "the others keep theirs");
    c.force_delete();
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn the_payload_is_the_first_process() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("echo $$; ls -d /proc/[0-9]* | wc -l; grep -c . /proc/net/dev; hostname");
    // ls and the shell; two lines of header and lo.
    let text = t.run(&bundle).ok();
    assert!(text.starts_with("1\n") && text.ends_with("3\ncorten\n"), "{text}");
}

#[test]
fn loopback_is_up_in_a_new_network_namespace() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    assert_eq!(t.run(bundle.args(["cat", "/sys/class/net/lo/flags"])).ok(), "0x9\n");
    bundle.script("echo hello | nc -l -p 7777 127.0.0.1 & sleep 0.1; nc 127.0.0.1 7777 </dev/null");
    assert_eq!(t.run(&bundle).ok(), "hello\n");
}

#[test]
fn the_network_is_the_containers_from_the_first_mount_on() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let bind =
        json!({"destination": "/mnt", "type": "bind", "source": "/proc/sys/net/ipv4", "options": ["bind"]});
    let mut mounts = bundle.config()["mounts"].as_array().unwrap().clone();
    mounts.insert(1, bind);
    bundle.set("/mounts", mounts).set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "77"}));
    bundle.script("cat /mnt/ip_unprivileged_port_start; ls /sys/class/net");
    assert_eq!(t.run(&bundle).ok(), "77\nlo\n");
    assert_ne!(kernel::read("/proc/sys/net/ipv4/ip_unprivileged_port_start"), "77");
}

#[test]
fn names_are_set() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/hostname", "a.longer-name").args(["cat", "/proc/sys/kernel/hostname"]);
    assert_eq!(t.run(&bundle).ok(), "a.longer-name\n");
    if !is_peer() {
        bundle.set("/domainname", "example.org").args(["cat", "/proc/sys/kernel/domainname"]);
        assert_eq!(t.run(&bundle).ok(), "example.org\n");
    }
    assert_ne!(kernel::read("/proc/sys/kernel/hostname"), "a.longer-name");
}

#[test]
fn a_name_needs_a_namespace_of_its_own() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let stderr = t.create_fails(bundle.without_namespace("uts"));
    assert!(stderr.to_lowercase().contains("uts"), "{stderr}");
}

views!(namespaces_are_joined_by_path);

fn namespaces_are_joined_by_path(view: View) {
    let t = sandbox!(view);
    let first = t.launch(t.bundle().args(["sleep", "1000"]));
    let path = |link: &str| format!("/proc/{}/ns/{link}", first.pid());
    for (kind, link) in KINDS {
        if kind == "mount" {
            continue;
        }
        if kind == "cgroup" && is_peer() {
            continue; // runc 1.1 cannot
        }
        let mut bundle = t.bundle();
        bundle.args(["sleep", "1000"]).join_namespace(kind, &path(link));
        if kind == "uts" {
            bundle.remove("/hostname");
        }
        let c = t.launch(&bundle);
        assert_eq!(c.init().namespace(link), first.init().namespace(link), "{kind} is joined");
        for (_, other) in KINDS.iter().filter(|(other, _)| *other != kind) {
            assert_ne!(
                c.init().namespace(other),
                first.init().namespace(other),
                "{other}, with {kind} joined"
            );
        }
        // The first container outlives it.
        c.force_delete();
        assert_eq!(first.status(), "running");
    }
}

#[test]
fn a_joined_pid_namespace_shows_its_processes() {
    let t = sandbox!();
    let first = t.launch(t.bundle().args(["sleep", "1234"]));
    let mut bundle = t.bundle();
    bundle.join_namespace("pid", &format!("/proc/{}/ns/pid", first.pid()));
    bundle.script("[ $$ -gt 1 ] && tr '\\0' ' ' </proc/1/cmdline");
    assert_eq!(t.run(&bundle).ok(), "sleep 1234 ");
    // Killed, it takes only itself along, but all of itself.
    let second = t.launch(bundle.script("sleep 1000 & echo ready; wait"));
    wait_until("the payload", || second.output().stdout() == "ready\n");
    if !is_peer() {
        let left = || t.runtime(["ps", "-f", "json", second.id()]).run().ok();
        second.kill("KILL");
        wait_until("the end of all its processes", || left() == "null\n");
    }
    second.force_delete();
    assert_eq!(first.status(), "running");
    assert_eq!(t.runtime(["ps", "-f", "json", first.id()]).run().ok(), format!("[{}]\n", first.pid()));
}

/// A process in new namespaces, made by `unshare` with these flags; it ends with the test.
struct Holder(kernel::Process);

impl Holder {
    fn new(t: &Sandbox, flags: &[&str]) -> Self {
        let flags = ["unshare", "--fork", "--kill-child"].iter().chain(flags);
        let unshare = t.command(flags).args(["sleep", "1000"]).spawn();
        let parent = unshare.pid().to_string();
        let child = || {
            let all = kernel::Process::all().into_iter();
            all.filter(|p| p.status("PPid") == parent).find(|p| p.file("cmdline").starts_with("sleep"))
        };
        wait_until("the namespaces", || child().is_some());
        Self(child().unwrap())
    }

    fn path(&self, link: &str) -> String {
        format!("/proc/{}/ns/{link}", self.0.0)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.signal(nix::sys::signal::Signal::SIGKILL);
    }
}

#[test]
fn a_user_namespace_is_joined_by_path() {
    corten_only!(); // runc 1.1 wants mappings all the same
    let t = sandbox!();
    let holder = Holder::new(&t, &["--user"]);
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", holder.0.0), "0 0 65536").unwrap();
    }
    let mut bundle = t.bundle();
    bundle.join_namespace("user", &holder.path("user"));
    bundle.script("readlink /proc/self/ns/user; cat /proc/self/uid_map; id -u");
    let text = t.run(&bundle).ok();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], holder.0.namespace("user"));
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["0", "0", "65536"]);
    assert_eq!(lines[2], "0");
    t.assert_clean();
}

/// As root of a joined user namespace nobody may enter what is the host's.
#[test]
fn namespaces_of_others_are_joined_beside_a_user_namespace() {
    corten_only!(); // since runc 1.2
    let t = sandbox!();
    let user = Holder::new(&t, &["--user"]);
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", user.0.0), "0 100000 65536").unwrap();
    }
    let others = Holder::new(&t, &["--net", "--uts", "--ipc"]);
    let mut bundle = t.bundle();
    bundle.join_namespace("user", &user.path("user")).set("/root/readonly", false);
    for (kind, link) in [("network", "net"), ("uts", "uts"), ("ipc", "ipc")] {
        bundle.join_namespace(kind, &others.path(link));
    }
    // What root of the user namespace has no right to.
    bundle.remove("/hostname").unmount("/sys").unmount("/sys/fs/cgroup").unmount("/dev/mqueue");
    bundle.args(["sleep", "1000"]);
    for name in ["", "dev", "proc", "sys"] {
        chown(bundle.inside(name), Some(100_000), Some(100_000)).unwrap();
    }
    let c = t.launch(&bundle);
    assert_eq!(c.init().namespace("user"), user.0.namespace("user"));
    assert_ne!(c.init().namespace("pid"), own().namespace("pid"));
    for link in ["net", "uts", "ipc"] {
        assert_eq!(c.init().namespace(link), others.0.namespace(link), "{link}");
    }
    assert_eq!(c.shell("readlink /proc/self/ns/net"), format!("{}\n", others.0.namespace("net")));
    c.force_delete();
    t.assert_clean();
}

#[test]
fn a_time_namespace_is_joined_by_path() {
    corten_only!(); // since runc 1.2
    let t = sandbox!();
    let holder = Holder::new(&t, &["--time", "--boottime", "1000000"]);
    let mut bundle = t.bundle();
    bundle.join_namespace("time", &holder.path("time"));
    bundle.script("readlink /proc/self/ns/time; cat /proc/uptime");
    let text = t.run(&bundle).ok();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), holder.0.namespace("time"));
    let seconds: f64 = lines.next().unwrap().split('.').next().unwrap().parse().unwrap();
    assert!(seconds > 1_000_000.0, "{text}");
}

/// The pid of a process that has ended.
fn ended() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn paths_that_are_no_namespaces() {
    let t = sandbox!();
    let pid = std::process::id();
    let link = t.path("link");
    symlink("/etc/passwd", &link).unwrap();
    for (kind, path) in [
        ("network", "/nosuch".to_owned()),
        ("network", "/etc/passwd".to_owned()),
        ("network", link.to_str().unwrap().to_owned()),
        ("network", format!("/proc/{pid}/ns/ipc")),
        ("pid", format!("/proc/{pid}/ns/net")),
        ("network", "relative".to_owned()),
        ("network", format!("/proc/{}/ns/net", ended())),
    ] {
        let mut bundle = t.bundle();
        bundle.args(["true"]).join_namespace(kind, &path);
        t.create_fails(&bundle);
        if !is_peer() {
            assert!(
                t.refused_at(&bundle).starts_with("/linux/namespaces/5"),
                "{path}: {}",
                t.refused_at(&bundle)
            );
        }
    }
}

#[test]
fn sysctls_are_set_in_their_namespace() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let host = kernel::read("/proc/sys/kernel/msgmax");
    bundle.set(
        "/linux/sysctl",
        json!({"net.ipv4.ip_default_ttl": "77", "kernel.msgmax": "4242", "fs.mqueue.msg_max": "11"}),
    );
    bundle.script("cd /proc/sys; cat net/ipv4/ip_default_ttl kernel/msgmax fs/mqueue/msg_max");
    assert_eq!(t.run(&bundle).ok(), "77\n4242\n11\n");
    bundle.set("/linux/sysctl", json!({"net/ipv4/ip_default_ttl": "78"}));
    bundle.args(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]);
    if !is_peer() {
        assert_eq!(t.run(&bundle).ok(), "78\n");
    }
    assert_eq!(kernel::read("/proc/sys/kernel/msgmax"), host);
}

#[test]
fn namespaces_named_twice_or_wrongly() {
    let t = sandbox!();
    for (namespace, pointer) in [
        (json!({"type": "pid"}), "/linux/namespaces/6"),
        (json!({"type": "sideways"}), "/linux/namespaces/6/type"),
        (json!({}), "/linux/namespaces/6"),
    ] {
        let mut bundle = t.bundle();
        bundle.push("/linux/namespaces", namespace.clone());
        let stderr = t.create_fails(&bundle);
        if !is_peer() {
            assert!(stderr.contains(pointer), "{namespace}: {stderr}");
        }
    }
}

//! Plans as init really runs them: as root, with a static busybox; where there is neither nothing is tried.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Uid, pipe};
use serde_json::{Value, json};

use super::tests::{options, plan_with, set};
use super::*;
use crate::cgroup::Layout;
use crate::host::Host;
use crate::launch::descriptors::Sources;
use crate::launch::{Payload, launch};
use crate::wire::{Order, Tag};

const BUSYBOX: &str = "/bin/busybox";

/// A directory that goes away with the test.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str) -> Option<Self> {
        if !Uid::effective().is_root() || !Path::new(BUSYBOX).exists() {
            eprintln!("skipped: needs root and {BUSYBOX}");
            return None;
        }
        let bundle = Self(std::env::temp_dir().join(format!("corten-plan-{name}-{}", std::process::id())));
        for dir in ["bin", "proc", "sys", "etc"] {
            fs::create_dir_all(bundle.0.join("rootfs").join(dir)).unwrap();
        }
        fs::copy(BUSYBOX, bundle.0.join("rootfs/bin/busybox")).unwrap();
        fs::write(bundle.0.join("rootfs/etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        Some(bundle)
    }

    /// A configuration that runs a script of busybox.
    fn config(&self, script: &str) -> Value {
        json!({
            "ociVersion": "1.3.0",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": ["busybox", "sh", "-c", script],
                "env": ["PATH=/bin"],
                "cwd": "/"
            },
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}
            ],
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
        })
    }

    fn options(&self) -> Options<'_> {
        Options { bundle: &self.0, gate: false, ..options(&[]) }
    }

    /// What the payload writes, or why there is none.
    fn run(&self, config: Value, options: &Options<'_>) -> Result<String, StepError> {
        let plan = plan_with(config, options).unwrap();
        let rootfs = File::open(self.0.join("rootfs")).unwrap();
        let hooks = File::options().append(true).create(true).open(self.0.join("hooks")).unwrap();
        let sources = Sources {
            rootfs: Some(rootfs.as_fd()),
            proc: Some(Host::get().unwrap().proc()),
            hook_output: Some(hooks.as_fd()),
            ..Sources::default()
        };
        run(&plan, &sources)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(plan: &Plan, sources: &Sources<'_>) -> Result<String, StepError> {
    let (mut output, writer) = pipe().map(|(output, writer)| (File::from(output), writer)).unwrap();
    let null = File::open("/dev/null").unwrap();
    let stdio = Some([null.as_fd(), writer.as_fd(), writer.as_fd()]);
    let child = launch(plan, sources, &Payload { stdio, inherit: &[] }).unwrap();
    drop(writer);
    let mut pidfd = child.pidfd;
    let mut failed = None;
    while let Some(message) = child.channel.receive().unwrap() {
        match message.report.tag {
            Tag::Reached => child.channel.send(Order::Proceed).unwrap(),
            Tag::Ready => child.channel.send(Order::Start).unwrap(),
            Tag::Child => {
                waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::__WALL).unwrap();
                pidfd = message.fd.unwrap();
                child.channel.send(Order::Proceed).unwrap();
            }
            Tag::Failed => failed = Some(plan.explain(&message.report)),
            Tag::Terminal | Tag::Accepted | Tag::Listener | Tag::Netlink | Tag::Tree => {}
            Tag::Tolerated | Tag::Attaching => {}
        }
    }
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::__WALL).unwrap();
    failed.map_or(Ok(text), Err)
}

#[test]
fn ordinary_containers_run() {
    let Some(bundle) = Bundle::new("ordinary") else { return };
    let script = "busybox hostname; busybox id -u; echo $HOME; echo $$; busybox pwd; busybox touch /x; \
        busybox ls /dev; busybox cat /proc/keys /proc/sys/net/ipv4/ip_forward; busybox ls /sys/firmware; \
        echo x > /proc/sys/kernel/domainname; busybox ip link show lo | busybox grep -o '<.*>'";
    let mut config = bundle.config(script);
    set(&mut config, "/hostname", json!("web"));
    set(&mut config, "/process/cwd", json!("/srv/www"));
    set(&mut config, "/root/readonly", json!(true));
    let namespaces = ["mount", "pid", "uts", "ipc", "network"].map(|kind| json!({"type": kind}));
    set(
        &mut config,
        "/linux",
        json!({
            "namespaces": namespaces,
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "maskedPaths": ["/proc/keys", "/sys/firmware", "/nothing"],
            "readonlyPaths": ["/proc/sys"]
        }),
    );
    let sys = json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]});
    config["mounts"].as_array_mut().unwrap().push(sys);
    let output = bundle.run(config, &bundle.options()).unwrap();
    let expected = "web\n0\n/root\n1\n/srv/www\ntouch: /x: Read-only file system\n\
        fd\nfull\nnull\nptmx\npts\nrandom\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n1\n\
        sh: can't create /proc/sys/kernel/domainname: Read-only file system\n\
        <LOOPBACK,UP,LOWER_UP>\n";
    let output = output.replace("core\n", "");
    assert_eq!(output, expected);
}

#[test]
fn mounts_are_what_their_options_say() {
    let Some(bundle) = Bundle::new("mounts") else { return };
    fs::create_dir_all(bundle.0.join("data/sub")).unwrap();
    fs::write(bundle.0.join("file"), "text\n").unwrap();
    let data = "mode=700,size=64k";
    let mounts = json!([
        {"destination": "/data", "source": "data", "options": ["rbind", "ro", "nosuid", "noatime", "rprivate"]},
        {"destination": "/etc/file", "source": "file", "options": ["bind", "nodev", "noexec"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "nosuid", data]},
        {"destination": "/tmp/below", "type": "tmpfs", "options": ["strictatime", "sync"]},
        {"destination": "/queue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"]},
        {"destination": "/again", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/again", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "ro"]},
        {"destination": "/once", "type": "tmpfs", "source": "tmpfs", "options": ["iversion", "noexec"]}
    ]);
    let script = "busybox cat /etc/file; busybox grep -E ' /(data|etc|tmp|queue|again|once)' /proc/mounts | \
        busybox cut -d' ' -f2-4";
    let mut config = bundle.config(script);
    let list = config["mounts"].as_array_mut().unwrap();
    list.extend(mounts.as_array().unwrap().iter().cloned());
    let output = bundle.run(config, &bundle.options()).unwrap();
    let rows: Vec<(&str, Vec<&str>)> = output
        .lines()
        .skip(1)
        .filter_map(|line| {
            let (target, rest) = line.split_once(' ')?;
            Some((target, rest.split_once(' ')?.1.split(',').collect()))
        })
        .collect();
    assert!(output.starts_with("text\n"), "{output}");
    let expected: [(&str, &[&str]); 7] = [
        ("/data", &["ro", "nosuid", "noatime"]),
        ("/etc/file", &["rw", "nodev", "noexec"]),
        ("/tmp", &["ro", "nosuid", "size=64k", "mode=700"]),
        ("/tmp/below", &["rw", "sync"]),
        ("/queue", &["rw", "nosuid"]),
        ("/again", &["ro"]),
        ("/once", &["rw", "noexec"]),
    ];
    for (target, words) in expected {
        let (_, found) =
            rows.iter().find(|(other, _)| *other == target).unwrap_or_else(|| panic!("{target}: {output}"));
        assert!(words.iter().all(|word| found.contains(word)), "{target}: {found:?}");
    }
}

/// A host of this thread's own, on which every mount is shared and the bundle lies on one of its own.
fn shared_host(bundle: &Bundle) {
    let (none, shared) = (None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC);
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
    mount(Some(&bundle.0), &bundle.0, none, MsFlags::MS_BIND, none).unwrap();
    mount(none, "/", none, shared, none).unwrap();
}

#[test]
fn the_root_has_the_propagation_asked_for_and_the_host_sees_nothing() {
    let Some(bundle) = Bundle::new("propagation") else { return };
    shared_host(&bundle);
    let rows = [
        (None, " - "),
        (Some("rslave"), "master:"),
        (Some("private"), " - "),
        (Some("unbindable"), "unbindable"),
        (Some("shared"), "shared:"),
        (Some("rshared"), "shared:"),
    ];
    for (word, expected) in rows {
        for no_pivot in [false, true] {
            let mut config = bundle.config("busybox grep ' / rw' /proc/self/mountinfo; busybox ls /");
            if let Some(word) = word {
                set(&mut config, "/linux/rootfsPropagation", json!(word));
            }
            let before = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            let output = bundle.run(config, &Options { no_pivot, ..bundle.options() }).unwrap();
            assert!(output.contains(expected), "{word:?}: {output}");
            for tie in ["shared:", "master:"] {
                assert_eq!(output.contains(tie), expected == tie, "{word:?}: {output}");
            }
            assert!(output.contains("bin\n"), "{word:?}: {output}");
            assert_eq!(fs::read_to_string("/proc/thread-self/mountinfo").unwrap(), before, "{word:?}");
        }
    }
    umount2(&bundle.0, MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn joined_namespaces_are_entered() {
    let Some(bundle) = Bundle::new("joined") else { return };
    let mut config = bundle.config("busybox readlink /proc/self/ns/net; echo $$");
    let namespaces = json!([
        {"type": "mount"},
        {"type": "network", "path": "/proc/self/ns/net"},
        {"type": "pid", "path": "/proc/self/ns/pid"}
    ]);
    set(&mut config, "/linux/namespaces", namespaces);
    let output = bundle.run(config, &bundle.options()).unwrap();
    let (namespace, pid) = output.trim_end().split_once('\n').unwrap();
    assert_eq!(Path::new(namespace), fs::read_link("/proc/self/ns/net").unwrap());
    assert_ne!(pid, "1");
}

#[test]
fn cgroups_are_shown_as_the_host_has_them() {
    let Some(bundle) = Bundle::new("cgroup") else { return };
    let layout = Layout::detect().unwrap();
    let groups: Vec<Group> = layout
        .hierarchies()
        .map(|hierarchy| Group { hierarchy: hierarchy.clone(), path: String::new(), made: 0 })
        .collect();
    for separate in [false, true] {
        let mut config = bundle.config("busybox ls /sys/fs/cgroup; busybox touch /sys/fs/cgroup/x");
        let list = config["mounts"].as_array_mut().unwrap();
        list.push(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}));
        list.push(
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}),
        );
        if separate {
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
        }
        let options =
            Options { cgroup: Cgroup { files: 0, moved: false, groups: &groups }, ..bundle.options() };
        let output = bundle.run(config, &options).unwrap();
        assert!(output.contains("Read-only file system"), "{output}");
        for group in groups.iter().filter(|group| !group.hierarchy.is_unified()) {
            for controller in &group.hierarchy.controllers {
                let name = controller.trim_start_matches("name=");
                assert!(output.lines().any(|line| line == name), "{name}: {output}");
            }
        }
    }
}

#[test]
fn hooks_run_in_their_places() {
    let Some(bundle) = Bundle::new("hooks") else { return };
    let mut config = bundle.config("echo payload; busybox cat /started");
    set(
        &mut config,
        "/hooks",
        json!({
            "createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat; echo; echo $A"], "env": ["A=1"]}],
            "startContainer": [{"path": "/bin/busybox", "args": ["busybox", "sh", "-c", "busybox cat > /started"]}]
        }),
    );
    let output = bundle.run(config, &bundle.options()).unwrap();
    let started: Value = serde_json::from_str(output.strip_prefix("payload\n").unwrap()).unwrap();
    assert_eq!((&started["pid"], &started["status"]), (&json!(1), &json!("created")));
    let created = fs::read_to_string(bundle.0.join("hooks")).unwrap();
    let (document, variable) = created.trim_end().split_once('\n').unwrap();
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!((&document["status"], variable), (&json!("creating"), "1"));

    let mut failing = bundle.config("echo payload");
    set(&mut failing, "/hooks", json!({"createContainer": [{"path": "/bin/false"}]}));
    let error = bundle.run(failing, &bundle.options()).unwrap_err();
    assert_eq!(error.message, "error running createContainer hook #0: exit status 1");
    assert_eq!(error.pointer.as_deref(), Some("/hooks/createContainer/0"));
}

#[test]
fn faults_have_their_words_and_their_pointer() {
    let Some(bundle) = Bundle::new("faults") else { return };
    fs::write(bundle.0.join("rootfs/plain"), "x").unwrap();
    let mount = |mount: Value| ("/mounts", json!([mount]));
    let rows = [
        (
            ("/process/args", json!(["nosuch"])),
            "/process/args/0",
            "exec: \"nosuch\": executable file not found in $PATH",
        ),
        (
            ("/process/args", json!(["/x"])),
            "/process/args/0",
            "exec: \"/x\": stat /x: no such file or directory",
        ),
        (("/process/args", json!(["/etc"])), "/process/args/0", "exec: \"/etc\": is a directory"),
        (("/process/args", json!(["/plain"])), "/process/args/0", "exec: \"/plain\": permission denied"),
        (
            ("/process/cwd", json!("/plain")),
            "/process/cwd",
            "chdir to cwd (\"/plain\") set in config.json failed: not a directory",
        ),
        (
            mount(json!({"destination": "/a", "source": "/nosuch", "options": ["bind"]})),
            "/mounts/0",
            "error mounting \"/nosuch\" to rootfs at \"/a\": open_tree: no such file or directory",
        ),
        (
            mount(json!({"destination": "/plain", "type": "tmpfs", "source": "tmpfs"})),
            "/mounts/0",
            "error mounting \"tmpfs\" to rootfs at \"/plain\": move_mount: not a directory",
        ),
        (
            mount(json!({"destination": "/a", "type": "nosuchfs"})),
            "/mounts/0",
            "error mounting \"nosuchfs\" to rootfs at \"/a\": fsopen: no such device",
        ),
    ];
    for ((pointer, value), origin, message) in rows {
        let mut config = bundle.config("");
        set(&mut config, pointer, value);
        let error = bundle.run(config, &bundle.options()).unwrap_err();
        assert_eq!(error.message, message);
        assert_eq!(error.pointer.as_deref(), Some(origin), "{error}");
    }
}

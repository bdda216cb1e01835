//! `features`: a container uses each thing that it lists, and what it does not list is refused.

use std::fs;
use std::path::Path;
use std::process;

use conformance::kernel::Process;
use conformance::{Bundle, Sandbox, corten_only, kernel, note_skip, sandbox, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::labels::{self, Profile};
use crate::{netdevices, seccomp};

fn features(t: &Sandbox) -> Value {
    serde_json::from_str(&t.bare(["features"]).run().ok()).unwrap()
}

/// The list at a JSON pointer of the document.
fn list(features: &Value, pointer: &str) -> Vec<String> {
    let list = features.pointer(pointer).and_then(Value::as_array);
    let list = list.unwrap_or_else(|| panic!("{pointer} is missing in {features}"));
    assert!(!list.is_empty(), "{pointer} is empty");
    list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The JSON pointers of what `check --strict` has to say about a bundle.
fn findings(t: &Sandbox, bundle: &Bundle) -> Vec<String> {
    bundle.write();
    let flags = ["check", "--strict", "--format", "json", "--bundle"].map(std::ffi::OsStr::new);
    let output = t.runtime(flags).args([bundle.dir()]).run();
    let findings: Vec<Value> = serde_json::from_str(output.stdout().as_str()).unwrap();
    findings.iter().map(|finding| finding["pointer"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn hooks() {
    corten_only!();
    let t = sandbox!();
    let kinds = list(&features(&t), "/hooks");
    let mut bundle = t.bundle();
    let log = bundle.inside("/log");
    for kind in &kinds {
        // One kind runs where the root is the container's.
        let log = if kind == "startContainer" { "/log" } else { log.to_str().unwrap() };
        let code = format!("echo {kind} >> {log}");
        bundle.push(&format!("/hooks/{kind}"), json!({"path": "/bin/sh", "args": ["sh", "-c", code]}));
    }
    bundle.args(["true"]).set("/root/readonly", false);
    t.run(&bundle).ok();
    let mut ran: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    let mut expected = kinds;
    ran.sort();
    expected.sort();
    assert_eq!(ran, expected);
    for other in ["ofTheFuture", "beforeStart", "create", "postCreate", "start", "preStop"] {
        assert!(!expected.iter().any(|kind| kind == other));
        let hook =
            json!({"path": "/bin/sh", "args": ["sh", "-c", format!("touch '{}'", t.path("ran").display())]});
        bundle.set("/hooks", json!({other: [hook]}));
        assert_eq!(findings(&t, &bundle), [format!("/hooks/{other}")]);
        t.run(&bundle).ok();
        assert!(!t.path("ran").exists(), "{other} hooks are not in the list, but run");
    }
}

#[test]
fn namespaces() {
    corten_only!();
    let t = sandbox!();
    let kinds = list(&features(&t), "/linux/namespaces");
    for kind in &kinds {
        let mut bundle = t.bundle();
        bundle.args(["sleep", "1000"]).without_namespace(kind);
        bundle.push("/linux/namespaces", json!({"type": kind}));
        if kind == "user" {
            let map = json!([{"containerID": 0, "hostID": 0, "size": 1000}]);
            bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        let c = t.launch(&bundle);
        let file = match kind.as_str() {
            "mount" => "mnt",
            "network" => "net",
            other => other,
        };
        assert_ne!(c.init().namespace(file), Process(process::id()).namespace(file), "{kind}");
    }
    // All that the kernel and other programs call them.
    let names =
        "cgroup ipc mount mnt net network pid pid_for_children time time_for_children user uts of_the_future";
    for other in names.split(' ').filter(|name| !kinds.iter().any(|kind| kind == name)) {
        let mut bundle = t.bundle();
        bundle.push("/linux/namespaces", json!({"type": other}));
        assert!(t.refused_at(&bundle).starts_with("/linux/namespaces"), "{other}");
    }
}

/// What one could take for an option: each attribute with each prefix, and the words of mount(8) and of other runtimes. No
/// filesystem has options of these names.
fn plausible_options() -> Vec<String> {
    let attributes = "suid dev exec atime diratime relatime strictatime symfollow sync async dirsync mand iversion lazytime acl \
        bind private shared slave unbindable ro rw copyup idmap";
    let words = "defaults remount loud silent quiet tmpcopyup copy-symlink src-nofollow dest-nofollow user nouser auto noauto \
        nofail _netdev rec bind-nonrecursive z Z U x-mount.mkdir of_the_future";
    let prefixed = attributes
        .split_whitespace()
        .flat_map(|word| ["", "no", "r", "rno"].map(|prefix| format!("{prefix}{word}")));
    prefixed.chain(words.split_whitespace().map(str::to_owned)).collect()
}

#[test]
fn options_of_mounts() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.mount("/run", "tmpfs", "tmpfs", &[]);
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let options = list(&features(&t), "/mountOptions");
    for (number, option) in options.iter().enumerate() {
        let target = format!("/run/{number}");
        match option.as_str() {
            // Only for what is mounted already, or elsewhere.
            "remount" => bundle.mount("/run", "tmpfs", "tmpfs", &["remount", "size=1m"]),
            "idmap" | "ridmap" => {
                let option = format!("{option}=uids=0-1000-1;gids=0-1000-1");
                bundle.mount(&target, "none", &source, &["bind", &option])
            }
            "bind" | "rbind" => bundle.mount(&target, "none", &source, &[option]),
            word if word.contains("nofollow") || word.contains("symlink") => {
                bundle.mount(&target, "none", &source, &["bind", word])
            }
            word => bundle.mount(&target, "tmpfs", "tmpfs", &[word]),
        };
    }
    bundle.args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    let mounted = kernel::read(format!("/proc/{}/mountinfo", c.pid()));
    let count = mounted.lines().filter(|line| line.contains(" /run/")).count();
    assert_eq!(count, options.len() - 1, "all but the remount:\n{mounted}");
    c.force_delete();

    let base = t.bundle();
    for other in plausible_options().iter().filter(|word| !options.contains(word)) {
        let mut bundle = t.share(&base);
        bundle.mount("/mnt", "tmpfs", "tmpfs", &[other]);
        assert_eq!(t.refused_at(&bundle), "/mounts/7", "{other} is taken, but not in the list");
    }
}

#[test]
fn capabilities() {
    corten_only!();
    let t = sandbox!();
    let names = list(&features(&t), "/linux/capabilities");
    let last: u32 = kernel::read("/proc/sys/kernel/cap_last_cap").trim().parse().unwrap();
    assert!(names.len() as u32 > last, "the kernel knows more");
    // In the kernel's order; the machine may not have all of them.
    let own = u64::from_str_radix(&Process(process::id()).status("CapBnd"), 16).unwrap();
    let had = names.iter().enumerate().filter(|(number, _)| own >> number & 1 == 1);
    let had: Vec<&str> = had.map(|(_, name)| name.as_str()).collect();
    let mut bundle = t.bundle();
    bundle.capabilities(&had).args(["grep", "CapEff", "/proc/self/status"]);
    let output = t.run(&bundle);
    assert_eq!(output.ok(), format!("CapEff:\t{own:016x}\n"));
    assert_eq!(output.stderr(), "", "none is unknown");
    for other in ["CAP_OF_THE_FUTURE", "CAP_ALL", "ALL", "0"] {
        bundle.capabilities(&[other]);
        let output = t.run(&bundle);
        assert_eq!(output.ok(), format!("CapEff:\t{:016x}\n", 0), "{other} is not in the list");
        assert!(output.stderr().contains(other), "{}", output.report());
    }
}

/// A list of the document, how a word of it gets into a bundle, where it stands there, and words that are in no list.
type Words = (&'static str, fn(&mut Bundle, &str), &'static str, &'static [&'static str]);

const FILTERS: [Words; 4] = [
    (
        "actions",
        |bundle, word| {
            bundle.set("/linux/seccomp/syscalls/0/action", word);
        },
        "/linux/seccomp/syscalls/0/action",
        &["SCMP_ACT_OF_THE_FUTURE", "SCMP_ACT_USER_NOTIF", "SCMP_ACT_DENY", "scmp_act_allow", "ALLOW"],
    ),
    (
        "operators",
        |bundle, word| {
            let arg = json!({"index": 0, "value": 1, "valueTwo": 1, "op": word});
            bundle.push("/linux/seccomp/syscalls/0/args", arg);
        },
        "/linux/seccomp/syscalls/0/args/0/op",
        &["SCMP_CMP_OF_THE_FUTURE", "SCMP_CMP_MASKED_NE", "SCMP_CMP_EQUAL", "EQ", "=="],
    ),
    (
        "archs",
        |bundle, word| {
            bundle.push("/linux/seccomp/architectures", json!(word));
        },
        "/linux/seccomp/architectures/0",
        &["SCMP_ARCH_OF_THE_FUTURE", "SCMP_ARCH_NATIVE", "SCMP_ARCH_RISCV32", "SCMP_ARCH_ALPHA", "x86_64"],
    ),
    (
        "supportedFlags",
        |bundle, word| {
            bundle.push("/linux/seccomp/flags", json!(word));
        },
        "/linux/seccomp/flags/0",
        &["SECCOMP_FILTER_FLAG_OF_THE_FUTURE", "SECCOMP_FILTER_FLAG_NEW_LISTENER", "LOG"],
    ),
];

#[test]
fn filters_of_system_calls() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    let of = |field: &str| list(&features, &format!("/linux/seccomp/{field}"));
    let known = of("knownFlags");
    assert!(of("supportedFlags").iter().all(|flag| known.contains(flag)));
    let (agent, path) = seccomp::agent(&t);
    let mut base = t.bundle();
    base.args(["grep", "Seccomp:", "/proc/self/status"]);
    base.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path}));
    base.set("/linux/seccomp/syscalls", json!([{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}]));
    for (field, put, ..) in FILTERS {
        for word in of(field) {
            let mut bundle = t.share(&base);
            put(&mut bundle, &word);
            assert_eq!(t.run(&bundle).ok(), "Seccomp:\t2\n", "{word}");
        }
    }
    agent.signal(Signal::SIGKILL);
    agent.wait();
    for (field, put, place, others) in FILTERS {
        for other in others {
            assert!(!of(field).iter().any(|word| word == other), "{other}");
            let mut bundle = t.share(&base);
            put(&mut bundle, other);
            assert_eq!(t.refused_at(&bundle), place, "{other} is not in the list");
        }
    }
}

#[test]
fn policies_of_memory() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    let modes = list(&features, "/linux/memoryPolicy/modes");
    let flags = list(&features, "/linux/memoryPolicy/flags");
    let has_policies = Path::new("/proc/self/numa_maps").exists();
    // Some have no nodes.
    let nodes =
        |mode: &str| if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode) { Value::Null } else { json!("0") };
    let policy = |mode: &str, flags: &[&str]| json!({"mode": mode, "nodes": nodes(mode), "flags": flags});
    let mut policies: Vec<Value> = modes.iter().map(|mode| policy(mode, &[])).collect();
    policies.extend(flags.iter().map(|flag| policy("MPOL_BIND", &[flag])));
    for policy in policies {
        let mut bundle = t.bundle();
        bundle.set("/linux/memoryPolicy", policy.clone()).args(["true"]);
        assert_eq!(findings(&t, &bundle), [""; 0], "{policy}");
        if has_policies {
            t.run(&bundle).ok();
        } else {
            assert_eq!(t.refused_at(&bundle), "/linux/memoryPolicy");
        }
    }
    for (other, place) in [
        (policy("MPOL_OF_THE_FUTURE", &[]), "/linux/memoryPolicy/mode"),
        (policy("BIND", &[]), "/linux/memoryPolicy/mode"),
        (policy("MPOL_BIND", &["MPOL_F_OF_THE_FUTURE"]), "/linux/memoryPolicy/flags/0"),
        (policy("MPOL_BIND", &["MPOL_F_NODE"]), "/linux/memoryPolicy/flags/0"),
    ] {
        let mut bundle = t.bundle();
        bundle.set("/linux/memoryPolicy", other.clone());
        assert_eq!(t.refused_at(&bundle), place, "{other}");
    }
    if !has_policies {
        skip!("this kernel has no policies of memory");
    }
}

/// A bundle that uses a thing that is enabled or not, and what its payload says then.
type Use = (&'static str, Bundle, &'static str);

/// What can be used on every machine, and what on this one; the rest is skipped with its reason.
fn uses(t: &Sandbox, profile: Option<&Profile>) -> Vec<Use> {
    let bundle = |pointer: &str, value: Value, script: &str| {
        let mut bundle = t.bundle();
        bundle.set(pointer, value).script(script);
        bundle
    };
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let mapped = json!({
        "destination": "/mapped", "source": t.dir(), "type": "bind", "options": ["bind"],
        "uidMappings": map, "gidMappings": map
    });
    let mut mapping = t.bundle();
    mapping.push("/mounts", mapped).set("/root/readonly", false).script("stat -c %u /mapped");
    let mut uses: Vec<Use> = vec![("mountExtensions/idmap/enabled", mapping, "1000\n")];
    match profile {
        Some(profile) => {
            let script = "touch /dev/shm/fine /dev/shm/denied 2>/dev/null; ls /dev/shm";
            uses.push((
                "apparmor/enabled",
                bundle("/process/apparmorProfile", json!(profile.name), script),
                "fine\n",
            ));
        }
        None => note_skip(labels::NO_APPARMOR),
    }
    if labels::enforces_selinux() {
        let script = "cat /proc/self/attr/current | tr -d '\\0'";
        uses.push((
            "selinux/enabled",
            bundle("/process/selinuxLabel", json!(labels::PROCESS), script),
            labels::PROCESS,
        ));
    } else {
        note_skip(labels::NO_SELINUX);
    }
    if kernel::mounts(&Process(process::id()).file("mountinfo")).iter().any(|mount| mount.kind == "resctrl") {
        uses.push((
            "intelRdt/monitoring",
            bundle("/linux/intelRdt", json!({"enableMonitoring": true}), "echo"),
            "\n",
        ));
    } else {
        note_skip("no resctrl is mounted");
    }
    uses
}

#[test]
fn what_is_enabled_is_used() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    let enabled = |feature: &str| features.pointer(&format!("/linux/{feature}")) == Some(&json!(true));
    let profile = Profile::denying(&t, &["/dev/shm/denied"]);
    for (feature, bundle, says) in uses(&t, profile.as_ref()) {
        let output = t.run(&bundle);
        assert_eq!((output.success(), output.stdout().as_str()), (enabled(feature), says), "{feature}");
    }
    let mut bundle = t.bundle();
    bundle.set("/linux/netDevices", json!({"ct0": {}})).script("ls /sys/class/net");
    match netdevices::with_interface(&t, t.on_bundle(["run"], &bundle, &t.id())) {
        Some(command) => assert_eq!(command.run().ok().contains("ct0"), enabled("netDevices/enabled")),
        None => note_skip(netdevices::NO_INTERFACES),
    }
    // The host may not have what these limit: then the file or the mount that is missing is named, and no unknown field.
    for (feature, pointer, value) in [
        ("apparmor/enabled", "/process/apparmorProfile", json!("unconfined")),
        ("selinux/enabled", "/process/selinuxLabel", json!("a:b:c:s0")),
        ("intelRdt/enabled", "/linux/intelRdt/closID", json!("one")),
        ("intelRdt/schemata", "/linux/intelRdt/schemata", json!(["L3:0=f"])),
        ("intelRdt/monitoring", "/linux/intelRdt/enableMonitoring", json!(true)),
        ("cgroup/rdma", "/linux/resources/rdma", json!({"mlx5": {"hcaHandles": 1}})),
    ] {
        let mut bundle = t.bundle();
        bundle.set(pointer, value);
        assert_eq!(findings(&t, &bundle).is_empty(), enabled(feature), "{feature}");
    }
    t.assert_clean();
}

#[test]
fn annotations_with_an_effect() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    for prefix in ["run.oci.", "org.systemd.property."] {
        let annotations = list(&features, "/potentiallyUnsafeConfigAnnotations");
        assert!(annotations.iter().any(|name| name == prefix), "{prefix}: {annotations:?}");
    }
}

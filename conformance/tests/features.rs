//! `features`: a container uses each thing that it lists, and what it does not list is refused.

use std::fs;
use std::process;

use conformance::kernel::Process;
use conformance::{Bundle, Sandbox, corten_only, kernel, sandbox};
use serde_json::{Value, json};

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

/// Each listed word is one that the check knows where it stands in a config, and no other is.
fn is_judged_by(t: &Sandbox, words: &[String], place: &str, put: impl Fn(&mut Bundle, &str)) {
    for (word, known) in words.iter().map(|word| (word.as_str(), true)).chain([("OF_THE_FUTURE", false)]) {
        let mut bundle = t.bundle();
        put(&mut bundle, word);
        let findings = findings(t, &bundle);
        assert_eq!(!findings.iter().any(|pointer| pointer == place), known, "{word}: {findings:?}");
    }
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
    bundle.set("/hooks", json!({"ofTheFuture": []}));
    assert_eq!(findings(&t, &bundle), ["/hooks/ofTheFuture"]);
}

#[test]
fn namespaces() {
    corten_only!();
    let t = sandbox!();
    for kind in list(&features(&t), "/linux/namespaces") {
        let mut bundle = t.bundle();
        bundle.args(["sleep", "1000"]).without_namespace(&kind);
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
    let mut bundle = t.bundle();
    bundle.push("/linux/namespaces", json!({"type": "of_the_future"}));
    assert!(t.refused_at(&bundle).starts_with("/linux/namespaces"));
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

    let mut bundle = t.bundle();
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["of_the_future"]);
    assert_eq!(t.refused_at(&bundle), "/mounts/7");
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
}

#[test]
fn filters_of_system_calls() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    let rule = |action: &str| json!([{"names": ["acct"], "action": action}]);
    let allow = |syscalls: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls});
    let of = |field: &str| list(&features, &format!("/linux/seccomp/{field}"));
    is_judged_by(&t, &of("actions"), "/linux/seccomp/syscalls/0/action", |bundle, word| {
        bundle.set("/linux/seccomp", allow(rule(word)));
        bundle.set("/linux/seccomp/listenerPath", "/run/agent");
    });
    is_judged_by(&t, &of("operators"), "/linux/seccomp/syscalls/0/args/0/op", |bundle, word| {
        bundle.set("/linux/seccomp", allow(rule("SCMP_ACT_ERRNO")));
        bundle.push(
            "/linux/seccomp/syscalls/0/args",
            json!({"index": 0, "value": 1, "valueTwo": 1, "op": word}),
        );
    });
    is_judged_by(&t, &of("archs"), "/linux/seccomp/architectures/0", |bundle, word| {
        bundle.set("/linux/seccomp", allow(rule("SCMP_ACT_ERRNO")));
        bundle.push("/linux/seccomp/architectures", json!(word));
    });
    let known = of("knownFlags");
    is_judged_by(&t, &known, "/linux/seccomp/flags/0", |bundle, word| {
        bundle.set("/linux/seccomp", allow(rule("SCMP_ACT_NOTIFY")));
        bundle.set("/linux/seccomp/listenerPath", "/run/agent").push("/linux/seccomp/flags", json!(word));
    });
    assert!(of("supportedFlags").iter().all(|flag| known.contains(flag)));
}

#[test]
fn policies_of_memory() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0"});
    is_judged_by(
        &t,
        &list(&features, "/linux/memoryPolicy/modes"),
        "/linux/memoryPolicy/mode",
        |bundle, word| {
            bundle.set("/linux/memoryPolicy", policy.clone()).set("/linux/memoryPolicy/mode", word);
        },
    );
    is_judged_by(
        &t,
        &list(&features, "/linux/memoryPolicy/flags"),
        "/linux/memoryPolicy/flags/0",
        |bundle, word| {
            bundle.set("/linux/memoryPolicy", policy.clone()).push("/linux/memoryPolicy/flags", json!(word));
        },
    );
}

#[test]
fn what_is_enabled_is_known() {
    corten_only!();
    let t = sandbox!();
    let features = features(&t);
    let maps = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let bind = json!({"destination": "/x", "source": "/", "options": ["bind"], "uidMappings": maps, "gidMappings": maps});
    for (feature, pointer, value) in [
        ("apparmor/enabled", "/process/apparmorProfile", json!("unconfined")),
        ("selinux/enabled", "/process/selinuxLabel", json!("a:b:c:s0")),
        ("intelRdt/enabled", "/linux/intelRdt/closID", json!("one")),
        ("intelRdt/schemata", "/linux/intelRdt/schemata", json!(["L3:0=f"])),
        ("intelRdt/monitoring", "/linux/intelRdt/enableMonitoring", json!(true)),
        ("mountExtensions/idmap/enabled", "/mounts/0", bind),
        ("netDevices/enabled", "/linux/netDevices", json!({"eth0": {}})),
        ("cgroup/rdma", "/linux/resources/rdma", json!({"mlx5": {"hcaHandles": 1}})),
    ] {
        assert_eq!(features.pointer(&format!("/linux/{feature}")), Some(&json!(true)), "{feature}");
        let mut bundle = t.bundle();
        bundle.set(pointer, value);
        assert_eq!(findings(&t, &bundle), [""; 0], "{feature}");
    }
    for prefix in ["run.oci.", "org.systemd.property."] {
        let annotations = list(&features, "/potentiallyUnsafeConfigAnnotations");
        assert!(annotations.iter().any(|name| name == prefix), "{prefix}: {annotations:?}");
    }
}

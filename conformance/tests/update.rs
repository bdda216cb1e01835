//! `update`: limits of a container that exists, shown by their effect.

use std::fs;

use conformance::{Container, Sandbox, View, corten_only, is_peer, kernel, sandbox, skip, views, wait_until};
use serde_json::json;

/// A running container with limits to change.
fn limited(t: &Sandbox) -> Container<'_> {
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    bundle.set(
        "/linux/resources/memory",
        json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}),
    );
    bundle.set("/linux/resources/cpu", json!({"shares": 512, "quota": 50_000, "period": 100_000}));
    bundle.set("/linux/resources/pids/limit", 50);
    t.launch(&bundle)
}

/// Whether the limits of [`limited`] can be set in a view.
fn has_controllers(view: View) -> bool {
    let wanted = ["memory", "cpu", "cpuset", "pids"];
    if view.is_v2() {
        let list = kernel::read(kernel::hierarchy("").unwrap().join("cgroup.controllers"));
        return wanted.iter().all(|name| list.split_whitespace().any(|other| other == *name));
    }
    wanted.iter().all(|name| kernel::hierarchy(name).is_some())
}

macro_rules! needs_controllers {
    ($view:expr) => {
        if !has_controllers($view) {
            skip!("not all controllers are in this view");
        }
    };
}

fn update(c: &Container<'_>, t: &Sandbox, flags: &[&str]) -> conformance::Output {
    t.runtime(["update"]).args(flags).args([c.id()]).run()
}

/// The limits that the kernel shows: memory, memory and swap together, shares or weight, quota, period, processes, CPUs.
fn limits(t: &Sandbox, c: &Container<'_>) -> Vec<String> {
    let v1 = [
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.memsw.limit_in_bytes"),
        ("memory", "memory.soft_limit_in_bytes"),
        ("cpu", "cpu.shares"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.cfs_period_us"),
        ("pids", "pids.max"),
        ("cpuset", "cpuset.cpus"),
    ];
    let v2 =
        ["memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "pids.max", "cpuset.cpus"];
    let read = |(controller, name): (&str, &str)| {
        fs::read_to_string(c.init().cgroup(controller).unwrap().join(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    if t.view().is_v2() { v2.map(|name| ("", name)).map(read).to_vec() } else { v1.map(read).to_vec() }
}

views!(
    limits_take_effect,
    what_is_not_named_stays,
    a_failure_restores_what_was,
    devices_are_left_alone,
    in_every_status,
    from_a_document,
);

fn limits_take_effect(view: View) {
    let t = sandbox!(view);
    needs_controllers!(view);
    let c = limited(&t);
    let full = |script: &str| c.exec(["sh", "-c", script]);
    update(&c, &t, &["--memory", "16m", "--memory-swap", "16m"]).ok();
    assert_eq!(full("tail /dev/zero; echo status $?").ok(), "status 137\n");
    update(&c, &t, &["--pids-limit", "4"]).ok();
    let output = full("for i in 1 2 3 4 5; do sleep 5 & done");
    assert!(output.stderr().contains("fork"), "{}", output.report());
    update(&c, &t, &["--pids-limit", "-1", "--memory", "-1"]).ok();
    assert!(full("for i in $(seq 60); do sleep 0.2 & done; wait; echo fine").ok().contains("fine"));

    update(&c, &t, &["--cpuset-cpus", "0"]).ok();
    assert_eq!(c.init().status("Cpus_allowed_list"), "0");
    update(&c, &t, &["--cpu-quota", "2000", "--cpu-period", "50000"]).ok();
    c.exec_with(["--detach"], ["sh", "-c", "while :; do :; done"]).run().ok();
    wait_until("throttling", || {
        let dir = c.init().cgroup(if view.is_v2() { "" } else { "cpu" }).unwrap();
        let text = kernel::read(dir.join("cpu.stat"));
        text.lines().any(|line| line.strip_prefix("nr_throttled ").is_some_and(|n| n != "0"))
    });
    c.force_delete();
    t.assert_clean();
}

fn what_is_not_named_stays(view: View) {
    let t = sandbox!(view);
    needs_controllers!(view);
    let c = limited(&t);
    let mut expected = limits(&t, &c);
    let mib = |n: u64| (n << 20).to_string();
    let mut change = |flags: &[&str], v1: &[(usize, String)], v2: &[(usize, String)]| {
        update(&c, &t, flags).ok();
        for (index, value) in if view.is_v2() { v2 } else { v1 } {
            expected[*index].clone_from(value);
        }
        assert_eq!(limits(&t, &c), expected, "{flags:?}");
    };
    change(&["--memory", "80m"], &[(0, mib(80))], &[(0, mib(80)), (1, mib(16))]);
    change(&["--memory-swap", "128m"], &[(1, mib(128))], &[(1, mib(48))]);
    change(&["--cpu-quota", "60000"], &[(4, "60000".into())], &[(4, "60000 100000".into())]);
    change(&["--cpu-period", "200000"], &[(5, "200000".into())], &[(4, "60000 200000".into())]);
    change(&["--cpu-share", "1024"], &[(3, "1024".into())], &[(3, "100".into())]);
    change(&["--pids-limit", "30"], &[(6, "30".into())], &[(5, "30".into())]);
    change(&["--memory-reservation", "8m"], &[(2, mib(8))], &[(2, mib(8))]);
    change(&[], &[], &[]);
    change(&["--cpu-quota", "-1"], &[(4, "-1".into())], &[(4, "max 200000".into())]);
}

fn a_failure_restores_what_was(view: View) {
    let t = sandbox!(view);
    needs_controllers!(view);
    let c = limited(&t);
    let before = limits(&t, &c);
    let flags = ["--memory", "48m", "--memory-swap", "48m", "--cpu-share", "99", "--cpuset-cpus", "4000"];
    let stderr = update(&c, &t, &flags).fails(1);
    assert!(stderr.contains("cpuset.cpus"), "{stderr}");
    assert_eq!(limits(&t, &c), before);
    // Whatever is saved has not followed either: the swap of before goes with a new limit.
    update(&c, &t, &["--memory", "65m"]).ok();
    let swap = if view.is_v2() { 31 << 20 } else { 96 << 20 };
    assert_eq!(limits(&t, &c)[1], swap.to_string());

    corten_only!();
    let stderr = update(&c, &t, &["--memory", "128m"]).fails(1);
    assert!(stderr.contains("less than the memory limit"), "{stderr}");
    let used =
        json!({"memory": {"limit": 4096, "swap": 4096, "checkBeforeUpdate": true}, "pids": {"limit": 3}});
    let before = limits(&t, &c);
    let file = t.path("used.json");
    fs::write(&file, used.to_string()).unwrap();
    update(&c, &t, &["--resources", file.to_str().unwrap()]).fails(1);
    assert_eq!(limits(&t, &c), before);
    assert_eq!(c.status(), "running");
}

fn devices_are_left_alone(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.capabilities(&["CAP_SYSLOG", "CAP_SYS_ADMIN"]);
    let allow = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"});
    bundle.push("/linux/resources/devices", allow);
    bundle.push(
        "/linux/devices",
        json!({"path": "/dev/k", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}),
    );
    bundle.args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    let look = || c.shell("(: </dev/k) 2>/dev/null && echo r; (: >/dev/k) 2>/dev/null && echo w; true");
    assert_eq!(look(), "r\n");
    let file = t.path("devices.json");
    fs::write(
        &file,
        json!({"devices": [{"allow": true, "access": "rwm"}], "hugepageLimits": []}).to_string(),
    )
    .unwrap();
    update(&c, &t, &["-r", file.to_str().unwrap()]).ok();
    assert_eq!(look(), "r\n");
}

fn in_every_status(view: View) {
    let t = sandbox!(view);
    needs_controllers!(view);
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(["sleep", "1000"]));
    let pids = |c: &Container<'_>| {
        let dir = c.init().cgroup(if view.is_v2() { "" } else { "pids" }).unwrap();
        kernel::read(dir.join("pids.max"))
    };
    update(&c, &t, &["--pids-limit", "31"]).ok();
    assert_eq!((pids(&c), c.status()), ("31".into(), "created".into()));
    c.start();
    c.call("pause").ok();
    update(&c, &t, &["--pids-limit", "32"]).ok();
    assert_eq!((pids(&c), c.status()), ("32".into(), "paused".into()));
    c.call("resume").ok();
    c.kill("KILL");
    c.wait_for("stopped");
    let stderr = update(&c, &t, &["--pids-limit", "33"]).fails(1);
    assert!(stderr.contains("container not running"), "{stderr}");
    let stderr = t.runtime(["update", "--pids-limit", "1", &t.id()]).run().fails(1);
    assert!(stderr.contains("does not exist"), "{stderr}");
}

fn from_a_document(view: View) {
    let t = sandbox!(view);
    needs_controllers!(view);
    let c = limited(&t);
    let before = limits(&t, &c);
    // As engines write it: zeros and empty strings are no limits, unknown keys mean nothing, flags do not count.
    let document = json!({
        "memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0, "kernelTCP": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
        "blockIO": {"weight": 0}, "pids": {"limit": 77}, "future": 1
    });
    let given = document.to_string();
    let output = t.runtime(["update", "--cpu-share", "7", "-r", "-", c.id()]).input(given).run();
    output.ok();
    let mut expected = before;
    *expected.iter_mut().find(|value| *value == "50").unwrap() = "77".into();
    assert_eq!(limits(&t, &c), expected);

    // A key means its field in any case, as it does to readers written in Go.
    let given = json!({"CPU": {"Cpus": "0", "QUOTA": 40_000}, "Pids": {"limit": 78}}).to_string();
    t.runtime(["update", "--resources", "-", c.id()]).input(given).run().ok();
    let group = |controller| c.init().cgroup(if view.is_v2() { "" } else { controller }).unwrap();
    let (quota, text) =
        if view.is_v2() { ("cpu.max", "40000 100000") } else { ("cpu.cfs_quota_us", "40000") };
    assert_eq!(kernel::read(group("cpu").join(quota)), text);
    assert_eq!(kernel::read(group("cpuset").join("cpuset.cpus")), "0");
    assert_eq!(kernel::read(group("pids").join("pids.max")), "78");
}

#[test]
fn bad_values() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    for (flags, text) in [
        (["--memory", "x"], "invalid value for memory: invalid size: 'x'"),
        (["--cpu-share", "x"], "invalid value for cpu-share"),
        (["--resources", "/nosuch"], "no such file or directory"),
    ] {
        let stderr = update(&c, &t, &flags).fails(1);
        assert!(stderr.contains(text), "{flags:?}: {stderr}");
    }
    if is_peer() {
        return;
    }
    let file = t.path("bad.json");
    for (document, text) in [
        ("{", "EOF"),
        (r#"{"memory": {"limit": "5"}}"#, "/memory/limit"),
        (r#"{"memory": {"limit": -5}}"#, "/linux/resources/memory/limit"),
        (r#"{"unified": {"memory": "5"}}"#, "/linux/resources/unified/memory"),
    ] {
        fs::write(&file, document).unwrap();
        let stderr = update(&c, &t, &["-r", file.to_str().unwrap()]).fails(1);
        assert!(stderr.contains(text), "{document}: {stderr}");
    }
    for (flags, text) in [
        (["--l3-cache-schema", "MB:0=10"], "/linux/intelRdt/l3CacheSchema"),
        (["--mem-bw-schema", "L3:0=f"], "/linux/intelRdt/memBwSchema"),
    ] {
        let stderr = update(&c, &t, &flags).fails(1);
        assert!(stderr.contains(text), "{flags:?}: {stderr}");
    }
    if !kernel::mounts(&kernel::Process(std::process::id()).file("mountinfo"))
        .iter()
        .any(|mount| mount.kind == "resctrl")
    {
        let stderr = update(&c, &t, &["--l3-cache-schema", "L3:0=f"]).fails(1);
        assert!(stderr.contains("no resctrl file system is mounted"), "{stderr}");
    }
}

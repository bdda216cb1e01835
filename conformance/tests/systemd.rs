//! The systemd cgroup driver. What needs a running systemd is tested in the virtual machine alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use conformance::{Bundle, Container, Sandbox, View, corten_only, kernel, sandbox, skip, tool, wait_until};
use serde_json::json;

/// Ends the test where there is no systemd.
macro_rules! needs_systemd {
    () => {
        if !Path::new("/run/systemd/system").exists() {
            skip!("this host does not run systemd");
        }
    };
}

/// A bundle whose scope is `ct-NAME.scope` in a slice of its own.
fn bundle(t: &Sandbox, name: &str) -> Bundle {
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/cgroupsPath", format!("cttest-deep.slice:ct:{name}"));
    bundle
}

fn launch<'a>(t: &'a Sandbox, bundle: &Bundle) -> Container<'a> {
    bundle.write();
    let id = t.id();
    let words = ["--systemd-cgroup", "run", "--detach", "--bundle"].map(std::ffi::OsStr::new);
    let output = t.runtime(words).args([bundle.dir().as_os_str(), id.as_ref()]).run();
    output.ok();
    Container::new(t, id, output)
}

/// A property of a unit, as systemd shows it.
fn property(t: &Sandbox, unit: &str, name: &str) -> String {
    let shown = t.command([tool("systemctl").unwrap()]).args(["show", "--value", "-p", name, unit]).run();
    shown.ok().trim().to_owned()
}

#[test]
fn a_scope_with_its_limits() {
    let t = sandbox!();
    needs_systemd!();
    if !View::host_is_v2() {
        skip!("this host has cgroup v1");
    }
    let name = t.id();
    let unit = format!("ct-{name}.scope");
    let mut bundle = bundle(&t, &name);
    bundle.set(
        "/linux/resources/memory",
        json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}),
    );
    bundle
        .set("/linux/resources/cpu", json!({"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"}));
    bundle.set("/linux/resources/pids/limit", 50);
    bundle.set("/annotations", json!({"org.systemd.property.TimeoutStopUSec": "uint64 7000000"}));
    let node = json!({"path": "/dev/forbidden", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
    bundle.push("/linux/devices", node);
    let c = launch(&t, &bundle);
    let dir = c.init().cgroup("").unwrap();
    assert!(dir.ends_with(format!("cttest.slice/cttest-deep.slice/{unit}")), "{}", dir.display());
    for (file, value) in [
        ("memory.max", (64 << 20).to_string()),
        ("memory.low", (32 << 20).to_string()),
        ("memory.swap.max", (32 << 20).to_string()),
        ("cpu.max", "50000 100000".into()),
        ("pids.max", "50".into()),
        ("cpuset.cpus", "0".into()),
        ("cgroup.procs", c.pid().to_string()),
    ] {
        assert_eq!(kernel::read(dir.join(file)), value, "{file}");
    }
    for (name, value) in [
        ("MemoryMax", (64 << 20).to_string()),
        ("MemorySwapMax", (32 << 20).to_string()),
        ("CPUQuotaPerSecUSec", "500ms".into()),
        ("TasksMax", "50".into()),
        ("AllowedCPUs", "0".into()),
        ("TimeoutStopUSec", "7s".into()),
        ("Delegate", "yes".into()),
    ] {
        assert_eq!(property(&t, &unit, name), value, "{name}");
    }
    c.exec(["true"]).ok();
    // Inside, the cgroup is the root: init took its cgroup namespace after it was moved.
    assert_eq!(c.shell("cat /proc/self/cgroup"), "0::/\n");

    // Limits that are more than what files say.
    let slow = Duration::from_secs(180);
    let killed = c.exec_with([], ["sh", "-c", "tail /dev/zero; echo status $?"]).limit(slow).run();
    assert_eq!(killed.ok(), "status 137\n");
    c.shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let stat = kernel::read(dir.join("cpu.stat"));
    assert!(stat.lines().any(|line| line.starts_with("nr_throttled ") && !line.ends_with(" 0")), "{stat}");
    let output = c.exec(["sh", "-c", ": </dev/forbidden"]);
    assert!(output.stderr().contains("Operation not permitted"), "{}", output.report());

    t.runtime(["update", "--memory", "80m", "--pids-limit", "30", c.id()]).run().ok();
    t.command([tool("systemctl").unwrap()]).args(["daemon-reload"]).run().ok();
    assert_eq!(kernel::read(dir.join("memory.max")), (80 << 20).to_string());
    assert_eq!(kernel::read(dir.join("memory.swap.max")), (16 << 20).to_string());
    assert_eq!(property(&t, &unit, "TasksMax"), "30");
    assert_eq!(c.shell("(: </dev/zero) && echo read"), "read\n", "devices are as before");
    // The last one, since nobody reaps its processes.
    let output = c.exec(["sh", "-c", "for i in $(seq 35); do sleep 2 & done 2>&1; true"]);
    assert!((output.stdout() + &output.stderr()).contains("fork"), "{}", output.report());
    c.call("pause").ok();
    assert_eq!(c.status(), "paused");

    // Without --systemd-cgroup, as engines do.
    c.force_delete();
    assert!(!dir.exists());
    assert_eq!(property(&t, &unit, "LoadState"), "not-found");
    t.assert_clean();
}

/// systemd writes to the files of a scope that changes, a moment after it has answered, and has its own idea of them.
#[test]
fn limits_that_systemd_does_not_know_survive_an_update() {
    let t = sandbox!();
    needs_systemd!();
    if !View::host_is_v2() {
        skip!("systemd has other files in version 1");
    }
    let name = t.id();
    let c = launch(&t, &bundle(&t, &name));
    let limit = c.init().cgroup("").unwrap().join("cpu.max");
    for period in [50_000, 90_000, 60_000, 80_000] {
        t.runtime(["update", "--cpu-period", &period.to_string(), c.id()]).run().ok();
        // It writes to the files of its units before it turns to another question.
        property(&t, &format!("ct-{name}.scope"), "CPUQuotaPeriodUSec");
        assert_eq!(kernel::read(&limit), format!("max {period}"));
    }
    c.force_delete();
    t.assert_clean();
}

/// The kernel refuses a weight that comes after: it is left out, with a warning.
#[test]
fn an_idle_scope_has_no_weight() {
    let t = sandbox!();
    needs_systemd!();
    corten_only!(); // the kernel refuses the weight that runc writes
    if !View::host_is_v2() {
        skip!("this host has cgroup v1");
    }
    for (pointer, limits) in [
        ("/linux/resources/cpu", json!({"idle": 1, "shares": 512})),
        ("/linux/resources/unified", json!({"cpu.idle": "1", "cpu.weight": "50"})),
    ] {
        let mut bundle = bundle(&t, &t.id());
        bundle.set(pointer, limits);
        let c = launch(&t, &bundle);
        assert_eq!(kernel::read(c.init().cgroup("").unwrap().join("cpu.idle")), "1", "{pointer}");
        c.force_delete();
    }
    t.assert_clean();
}

/// systemd has a part of the hierarchies of version 1, and removes what it finds empty in the others.
#[test]
fn a_scope_of_version_1() {
    let t = sandbox!();
    needs_systemd!();
    if View::host_is_v2() {
        skip!("this host has no cgroup v1");
    }
    let name = t.id();
    let unit = format!("ct-{name}.scope");
    let mut bundle = bundle(&t, &name);
    bundle.set("/linux/resources/cpu", json!({"shares": 512, "quota": 50_000, "period": 100_000}));
    bundle.set("/linux/resources/pids/limit", 20);
    let c = launch(&t, &bundle);
    let mut dirs = Vec::new();
    for controller in ["", "name=systemd", "pids", "cpu", "devices", "freezer", "blkio"] {
        let Some(dir) = c.init().cgroup(controller) else { continue };
        assert!(dir.ends_with(format!("cttest.slice/cttest-deep.slice/{unit}")), "{}", dir.display());
        dirs.push(dir);
    }
    let read = |controller: &str, file: &str| kernel::read(c.init().cgroup(controller).unwrap().join(file));
    assert_eq!(read("cpu", "cpu.shares"), "512");
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "50000");
    for (name, value) in
        [("CPUShares", "512"), ("CPUQuotaPerSecUSec", "500ms"), ("TasksMax", "20"), ("Delegate", "yes")]
    {
        assert_eq!(property(&t, &unit, name), value, "{name}");
    }
    let refused = |c: &Container<'_>| {
        let output = c.exec(["sh", "-c", "for i in $(seq 25); do sleep 3 & done 2>&1; true"]);
        (output.stdout() + &output.stderr()).contains("fork")
    };
    assert!(refused(&c));

    t.runtime(["update", "--pids-limit", "15", c.id()]).run().ok();
    let devices = read("devices", "devices.list");
    t.command([tool("systemctl").unwrap()]).args(["daemon-reload"]).run().ok();
    assert_eq!((read("pids", "pids.max"), property(&t, &unit, "TasksMax")), ("15".into(), "15".into()));
    assert_eq!(read("devices", "devices.list"), devices);
    wait_until("the end of the others", || kernel::read(dirs[0].join("cgroup.procs")).lines().count() == 1);
    assert!(refused(&c));
    c.call("pause").ok();
    assert_eq!(c.status(), "paused");
    c.force_delete();
    assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
    assert_eq!(property(&t, &unit, "LoadState"), "not-found");
    t.assert_clean();
}

#[test]
fn the_payload_may_make_cgroups_and_processes_that_stay() {
    let t = sandbox!();
    needs_systemd!();
    let name = t.id();
    let mut bundle = bundle(&t, &name);
    bundle.without_namespace("pid").script("sleep 999 & sleep 999 & wait");
    let c = launch(&t, &bundle);
    let dir = c.init().cgroup("").unwrap();
    fs::create_dir_all(dir.join("a/b")).unwrap();
    wait_until("three processes", || kernel::read(dir.join("cgroup.procs")).lines().count() == 3);
    c.force_delete();
    assert!(!dir.exists());
    t.assert_clean();
}

#[test]
fn a_unit_that_exists() {
    let t = sandbox!();
    needs_systemd!();
    let name = t.id();
    let first = launch(&t, &bundle(&t, &name));
    let second = bundle(&t, &name);
    second.write();
    let words = ["--systemd-cgroup", "create", "--bundle"].map(std::ffi::OsStr::new);
    let create = || t.runtime(words).args([second.dir().as_os_str(), t.id().as_ref()]).run();
    let stderr = create().fails(1);
    assert!(stderr.contains("container's cgroup is not empty"), "{stderr}");
    assert_eq!(first.status(), "running");
    first.exec(["true"]).ok();
    first.force_delete();

    // One that has failed earlier is in nobody's way.
    let unit = format!("ct-{name}");
    let words = ["--scope", "--unit", unit.as_str(), "-p", "RuntimeMaxSec=1", "sleep", "100"];
    t.command([tool("systemd-run").unwrap()]).args(words).run();
    assert_eq!(property(&t, &format!("{unit}.scope"), "ActiveState"), "failed");
    create().ok();
}

#[test]
fn limits_that_cannot_be_set_leave_no_scope() {
    let t = sandbox!();
    needs_systemd!();
    let name = t.id();
    let mut bundle = bundle(&t, &name);
    bundle.set("/linux/resources/cpu/cpus", "4000").write();
    let words = ["--systemd-cgroup", "create", "--bundle"].map(std::ffi::OsStr::new);
    let stderr = t.runtime(words).args([bundle.dir().as_os_str(), t.id().as_ref()]).run().fails(1);
    assert!(stderr.contains("/linux/resources/cpu/cpus"), "{stderr}");
    let unit = format!("ct-{name}.scope");
    wait_until("the end of the scope", || property(&t, &unit, "LoadState") == "not-found");
    t.assert_clean();
}

#[test]
fn without_a_bus() {
    corten_only!();
    let t = sandbox!();
    let bundle = bundle(&t, "x");
    bundle.write();
    let words = ["--systemd-cgroup", "create", "--bundle"].map(std::ffi::OsStr::new);
    let create = |address: &str| {
        let command = t.runtime(words).args([bundle.dir().as_os_str(), t.id().as_ref()]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address).run().fails(1)
    };
    for (address, text) in [
        ("unix:path=/nosuch/bus", "D-Bus at unix:path=/nosuch/bus"),
        ("unix:path=/dev/null", "onnection refused"),
        ("tcp:host=localhost", "is no address of a unix socket"),
    ] {
        let stderr = create(address);
        assert!(stderr.contains(text), "{address}: {stderr}");
        t.assert_clean();
    }
}

#[test]
fn names_and_properties_that_cannot_be() {
    corten_only!();
    let t = sandbox!();
    let create = |bundle: &Bundle| {
        bundle.write();
        let words = ["--systemd-cgroup", "create", "--bundle"].map(std::ffi::OsStr::new);
        let stderr = t.runtime(words).args([bundle.dir().as_os_str(), t.id().as_ref()]).run().fails(1);
        t.assert_clean();
        stderr
    };
    let mut bundle = bundle(&t, "x");
    for path in ["/absolute", "a:b", "a.slice:b:c/d", "../a.slice:b:c", "a.slice:b:c.slice"] {
        let stderr = create(bundle.set("/linux/cgroupsPath", path));
        assert!(stderr.contains("/linux/cgroupsPath"), "{path}: {stderr}");
    }
    bundle.set("/linux/cgroupsPath", "");
    for (name, value) in
        [("ExecStopPost", "'x'"), ("After", "text"), ("DeviceAllow", "[('/dev/sda', 'rwm')]")]
    {
        let stderr =
            create(bundle.set("/annotations", json!({format!("org.systemd.property.{name}"): value})));
        assert!(stderr.contains(&format!("/annotations/org.systemd.property.{name}")), "{name}: {stderr}");
    }
}

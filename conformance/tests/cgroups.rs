//! Cgroups: where the container is placed, and limits shown by their effect.

use std::fs;
use std::path::PathBuf;

use conformance::{
    Bundle, Container, Sandbox, View, corten_only, is_peer, kernel, sandbox, skip, views, wait_until,
};
use serde_json::json;

/// A running container with these resources beside the default ones.
fn limited<'a>(t: &'a Sandbox, resources: &[(&str, serde_json::Value)]) -> Container<'a> {
    let mut bundle = t.bundle();
    for (name, value) in resources {
        bundle.set(&format!("/linux/resources/{name}"), value.clone());
    }
    t.launch(bundle.args(["sleep", "1000"]))
}

/// A file of the container's cgroup: of a v1 controller, or of v2 for the empty name.
fn file(c: &Container<'_>, controller: &str, name: &str) -> String {
    kernel::read(c.init().cgroup(controller).unwrap().join(name))
}

/// Whether the container under test has a controller in this view; v1's names are those of v2.
fn has(view: View, controller: &str) -> bool {
    if view.is_v2() {
        let root = kernel::hierarchy("").unwrap();
        kernel::read(root.join("cgroup.controllers")).split_whitespace().any(|name| name == controller)
    } else {
        kernel::hierarchy(controller).is_some()
    }
}

/// Ends the test where the controller is missing in the view.
macro_rules! needs {
    ($view:expr, $controller:expr) => {
        if !has($view, $controller) {
            skip!("no {} controller in this view", $controller);
        }
    };
}

const CONTROLLERS: [&str; 10] =
    ["", "freezer", "memory", "pids", "cpu", "cpuacct", "cpuset", "devices", "blkio", "name=systemd"];

views!(
    memory_limit,
    memory_limit_kills,
    processor_shares_and_quota,
    processor_sets,
    process_number,
    devices_by_rules,
    the_default_devices_are_allowed,
    every_controller_is_handed_down,
    paths,
    nested_cgroups_of_the_payload_are_removed,
    deep_cgroups_of_the_payload_are_removed,
    a_cgroup_in_use_is_refused,
    from_a_cgroup_that_was_killed,
    a_cgroup_that_vanishes,
    below_a_frozen_cgroup,
    what_holds_a_cgroup_is_named
);

fn every_controller_is_handed_down(view: View) {
    let t = sandbox!(view);
    if !view.is_v2() {
        skip!("version 1 has a hierarchy for each controller");
    }
    let c = t.launch(t.bundle().args(["sleep", "1000"]));
    let there = kernel::read(kernel::hierarchy("").unwrap().join("cgroup.controllers"));
    assert_eq!(file(&c, "", "cgroup.controllers"), there);
}

fn memory_limit(view: View) {
    let t = sandbox!(view);
    needs!(view, "memory");
    let memory = json!({"limit": 64 << 20, "reservation": 32 << 20});
    let c = limited(&t, &[("memory", memory)]);
    if view.is_v2() {
        assert_eq!(file(&c, "", "memory.max"), (64 << 20).to_string());
        assert_eq!(file(&c, "", "memory.low"), (32 << 20).to_string());
    } else {
        assert_eq!(file(&c, "memory", "memory.limit_in_bytes"), (64 << 20).to_string());
        assert_eq!(file(&c, "memory", "memory.soft_limit_in_bytes"), (32 << 20).to_string());
    }
}

fn memory_limit_kills(view: View) {
    let t = sandbox!(view);
    needs!(view, "memory");
    let mut bundle = t.bundle();
    bundle.set("/linux/resources/memory/limit", 16 << 20);
    // tail keeps the endless line.
    bundle.script("tail /dev/zero; echo status $?");
    assert_eq!(t.run(&bundle).ok(), "status 137\n");
}

fn processor_shares_and_quota(view: View) {
    let t = sandbox!(view);
    needs!(view, "cpu");
    let c = limited(&t, &[("cpu", json!({"shares": 512, "quota": 2000, "period": 50_000}))]);
    if view.is_v2() {
        assert_eq!(file(&c, "", "cpu.max"), "2000 50000");
    } else {
        assert_eq!(file(&c, "cpu", "cpu.shares"), "512");
        assert_eq!(file(&c, "cpu", "cpu.cfs_quota_us"), "2000");
        assert_eq!(file(&c, "cpu", "cpu.cfs_period_us"), "50000");
    }
    let burn = ["sh", "-c", "while :; do :; done"];
    c.exec_with(["--detach"], burn).run().ok();
    let stat = if view.is_v2() { "" } else { "cpu" };
    wait_until("throttling", || {
        let text = file(&c, stat, "cpu.stat");
        text.lines().any(|line| line.strip_prefix("nr_throttled ").is_some_and(|n| n != "0"))
    });
}

fn processor_sets(view: View) {
    let t = sandbox!(view);
    needs!(view, "cpuset");
    let c = limited(&t, &[("cpu", json!({"cpus": "0", "mems": "0"}))]);
    assert_eq!(file(&c, if view.is_v2() { "" } else { "cpuset" }, "cpuset.cpus"), "0");
    assert_eq!(c.init().status("Cpus_allowed_list"), "0");
    assert_eq!(c.shell("grep Cpus_allowed_list /proc/self/status"), "Cpus_allowed_list:\t0\n");
}

fn process_number(view: View) {
    let t = sandbox!(view);
    needs!(view, "pids");
    let c = limited(&t, &[("pids", json!({"limit": 20}))]);
    assert_eq!(file(&c, if view.is_v2() { "" } else { "pids" }, "pids.max"), "20");
    let script = "for i in $(seq 25); do sleep 5 & done 2>&1; true";
    let output = c.exec(["sh", "-c", script]);
    let text = output.stdout() + &output.stderr();
    assert!(text.contains("fork"), "{}", output.report());
    drop(c);
    for (limit, shown) in [(-1, "max"), (100_000, "100000")] {
        let c = limited(&t, &[("pids", json!({"limit": limit}))]);
        assert_eq!(file(&c, if view.is_v2() { "" } else { "pids" }, "pids.max"), shown);
    }
}

/// Tries to read from devices; the nodes exist, the rules decide.
fn try_devices(t: &Sandbox, bundle: &mut Bundle) -> String {
    for (name, minor) in [("mem", 1), ("kmsg", 11), ("full", 7)] {
        let node = json!({"path": format!("/dev/try-{name}"), "type": "c", "major": 1, "minor": minor, "fileMode": 0o666});
        bundle.push("/linux/devices", node);
    }
    bundle.script(
        "for d in mem kmsg full; do (: </dev/try-$d) 2>/dev/null && r=r || r=-; \
         (: >/dev/try-$d) 2>/dev/null && w=w || w=-; echo $d $r$w; done",
    );
    t.run(bundle).ok()
}

fn devices_by_rules(view: View) {
    let t = sandbox!(view);
    let deny = json!({"allow": false, "access": "rwm"});
    let allow = |minor: u32, access: &str| json!({"allow": true, "type": "c", "major": 1, "minor": minor, "access": access});
    for (rules, expected) in [
        // full is one of the default devices.
        (json!([deny]), "mem --\nkmsg --\nfull rw\n"),
        (json!([deny, allow(11, "r")]), "mem --\nkmsg r-\nfull rw\n"),
        (json!([deny, allow(11, "rw")]), "mem --\nkmsg rw\nfull rw\n"),
        (
            json!([deny, {"allow": true, "type": "c", "major": 1, "access": "rw"}]),
            "mem rw\nkmsg rw\nfull rw\n",
        ),
        (
            json!([{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"}]),
            "mem rw\nkmsg r-\nfull rw\n",
        ),
    ] {
        let mut bundle = t.bundle();
        // Reading /dev/mem wants a capability of its own.
        bundle.capabilities(&["CAP_SYS_RAWIO", "CAP_SYSLOG", "CAP_SYS_ADMIN"]);
        bundle.set("/linux/resources/devices", rules.clone());
        let mem_is_readable = fs::File::open("/dev/mem").is_ok();
        let mut expected = expected.to_owned();
        if !mem_is_readable {
            expected = expected.replace("mem rw", "mem --");
        }
        assert_eq!(try_devices(&t, &mut bundle), expected, "{rules}");
    }
    t.assert_clean();
}

fn the_default_devices_are_allowed(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.capabilities(&["CAP_MKNOD"]);
    bundle.script(
        "cd /dev; echo x >null && head -c1 zero >/dev/null && head -c1 full >/dev/null && head -c1 random >/dev/null && \
         head -c1 urandom >/dev/null && echo fine; mknod any b 7 7 && echo made; \
         (: <any) || echo refused",
    );
    let output = t.run(&bundle);
    assert_eq!(output.ok(), "fine\nmade\nrefused\n");
    assert!(output.stderr().contains("Operation not permitted"), "{}", output.report());
}

/// The path of a container's cgroup below the root of its hierarchy, for a `cgroupsPath`.
fn placed(t: &Sandbox, path: &str) -> PathBuf {
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(["sleep", "1000"]).set("/linux/cgroupsPath", path));
    let controller = if t.view().is_v2() { "" } else { "freezer" };
    let dir = c.init().cgroup(controller).unwrap();
    c.force_delete();
    dir.strip_prefix(kernel::hierarchy(controller).unwrap()).unwrap().into()
}

fn paths(view: View) {
    let t = sandbox!(view);
    let id = t.id();
    let own = kernel::Process(std::process::id()).cgroup(if view.is_v2() { "" } else { "freezer" }).unwrap();
    let base = if view.is_v2() { own.parent().unwrap_or(&own).to_owned() } else { own };
    let hierarchy = kernel::hierarchy(if view.is_v2() { "" } else { "freezer" }).unwrap();
    let base = base.strip_prefix(&hierarchy).unwrap_or("".as_ref()).to_owned();
    let names = ["a", "b", "c", "d"].map(|letter| format!("{id}{letter}"));
    let [a, b, c, d] = &names;
    assert_eq!(placed(&t, &format!("/{a}")), PathBuf::from(a));
    assert_eq!(placed(&t, &format!("/{b}/deep/er")), PathBuf::from(b).join("deep/er"));
    assert_eq!(placed(&t, c), base.join(c));
    if is_peer() {
        // runc leaves the parents that it has made.
        for controller in CONTROLLERS {
            let Some(root) = kernel::hierarchy(controller) else { continue };
            let _ = fs::remove_dir(root.join(b).join("deep"));
            let _ = fs::remove_dir(root.join(b));
        }
    } else {
        // `..` is removed from the text, whatever exists.
        assert_eq!(placed(&t, &format!("/x/../{d}")), PathBuf::from(d));
    }
    t.assert_clean();
}

fn nested_cgroups_of_the_payload_are_removed(view: View) {
    let t = sandbox!(view);
    let c = limited(&t, &[]);
    let dir = c.init().cgroup(if view.is_v2() { "" } else { "freezer" }).unwrap();
    fs::create_dir_all(dir.join("a/b/c")).unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    c.force_delete();
    t.assert_clean();
}

fn deep_cgroups_of_the_payload_are_removed(view: View) {
    corten_only!(); // runc opens one after the other and runs out of descriptors
    let t = sandbox!(view);
    let c = limited(&t, &[]);
    let mut dir = c.init().cgroup(if view.is_v2() { "" } else { "freezer" }).unwrap();
    for _ in 0..300 {
        dir.push("d");
        fs::create_dir(&dir).unwrap();
    }
    let command = t.runtime(["ps", "--format", "json", c.id()]).after("ulimit -n 40");
    assert!(command.run().ok().contains(&c.pid().to_string()));
    t.runtime(["delete", "--force", c.id()]).after("ulimit -n 40").run().ok();
    t.assert_clean();
}

/// Below a threaded cgroup, as an engine in a threaded service has it.
#[test]
fn a_threaded_parent() {
    corten_only!();
    let t = sandbox!(View::V2);
    // Not one of the sandbox's names, which are looked for as leftovers.
    let name = format!("corten-threaded-{}", std::process::id());
    let parent = kernel::hierarchy("").unwrap().join(&name);
    fs::create_dir(&parent).unwrap();
    fs::write(parent.join("cgroup.type"), "threaded").unwrap();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/cgroupsPath", format!("/{name}/new/own"));
    let c = t.launch(&bundle);
    let dir = c.init().cgroup("").unwrap();
    assert_eq!(dir, parent.join("new/own"));
    assert_eq!(kernel::read(dir.join("cgroup.type")), "threaded");
    c.exec(["true"]).ok();
    assert_eq!(t.runtime(["ps", "--format", "json", c.id()]).run().ok(), format!("[{}]\n", c.pid()));
    c.call("pause").ok();
    assert_eq!(c.status(), "paused");
    c.force_delete();

    let memory = json!([{"pageSize": "2MB", "limit": 2 << 20}]);
    bundle.set("/linux/resources/hugepageLimits", memory);
    assert_eq!(t.refused_at(&bundle), "/linux/resources/hugepageLimits/0");
    assert!(!parent.join("new").exists());
    fs::remove_dir(parent).unwrap();
    t.assert_clean();
}

/// Beside a threaded cgroup: their parent is the domain of both, and whatever is made in it is neither domain nor threaded.
#[test]
fn a_domain_threaded_parent() {
    corten_only!();
    let t = sandbox!(View::V2);
    let name = format!("corten-domain-{}", std::process::id());
    let parent = kernel::hierarchy("").unwrap().join(&name);
    let threaded = parent.join("threaded");
    fs::create_dir_all(&threaded).unwrap();
    fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    assert_eq!(kernel::read(parent.join("cgroup.type")), "domain threaded");

    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]).set("/linux/cgroupsPath", format!("/{name}/new/own")));
    let dir = c.init().cgroup("").unwrap();
    assert_eq!(dir, parent.join("new/own"));
    assert_eq!(kernel::read(dir.join("cgroup.type")), "threaded");
    c.exec(["true"]).ok();
    c.force_delete();
    assert!(!parent.join("new").exists());

    // One that is threaded already and has been made by somebody else.
    let c = t.launch(bundle.set("/linux/cgroupsPath", format!("/{name}/threaded")));
    assert_eq!(c.init().cgroup("").unwrap(), threaded);
    c.exec(["true"]).ok();
    c.force_delete();
    fs::remove_dir(threaded).unwrap();
    fs::remove_dir(parent).unwrap();
    t.assert_clean();
}

fn a_cgroup_in_use_is_refused(view: View) {
    corten_only!(); // rule D24; runc 1.1 warns
    let t = sandbox!(view);
    let first = limited(&t, &[]);
    let own = first.init().cgroup(if view.is_v2() { "" } else { "freezer" }).unwrap();
    let hierarchy = kernel::hierarchy(if view.is_v2() { "" } else { "freezer" }).unwrap();
    let path = format!("/{}", own.strip_prefix(hierarchy).unwrap().display());
    let mut bundle = t.bundle();
    bundle.args(["true"]).set("/linux/cgroupsPath", path.clone());
    let stderr = t.on_bundle(["create"], &bundle, &t.id()).run().fails(1);
    assert!(stderr.contains("not empty"), "{stderr}");
    assert_eq!(first.status(), "running");
    first.call("pause").ok();
    t.on_bundle(["create"], &bundle, &t.id()).run().fails(1);
    first.call("resume").ok();
    first.force_delete();
    t.assert_clean();
}

#[test]
fn small_memory_limits_are_enough_or_named() {
    let t = sandbox!();
    needs!(View::Host, "memory");
    // Less than a page is nothing: whatever is charged there fails.
    for bytes in [1, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20] {
        if is_peer() && bytes < 8 << 20 {
            continue; // runc itself needs 4 MiB and more
        }
        let mut bundle = t.bundle();
        bundle.args(["true"]).set("/linux/resources/memory/limit", bytes);
        let output = t.run(&bundle);
        if bytes >= 512 << 10 {
            output.ok();
        } else if bytes == 1 {
            output.fails_with(1, "memory limit too low");
        } else if !output.success() {
            let stderr = output.stderr();
            assert!(
                stderr.is_empty() || stderr.contains("OOM") || stderr.contains("memory"),
                "{}",
                output.report()
            );
        }
        t.assert_clean();
    }
}

#[test]
fn limits_that_cannot_be_set() {
    let t = sandbox!();
    needs!(View::Host, "cpuset");
    for (name, value, pointer) in [
        ("cpu", json!({"cpus": "0-99999"}), "/linux/resources/cpu/cpus"),
        ("cpu", json!({"cpus": "nonsense"}), "/linux/resources/cpu/cpus"),
        ("cpu", json!({"period": 1, "quota": 1}), "/linux/resources/cpu"),
    ] {
        let mut bundle = t.bundle();
        bundle.set(&format!("/linux/resources/{name}"), value.clone());
        t.create_fails(&bundle);
        if !is_peer() {
            assert!(t.refused_at(&bundle).starts_with(pointer), "{value}: {}", t.refused_at(&bundle));
        }
    }
}

#[test]
fn a_missing_controller_is_named() {
    corten_only!();
    let t = sandbox!(View::V2);
    if has(View::V2, "memory") {
        skip!("v2 has the memory controller here");
    }
    for (field, value) in [("memory", 64 << 20), ("pids", 10)] {
        let mut bundle = t.bundle();
        let pointer = t.refused_at(bundle.set(&format!("/linux/resources/{field}/limit"), value));
        assert!(pointer.starts_with(&format!("/linux/resources/{field}")), "{pointer}");
    }
}

/// Linux 6.18 kills what is cloned into a cgroup that has not been killed as often as the caller's own.
fn from_a_cgroup_that_was_killed(view: View) {
    corten_only!(); // runc writes the pid, and waits for it
    let t = sandbox!(view);
    let Some(root) = kernel::hierarchy("") else { skip!("no cgroup v2 hierarchy") };
    let own = root.join(t.id());
    fs::create_dir(&own).unwrap();
    if fs::write(own.join("cgroup.kill"), "1").is_err() {
        skip!("this kernel has no cgroup.kill");
    }
    let enter = format!("echo $$ >{}/cgroup.procs", own.display());
    let mut bundle = t.bundle();
    let id = t.id();
    let created = t.on_bundle(["create"], bundle.args(["sleep", "1000"]), &id).after(&enter).run();
    created.ok();
    let c = Container::new(&t, id, created);
    c.command("start", [""; 0]).after(&enter).run().ok();
    assert!(c.init().file("cgroup").contains(&format!("/{}\n", c.id())));
    c.exec_with([], ["true"]).after(&enter).run().ok();
    c.force_delete();
    wait_until("the end of the commands", || fs::remove_dir(&own).is_ok());
    t.assert_clean();
}

/// Somebody takes the processes out of a container's cgroup and removes it.
fn a_cgroup_that_vanishes(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let c = limited(&t, &[]);
    for controller in CONTROLLERS {
        let (Some(root), Some(dir)) = (kernel::hierarchy(controller), c.init().cgroup(controller)) else {
            continue;
        };
        if dir.ends_with(c.id()) {
            fs::write(root.join("cgroup.procs"), c.pid().to_string()).unwrap();
            fs::remove_dir(dir).unwrap();
        }
    }
    for words in [&["update", "--pids-limit", "-1"][..], &["events", "--stats"], &["pause"]] {
        let stderr = t.runtime(words).args([c.id()]).run().fails(1);
        assert!(stderr.contains("cgroup not exist"), "{words:?}: {stderr}");
        assert_eq!(c.status(), "running", "{words:?}");
    }
    let stderr = c.exec(["true"]).fails(255);
    assert!(stderr.contains("cgroup"), "{stderr}");
    assert_eq!(t.runtime(["ps", "--format", "json", c.id()]).run().ok(), "null\n");
    c.force_delete();
    t.assert_clean();
}

/// Somebody has frozen a cgroup above the container's. In version 1 nothing ends there.
fn below_a_frozen_cgroup(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let name = format!("corten-frozen-{}", t.id());
    let (controller, file, freeze, thaw) = if view.is_v2() {
        ("", "cgroup.freeze", "1", "0")
    } else {
        ("freezer", "freezer.state", "FROZEN", "THAWED")
    };
    let above = kernel::hierarchy(controller).unwrap().join(&name);
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]).set("/linux/cgroupsPath", format!("/{name}/own")));
    fs::write(above.join(file), freeze).unwrap();
    wait_until("the frozen container", || c.status() == "paused");
    let stderr = c.call("resume").fails(1);
    assert!(stderr.contains(&format!("{name}/own stays frozen, because a cgroup above it is")), "{stderr}");
    let deleted = t.runtime(["delete", "--force", c.id()]).run();
    if !view.is_v2() {
        let stderr = deleted.fails(1);
        assert!(stderr.contains(&format!("{name}/own stays frozen")), "{stderr}");
        fs::write(above.join(file), thaw).unwrap();
        c.force_delete();
    }
    assert!(!above.exists());
    t.assert_clean();
}

/// A process that is in one of the container's cgroups, but is not the container's.
fn what_holds_a_cgroup_is_named(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let Some(root) = kernel::hierarchy("cpuset") else { skip!("version 2 has no such cgroups") };
    if view.is_v2() {
        skip!("version 2 has no such cgroups");
    }
    let c = limited(&t, &[]);
    let dir = c.init().cgroup("cpuset").unwrap();
    // It ends with the test, whatever becomes of that.
    let guest = t.command(["sleep", "1000"]).spawn();
    fs::write(dir.join("cgroup.procs"), guest.pid().to_string()).unwrap();
    let stderr = t.runtime(["delete", "--force", c.id()]).run().fails(1);
    let text = format!("1 process(es) found in {}: {}", dir.display(), guest.pid());
    assert!(stderr.contains(&text), "{stderr}");
    fs::write(root.join("cgroup.procs"), guest.pid().to_string()).unwrap();
    c.force_delete();
    t.assert_clean();
}

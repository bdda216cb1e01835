//! The systemd cgroup driver against a stand-in for systemd: what is asked of it, and every way in which it may not answer. The
//! real one is in `systemd.rs`.

use std::ffi::OsStr;
use std::fs;
use std::time::{Duration, Instant};

use conformance::{
    Bundle, Bus, Command, Container, Reaction, Sandbox, View, corten_only, kernel, sandbox, views, wait_until,
};
use nix::sys::signal::Signal;

/// As long as one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

views!(from_create_to_delete, a_cgroup_that_is_there_already, failures, a_failed_update);

/// A container whose scope is in the root slice.
fn bundle(t: &Sandbox, name: &str) -> Bundle {
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/cgroupsPath", format!("-:ct:{name}"));
    bundle
}

fn create(t: &Sandbox, bus: &Bus, bundle: &Bundle, id: &str) -> Command {
    bundle.write();
    let words = ["--systemd-cgroup", "create", "--bundle"].map(OsStr::new);
    let command = t.runtime(words).args([bundle.dir().as_os_str(), id.as_ref()]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
}

fn from_create_to_delete(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let (id, bus) = (t.id(), Bus::start(&t.id()));
    let output = create(&t, &bus, &bundle(&t, &id), &id).run();
    output.ok();
    assert_eq!(bus.calls(), ["Hello", "AddMatch", "StartTransientUnit"]);
    let c = Container::new(&t, id, output);
    let scope = format!("ct-{}.scope", c.id());
    // Moved by systemd in its own hierarchies, by itself in the others.
    for line in c.init().file("cgroup").lines() {
        let is_mounted = kernel::hierarchy(line.split([':', ',']).nth(1).unwrap()).is_some();
        assert!(
            !is_mounted || view.is_v2() && !line.starts_with("0:") || line.ends_with(&format!("/{scope}")),
            "{line}"
        );
    }
    // It took its cgroup namespace after it was moved.
    assert!(c.start().shell("cat /proc/self/cgroup").contains("0::/\n"));
    c.call("pause").ok();
    assert_eq!(c.status(), "paused");
    c.call("resume").ok();
    let updated = t.runtime(["update", "--pids-limit", "-1", c.id()]).run();
    assert!(updated.success() || updated.stderr().contains("is not available"), "{}", updated.report());
    assert_eq!(bus.calls().first().map(String::as_str), Some("Hello"));
    c.force_delete();
    assert_eq!(bus.calls(), ["Hello", "AddMatch", "StopUnit"]);
    t.assert_clean();
}

/// A frozen one would hold the process that systemd moves there, and its creator, for ever.
fn a_cgroup_that_is_there_already(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let (id, bus) = (t.id(), Bus::start(&t.id()));
    let dir = kernel::hierarchy("").unwrap().join(format!("ct-{id}.scope"));
    fs::create_dir(&dir).unwrap();
    let refused = |text: &str| {
        let stderr = create(&t, &bus, &bundle(&t, &id), &id).run().fails(1);
        assert!(stderr.contains(text), "{stderr}");
        assert_eq!(bus.calls(), [""; 0]);
    };
    fs::write(dir.join("cgroup.freeze"), "1").unwrap();
    refused("container's cgroup unexpectedly frozen");
    fs::write(dir.join("cgroup.freeze"), "0").unwrap();
    let other = t.command(["sleep", "100"]).spawn();
    fs::write(dir.join("cgroup.procs"), other.pid().to_string()).unwrap();
    refused("container's cgroup is not empty");
    other.signal(Signal::SIGKILL);
    other.wait();
    wait_until("the cgroup is empty", || fs::remove_dir(&dir).is_ok());
}

fn failures(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let bus = Bus::start(&t.id());
    let denied = Reaction::Refuse("org.freedesktop.DBus.Error.AccessDenied", "only for the worthy");
    let exists = Reaction::Refuse("org.freedesktop.systemd1.UnitExists", "Unit was already loaded");
    for (member, reaction, texts) in [
        ("AUTH", Reaction::Close, &["D-Bus at unix:abstract=", "has closed the connection"][..]),
        ("Hello", denied, &["greet the bus", "only for the worthy"]),
        ("StartTransientUnit", denied, &["make ct-", "only for the worthy", "AccessDenied"]),
        ("StartTransientUnit", exists, &["make ct-", "already loaded", "UnitExists"]),
        ("StartTransientUnit", Reaction::Close, &["has closed the connection"]),
        ("StartTransientUnit", Reaction::Job("failed"), &["has ended with \"failed\""]),
        ("StartTransientUnit", Reaction::Job("timeout"), &["has ended with \"timeout\""]),
    ] {
        bus.on(member, reaction);
        let id = t.id();
        let stderr = create(&t, &bus, &bundle(&t, &id), &id).run().fails(1);
        assert!(texts.iter().all(|text| stderr.contains(text)), "{member} {reaction:?}: {stderr}");
        t.assert_clean();
        bus.recover();
    }
}

/// One after the other they would take two minutes.
#[test]
fn silence() {
    corten_only!();
    let silent = |member: &'static str, reaction: Reaction| {
        let t = sandbox!();
        let bus = Bus::start(&t.id());
        bus.on(member, reaction);
        let id = t.id();
        let start = Instant::now();
        let stderr = create(&t, &bus, &bundle(&t, &id), &id).limit(PATIENCE * 2).run().fails(1);
        let time = start.elapsed();
        assert!(stderr.contains("has not answered within 30s"), "{member}: {stderr}");
        assert!((PATIENCE..PATIENCE * 3 / 2).contains(&time), "{member}: {time:?}");
        t.assert_clean();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| silent("AUTH", Reaction::Silence));
        scope.spawn(|| silent("StartTransientUnit", Reaction::Silence));
        scope.spawn(|| silent("StartTransientUnit", Reaction::Endless));
    });
}

fn a_failed_update(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let (id, bus) = (t.id(), Bus::start(&t.id()));
    let output = create(&t, &bus, &bundle(&t, &id), &id).run();
    output.ok();
    let c = Container::new(&t, id, output);
    let Some(dir) = c.init().cgroup(if view.is_v2() { "" } else { "pids" }) else {
        conformance::skip!("no such cgroup")
    };
    if !dir.join("pids.max").exists() {
        conformance::skip!("no controller of processes in this view");
    }
    let limit = || kernel::read(dir.join("pids.max"));
    let update = |value: &str| t.runtime(["update", "--pids-limit", value, c.id()]).run();
    update("50").ok();
    assert_eq!(limit(), "50");
    let refusal = Reaction::Refuse("org.freedesktop.systemd1.NoSuchUnit", "Unit not loaded");
    for (member, reaction, text) in [
        ("SetUnitProperties", refusal, "Unit not loaded"),
        ("AUTH", Reaction::Close, "closed the connection"),
    ] {
        bus.on(member, reaction);
        let stderr = update("60").fails(1);
        assert!(stderr.contains(text), "{stderr}");
        assert_eq!(limit(), "50");
        bus.recover();
    }
    update("70").ok();
    assert_eq!(limit(), "70");

    // systemd has gone: the container is removed all the same.
    bus.on("AUTH", Reaction::Close);
    c.force_delete();
    assert!(!fs::exists(dir).unwrap());
    t.assert_clean();
}

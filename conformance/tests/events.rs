//! `events`: the figures of a container, and its memory running out.

use std::collections::BTreeSet;

use conformance::{
    Container, Sandbox, View, corten_only, is_peer, kernel, sandbox, skip, tool, views, wait_until,
};
use serde_json::{Value, json};

fn has_memory(view: View) -> bool {
    if view.is_v2() {
        let list = kernel::read(kernel::hierarchy("").unwrap().join("cgroup.controllers"));
        return list.split_whitespace().any(|name| name == "memory");
    }
    kernel::hierarchy("memory").is_some()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn stats(t: &Sandbox, c: &Container<'_>) -> Value {
    let mut events = lines(&t.runtime(["events", "--stats", c.id()]).run().ok());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "stats");
    assert_eq!(events[0]["id"], c.id());
    events.remove(0)["data"].take()
}

views!(figures, in_every_status, until_the_end, out_of_memory);

fn figures(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    if has_memory(view) {
        bundle.set("/linux/resources/memory/limit", 64 << 20).set("/linux/resources/pids/limit", 50);
        bundle.set("/linux/resources/cpu", json!({"quota": 10_000, "period": 100_000, "cpus": "0"}));
    }
    bundle.script("while :; do :; done");
    let c = t.launch(&bundle);
    let mut seen = Value::Null;
    wait_until("50 ms of processor time", || {
        seen = stats(&t, &c);
        seen["cpu"]["usage"]["total"].as_u64() > Some(50_000_000)
    });
    if has_memory(view) {
        assert_eq!(seen["memory"]["usage"]["limit"], 64 << 20);
        assert!(seen["memory"]["usage"]["usage"].as_u64() > Some(4096), "{seen}");
        assert!(seen["memory"]["raw"].as_object().unwrap().len() > 10, "{seen}");
        assert_eq!(seen["pids"], json!({"current": 1, "limit": 50}));
        assert_eq!(seen["cpuset"]["cpus"], json!([0]));
        assert!(seen["cpu"]["throttling"]["throttledPeriods"].as_u64() > Some(0), "{seen}");
        assert!(seen["cpu"]["throttling"]["throttledTime"].as_u64() > Some(0), "{seen}");
    }
    if !is_peer() && kernel::hierarchy("").is_some_and(|root| root.join("cpu.pressure").exists()) {
        assert!(seen["cpu"]["psi"]["some"]["total"].is_u64(), "{seen}");
    }
    assert_eq!(seen["intel_rdt"], json!({}));
    let user = seen["cpu"]["usage"]["user"].as_u64().unwrap();
    assert!(user > 0, "{seen}");
}

#[test]
fn network_interfaces() {
    corten_only!(); // runc has none
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("ip link set lo up; ping -c 3 -i 0.1 127.0.0.1 >/dev/null; exec sleep 1000");
    bundle.capabilities(&["CAP_NET_ADMIN", "CAP_NET_RAW"]);
    let c = t.launch(&bundle);
    let mut lo = Value::Null;
    wait_until("three packets and their answers", || {
        lo = stats(&t, &c)["network_interfaces"][0].take();
        lo["RxPackets"].as_u64() >= Some(6)
    });
    assert_eq!(lo["Name"], "lo");
    assert_eq!(lo["TxPackets"], lo["RxPackets"]);
    assert!(lo["TxBytes"].as_u64() >= Some(6 * 84), "{lo}");
    drop(c);

    // Those of the host are not the container's.
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]).without_namespace("network"));
    assert_eq!(stats(&t, &c)["network_interfaces"], Value::Null);
}

fn in_every_status(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(["sleep", "1000"]));
    stats(&t, &c);
    c.start();
    c.call("pause").ok();
    stats(&t, &c);
    c.call("resume").ok();
    c.kill("KILL");
    c.wait_for("stopped");
    for flags in [&["events", "--stats"][..], &["events"][..]] {
        let stderr = t.runtime(flags).args([c.id()]).run().fails(1);
        assert!(stderr.contains(&format!("container with id {} is not running", c.id())), "{stderr}");
    }
}

/// Ends a container while `events` looks at it. runc goes on until the cgroup is gone.
fn end(c: &Container<'_>) {
    c.kill("KILL");
    if is_peer() {
        c.force_delete();
    }
}

fn until_the_end(view: View) {
    let t = sandbox!(view);
    if is_peer() && !has_memory(view) {
        skip!("runc has no events without a memory controller");
    }
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let mut running = t.runtime(["events", "--interval", "50ms", c.id()]).spawn();
    wait_until("three events", || running.stdout().lines().count() >= 3);
    assert!(!running.is_over());
    end(&c);
    let text = running.wait().ok();
    assert!(lines(&text).iter().all(|event| event["type"] == "stats"), "{text}");
    c.force_delete();
    t.assert_clean();
}

fn out_of_memory(view: View) {
    let t = sandbox!(view);
    if !has_memory(view) {
        skip!("no memory controller in this view");
    }
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/resources/memory/limit", 16 << 20);
    let c = t.launch(&bundle);
    let mut running = t.runtime(["events", "--interval", "300ms", c.id()]).spawn();
    wait_until("the first event", || !running.stdout().is_empty());
    assert_eq!(c.shell("tail /dev/zero; echo status $?"), "status 137\n");
    let oom = json!({"type": "oom", "id": c.id()});
    wait_until("the event", || lines(&running.stdout()).contains(&oom));
    assert!(!running.is_over());
    end(&c);
    let events = lines(&running.wait().ok());
    if !is_peer() {
        assert_eq!(events.iter().filter(|event| **event == oom).count(), 1, "{events:?}");
    }

    corten_only!(); // a peer may have gone before it looks
    // Between two statistics, and with the last process.
    let mut bundle = t.bundle();
    bundle.set("/linux/resources/memory/limit", 16 << 20);
    bundle.script("read go </fifo; exec tail /dev/zero");
    nix::unistd::mkfifo(&bundle.inside("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo = bundle.inside("fifo");
    let c = t.launch(&bundle);
    let running = t.runtime(["events", "--interval", "1h", c.id()]).spawn();
    let has_watch = || {
        let descriptors = kernel::Process(running.pid()).descriptors();
        let kinds = ["anon_inode:inotify", "anon_inode:[eventfd]"];
        descriptors.iter().any(|(_, target)| kinds.iter().any(|kind| target.as_os_str() == *kind))
    };
    if view.is_v2() || kernel::hierarchy("memory").is_some() {
        wait_until("the watch", has_watch);
    }
    std::fs::write(fifo, "go\n").unwrap();
    assert_eq!(lines(&running.wait().ok()), [json!({"type": "oom", "id": c.id()})]);
}

#[test]
fn intervals() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    for interval in ["0s", "5", "-1s", "x"] {
        let stderr = t.runtime(["events", "--interval", interval, c.id()]).run().fails(1);
        assert!(stderr.contains("interval"), "{interval}: {stderr}");
    }
    let stderr = t.runtime(["events", "--stats", &t.id()]).run().fails(1);
    assert!(stderr.contains("does not exist"), "{stderr}");
}

/// The places in a document that hold something, lists as one.
fn places(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{at}/{name}"), found);
            }
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

/// The document of a peer for the same payload: whatever it has, corten has too.
#[test]
fn everything_that_runc_has() {
    corten_only!();
    let Some(runc) = tool("runc") else { skip!("runc is not installed") };
    let of = |t: &Sandbox| {
        let mut bundle = t.bundle();
        if has_memory(View::Host) {
            bundle.set("/linux/resources/memory/limit", 64 << 20).set("/linux/resources/pids/limit", 50);
        }
        // Both directions of a disk, and time in both modes.
        bundle.script("dd if=/bin/busybox of=/dev/null iflag=direct bs=4k 2>/dev/null; while :; do :; done");
        let c = t.launch(&bundle);
        let mut seen = Value::Null;
        wait_until("100 ms of processor time", || {
            seen = stats(t, &c);
            seen["cpu"]["usage"]["total"].as_u64() > Some(100_000_000)
        });
        seen
    };
    let t = sandbox!();
    let ours = of(&t);
    let theirs = of(&sandbox!().with_program(runc));
    let [ours, theirs] = [ours, theirs].map(|document| {
        let mut found = BTreeSet::new();
        places(&document, "", &mut found);
        found
    });
    let missing: Vec<_> = theirs.difference(&ours).collect();
    // Zeros are left out, and what is zero differs from run to run.
    let chance =
        |place: &str| place.ends_with("/max") || place.ends_with("/cache") || place.starts_with("/blkio");
    assert!(missing.iter().all(|place| chance(place)), "{missing:?}\n{ours:?}");
}

//! Limits beyond memory, processors and processes: block devices, huge pages, realtime, the `unified` map.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use conformance::{Sandbox, View, corten_only, kernel, sandbox, skip, tool, views};
use nix::sys::stat::{major, minor};
use serde_json::json;

views!(block_weights, block_rates, huge_pages, unified);

/// A file of a container's cgroup with a controller of v1, or of the unified hierarchy.
fn file(pid: u32, controller: &str, name: &str) -> Option<String> {
    fs::read_to_string(kernel::Process(pid).cgroup(controller)?.join(name)).ok()
}

/// The disk below the sandbox, where there is one that can be throttled: `MAJOR:MINOR` as two numbers.
fn disk(t: &Sandbox) -> Option<(u64, u64)> {
    let dev = fs::metadata(t.dir()).unwrap().dev();
    let (major, minor) = (major(dev), minor(dev));
    let node = format!("/sys/dev/block/{major}:{minor}");
    let is_disk = fs::metadata(&node).is_ok() && fs::metadata(format!("{node}/partition")).is_err();
    is_disk.then_some((major, minor))
}

fn has_io(view: View) -> bool {
    if view.is_v2() {
        let controllers = kernel::hierarchy("").unwrap().join("cgroup.controllers");
        return kernel::read(controllers).split_whitespace().any(|name| name == "io");
    }
    kernel::hierarchy("blkio").is_some()
}

fn block_weights(view: View) {
    let t = sandbox!(view);
    if !has_io(view) {
        skip!("no controller of block devices in this view");
    }
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/resources/blockIO/weight", 200);
    let id = t.id();
    let output = t.on_bundle(["create"], &bundle, &id).run();
    if !output.success() && output.stderr().contains("this kernel does not have this limit") {
        skip!("this kernel has no weights of block devices");
    }
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    let files = [("blkio", "blkio.weight", "200"), ("blkio", "blkio.bfq.weight", "200")];
    let unified = [("", "io.bfq.weight", "default 200"), ("", "io.weight", "default 1920")];
    let known = if view.is_v2() { unified } else { files };
    let found = known.iter().find_map(|(controller, name, weight)| {
        file(c.pid(), controller, name).map(|content| (content, *weight))
    });
    let (content, weight) = found.expect("a file of the weight");
    assert_eq!(content.lines().next(), Some(weight));
}

fn block_rates(view: View) {
    let t = sandbox!(view);
    let Some((major, minor)) = disk(&t) else { skip!("the sandbox is on no disk of its own") };
    if !has_io(view) {
        skip!("no controller of block devices in this view");
    }
    let mut bundle = t.bundle();
    fs::write(bundle.inside("data"), vec![1; 1 << 20]).unwrap();
    let copy = |t: &Sandbox, bundle: &mut conformance::Bundle| {
        bundle.script("dd if=/data of=/dev/null bs=64k iflag=direct 2>/dev/null && echo copied");
        let start = Instant::now();
        assert_eq!(t.run(bundle).ok(), "copied\n");
        start.elapsed()
    };
    bundle.set(
        "/linux/resources/blockIO/throttleReadBpsDevice",
        json!([{"major": major, "minor": minor, "rate": 512 << 10}]),
    );
    let slow = copy(&t, &mut bundle);
    assert!(slow > Duration::from_millis(1500), "1 MiB at 512 KiB a second took {slow:?}");
    bundle.set("/linux/resources/blockIO/throttleReadBpsDevice/0/rate", 0);
    bundle.set(
        "/linux/resources/blockIO/throttleReadIOPSDevice",
        json!([{"major": major, "minor": minor, "rate": 4}]),
    );
    let slow = copy(&t, &mut bundle);
    assert!(slow > Duration::from_millis(1500), "16 reads at 4 a second took {slow:?}");
    t.assert_clean();
}

fn huge_pages(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let limit = json!([{"pageSize": "2MB", "limit": 4 << 20}]);
    bundle.args(["sleep", "1000"]).set("/linux/resources/hugepageLimits", limit);
    let id = t.id();
    let output = t.on_bundle(["create"], &bundle, &id).run();
    if !output.success() && output.stderr().contains("\"hugetlb\" is not available") {
        skip!("no hugetlb controller in this view");
    }
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    let unified = file(c.pid(), "", "hugetlb.2MB.max");
    let (controller, suffix) = if unified.is_some() { ("", "max") } else { ("hugetlb", "limit_in_bytes") };
    for kind in ["", "rsvd."] {
        let content = file(c.pid(), controller, &format!("hugetlb.2MB.{kind}{suffix}"));
        assert_eq!(content.as_deref(), Some("4194304\n"), "{kind}");
    }
    drop(c);

    huge_pages_are_refused(&t, view);
    corten_only!();
    bundle.set("/linux/resources/hugepageLimits/0/pageSize", "3MB");
    assert_eq!(t.refused_at(&bundle), "/linux/resources/hugepageLimits/0");
}

/// Two pages of 2 MiB can be had, a third cannot.
fn huge_pages_are_refused(t: &Sandbox, view: View) {
    let pool = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if pool.ok().and_then(|free| free.trim().parse::<u32>().ok()) < Some(3) {
        return eprintln!("{view:?}: the host has no free huge pages, so their limit is only read back");
    }
    let mut bundle = t.bundle();
    bundle.set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4 << 20}]));
    bundle.mount("/mnt/huge", "hugetlbfs", "hugetlbfs", &["pagesize=2M"]).set("/root/readonly", false);
    bundle.script(
        "cd /mnt/huge; fallocate -l 4M two && echo two; fallocate -l 2M three 2>/dev/null || echo no third",
    );
    assert_eq!(t.run(&bundle).ok(), "two\nno third\n");
}

fn unified(view: View) {
    corten_only!(); // runc refuses the map where v1 is in use
    let t = sandbox!(view);
    if kernel::hierarchy("").is_none() {
        skip!("this host has no unified hierarchy");
    }
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/resources/unified", json!({"cgroup.max.descendants": "0"}));
    let c = t.create(&bundle);
    let dir = c.init().cgroup("").unwrap();
    let refused = fs::create_dir(dir.join("below")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(nix::errno::Errno::EAGAIN as i32));
    drop(c);

    for (file, value) in
        [("cgroup.max.descendants", "many"), ("cgroup.none", "1"), ("nosuch.max", "1"), ("cgroup.kill", "1")]
    {
        bundle.set("/linux/resources/unified", json!({file: value}));
        assert_eq!(t.refused_at(&bundle), format!("/linux/resources/unified/{file}"), "{file}={value}");
    }
    if !view.is_v2() && kernel::hierarchy("memory").is_some() {
        bundle.set("/linux/resources/unified", json!({"memory.high": "1000000"}));
        assert_eq!(t.refused_at(&bundle), "/linux/resources/unified/memory.high");
    }
}

#[test]
fn realtime() {
    let t = sandbox!();
    let Some(chrt) = tool("chrt") else { skip!("chrt is not installed") };
    let Some(root) = kernel::hierarchy("cpu") else { skip!("cgroup v2 has no limits of realtime") };
    if !root.join("cpu.rt_runtime_us").exists() {
        skip!("this kernel has no limits of realtime");
    }
    let budget = |dir: &Path| {
        let text = fs::read_to_string(dir.join("cpu.rt_runtime_us"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0_i64)
    };
    let taken: i64 = fs::read_dir(&root).unwrap().flatten().map(|entry| budget(&entry.path())).sum();
    if budget(&root) - taken < 100_000 {
        skip!("other cgroups have what there is of realtime: {taken} of {}", budget(&root));
    }
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let becomes_realtime = |bundle: &conformance::Bundle| {
        let c = t.launch(bundle);
        let pid = c.pid().to_string();
        t.command([chrt.as_os_str()]).args(["-f", "-p", "1", &pid]).run().success()
    };
    assert!(!becomes_realtime(&bundle), "a new cgroup has no realtime budget");
    bundle.set("/linux/resources/cpu", json!({"realtimePeriod": 500_000, "realtimeRuntime": 10_000}));
    assert!(becomes_realtime(&bundle));
    t.assert_clean();
}

#[test]
fn what_version_2_does_not_have() {
    corten_only!();
    let t = sandbox!(View::V2);
    let mut bundle = t.bundle();
    for (pointer, value, at) in [
        ("/cpu", json!({"realtimeRuntime": 1000}), "/cpu/realtimeRuntime"),
        ("/network", json!({"classID": 1}), "/network/classID"),
        ("/network", json!({"priorities": [{"name": "lo", "priority": 1}]}), "/network/priorities/0"),
        ("/blockIO", json!({"leafWeight": 100}), "/blockIO/leafWeight"),
    ] {
        bundle.set("/linux/resources", json!({}));
        bundle.set(&format!("/linux/resources{pointer}"), value);
        assert_eq!(t.refused_at(&bundle), format!("/linux/resources{at}"));
    }
}

#[test]
fn limits_of_what_is_not_there() {
    corten_only!();
    let t = sandbox!();
    if !has_io(View::Host) {
        skip!("no controller of block devices");
    }
    let mut bundle = t.bundle();
    for field in ["throttleReadBpsDevice", "throttleWriteIOPSDevice"] {
        bundle.set("/linux/resources/blockIO", json!({field: [{"major": 259, "minor": 99, "rate": 1}]}));
        assert_eq!(t.refused_at(&bundle), format!("/linux/resources/blockIO/{field}/0"));
    }
    bundle.set("/linux/resources/blockIO", json!({}));
    bundle.set("/linux/resources/rdma", json!({"nosuch0": {"hcaHandles": 1}}));
    assert!(t.refused_at(&bundle).starts_with("/linux/resources/rdma"));
}

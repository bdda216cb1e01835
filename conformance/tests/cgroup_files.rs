//! The same limits through corten and through its peers: the kernel's files say the same of both. Differences that are meant
//! stand in [`EXPLAINED`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use conformance::{Bundle, Container, Sandbox, View, corten_only, note_skip, sandbox, skip, tool, views};
use nix::sys::stat::{major, minor};
use serde_json::{Value, json};

/// Files that count or list, or say what became of a limit; some can be written to, to reset them.
const FIGURES: &[&str] = &[
    "cgroup.procs",
    "cgroup.threads",
    "tasks",
    "pressure",
    "usage",
    "usage_in_bytes",
    "failcnt",
    "peak",
    "stat",
];

/// A peer, a file, and why corten has another value there.
const EXPLAINED: &[(&str, &str, &str)] = &[
    ("runc", "cpu.weight", "before 1.3.2 the curve that makes 39 of the default shares"),
    ("crun", "cpu.weight", "before 1.23 the same"),
    ("runc", "hugetlb.2MB.rsvd.max", "1.1.5 limits what is touched alone; 1.1.15 is as corten"),
    ("runc", "cpu.weight.nice", "follows the weight"),
    ("crun", "cpu.weight.nice", "follows the weight"),
    ("runc", "devices.list", "before 1.2 /dev/net/tun is open to every container (10:200)"),
    (
        "crun",
        "hugetlb.2MB.rsvd.max",
        "no limit of reservations: a payload that has reserved more dies when it touches it",
    ),
];

/// A peer, and a set of limits that it does not know.
const UNKNOWN: [(&str, &str); 2] = [("runc", "burst"), ("runc", "idle")]; // before 1.2

views!(cgroupfs);

fn cgroupfs(view: View) {
    corten_only!();
    let t = sandbox!(view);
    compare(&t, &[]);
}

#[test]
fn systemd() {
    corten_only!();
    let t = sandbox!();
    if !Path::new("/run/systemd/system").exists() {
        skip!("this host does not run systemd");
    }
    compare(&t, &["--systemd-cgroup"]);
}

/// Each set of limits through each peer. What a view has no controller for is refused by all.
fn compare(t: &Sandbox, flags: &[&str]) {
    let (mut found, mut compared) = (Vec::new(), 0);
    for (name, resources) in limits(t) {
        let ours = files(t, flags, &resources);
        for peer in ["runc", "crun"] {
            let Some(program) = tool(peer).filter(|_| !UNKNOWN.contains(&(peer, name))) else { continue };
            let t = Sandbox::new(t.view()).unwrap().with_program(program);
            match (&ours, files(&t, flags, &resources)) {
                (Ok(ours), Ok(theirs)) => {
                    found.extend(differences(name, peer, ours, &theirs));
                    compared += ours.len();
                }
                (Err(reason), Ok(_)) => found.push(format!("{name}: {peer} makes it, corten says {reason}")),
                (_, Err(reason)) => note_skip(&format!("{name}, {peer}: {reason}")),
            }
        }
    }
    // What a peer leaves behind goes with its sandbox.
    t.assert_clean();
    assert!(found.is_empty(), "{}", found.join("\n"));
    if compared == 0 {
        skip!("no peer makes a container here");
    }
    eprintln!("{compared} files compared");
}

/// Sets of limits, as far as this view has what they need.
fn limits(t: &Sandbox) -> Vec<(&'static str, Value)> {
    let mut sets = vec![
        ("nothing", json!({})),
        ("memory", json!({"memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20}})),
        ("memory alone", json!({"memory": {"limit": 64 << 20}})),
        ("no memory limit", json!({"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}})),
        ("no swap limit", json!({"memory": {"limit": 64 << 20, "swap": -1}})),
        (
            "processors",
            json!({"cpu": {"shares": 512, "quota": 20_000, "period": 50_000, "cpus": "0", "mems": "0"}}),
        ),
        ("burst", json!({"cpu": {"quota": 20_000, "period": 50_000, "burst": 5000}})),
        ("idle", json!({"cpu": {"idle": 1}})),
        ("least shares", json!({"cpu": {"shares": 2}})),
        ("period alone", json!({"cpu": {"period": 50_000}})),
        ("processes", json!({"pids": {"limit": 50}})),
        ("huge pages", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]})),
        ("block devices", json!({"blockIO": {"weight": 200}})),
    ];
    if let Some((major, minor)) = disk(t) {
        let device = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
        let rates = json!({"throttleReadBpsDevice": device(1 << 20), "throttleWriteIOPSDevice": device(100)});
        sets.push(("rates", json!({"blockIO": rates})));
    }
    if t.view().is_v2() {
        sets.push((
            "version 2",
            json!({"unified": {"memory.high": "50000000", "memory.oom.group": "1", "pids.max": "9"}}),
        ));
    } else {
        sets.push((
            "version 1",
            json!({"memory": {"limit": 64 << 20, "swappiness": 10, "disableOOMKiller": true}}),
        ));
        sets.push((
            "network",
            json!({"network": {"classID": 5, "priorities": [{"name": "lo", "priority": 3}]}}),
        ));
    }
    sets
}

/// The disk below the sandbox or below the root, if one of them is on a whole one.
fn disk(t: &Sandbox) -> Option<(u64, u64)> {
    let number = |path: &Path| fs::metadata(path).map(|file| (major(file.dev()), minor(file.dev()))).ok();
    let is_disk = |(major, minor): &(u64, u64)| {
        let node = format!("/sys/dev/block/{major}:{minor}");
        Path::new(&node).exists() && !Path::new(&node).join("partition").exists()
    };
    [t.dir(), Path::new("/")].into_iter().filter_map(number).find(is_disk)
}

/// What each file says, by controllers and name; one that stands in a sub-cgroup of the peer's too says two things.
type Files = BTreeMap<String, BTreeSet<String>>;

/// What the files say of a container with these limits.
fn files(t: &Sandbox, flags: &[&str], resources: &Value) -> Result<Files, String> {
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    for (name, value) in resources.as_object().unwrap() {
        bundle.set(&format!("/linux/resources/{name}"), value.clone());
    }
    let c = launch(t, flags, &mut bundle)?;
    let mut found = Files::new();
    for (controllers, dir) in directories(&c) {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let metadata = entry.metadata().unwrap();
            let is_limit = metadata.permissions().mode() & 0o600 == 0o600 || name == "devices.list";
            if metadata.is_file() && is_limit && !FIGURES.iter().any(|end| name.ends_with(end)) {
                let content = fs::read_to_string(entry.path()).unwrap_or_else(|error| error.to_string());
                let mut lines: Vec<&str> = content.lines().collect();
                lines.sort_unstable();
                found.entry(format!("{controllers}/{name}")).or_default().insert(lines.join("\n"));
            }
        }
    }
    c.force_delete();
    Ok(found)
}

fn launch<'a>(t: &'a Sandbox, flags: &[&str], bundle: &mut Bundle) -> Result<Container<'a>, String> {
    let id = t.id();
    if !flags.is_empty() {
        bundle.set("/linux/cgroupsPath", format!("system.slice:ct:{id}"));
    }
    bundle.write();
    let words = flags.iter().chain(&["run", "--detach", "--bundle"]).map(OsStr::new);
    let output = t.runtime(words).args([bundle.dir().as_os_str(), id.as_ref()]).run();
    if !output.success() {
        return Err(output.stderr());
    }
    Ok(Container::new(t, id, output))
}

/// The container's directory in each hierarchy that it does not share with this test. crun puts its processes into a cgroup of
/// their own below the scope, and the limits into either.
fn directories(c: &Container<'_>) -> Vec<(String, PathBuf)> {
    let table = c.init().file("cgroup");
    let mut found = Vec::new();
    for controllers in table.lines().filter_map(|line| line.split(':').nth(1)) {
        let Some(dir) = c.init().cgroup(controllers.split(',').next().unwrap()) else { continue };
        let scope = dir.parent().filter(|_| dir.ends_with("container")).map(Path::to_owned);
        found.extend(scope.into_iter().chain([dir]).map(|dir| (controllers.to_owned(), dir)));
    }
    found.retain(|(_, dir)| dir.to_string_lossy().contains(c.id()));
    found
}

/// The differences that nobody has explained. On a hybrid host peers leave out limits of controllers that the unified hierarchy has.
fn differences(set: &str, peer: &str, ours: &Files, theirs: &Files) -> Vec<String> {
    let is_explained = |name: &str| {
        EXPLAINED.iter().any(|(who, file, _)| *who == peer && name.rsplit('/').next() == Some(file))
    };
    let is_hybrid = ours.keys().any(|name| !name.starts_with('/'));
    let differs = |(name, values): &(&String, &BTreeSet<String>)| {
        let is_same = theirs.get(*name).is_some_and(|theirs| values.is_subset(theirs));
        !(is_same || is_explained(name) || is_hybrid && name.starts_with('/'))
    };
    let different = ours.iter().filter(differs);
    different
        .map(|(name, values)| format!("{set}: {name}: {values:?}, {peer}: {:?}", theirs.get(name)))
        .collect()
}

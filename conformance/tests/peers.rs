//! The same bundle through the runtime under test and through its peers: what the payload sees of itself is the same.
//! A difference that is meant to be is explained where it is taken out of the comparison.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use conformance::{Bundle, Sandbox, kernel, runtime, sandbox, skip, tool};
use serde_json::json;

use crate::netdevices;

/// What a payload says of itself, in sections.
const PROBE: &str = "\
    section() { echo \"== $1\"; }; \
    section status; grep -E '^(Uid|Gid|Groups|NSpid|Sig[BIC]|Cap|NoNewPrivs|Seccomp|Umask)' /proc/1/status; \
    section limits; cat /proc/self/limits; \
    section env; env | sort; \
    section cwd; pwd; hostname; umask; cat /proc/self/oom_score_adj; \
    section cgroup; cat /proc/self/cgroup; \
    section maps; cat /proc/self/uid_map /proc/self/gid_map; \
    section session; cut -d' ' -f 4-8 /proc/1/stat; \
    section schedule; cut -d' ' -f 18,19,40,41 /proc/1/stat; busybox ionice -p 1; \
    section personality; cat /proc/1/personality; uname -m; \
    section mapped; [ ! -e /mapped ] || stat -c %u:%g /mapped; \
    section streams; for fd in 0 1 2; do readlink /proc/1/fd/$fd; done; \
    section fds; ls /proc/1/fd; \
    section dev; find /dev | sort | while read f; do stat -c '%n %F %t:%T %a %u:%g' $f; done; \
    for l in fd stdin stdout stderr ptmx core; do echo $l $(readlink /dev/$l); done; \
    section mountinfo; cat /proc/self/mountinfo; \
    section sysctl; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; \
    section interfaces; ip addr | grep -v valid_lft";

/// Runs a bundle through one runtime and collects the sections, freed of what differs from run to run.
fn facts(program: &Path, edit: &dyn Fn(&mut Bundle)) -> Result<BTreeMap<String, Vec<String>>, String> {
    let t = Sandbox::new(conformance::View::Host)?.with_program(program);
    let mut bundle = t.bundle();
    bundle.script(PROBE);
    edit(&mut bundle);
    let id = t.id();
    // By name alone, since mountinfo has paths from a mount's own root.
    let dir = t.dir().file_name().unwrap().to_str().unwrap();
    let mut command = t.on_bundle(["run"], &bundle, &id);
    if bundle.config().pointer("/linux/netDevices").is_some() {
        command = netdevices::with_interface(&t, command).ok_or(netdevices::NO_INTERFACES)?;
    }
    let output = command.run();
    if !output.success() {
        return Err(output.report());
    }
    let mut sections = BTreeMap::new();
    let mut name = String::new();
    for line in output.stdout().lines() {
        if let Some(next) = line.strip_prefix("== ") {
            name = next.to_owned();
        } else {
            let line = line.replace(&id, "ID").replace(dir, "DIR");
            sections.entry(name.clone()).or_insert_with(Vec::new).push(line);
        }
    }
    let mounts = sections.remove("mountinfo").unwrap_or_default();
    sections.insert("mounts".into(), comparable_mounts(&mounts.join("\n"), &bundle));
    for line in sections.get_mut("streams").into_iter().flatten() {
        // The numbers of pipes.
        if let Some((kind, _)) = line.split_once(":[") {
            *line = kind.to_owned();
        }
    }
    if let Some(interfaces) = sections.get_mut("interfaces") {
        // Addresses of hardware and numbers are new each time.
        interfaces.retain(|line| !line.contains("link/ether"));
        for line in interfaces {
            *line = line.split_once(": ").map_or(line.as_str(), |(_, rest)| rest).replace("@if", " ");
        }
    }
    t.assert_clean();
    Ok(sections)
}

fn comparable_mounts(text: &str, bundle: &Bundle) -> Vec<String> {
    let masked = bundle.config()["linux"]["maskedPaths"].as_array().cloned().unwrap_or_default();
    let line = |mut mount: kernel::Mount| {
        if mount.point == "/sys/fs/cgroup" {
            // On v1 a tmpfs holds the mount points of the controllers. Read-only, as the config has it, it is in corten alone.
            mount.options.retain(|option| option != "ro" && option != "rw");
        }
        if mount.point == "/" {
            // runc forgets what the host's mount may not when it makes the root read-only; corten keeps it.
            mount.options.retain(|option| !matches!(option.as_str(), "nosuid" | "nodev" | "noexec"));
        }
        if mount.kind.starts_with("cgroup") {
            // Whatever the first mount of the hierarchy was called. Where the container has the host's view, corten's is a bind of that.
            mount.source.clear();
            mount.propagation.clear();
        }
        if mount.kind == "cgroup2" {
            // The others are the whole machine's: runc resets them where it mounts the hierarchy with the host's view.
            mount.super_options.retain(|option| option == "ro" || option == "rw");
        }
        if mount.has("idmapped") {
            // crun forgets what the host's mount may not, and makes it private; in corten it is as every bind.
            mount.options.retain(|option| !matches!(option.as_str(), "nosuid" | "nodev" | "noexec"));
            mount.propagation.clear();
        }
        if mount.kind == "sysfs" {
            // crun makes the mount alone read-only, not the superblock.
            mount.super_options.retain(|option| option != "ro" && option != "rw");
        }
        if masked.contains(&json!(mount.point)) {
            // A mask is the host's null device or an empty tmpfs in runc, and an empty file or directory of its own in
            // corten (rule D6): what counts is that the path is covered.
            return format!("{} is masked", mount.point);
        }
        let root = mount.root.rsplit_once("/DIR").map_or(mount.root.as_str(), |(_, rest)| rest).to_owned();
        // `inode64` and the like depend on the call that mounts; the numbers of peer groups on the run.
        let options =
            mount.super_options.iter().filter(|o| !o.starts_with("inode") && *o != "seclabel").cloned();
        let options: Vec<String> = options.collect();
        let propagation: Vec<&str> =
            mount.propagation.iter().filter_map(|field| field.split(':').next()).collect();
        format!(
            "{} {} {} {} {} {} {}",
            mount.point,
            mount.kind,
            mount.source,
            root,
            mount.options.join(","),
            propagation.join(","),
            options.join(",")
        )
    };
    let mut lines: Vec<String> = kernel::mounts(text).into_iter().map(line).collect();
    // The controllers of v1, masks and read-only paths do not lie over each other: their order means nothing.
    lines.sort();
    lines
}

/// What a peer does otherwise and corten does on purpose.
fn forgive(peer: &Path, sections: &mut BTreeMap<String, Vec<String>>) {
    if peer.ends_with("crun") {
        // crun's payload has the streams of `crun run` itself, and owns its null device where that is its input; with runc and corten
        // there are pipes between.
        sections.remove("streams");
        if let Some(dev) = sections.get_mut("dev") {
            dev.retain(|line| !line.starts_with("/dev/null "));
        }
    }
    // Go's runtime makes some signals ignored or blocked in what it starts (rule D20).
    if let Some(status) = sections.get_mut("status") {
        status.retain(|line| !line.starts_with("SigIgn") && !line.starts_with("SigBlk"));
    }
    // Which pending-signal limit a user has counts the user's processes at that moment.
    if let Some(limits) = sections.get_mut("limits") {
        limits.retain(|line| !line.starts_with("Max pending signals"));
    }
}

fn compare(peer: &str, edit: &dyn Fn(&mut Bundle)) {
    let Some(peer) = tool(peer) else { skip!("{peer} is not installed") };
    if let Err(reason) = Sandbox::new(conformance::View::Host) {
        skip!("{reason}");
    }
    let mut theirs = match facts(&peer, edit) {
        Ok(theirs) => theirs,
        // crun on a hybrid host, for one.
        Err(report) => {
            skip!("{} cannot run here: {}", peer.display(), report.lines().last().unwrap_or_default())
        }
    };
    let mut ours = facts(runtime(), edit).unwrap_or_else(|report| panic!("{report}"));
    forgive(&peer, &mut theirs);
    forgive(&peer, &mut ours);
    for (name, lines) in &theirs {
        let own = ours.get(name).cloned().unwrap_or_default();
        let only_ours: Vec<_> = own.iter().filter(|line| !lines.contains(line)).collect();
        let only_theirs: Vec<_> = lines.iter().filter(|line| !own.contains(line)).collect();
        assert!(own == *lines, "section {name}\nours: {only_ours:#?}\n{}: {only_theirs:#?}", peer.display());
    }
    assert_eq!(ours.len(), theirs.len());
}

/// A field that not every release of a peer knows: to one that does it makes a difference.
fn compare_field(peer: &str, without: &dyn Fn(&mut Bundle), field: &dyn Fn(&mut Bundle)) {
    let Some(program) = tool(peer) else { skip!("{peer} is not installed") };
    if let Err(reason) = Sandbox::new(conformance::View::Host) {
        skip!("{reason}");
    }
    let with = |bundle: &mut Bundle| {
        without(bundle);
        field(bundle);
    };
    let found = [without, &with].map(|edit| {
        let mut facts = facts(&program, edit).ok()?;
        forgive(&program, &mut facts);
        Some(facts)
    });
    if found[0].is_some() && found[0] == found[1] {
        skip!("this release of {peer} passes the field over");
    }
    compare(peer, &with);
}

fn plain(_: &mut Bundle) {}

fn user(bundle: &mut Bundle) {
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 6]}));
    bundle
        .set("/process/cwd", "/tmp")
        .set("/process/noNewPrivileges", false)
        .set("/process/oomScoreAdj", 100);
    bundle.set(
        "/process/rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 600}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]),
    );
    bundle.capabilities(&["CAP_NET_RAW", "CAP_CHOWN"]);
}

fn mounts(bundle: &mut Bundle) {
    bundle.set("/root/readonly", false);
    bundle.mount("/mnt/tmpfs", "tmpfs", "source", &["size=1m", "noexec", "mode=700"]);
    bundle.mount("/mnt/bind", "bind", "/usr/share", &["rbind", "ro", "nodev"]);
    bundle.mount("/mnt/file", "bind", "/etc/hostname", &["bind", "ro"]);
    bundle.mount("/mnt/slave", "bind", "/usr/share", &["rbind", "rslave", "nosuid"]);
    bundle.push(
        "/linux/devices",
        json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 7, "fileMode": 0o640, "uid": 5}),
    );
}

/// A mount of a directory beside the root filesystem, whose ids are not mapped.
fn unmapped(bundle: &mut Bundle) {
    let source = bundle.dir().join("source");
    fs::create_dir(&source).unwrap();
    bundle.set("/root/readonly", false).mount("/mapped", "bind", source, &["bind"]);
}

fn id_mapped(bundle: &mut Bundle) {
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    bundle.push("/mounts/7/options", json!("idmap"));
    bundle.set("/mounts/7/uidMappings", map.clone()).set("/mounts/7/gidMappings", map);
}

fn scheduler(bundle: &mut Bundle) {
    bundle.set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 12}));
}

fn io_priority(bundle: &mut Bundle) {
    bundle.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
}

fn personality(bundle: &mut Bundle) {
    bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
}

fn network_devices(bundle: &mut Bundle) {
    bundle.set("/linux/netDevices", json!({"ct0": {"name": "lan"}}));
}

fn shared_namespaces(bundle: &mut Bundle) {
    bundle.without_namespace("network").without_namespace("ipc").without_namespace("cgroup");
    bundle.set("/linux/sysctl", json!({}));
}

#[test]
fn runc_plain() {
    compare("runc", &plain);
}

#[test]
fn runc_user() {
    compare("runc", &user);
}

#[test]
fn runc_mounts() {
    compare("runc", &mounts);
}

#[test]
fn runc_shared_namespaces() {
    compare("runc", &shared_namespaces);
}

#[test]
fn crun_plain() {
    compare("crun", &plain);
}

#[test]
fn crun_user() {
    compare("crun", &user);
}

/// A test of each field that came late to the specification: what it is set beside, and how.
macro_rules! late_fields {
    ($peer:ident: $($test:ident beside $without:ident),+) => {
        mod $peer {
            $(
                #[test]
                fn $test() {
                    super::compare_field(stringify!($peer), &super::$without, &super::$test);
                }
            )+
        }
    };
}

late_fields!(runc: scheduler beside plain, io_priority beside plain, personality beside plain, id_mapped beside unmapped,
    network_devices beside plain);
late_fields!(crun: scheduler beside plain, io_priority beside plain, personality beside plain, id_mapped beside unmapped,
    network_devices beside plain);

/// Saved state, texts and codes of errors: what engines read is the same, word for word.
#[test]
fn errors_of_runc() {
    let Some(runc) = tool("runc") else { skip!("runc is not installed") };
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).write();
    let ours = t;
    let theirs = sandbox!().with_program(&runc);
    let ids = [ours.id(), theirs.id()];
    let both = |commands: &[&[&str]]| {
        for command in commands {
            let [a, b] = [(&ours, &ids[0]), (&theirs, &ids[1])].map(|(t, id)| {
                let words = command.iter().map(|word| if *word == "ID" { id.as_str() } else { *word });
                let output = t.runtime(words).run();
                (output.code(), message(&output.stderr()).replace(id.as_str(), "ID"))
            });
            assert_eq!(a, b, "{command:?}");
        }
    };
    both(&[
        &["state", "nosuch"],
        &["start", "nosuch"],
        &["kill", "nosuch", "KILL"],
        &["delete", "nosuch"],
        &["delete", "--force", "nosuch"],
        &["pause", "nosuch"],
        &["exec", "nosuch", "true"],
        &["ps", "nosuch"],
    ]);
    let dir = bundle.dir().to_str().unwrap().to_owned();
    both(&[
        &["create", "--bundle", &dir, "ID"],
        &["create", "--bundle", &dir, "ID"],
        &["start", "ID"],
        &["start", "ID"],
    ]);
    both(&[
        &["resume", "ID"],
        &["exec", "ID", "nosuch"],
        &["exec", "ID", "/etc/passwd"],
        &["kill", "ID", "FOO"],
        &["delete", "ID"],
    ]);
    both(&[
        &["pause", "ID"],
        &["start", "ID"],
        &["exec", "ID", "true"],
        &["resume", "ID"],
        &["kill", "ID", "KILL"],
    ]);
    for (t, id) in [(&ours, &ids[0]), (&theirs, &ids[1])] {
        conformance::wait_until("the end", || t.runtime(["state", id]).run().stdout().contains("stopped"));
    }
    both(&[
        &["kill", "ID", "TERM"],
        &["start", "ID"],
        &["exec", "ID", "true"],
        &["pause", "ID"],
        &["delete", "ID"],
        &["state", "ID"],
    ]);
}

/// The message of a line in the text log format.
fn message(line: &str) -> String {
    let text = line.split_once(" msg=").map_or(line, |(_, text)| text).trim_end();
    // corten adds the value at fault and what can be done about it.
    let added = [" pointer=", " hint="].iter().filter_map(|key| text.find(key)).min();
    text[..added.unwrap_or(text.len())].trim_matches('"').replace("\\\"", "\"")
}

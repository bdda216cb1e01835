//! User namespaces, new and joined, and new time namespaces.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use conformance::{Bundle, View, corten_only, is_peer, kernel, sandbox, views};
use serde_json::json;

const FIRST: u32 = 100_000;

/// Gives the bundle a user namespace whose ids from `inside` on are the host's from [`FIRST`] on, and its root filesystem to
/// the user who is root there.
fn mapped(bundle: &mut Bundle, inside: u32) {
    let mapping = json!([{"containerID": inside, "hostID": FIRST, "size": 65_536}]);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    bundle
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
        .set("/root/readonly", false);
    chown(bundle.rootfs(), Some(FIRST), Some(FIRST)).unwrap();
    for name in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var"] {
        chown(bundle.inside(name), Some(FIRST), Some(FIRST)).unwrap();
    }
}

views!(root_inside_is_a_user_outside, a_cgroup_mount_without_a_cgroup_namespace);

fn root_inside_is_a_user_outside(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    mapped(&mut bundle, 0);
    bundle.args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    let status = c.init().status("Uid");
    assert!(status.split_whitespace().all(|id| id == FIRST.to_string()), "{status}");
    let shown =
        c.shell("id -u; cat /proc/self/uid_map; touch /tmp/made; echo x > /dev/null; stat -c %u /tmp/made");
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "0"]);
    assert_eq!(
        c.shell("stat -c %u /dev/mqueue /dev/shm /proc/1").trim(),
        "0\n0\n0",
        "mounts belong to root inside"
    );
    let made = fs::metadata(bundle.inside("/tmp/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (FIRST, FIRST));
    c.force_delete();
    t.assert_clean();
}

#[test]
fn several_ranges_and_other_users() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    mapped(&mut bundle, 0);
    let ranges = json!([
        {"containerID": 0, "hostID": FIRST, "size": 1000},
        {"containerID": 1000, "hostID": 5000, "size": 10},
        {"containerID": 1010, "hostID": FIRST + 1010, "size": 60_000}
    ]);
    bundle.set("/linux/uidMappings", ranges.clone()).set("/linux/gidMappings", ranges);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [1005, 7]}));
    bundle.script("id -u; id -g; id -G; wc -l < /proc/self/gid_map; echo free > /dev/stdout");
    assert_eq!(t.run(&bundle).ok(), "1000\n1001\n1001 1005 7\n3\nfree\n");
}

#[test]
fn without_a_root_the_first_id_sets_up() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    mapped(&mut bundle, 7);
    bundle.set("/process/user", json!({"uid": 9, "gid": 10})).set("/process/cwd", "/srv/made");
    for (index, mount) in bundle.config().clone()["mounts"].as_array().unwrap().iter().enumerate() {
        let options = mount["options"].as_array().into_iter().flatten();
        let kept: Vec<_> = options.filter(|option| !option.as_str().unwrap().starts_with("gid=")).collect();
        bundle.set(&format!("/mounts/{index}/options"), json!(kept));
    }
    bundle.script("id -u; id -g; pwd; stat -c %u /srv/made; grep -c . /proc/self/uid_map");
    assert_eq!(t.run(&bundle).ok(), "9\n10\n/srv/made\n7\n1\n");
}

#[test]
fn sources_that_only_the_host_reaches_are_mounted() {
    let t = sandbox!();
    let closed = t.path("closed");
    fs::create_dir_all(closed.join("data")).unwrap();
    fs::write(closed.join("data/text"), "reached").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let mut bundle = t.bundle();
    mapped(&mut bundle, 0);
    bundle.mount("/data", "bind", closed.join("data"), &["rbind", "ro", "nosuid"]);
    bundle.mount("/again", "bind", closed.join("data"), &["bind"]);
    bundle.script("cat /data/text /again/text; touch /data/x; grep ' /data ' /proc/self/mountinfo");
    let output = t.run(&bundle);
    let text = output.stdout();
    assert!(text.starts_with("reachedreached"), "{}", output.report());
    let data = kernel::mount_at(text.trim_start_matches("reached"), "/data");
    assert!(data.has("ro") && data.has("nosuid"), "{text}");
    assert!(output.stderr().contains("Read-only"), "{}", output.report());
    if !is_peer() {
        bundle.mount("/none", "bind", closed.join("none"), &["bind"]);
        assert_eq!(
            t.refused_at(&bundle),
            format!("/mounts/{}", bundle.config()["mounts"].as_array().unwrap().len() - 1)
        );
    }
}

/// Whoever is root inside may mount there, but only there.
#[test]
fn what_is_mounted_on_a_shared_source_stays_inside() {
    let t = sandbox!();
    let source = t.path("source");
    for name in ["sub", "below"] {
        fs::create_dir_all(source.join(name)).unwrap();
    }
    for (options, user) in
        [(&["bind"][..], true), (&["rbind"], true), (&["rbind", "rshared"], true), (&["rbind"], false)]
    {
        let mut bundle = t.bundle();
        if user {
            mapped(&mut bundle, 0);
        }
        bundle.mount("/data", "bind", &source, options).capabilities(&["CAP_SYS_ADMIN"]);
        bundle.script("for name in sub below; do mount -t tmpfs none /data/$name; done; grep -c ' /data/' /proc/self/mountinfo");
        // Without the mounts below nobody in a user namespace gets the one above.
        let recursive = options[0] == "rbind";
        let below = if recursive { "mount -t tmpfs none" } else { ":" };
        let shared = format!(
            "mount --bind {0} {0} && mount --make-shared {0} && {below} {0}/below && \
             \"$@\" && grep -c ' {0}/' /proc/self/mountinfo || true",
            source.display()
        );
        let around = ["unshare", "-m", "--propagation", "private", "sh", "-c", &shared, "sh"];
        let output = t.on_bundle(["run"], &bundle, &t.id()).wrap(around).run();
        let (inside, host) = if recursive { (3, 1) } else { (2, 0) };
        assert_eq!(output.ok(), format!("{inside}\n{host}\n"), "{options:?}");
    }
    t.assert_clean();
}

#[test]
fn exec_enters_it() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    mapped(&mut bundle, 0);
    bundle.args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    for (user, uid) in [("0:0", "0"), ("1000:1000", "1000")] {
        let output = c.exec_with(["--user", user], ["sh", "-c", "id -u; echo free > /dev/stdout"]).run();
        assert_eq!(output.ok(), format!("{uid}\nfree\n"));
    }
}

views!(two_containers_share_one);

fn two_containers_share_one(view: View) {
    let t = sandbox!(view);
    let mut first = t.bundle();
    mapped(&mut first, 0);
    first.args(["sleep", "1000"]);
    let one = t.launch(&first);
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", one.pid());
    let mut second = t.bundle();
    mapped(&mut second, 0);
    for (kind, link) in [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")]
    {
        second.join_namespace(kind, &path(link));
    }
    second.remove("/hostname").args(["sleep", "1000"]);
    let two = t.launch(&second);
    for link in ["user", "net", "ipc", "uts", "pid"] {
        assert_eq!(one.init().namespace(link), two.init().namespace(link), "{link}");
    }
    assert_ne!(one.init().namespace("mnt"), two.init().namespace("mnt"));
    assert_eq!(two.shell("id -u; ps | grep -c '[s]leep 1000'"), "0\n2\n");
    two.force_delete();
    assert_eq!(one.status(), "running");
    one.force_delete();
    t.assert_clean();
}

/// The kernel refuses a cgroup2 mount there: the payload sees its cgroup by a bind of the host's.
fn a_cgroup_mount_without_a_cgroup_namespace(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    mapped(&mut bundle, 0);
    bundle.without_namespace("cgroup").args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    let file = if view.is_v2() { "cgroup.procs" } else { "pids/cgroup.procs" };
    assert!(c.shell(&format!("cat /sys/fs/cgroup/{file} && echo there")).ends_with("there\n"));
}

#[test]
fn mappings_must_be_those_of_the_joined_namespace() {
    corten_only!();
    let t = sandbox!();
    let mut first = t.bundle();
    mapped(&mut first, 0);
    first.args(["sleep", "1000"]);
    let one = t.launch(&first);
    let mut second = t.bundle();
    mapped(&mut second, 0);
    second.join_namespace("user", &format!("/proc/{}/ns/user", one.pid())).args(["true"]);
    t.run(&second).ok();
    second.set("/linux/gidMappings/0/hostID", 1);
    let stderr = t.run(&second).fails(1);
    assert!(stderr.contains("/linux/gidMappings") && stderr.contains("0     100000      65536"), "{stderr}");
}

/// The pipes between the runtime in the foreground and the process become the process's: it may open them again.
#[test]
fn standard_streams_belong_to_the_process() {
    let t = sandbox!();
    for user in [0, 7] {
        let mut bundle = t.bundle();
        mapped(&mut bundle, 0);
        bundle.set("/process/user", json!({"uid": user, "gid": user}));
        bundle.script(
            "stat -L -c '%F %u' /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; echo again > /proc/self/fd/1; exec cat",
        );
        let output = t.on_bundle(["run"], &bundle, &t.id()).input("input").run();
        let pipe = format!("fifo {user}\n");
        assert_eq!(output.ok(), format!("{}again\ninput", pipe.repeat(3)), "{}", output.report());
    }
    t.assert_clean();
}

#[test]
fn bad_mappings_are_named() {
    corten_only!();
    let t = sandbox!();
    let first = json!({"containerID": 0, "hostID": FIRST, "size": 65_536});
    let rows = [
        ("/linux/uidMappings", json!([]), "/linux/uidMappings"),
        ("/linux/uidMappings/0/size", json!(0), "/linux/uidMappings/0/size"),
        ("/linux/gidMappings/0/hostID", json!(u32::MAX), "/linux/gidMappings/0/hostID"),
        (
            "/linux/uidMappings",
            json!([first, {"containerID": 10, "hostID": 300_000, "size": 9}]),
            "/linux/uidMappings/1/containerID",
        ),
        (
            "/linux/gidMappings",
            json!([first, {"containerID": 70_000, "hostID": FIRST + 5, "size": 9}]),
            "/linux/gidMappings/1/hostID",
        ),
        ("/process/user/uid", json!(70_000), "/process/user/uid"),
        ("/process/user/additionalGids", json!([1, 65_536]), "/process/user/additionalGids/1"),
    ];
    for (pointer, value, at) in rows {
        let mut bundle = t.bundle();
        mapped(&mut bundle, 0);
        bundle.set(pointer, value);
        assert_eq!(t.refused_at(&bundle), at);
    }
    t.assert_clean();
}

#[test]
fn clocks_of_a_new_time_namespace_differ() {
    let t = sandbox!();
    for user in [false, true] {
        let mut bundle = t.bundle();
        bundle.push("/linux/namespaces", json!({"type": "time"}));
        if user {
            mapped(&mut bundle, 0);
        }
        bundle.set(
            "/linux/timeOffsets",
            json!({
                "monotonic": {"secs": 86_400, "nanosecs": 5},
                "boottime": {"secs": 172_800}
            }),
        );
        bundle.script("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime; exec sleep 1000");
        let c = t.launch(&bundle);
        let shown = c.shell("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime");
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(&words[..6], ["monotonic", "86400", "5", "boottime", "172800", "0"]);
        let host: f64 = kernel::read("/proc/uptime").split_whitespace().next().unwrap().parse().unwrap();
        assert!((words[6].parse::<f64>().unwrap() - host - 172_800.0).abs() < 60.0, "{shown}");
        assert_ne!(c.init().namespace("time"), kernel::Process(std::process::id()).namespace("time"));
        c.force_delete();
    }
    t.assert_clean();
}

/// As root of a user namespace that has all ids and owns its mounts, but not the host's network.
const WITH_ALL_IDS: &str = "unshare --user --mount --propagation private sh -c '
    until [ \"$(cat /proc/self/gid_map)\" ]; do sleep 0.01; done; exec \"$@\"' sh \"$@\" &
    until [ \"$(readlink /proc/$!/ns/user)\" != \"$(readlink /proc/self/ns/user)\" ]; do sleep 0.01; done
    echo 0 0 4294967295 >/proc/$!/uid_map && echo 0 0 4294967295 >/proc/$!/gid_map && wait $!";

#[test]
fn a_caller_in_a_user_namespace_with_all_ids_makes_a_network() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
    bundle.script("ifconfig lo");
    let (id, dir) = (t.id(), bundle.write().dir().to_str().unwrap().to_owned());
    let run = t.runtime(["--rootless", "true", "run", "--bundle", &dir, &id]);
    let output = run.wrap(["sh", "-c", WITH_ALL_IDS, "sh"]).run();
    assert!(output.ok().contains("UP LOOPBACK"), "{}", output.report());
    t.assert_clean();
}

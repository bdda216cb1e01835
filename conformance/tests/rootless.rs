//! An unprivileged user's containers: no capability, no cgroup or one that was handed over, state in `$XDG_RUNTIME_DIR`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use conformance::{Bundle, Command, Sandbox, View, corten_only, kernel, note_skip, sandbox, skip, tool};
use serde_json::{Value, json};

/// A user who needs no account: the kernel knows ids alone.
const USER: u32 = 54_321;

/// What a user has: the runtime's program, a place for state, bundles.
struct Home<'a> {
    sandbox: &'a Sandbox,
    program: PathBuf,
    user: u32,
}

impl<'a> Home<'a> {
    fn new(sandbox: &'a Sandbox, user: u32) -> Option<Self> {
        if tool("setpriv").is_none() {
            note_skip("setpriv is not installed");
            return None;
        }
        let program = sandbox.path("corten");
        fs::copy(sandbox.program(), &program).unwrap();
        fs::create_dir(sandbox.path("run")).unwrap();
        chown(sandbox.path("run"), Some(user), Some(user)).unwrap();
        fs::set_permissions(sandbox.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { sandbox, program, user })
    }

    /// The runtime as this user.
    fn corten<const N: usize>(&self, args: [&str; N]) -> Command {
        let id = self.user.to_string();
        let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
        let run = self.sandbox.path("run");
        self.sandbox.command([&self.program]).args(args).wrap(user).env("XDG_RUNTIME_DIR", run)
    }

    /// A bundle of this user's, with the config that `spec --rootless` writes and this script.
    fn bundle(&self, script: &str) -> Bundle {
        let mut bundle = self.sandbox.bundle();
        for path in [bundle.dir().to_owned(), bundle.rootfs(), bundle.inside("/tmp"), bundle.inside("/dev")] {
            chown(path, Some(self.user), Some(self.user)).unwrap();
        }
        self.corten(["spec", "--rootless", "--bundle", bundle.dir().to_str().unwrap()]).run().ok();
        let text = fs::read(bundle.dir().join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&text).unwrap();
        bundle.set("", config).set("/process/terminal", false).set("/root/readonly", false).script(script);
        bundle.write();
        bundle
    }
}

fn dir(bundle: &Bundle) -> &str {
    bundle.dir().to_str().unwrap()
}

#[test]
fn a_user_runs_a_container() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let script =
        "id -u; cat /proc/self/uid_map /proc/self/setgroups; touch /tmp/made; hostname; echo x > /dev/null";
    let bundle = home.bundle(script);
    let output = home.corten(["run", "--bundle", dir(&bundle), "one"]).run();
    let text = output.ok();
    assert_eq!(output.stderr(), "", "no warning, though there is no cgroup");
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "54321", "1", "deny", "corten"]);
    assert_eq!(fs::metadata(bundle.inside("/tmp/made")).unwrap().uid(), USER);
    assert_eq!(fs::read_dir(t.path("run/corten")).unwrap().count(), 0, "the state is gone");
}

/// As `su` and cron leave it.
#[test]
fn a_user_without_a_runtime_directory_is_told() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let bundle = home.bundle("true");
    // The machine's own state root, whether it is there or not, is one of the test's own.
    let script = "mount -t tmpfs -o mode=755 none /run && mkdir -m 700 /run/corten && exec \"$@\"";
    let without = |args: &[&str]| {
        let command = home.corten([]).args(args).env("XDG_RUNTIME_DIR", "");
        command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]).run()
    };
    for args in [&["run", "--bundle", dir(&bundle), "one"][..], &["list"], &["state", "one"]] {
        let output = without(args);
        output.fails_with(1, "permission denied");
        output.fails_with(1, "XDG_RUNTIME_DIR is not set: set it, or name a directory with --root");
    }
    let root = t.path("run");
    without(&["--root", root.to_str().unwrap(), "run", "--bundle", dir(&bundle), "one"]).ok();
}

/// Those of the container have another user for whom the user's own rights reach.
#[test]
fn a_host_that_hides_processes_of_others() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let hiding = "mount -t proc -o hidepid=invisible none /proc && exec \"$@\"";
    let corten = |args: &[&str]| {
        let command = home.corten([]).args(args);
        command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", hiding, "sh"]).run()
    };
    let bundle = home.bundle("exec sleep 1000");
    bundle.write();
    corten(&["run", "--detach", "--bundle", dir(&bundle), "hidden"]).ok();
    assert!(corten(&["list"]).ok().contains("running"));
    assert_eq!(corten(&["exec", "hidden", "cat", "/proc/1/comm"]).ok(), "sleep\n");
    assert!(corten(&["ps", "hidden"]).ok().contains("sleep"));
    corten(&["delete", "--force", "hidden"]).ok();
}

#[test]
fn network_namespaces_of_a_user() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let mut bundle = home.bundle("exec sleep 1000");
    bundle.without_namespace("network").push("/linux/namespaces", json!({"type": "network"}));
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})).write();
    home.corten(["run", "--detach", "--bundle", dir(&bundle), "one"]).run().ok();
    let value = ["exec", "one", "cat", "/proc/sys/net/ipv4/ip_forward"];
    assert_eq!(home.corten(value).run().ok(), "1\n");

    let state: Value = serde_json::from_str(&home.corten(["state", "one"]).run().ok()).unwrap();
    let file = |kind: &str| format!("/proc/{}/ns/{kind}", state["pid"]);
    let mut other = home.bundle("cat /proc/sys/net/ipv4/ip_forward; readlink /proc/self/ns/net");
    other.join_namespace("user", &file("user")).join_namespace("network", &file("net"));
    other.remove("/linux/uidMappings").remove("/linux/gidMappings").write();
    let text = home.corten(["run", "--bundle", dir(&other), "two"]).run().ok();
    let network = fs::read_link(file("net")).unwrap();
    assert_eq!(text, format!("1\n{}\n", network.display()));
    // Its init is closed to the user until the payload takes over.
    other.script("exec sleep 1000").write();
    home.corten(["create", "--bundle", dir(&other), "two"]).run().ok();
    let status = || home.corten(["state", "two"]).run().ok();
    assert!(status().contains("\"created\""), "{}", status());
    home.corten(["start", "two"]).run().ok();
    assert!(status().contains("\"running\""), "{}", status());
    home.corten(["delete", "--force", "two"]).run().ok();
    home.corten(["delete", "--force", "one"]).run().ok();
}

/// Here the kernel itself keeps what the host has restricted.
#[test]
fn a_bind_mount_keeps_the_hosts_restrictions() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let shown = source.display();
    let host =
        format!("mount -t tmpfs tmpfs '{shown}' && mount -o remount,bind,ro,nodev '{shown}' && exec \"$@\"");
    let run = |options: &[&str]| {
        let mut bundle = home.bundle("grep ' /mnt ' /proc/self/mountinfo");
        bundle.mount("/mnt", "bind", &source, options).write();
        let command = home.corten(["run", "--bundle", dir(&bundle), "one"]);
        command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &host, "sh"]).run()
    };
    let text = run(&["rbind", "nosuid"]).ok();
    assert!(text.contains(" ro,nosuid,nodev,"), "{text}");
    let output = run(&["rbind", "rw"]);
    let text = output.fails(1);
    assert!(text.contains("cannot clear ro") && text.contains("operation not permitted"), "{text}");
}

#[test]
fn every_operation_works() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let bundle = home.bundle("sleep 1000 & exec sleep 1000");
    let state = |status: &str| {
        let state: Value = serde_json::from_str(&home.corten(["state", "one"]).run().ok()).unwrap();
        assert_eq!(state["status"], status);
    };
    home.corten(["create", "--bundle", dir(&bundle), "one"]).run().ok();
    state("created");
    assert_eq!(home.corten(["exec", "one", "id", "-u"]).run().ok(), "0\n");
    home.corten(["start", "one"]).run().ok();
    state("running");
    assert_eq!(home.corten(["exec", "one", "sh", "-c", "echo free > /dev/stdout"]).run().ok(), "free\n");
    let pids: Vec<u32> =
        serde_json::from_str(&home.corten(["ps", "--format", "json", "one"]).run().ok()).unwrap();
    assert_eq!(pids.len(), 2);
    assert!(home.corten(["list"]).run().ok().contains("running"));
    let tmpfs = r#"[{"destination": "/tmp", "type": "tmpfs", "options": ["size=64k"]}]"#;
    home.corten(["mounts", "add", "one", "-"]).input(tmpfs).run().ok();
    assert!(home.corten(["exec", "one", "cat", "/proc/mounts"]).run().ok().contains(" /tmp tmpfs "));
    home.corten(["mounts", "remove", "one", "-"]).input(tmpfs).run().ok();
    let bind = r#"[{"destination": "/tmp", "type": "bind", "source": "/etc"}]"#;
    home.corten(["mounts", "add", "one", "-"]).input(bind).run().fails_with(1, "without privileges");
    home.corten(["pause", "one"]).run().fails_with(1, "no cgroup");
    home.corten(["kill", "one", "KILL"]).run().ok();
    conformance::wait_until("it has stopped", || {
        home.corten(["state", "one"]).run().ok().contains("\"stopped\"")
    });
    home.corten(["delete", "one"]).run().ok();
    home.corten(["run", "--detach", "--bundle", dir(&bundle), "two"]).run().ok();
    home.corten(["delete", "--force", "two"]).run().ok();
    assert!(!home.corten(["list", "--quiet"]).run().ok().contains("two"));
}

#[test]
fn a_cgroup_that_is_asked_for_is_not_left_out() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    for (pointer, value) in
        [("/linux/cgroupsPath", json!("/nobodys/ct")), ("/linux/resources/pids/limit", json!(5))]
    {
        let mut bundle = home.bundle("true");
        bundle.set(pointer, value).write();
        let output = home.corten(["run", "--bundle", dir(&bundle), "one"]).run();
        output
            .fails_with(1, "unable to apply cgroup configuration: rootless needs no limits + no cgrouppath");
        assert!(output.stderr().contains("permission denied"), "{}", output.report());
        let asked_for = pointer.trim_end_matches("/pids/limit");
        assert!(output.stderr().contains(&format!("pointer={asked_for}")), "{}", output.report());
    }
}

#[test]
fn processes_that_cannot_be_found_again_are_warned_of() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let mut bundle = home.bundle("true");
    bundle.without_namespace("pid").remove("/linux/maskedPaths").remove("/linux/readonlyPaths");
    bundle.set(
        "/mounts",
        json!([{"destination": "/proc", "type": "none", "source": "/proc", "options": ["rbind"]}]),
    );
    bundle.write();
    let output = home.corten(["run", "--bundle", dir(&bundle), "one"]).run();
    output.ok();
    assert!(output.stderr().contains("neither a cgroup nor a pid namespace"), "{}", output.report());
}

#[test]
fn what_the_kernel_refuses_is_named() {
    corten_only!();
    let t = sandbox!();
    let Some(home) = Home::new(&t, USER) else { return };
    let refused = |pointer: &str, value: Value, text: &str| {
        let mut bundle = home.bundle("true");
        bundle.set(pointer, value).write();
        home.corten(["run", "--bundle", dir(&bundle), "one"]).run().fails_with(1, text);
    };
    refused("/linux/resources/pids/limit", json!(5), "lacks the right to manage this cgroup");
    refused("/linux/uidMappings/0/hostID", json!(0), "/linux/uidMappings");
    refused("/process/user/additionalGids", json!([0]), "supplementary groups");
    for (path, text) in [
        ("/proc/1/ns/net", "open namespace /proc/1/ns/net: permission denied"),
        ("/proc/self/ns/net", "unable to join a namespace: setns: operation not permitted"),
    ] {
        let mut bundle = home.bundle("true");
        bundle.join_namespace("network", path).write();
        home.corten(["run", "--bundle", dir(&bundle), "one"]).run().fails_with(1, text);
    }
    let bundle = home.bundle("true");
    let flags = ["--rootless", "false", "run", "--bundle", dir(&bundle), "one"];
    home.corten(flags).run().fails_with(1, "lacks the right to manage this cgroup");
    assert_eq!(fs::read_dir(t.path("run/corten")).unwrap().count(), 0);
}

#[test]
fn a_cgroup_that_was_handed_over_is_used() {
    corten_only!();
    let t = sandbox!(View::V2);
    let Some(home) = Home::new(&t, USER) else { return };
    let mut bundle = home.bundle("exec sleep 1000");
    // With a limit there must be a cgroup, but no device filter: that takes a privilege.
    bundle.set("/linux/resources/unified", json!({"cgroup.max.depth": "3"})).write();
    let top = format!("/sys/fs/cgroup/{}", t.id());
    // The user's own process has to be in what was handed over, or nothing could be moved in there.
    let enter = format!(
        "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup 2>/dev/null; mkdir -p {top}/own; \
         chown {USER} {top} {top}/own {top}/cgroup.procs {top}/own/cgroup.procs {top}/cgroup.subtree_control; \
         echo $$ > {top}/own/cgroup.procs"
    );
    let command = |args: [&str; 2], more: &[&str]| {
        home.corten(args).args(more).after(&enter).wrap(["unshare", "-m", "--propagation", "private"]).run()
    };
    command(["run", "--detach"], &["--bundle", dir(&bundle), "one"]).ok();
    // Seen from a cgroup namespace, which `spec` asks for on hosts of version 2 alone, or from the host's.
    let seen = command(["exec", "one"], &["cat", "/proc/self/cgroup"]).ok();
    let whole = format!("0::{}/one\n", top.trim_start_matches("/sys/fs/cgroup"));
    assert!(seen.contains("0::/\n") || seen.contains(&whole), "{seen}");
    command(["pause", "one"], &[]).ok();
    assert!(command(["state", "one"], &[]).ok().contains("\"paused\""));
    command(["delete", "--force"], &["one"]).ok();
    let unified = if View::host_is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
    let top = top.replace("/sys/fs/cgroup", unified);
    conformance::wait_until("the cgroup is empty", || fs::remove_dir(format!("{top}/own")).is_ok());
    fs::remove_dir(top).unwrap();
}

/// A user whose own systemd runs, and its bus.
fn user_with_systemd() -> Option<(u32, PathBuf)> {
    let users = fs::read_dir("/run/user").into_iter().flatten().flatten();
    let mut users = users.filter_map(|entry| {
        let user: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((user, entry.path().join("bus")))
    });
    users.find(|(user, bus)| *user != 0 && bus.exists())
}

#[test]
fn a_users_own_systemd_makes_the_cgroup() {
    corten_only!();
    let t = sandbox!();
    let Some((user, bus)) = user_with_systemd() else { skip!("no user's systemd runs here") };
    if !View::host_is_v2() {
        skip!("a user's systemd has no cgroups of version 1");
    }
    let Some(home) = Home::new(&t, user) else { return };
    let mut bundle = home.bundle("exec sleep 1000");
    let id = t.id();
    bundle.set("/linux/cgroupsPath", format!(":ct:{id}"));
    bundle.set("/linux/resources/pids/limit", 20).set("/linux/resources/memory/limit", 16 << 20);
    bundle.set("/linux/resources/cpu", json!({"quota": 10_000, "period": 50_000})).write();
    let corten = |args: &[&str]| {
        let command = home.corten(["--systemd-cgroup"]).args(args);
        command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display())).run()
    };
    corten(&["run", "--detach", "--bundle", dir(&bundle), &id]).ok();
    let state: Value = serde_json::from_str(&corten(&["state", &id]).ok()).unwrap();
    let init = kernel::Process(state["pid"].as_u64().unwrap() as u32);
    let scope = init.cgroup("").unwrap();
    let below = format!("user@{user}.service/user.slice/ct-{id}.scope");
    assert!(scope.ends_with(&below), "{}", scope.display());

    let inside = |script: &str| corten(&["exec", &id, "sh", "-c", script]);
    assert_eq!(inside("tail /dev/zero; echo status $?").ok(), "status 137\n");
    let output = inside("for i in $(seq 25); do sleep 2 & done 2>&1; true");
    assert!((output.stdout() + &output.stderr()).contains("fork"), "{}", output.report());
    let processes = || kernel::read(scope.join("cgroup.procs")).lines().count();
    conformance::wait_until("the end of the others", || processes() == 1);
    inside("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    assert_ne!(kernel::field(&kernel::read(scope.join("cpu.stat")).replace(' ', ":"), "nr_throttled"), "0");
    corten(&["update", "--pids-limit", "33", &id]).ok();
    assert_eq!(kernel::read(scope.join("pids.max")), "33");
    corten(&["pause", &id]).ok();
    corten(&["delete", "--force", &id]).ok();
    assert!(!scope.exists());
}

/// Nobody is born in the cgroup from outside the user's own services; systemd takes in what belongs to the user.
#[test]
fn exec_as_another_user_from_elsewhere_gets_into_the_cgroup() {
    corten_only!();
    let t = sandbox!();
    let Some((user, bus)) = user_with_systemd().filter(|_| View::host_is_v2()) else {
        skip!("no user's systemd with cgroups of version 2 runs here");
    };
    let Some((_, first)) = user_with_subordinate_ids().filter(|(other, _)| *other == user) else {
        skip!("the user has no subordinate ids, or newuidmap is not installed");
    };
    let Some(home) = Home::new(&t, user) else { return };
    let mut bundle = home.bundle("exec sleep 1000");
    let id = t.id();
    // The user is root inside, or somebody else.
    for (root, own) in [(0, 0), (0, 1000)] {
        let map = match own {
            0 => {
                json!([{"containerID": 0, "hostID": user, "size": 1}, {"containerID": 1, "hostID": first, "size": 2000}])
            }
            own => {
                json!([{"containerID": 0, "hostID": first, "size": own}, {"containerID": own, "hostID": user, "size": 1}])
            }
        };
        bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        bundle.set("/linux/cgroupsPath", format!(":ct:{id}")).set("/linux/resources/pids/limit", 20).write();
        let corten = |args: &[&str]| {
            let command = home.corten(["--systemd-cgroup"]).args(args);
            command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display())).run()
        };
        corten(&["run", "--detach", "--bundle", dir(&bundle), &id]).ok();
        for who in [root, 1000] {
            let name = format!("{who}:{who}");
            let shown =
                corten(&["exec", "--user", &name, &id, "sh", "-c", "id -u; cat /proc/self/cgroup"]).ok();
            assert_eq!(shown, format!("{who}\n0::/\n"));
        }
        corten(&["delete", "--force", &id]).ok();
    }
}

#[test]
fn subordinate_ids_are_mapped_by_newuidmap() {
    corten_only!();
    let t = sandbox!();
    let Some((user, first)) = user_with_subordinate_ids() else {
        note_skip("nobody has subordinate ids, or newuidmap is not installed");
        return;
    };
    let Some(home) = Home::new(&t, user) else { return };
    let mut bundle = home.bundle("id -u; id -G; wc -l < /proc/self/uid_map; cat /proc/self/setgroups");
    let map = json!([
        {"containerID": 0, "hostID": user, "size": 1},
        {"containerID": 1, "hostID": first, "size": 2000}
    ]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5]})).write();
    let text = home.corten(["run", "--bundle", dir(&bundle), "one"]).run().ok();
    assert_eq!(text, "1000\n1000 5\n2\nallow\n");
    bundle.set("/linux/uidMappings/1/hostID", 4_000_000_000_u32).write();
    home.corten(["run", "--bundle", dir(&bundle), "one"]).run().fails_with(1, "newuidmap");
}

/// The uid of a user whose group has the same number, and the first of the ids that are the user's to give.
fn user_with_subordinate_ids() -> Option<(u32, u32)> {
    tool("newuidmap").and(tool("newgidmap"))?;
    let range = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))?;
        line.split_once(':')?.0.parse::<u32>().ok()
    };
    fs::read_to_string("/etc/passwd").ok()?.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let first = range("/etc/subuid", fields[0])?;
        let same = fields[2] == fields[3] && range("/etc/subgid", fields[0]) == Some(first);
        if same { Some((fields[2].parse().ok()?, first)) } else { None }
    })
}

#[test]
fn the_runtime_is_root_of_a_user_namespace_only() {
    corten_only!();
    let t = sandbox!();
    // As a rootless engine calls it: no id but one, groups that cannot be set, device nodes that cannot be made.
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"];
    let mut bundle = t.bundle();
    for (index, mount) in bundle.config().clone()["mounts"].as_array().unwrap().iter().enumerate() {
        let options = mount["options"].as_array().into_iter().flatten();
        let kept: Vec<_> = options.filter(|option| !option.as_str().unwrap().starts_with("gid=")).collect();
        bundle.set(&format!("/mounts/{index}/options"), json!(kept));
    }
    bundle
        .remove("/linux/resources")
        .script("id -u; echo x > /dev/null && echo fine; grep -c devtmpfs /proc/mounts");
    let output = t.on_bundle(["run"], &bundle, &t.id()).wrap(wrapper).run();
    assert_eq!(output.ok(), "0\nfine\n6\n");
    t.assert_clean();
}

//! `mounts add` and `mounts remove`: mounts of a container that runs.

use std::fs;
use std::os::unix::fs::symlink;

use conformance::{Container, Output, Sandbox, corten_only, kernel, sandbox};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::races::rounds;

fn mounts(t: &Sandbox, operation: &str, id: &str, list: &Value) -> Output {
    let flags = ["--log-format", "json", "mounts", operation, id, "-"];
    t.runtime(flags).input(list.to_string()).run()
}

fn change(t: &Sandbox, operation: &str, c: &Container<'_>, list: &Value) -> Output {
    mounts(t, operation, c.id(), list)
}

/// The JSON pointer of the value at fault.
fn refused(output: &Output) -> String {
    output.fails(1);
    let event: Value = serde_json::from_str(output.stderr().trim()).unwrap();
    event["error"]["pointer"].as_str().unwrap_or_default().to_owned()
}

fn has_mount(c: &Container<'_>, target: &str) -> bool {
    kernel::read(format!("/proc/{}/mounts", c.pid()))
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(target))
}

/// A directory and a file of the host, a list that mounts them and a tmpfs, and the bundle of a container that sleeps.
fn prepared(t: &Sandbox) -> (conformance::Bundle, Value) {
    let source = t.path("source");
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("file"), "content\n").unwrap();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/root/readonly", false);
    let list = json!([
        {"destination": "/data/one", "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid"]},
        {"destination": "/data/file", "source": source.join("file"), "options": ["bind"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "ro", "mode=0750"]},
    ]);
    (bundle, list)
}

#[test]
fn mounts_come_and_go() {
    corten_only!();
    let t = sandbox!();
    let (bundle, list) = prepared(&t);
    let before = kernel::read("/proc/self/mounts").lines().count();
    let c = t.launch(&bundle);
    let init = kernel::read(format!("/proc/{}/mounts", c.pid()));
    change(&t, "add", &c, &list).ok();
    assert_eq!(c.exec(["cat", "/data/one/file", "/data/file"]).ok(), "content\ncontent\n");
    assert!(c.exec(["touch", "/data/one/below/new"]).stderr().contains("Read-only"));
    assert!(c.exec(["touch", "/scratch/new"]).stderr().contains("Read-only"));
    assert_eq!(c.exec(["stat", "-c", "%a", "/scratch"]).ok(), "750\n");
    // Never writable, not even before it was settled: the file system itself is read-only.
    let table = kernel::read(format!("/proc/{}/mountinfo", c.pid()));
    let scratch = table.lines().find(|line| line.contains(" /scratch ")).unwrap();
    assert!(scratch.contains(" - tmpfs tmpfs ro,"), "{scratch}");
    assert!(!c.exec(["sh", "-c", "echo more >> /data/file"]).stderr().contains("Read-only"));
    assert_eq!(kernel::read("/proc/self/mounts").lines().count(), before, "nothing is mounted on the host");
    change(&t, "remove", &c, &list).ok();
    assert_eq!(kernel::read(format!("/proc/{}/mounts", c.pid())), init);
    assert_eq!(c.state()["status"], "running");
    c.force_delete();
    t.assert_clean();
}

#[test]
fn created_and_paused_containers_take_mounts() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, list) = prepared(&t);
    bundle.args(["sh", "-c", "cat /data/file; exec sleep 1000"]);
    let c = t.create(&bundle);
    change(&t, "add", &c, &list).ok();
    c.start();
    c.call("pause").ok();
    change(&t, "add", &c, &json!([{"destination": "/late", "type": "tmpfs"}])).ok();
    assert!(has_mount(&c, "/late") && c.state()["status"] == "paused");
    c.call("resume").ok();
    conformance::wait_until("the payload has read the file", || c.output().stdout() == "content\n");
    c.call("kill").ok();
    c.force_delete();
    let gone = mounts(&t, "add", c.id(), &list);
    gone.fails_with(1, "container does not exist");
}

#[test]
fn in_a_user_namespace_they_belong_to_its_root() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, list) = prepared(&t);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    t.command(["chown", "-R", "100000:100000"]).args([bundle.rootfs()]).run().ok();
    let c = t.launch(&bundle);
    change(&t, "add", &c, &list).ok();
    let text = c.exec(["sh", "-c", "cat /data/one/file; stat -c %u /scratch; id -u"]).ok();
    assert_eq!(text, "content\n0\n0\n");
    change(&t, "remove", &c, &list).ok();
    assert!(!has_mount(&c, "/scratch"));
}

#[test]
fn all_are_made_or_none() {
    corten_only!();
    let t = sandbox!();
    let (bundle, mut list) = prepared(&t);
    let c = t.launch(&bundle);
    let before = kernel::read(format!("/proc/{}/mounts", c.pid()));
    list[2]["type"] = json!("no-such-filesystem");
    assert_eq!(refused(&change(&t, "add", &c, &list)), "/2");
    assert_eq!(kernel::read(format!("/proc/{}/mounts", c.pid())), before);
    list[1]["source"] = json!("/no/such/file");
    let output = change(&t, "add", &c, &list);
    assert_eq!(refused(&output), "/1");
    assert!(
        output.stderr().contains("\"error mounting \\\"/no/such/file\\\": no such file or directory\""),
        "{}",
        output.report()
    );
    assert_eq!(kernel::read(format!("/proc/{}/mounts", c.pid())), before);
}

/// Kills the helper of `mounts add` as soon as it has the directory `many` open, and takes `/scratch` away before.
fn add_and_kill_the_copier(t: &Sandbox, c: &Container<'_>, list: &Value) -> Output {
    let flags = ["--log-format", "json", "mounts", "add", c.id(), "-"];
    let mut adding = t.runtime(flags).input(list.to_string()).spawn();
    let parent = adding.pid().to_string();
    let copies =
        |process: &kernel::Process| process.descriptors().iter().any(|(_, path)| path.ends_with("many"));
    while !adding.is_over() {
        let mut children =
            kernel::Process::all().into_iter().filter(|process| process.status("PPid") == parent);
        if let Some(helper) = children.find(copies) {
            helper.signal(Signal::SIGSTOP);
            let pid = c.pid().to_string();
            t.command(["nsenter", "--target", &pid, "--mount", "umount", "/scratch"]).run().ok();
            helper.signal(Signal::SIGKILL);
            break;
        }
    }
    adding.wait()
}

/// What lies below at the same destination stays, and a link that was no mount keeps nothing.
#[test]
fn all_go_again_by_whatever_path_they_came() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, list) = prepared(&t);
    bundle.mount("/scratch", "tmpfs", "tmpfs", &[]);
    for (link, to) in [("/link", "data"), ("/kernel", "sys")] {
        symlink(to, bundle.inside(link)).unwrap();
    }
    symlink("file", t.path("source").join("to-file")).unwrap();
    let c = t.launch(&bundle);
    let before = kernel::read(format!("/proc/{}/mounts", c.pid()));
    let source = t.path("source");
    let all = json!([
        list[0],
        list[2],
        {"destination": "/link/dir", "type": "bind", "source": source, "options": ["bind"]},
        {"destination": "/link/file", "type": "bind", "source": source.join("file"), "options": ["bind"]},
        {"destination": "/kernel/firmware", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/copied", "type": "bind", "source": source.join("to-file"), "options": ["bind", "copy-symlink"]},
        {"destination": "/legacy", "type": "tmpfs", "source": "tmpfs", "options": ["iversion"]},
        {"destination": "/last", "type": "no-such-filesystem"},
    ]);
    assert_eq!(refused(&change(&t, "add", &c, &all)), "/7");
    assert_eq!(kernel::read(format!("/proc/{}/mounts", c.pid())), before);
    assert_eq!(c.exec(["readlink", "/copied"]).ok(), "file\n");
}

#[test]
fn what_could_not_be_removed_is_not_added() {
    corten_only!();
    let t = sandbox!();
    let (bundle, list) = prepared(&t);
    let c = t.launch(&bundle);
    let before = kernel::read(format!("/proc/{}/mounts", c.pid()));
    for (target, source) in
        [("/sys/kernel/debug", t.path("source")), ("/sys", t.path("source")), ("/proc", "/proc".into())]
    {
        let first = json!({"destination": target, "type": "bind", "source": source, "options": ["rbind"]});
        let output = change(&t, "add", &c, &json!([first, list[0]]));
        assert_eq!(refused(&output), "/0/destination", "{target}: {}", output.report());
    }
    assert_eq!(kernel::read(format!("/proc/{}/mounts", c.pid())), before);
}

#[test]
fn what_was_made_goes_with_a_helper_that_is_killed() {
    corten_only!();
    let t = sandbox!();
    let (bundle, list) = prepared(&t);
    let many = bundle.inside("/many");
    fs::create_dir(&many).unwrap();
    (0..5_000).for_each(|number| fs::write(many.join(number.to_string()), "").unwrap());
    let c = t.launch(&bundle);
    let before = kernel::read(format!("/proc/{}/mounts", c.pid()));
    // The last one takes its time; where it was over too soon all the same, again.
    let slow = json!({"destination": "/many", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]});
    let list = json!([list[0], list[1], list[2], slow]);
    let killed = (0..20).any(|_| {
        let output = add_and_kill_the_copier(&t, &c, &list);
        if output.success() {
            for mount in list.as_array().unwrap() {
                change(&t, "remove", &c, &json!([mount]));
            }
            return false;
        }
        output.fails_with(1, "ended without a word");
        true
    });
    assert!(killed, "the helper was never met while it copied");
    assert_eq!(kernel::read(format!("/proc/{}/mounts", c.pid())), before);
    c.force_delete();
    t.assert_clean();
}

#[test]
fn sources_in_the_root_are_refused() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, _) = prepared(&t);
    bundle.args(["sh", "-c", "ln -s / /data; sleep 1000"]);
    let c = t.launch(&bundle);
    conformance::wait_until("the link", || c.exec(["readlink", "/data"]).success());
    // The host's side would follow the link to the host's root.
    let list = json!([{"destination": "/mnt", "type": "bind", "source": bundle.inside("/data"), "options": ["rbind"]}]);
    assert_eq!(refused(&change(&t, "add", &c, &list)), "/0/source");
    assert!(!has_mount(&c, "/mnt"));
}

#[test]
fn paths_stay_in_the_root_and_masks_stay() {
    corten_only!();
    let t = sandbox!();
    let (bundle, _) = prepared(&t);
    let outside = t.path("outside");
    fs::create_dir(&outside).unwrap();
    let up = format!("{}{}", "../".repeat(20), outside.to_str().unwrap().trim_start_matches('/'));
    symlink(up, bundle.inside("/out")).unwrap();
    symlink("/proc", bundle.inside("/kernel")).unwrap();
    let c = t.launch(&bundle);
    let tmpfs = |target: &str| json!([{"destination": target, "type": "tmpfs", "source": "tmpfs"}]);
    change(&t, "add", &c, &tmpfs("/out/dir")).ok();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "the link was resolved in the root");
    for target in ["/", "/proc", "/proc/kcore", "/proc/self/attr"] {
        assert_eq!(refused(&change(&t, "add", &c, &tmpfs(target))), "/0/destination", "{target}");
    }
    for kind in ["proc", "sysfs", "cgroup2", "mqueue"] {
        let list = json!([{"destination": "/new", "type": kind, "source": kind}]);
        assert_eq!(refused(&change(&t, "add", &c, &list)), "/0/type", "{kind}");
    }
    // What hides something is not taken away, by whatever name.
    for target in
        ["/", "/proc", "/proc/timer_list", "/kernel/timer_list", "/sys/firmware", "/out/dir", "/etc"]
    {
        let output = change(&t, "remove", &c, &tmpfs(target));
        assert!(refused(&output).starts_with("/0"), "{target}: {}", output.report());
    }
    assert_eq!(c.exec(["cat", "/proc/timer_list"]).ok(), "");
}

#[test]
fn a_payload_that_swaps_the_target_gains_nothing() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, _) = prepared(&t);
    let outside = t.path("outside");
    fs::create_dir(&outside).unwrap();
    let out = format!("{}{}", "../".repeat(20), outside.to_str().unwrap().trim_start_matches('/'));
    // In turn a directory, a link to the host and one to what hides things.
    bundle.script(&format!(
        "mkdir -p /data/timer_list; while :; do mv /data /kept; ln -s {out} /data; rm /data; ln -s /proc /data; rm /data; mv /kept /data; done"
    ));
    let c = t.launch(&bundle);
    let before = kernel::read("/proc/self/mounts");
    let list = json!([{"destination": "/data/timer_list", "type": "tmpfs", "source": "tmpfs"}]);
    let (mut added, mut removed) = (0, 0);
    for _ in 0..rounds() {
        added += usize::from(change(&t, "add", &c, &list).success());
        removed += usize::from(change(&t, "remove", &c, &list).success());
        let masks = kernel::mounts(&c.init().file("mountinfo"));
        assert!(masks.iter().any(|mount| mount.point == "/proc/timer_list"), "the mask is gone");
    }
    eprintln!("{added} added, {removed} removed of {}", rounds());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(kernel::read("/proc/self/mounts"), before);
    c.force_delete();
    t.assert_clean();
}

#[test]
fn what_cannot_be_is_named() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, list) = prepared(&t);
    let c = t.launch(&bundle);
    for (list, at) in [
        (json!([{"destination": "relative/../up", "type": "tmpfs"}]), "/0/destination"),
        (json!([list[0], {"destination": "/x"}]), "/1/type"),
        (json!([{"destination": "/x", "type": "bind"}]), "/0/source"),
        (json!([{"destination": "/x", "type": "tmpfs", "options": ["remount"]}]), "/0/options"),
        (json!([{"destination": 1}]), "/0/destination"),
        (json!({"mounts": []}), ""),
    ] {
        assert_eq!(refused(&change(&t, "add", &c, &list)), at, "{list}");
    }
    t.runtime(["mounts", "change", c.id(), "-"]).input("[]").run().fails_with(1, "add or remove");
    t.runtime(["mounts", "add", c.id(), "/no/such/list"]).run().fails_with(1, "/no/such/list");
    t.runtime(["mounts", "add", c.id()]).run().fails(1);
    change(&t, "add", &c, &json!([])).ok();

    bundle.without_namespace("mount");
    let shared = t.create(bundle.remove("/linux/maskedPaths").remove("/linux/readonlyPaths"));
    mounts(&t, "add", shared.id(), &list).fails_with(1, "no mount namespace of its own");
}

//! Mounts: types, options, propagation, targets that are made, symlinks within the root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use conformance::{Bundle, Sandbox, View, is_peer, kernel, sandbox, views};
use serde_json::json;

/// What a payload sees in its mountinfo.
fn mountinfo(t: &Sandbox, bundle: &mut Bundle) -> String {
    t.run(bundle.args(["cat", "/proc/self/mountinfo"])).ok()
}

/// A directory of the host with one file in it.
fn host_dir(t: &Sandbox, name: &str) -> std::path::PathBuf {
    let dir = t.path(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    dir
}

#[test]
fn the_usual_filesystems() {
    let t = sandbox!();
    let text = mountinfo(&t, &mut t.bundle());
    for (point, kind, options) in [
        ("/proc", "proc", vec!["rw", "relatime"]),
        ("/dev", "tmpfs", vec!["nosuid", "size=65536k", "mode=755"]),
        ("/dev/pts", "devpts", vec!["nosuid", "noexec", "mode=620", "ptmxmode=666", "gid=5"]),
        ("/dev/shm", "tmpfs", vec!["nosuid", "nodev", "noexec", "size=65536k"]),
        ("/dev/mqueue", "mqueue", vec!["nosuid", "nodev", "noexec"]),
        ("/sys", "sysfs", vec!["ro", "nosuid", "nodev", "noexec"]),
    ] {
        let mount = kernel::mount_at(&text, point);
        assert_eq!(mount.kind, kind, "{point}");
        for option in options {
            assert!(mount.has(option), "{option} is missing: {mount:?}");
        }
    }
    let dev = kernel::mount_at(&text, "/dev");
    assert!(!dev.has("relatime") && !dev.has("noatime"), "strictatime: {dev:?}");
    assert_eq!(kernel::mount_at(&text, "/dev/shm").source, "shm");
    assert!(kernel::mount_at(&text, "/").has("ro"));
}

#[test]
fn other_filesystems_and_their_data() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let (lower, upper, work) = (host_dir(&t, "lower"), host_dir(&t, "upper"), host_dir(&t, "work"));
    let data = [("lowerdir", lower), ("upperdir", upper.clone()), ("workdir", work)];
    let data: Vec<String> = data.iter().map(|(key, dir)| format!("{key}={}", dir.display())).collect();
    let options: Vec<&str> = data.iter().map(String::as_str).chain(["nosuid"]).collect();
    bundle.mount("/mnt/overlay", "overlay", "overlay", &options);
    bundle.mount("/mnt/ramfs", "ramfs", "ramfs", &["noexec"]);
    bundle.mount("/mnt/tmpfs", "tmpfs", "name", &["size=1m", "mode=1777", "uid=5", "gid=6", "nr_inodes=20"]);
    bundle.script("echo new >/mnt/overlay/new; stat -c '%a %u %g' /mnt/tmpfs; cat /proc/self/mountinfo");
    let text = t.run(&bundle).ok();
    assert!(text.starts_with("1777 5 6\n"), "{text}");
    assert!(kernel::mount_at(&text, "/mnt/overlay").has("nosuid"));
    assert!(kernel::mount_at(&text, "/mnt/ramfs").has("noexec"));
    let tmpfs = kernel::mount_at(&text, "/mnt/tmpfs");
    assert!(tmpfs.has("size=1024k") && tmpfs.has("nr_inodes=20") && tmpfs.source == "name", "{tmpfs:?}");
    assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "new\n");
    t.assert_clean();
}

#[test]
fn every_option_and_its_negation() {
    let t = sandbox!();
    // (options, set, not set)
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (&["ro"], &["ro"], &["rw"]),
        (&["ro", "rw"], &["rw"], &["ro"]),
        (&["nosuid", "nodev", "noexec"], &["nosuid", "nodev", "noexec"], &[]),
        (&["nosuid", "suid"], &[], &["nosuid"]),
        (&["nodev", "dev"], &[], &["nodev"]),
        (&["noexec", "exec"], &[], &["noexec"]),
        (&["noatime"], &["noatime"], &["relatime"]),
        (&["noatime", "atime"], &[], &["noatime"]),
        (&["nodiratime"], &["nodiratime"], &[]),
        (&["nodiratime", "diratime"], &[], &["nodiratime"]),
        (&["relatime"], &["relatime"], &["noatime"]),
        (&["strictatime"], &[], &["relatime", "noatime"]),
        (&["sync"], &["sync"], &[]),
        (&["sync", "async"], &[], &["sync"]),
        (&["dirsync"], &["dirsync"], &[]),
        (&["lazytime"], &["lazytime"], &[]),
        (&["nolazytime"], &[], &["lazytime"]),
        (&["iversion"], &[], &[]),
        (&["noiversion", "nomand", "silent", "loud"], &[], &[]),
        (&["nosymfollow"], &["nosymfollow"], &[]),
        (&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
        (&["defaults"], &["rw", "relatime"], &["nosuid", "nodev", "noexec"]),
    ];
    let mut bundle = t.bundle();
    // runc 1.1 passes these on as data, which tmpfs refuses.
    let unknown_to_peer =
        ["nosymfollow", "symfollow", "lazytime", "nolazytime", "dirsync", "iversion", "defaults"];
    let known =
        |options: &[&str]| !is_peer() || !options.iter().any(|option| unknown_to_peer.contains(option));
    let rows: Vec<_> = table.iter().enumerate().filter(|(_, row)| known(row.0)).collect();
    for (row, (options, _, _)) in &rows {
        bundle.mount(&format!("/mnt/{row}"), "tmpfs", "tmpfs", options);
    }
    let text = mountinfo(&t, &mut bundle);
    for (row, (options, set, unset)) in rows {
        let mount = kernel::mount_at(&text, &format!("/mnt/{row}"));
        let shown = |option: &&&str| mount.options.iter().chain(&mount.super_options).any(|o| o == **option);
        assert!(set.iter().all(|option| shown(&option)), "{options:?}: {mount:?}");
        let per_mount = |option: &&&str| {
            mount.options.iter().any(|o| o == **option) || (**option == "sync" && mount.has("sync"))
        };
        assert!(!unset.iter().any(|option| per_mount(&option)), "{options:?}: {mount:?}");
    }
}

#[test]
fn binds_of_files_and_directories() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let dir = host_dir(&t, "host");
    bundle.mount("/mnt/dir", "bind", &dir, &["bind", "rw"]);
    bundle.mount("/mnt/readonly", "none", &dir, &["rbind", "ro", "nosuid", "nodev", "noexec"]);
    bundle.mount("/mnt/a/new/file", "bind", dir.join("file"), &["bind", "ro"]);
    bundle.mount("/etc/hostname", "", dir.join("file"), &["bind"]);
    bundle.script(
        "cat /mnt/dir/file /mnt/readonly/file /mnt/a/new/file /etc/hostname; echo; echo new >/mnt/dir/new; \
         echo x 2>/dev/null >/mnt/readonly/x || echo refused; echo x 2>/dev/null >/mnt/a/new/file || echo refused; \
         cat /proc/self/mountinfo",
    );
    let text = t.run(&bundle).ok();
    assert!(text.starts_with("contentcontentcontentcontent\nrefused\nrefused\n"), "{text}");
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "new\n");
    let mount = kernel::mount_at(&text, "/mnt/readonly");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(mount.has(option), "{mount:?}");
    }
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "content");
}

#[test]
fn a_bind_source_relative_to_the_bundle() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::write(bundle.dir().join("beside"), "content").unwrap();
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt/file", "bind", "beside", &["bind"]);
    assert_eq!(t.run(bundle.args(["cat", "/mnt/file"])).ok(), "content");
}

/// Runs a command in a mount namespace where `host/sub` is a tmpfs.
fn with_submount(t: &Sandbox, command: conformance::Command) -> conformance::Command {
    let dir = host_dir(t, "host");
    fs::create_dir_all(dir.join("sub")).unwrap();
    let script = format!("mount -t tmpfs tmpfs '{}/sub' && exec \"$@\"", dir.display());
    command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"])
}

#[test]
fn recursive_binds_take_submounts_along() {
    let t = sandbox!();
    let dir = t.path("host");
    let mut bundle = t.bundle();
    bundle.mount("/mnt/one", "bind", &dir, &["bind"]);
    bundle.mount("/mnt/all", "bind", &dir, &["rbind", "ro"]);
    bundle.args(["cat", "/proc/self/mountinfo"]);
    let text = with_submount(&t, t.on_bundle(["run"], &bundle, &t.id())).run().ok();
    assert!(kernel::mounts(&text).iter().all(|mount| mount.point != "/mnt/one/sub"), "{text}");
    assert!(kernel::mount_at(&text, "/mnt/all").has("ro"));
    let sub = kernel::mount_at(&text, "/mnt/all/sub");
    assert!(sub.options.iter().any(|option| option == "rw"), "ro is not recursive: {sub:?}");
}

#[test]
fn recursive_options_reach_submounts() {
    let t = sandbox!();
    let dir = t.path("host");
    let mut bundle = t.bundle();
    bundle.mount("/mnt/all", "bind", &dir, &["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"]);
    bundle.args(["cat", "/proc/self/mountinfo"]);
    let text = with_submount(&t, t.on_bundle(["run"], &bundle, &t.id())).run().ok();
    for point in ["/mnt/all", "/mnt/all/sub"] {
        let mount = kernel::mount_at(&text, point);
        for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
            assert!(mount.options.iter().any(|o| o == option), "{option}: {mount:?}");
        }
    }
}

#[test]
fn propagation_of_each_mount() {
    let t = sandbox!();
    let dir = host_dir(&t, "host");
    let mut bundle = t.bundle();
    let kinds = ["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"];
    for kind in kinds {
        bundle.mount(&format!("/mnt/{kind}"), "bind", &dir, &["rbind", kind]);
    }
    let text = mountinfo(&t, &mut bundle);
    for kind in kinds {
        let mount = kernel::mount_at(&text, &format!("/mnt/{kind}"));
        let begins = |word: &str| mount.propagation.iter().any(|field| field.starts_with(word));
        match kind.trim_start_matches('r') {
            "private" => assert_eq!(mount.propagation, [""; 0], "{kind}"),
            "shared" => assert!(begins("shared:"), "{mount:?}"),
            // The source is private here, so that there is no master.
            "slave" => assert!(!begins("shared:"), "{mount:?}"),
            _ => assert!(begins("unbindable"), "{mount:?}"),
        }
    }
}

/// A host mount that is shared reaches a slave inside, and not a private one.
#[test]
fn later_mounts_of_the_host_reach_slaves() {
    let t = sandbox!();
    let dir = host_dir(&t, "host");
    let mut bundle = t.bundle();
    fs::create_dir_all(dir.join("slave")).unwrap();
    let host = dir.display();
    bundle.mount("/mnt/slave", "bind", &dir, &["rbind", "rslave"]);
    bundle.mount("/mnt/private", "bind", &dir, &["rbind", "rprivate"]);
    bundle.args(["sleep", "1000"]).set("/linux/rootfsPropagation", "rslave");
    let id = t.id();
    bundle.write();
    let script = format!(
        "mount --bind '{host}' '{host}' && mount --make-shared '{host}' && \
         '{rt}' --root '{root}' run -d -b '{bundle}' {id} >/dev/null 2>&1 </dev/null && \
         mount -t tmpfs late '{host}/slave' && '{rt}' --root '{root}' exec {id} cat /proc/self/mountinfo; \
         '{rt}' --root '{root}' delete --force {id}",
        rt = t.program().display(),
        root = t.state_root().display(),
        bundle = bundle.dir().display(),
    );
    let text = t.command(["unshare", "-m", "--propagation", "private", "sh", "-c", &script]).run().ok();
    assert_eq!(kernel::mount_at(&text, "/mnt/slave/slave").source, "late");
    assert!(kernel::mounts(&text).iter().all(|mount| mount.point != "/mnt/private/slave"), "{text}");
    t.assert_clean();
}

#[test]
fn targets_are_made() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let dir = host_dir(&t, "host");
    bundle.mount("/made/deep/dir", "tmpfs", "tmpfs", &[]);
    bundle.mount("/made/by/file", "bind", dir.join("file"), &["bind"]);
    bundle.mount("/made/deep/dir/on/top", "tmpfs", "tmpfs", &[]);
    bundle.script("stat -c '%F %a' /made /made/deep /made/by");
    // Even under a umask of the caller that takes everything; runc 1.1 hands that on.
    let umask = if is_peer() { "umask 022" } else { "umask 077" };
    let output = t.on_bundle(["run"], &bundle, &t.id()).after(umask).run();
    assert_eq!(output.ok(), "directory 755\ndirectory 755\ndirectory 755\n");
    assert!(bundle.inside("/made/by/file").is_file());
    assert!(bundle.inside("/made/deep/dir").is_dir());
    assert!(!bundle.inside("/made/deep/dir/on").exists());
}

#[test]
fn symlinks_are_resolved_in_the_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::create_dir_all(bundle.inside("/real/place")).unwrap();
    symlink("/real", bundle.inside("/absolute")).unwrap();
    symlink("../../../../../real/place", bundle.inside("/etc/relative")).unwrap();
    symlink("/real/made", bundle.inside("/dangling")).unwrap();
    bundle.mount("/absolute/place", "tmpfs", "one", &[]);
    bundle.mount("/etc/relative/two", "tmpfs", "two", &[]);
    bundle.mount("/dangling", "tmpfs", "three", &[]);
    let text = mountinfo(&t, &mut bundle);
    assert_eq!(kernel::mount_at(&text, "/real/place").source, "one");
    assert_eq!(kernel::mount_at(&text, "/real/place/two").source, "two");
    assert_eq!(kernel::mount_at(&text, "/real/made").source, "three");
}

#[test]
fn mounts_are_made_in_order() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.mount("/mnt/x", "tmpfs", "hidden", &[]);
    bundle.mount("/mnt", "tmpfs", "over", &[]);
    bundle.mount("/mnt/x", "tmpfs", "visible", &[]);
    let text = mountinfo(&t, &mut bundle);
    let sources: Vec<_> = kernel::mounts(&text).into_iter().filter(|m| m.point.starts_with("/mnt")).collect();
    assert_eq!(sources.iter().map(|m| m.source.as_str()).collect::<Vec<_>>(), ["hidden", "over", "visible"]);
}

views!(a_cgroup_mount_shows_the_own_cgroup);

fn a_cgroup_mount_shows_the_own_cgroup(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let text = mountinfo(&t, &mut bundle);
    if view.is_v2() {
        let mount = kernel::mount_at(&text, "/sys/fs/cgroup");
        assert_eq!((mount.kind.as_str(), mount.root.as_str()), ("cgroup2", "/"));
        assert!(mount.has("ro"), "{mount:?}");
    } else {
        assert_eq!(kernel::mount_at(&text, "/sys/fs/cgroup").kind, "tmpfs");
        for controller in ["memory", "pids", "freezer", "cpu"] {
            let mount = kernel::mount_at(&text, &format!("/sys/fs/cgroup/{controller}"));
            assert_eq!((mount.kind.as_str(), mount.root.as_str()), ("cgroup", "/"), "{controller}");
            assert!(mount.options.iter().any(|option| option == "ro"), "{mount:?}");
        }
    }
    let script = "mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused; mkdir /sys/fs/cgroup/*/x 2>/dev/null || echo refused";
    assert_eq!(t.run(bundle.script(script)).ok(), "refused\nrefused\n");

    if view.is_v2() {
        return; // runc shows the host's whole tree without a cgroup namespace
    }
    // On v1 it is the container's own part of the tree all the same.
    bundle.without_namespace("cgroup");
    let c = t.launch(bundle.args(["sleep", "1000"]));
    assert_eq!(c.shell("cat /sys/fs/cgroup/memory/cgroup.procs | head -n 1"), "1\n");
    c.force_delete();
    t.assert_clean();
}

#[test]
fn a_hundred_mounts() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    for number in 0..100 {
        bundle.mount(&format!("/mnt/{number}"), "tmpfs", "tmpfs", &["size=4k"]);
    }
    let text = mountinfo(&t, &mut bundle);
    assert_eq!(kernel::mounts(&text).iter().filter(|m| m.point.starts_with("/mnt/")).count(), 100);
    t.assert_clean();
}

#[test]
fn what_cannot_be_mounted() {
    let t = sandbox!();
    let dir = host_dir(&t, "host");
    let file = dir.join("file").to_str().unwrap().to_owned();
    let nosuch = dir.join("nosuch").to_str().unwrap().to_owned();
    for (mount, text) in [
        (
            json!({"destination": "/mnt", "type": "bind", "source": nosuch, "options": ["bind"]}),
            "no such file or directory",
        ),
        (json!({"destination": "/mnt", "type": "nosuchfs", "source": "x"}), "no such device"),
        (
            json!({"destination": "/mnt", "type": "tmpfs", "source": "x", "options": ["nosuchdata"]}),
            "invalid argument",
        ),
        (json!({"destination": "/etc", "type": "bind", "source": file, "options": ["bind"]}), "directory"),
        (json!({"destination": "/etc/passwd", "type": "tmpfs", "source": "x"}), "not a directory"),
        (json!({"destination": "/etc/passwd/x", "type": "tmpfs", "source": "x"}), "not a directory"),
    ] {
        let mut bundle = t.bundle();
        bundle.set("/mounts", json!([mount]));
        let stderr = t.create_fails(&bundle);
        assert!(stderr.to_lowercase().contains(text), "{mount}: {text:?} is missing in {stderr}");
        if !is_peer() {
            assert!(t.refused_at(&bundle).starts_with("/mounts/0"), "{mount}: {}", t.refused_at(&bundle));
        }
        assert!(!bundle.inside("/mnt").exists() || mount["type"] != "bind", "{mount}: the target is made");
    }
}

#[test]
fn a_relative_destination_is_taken_from_the_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.mount("mnt/relative", "tmpfs", "found", &[]);
    let output = t.run(bundle.args(["cat", "/proc/self/mountinfo"]));
    assert_eq!(kernel::mount_at(&output.ok(), "/mnt/relative").source, "found");
}

#[test]
fn a_tmpfs_keeps_the_mode_of_its_target() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::create_dir(bundle.inside("/mode")).unwrap();
    fs::set_permissions(bundle.inside("/mode"), fs::Permissions::from_mode(0o751)).unwrap();
    bundle.mount("/mode", "tmpfs", "tmpfs", &[]).args(["stat", "-c", "%a", "/mode"]);
    assert_eq!(t.run(&bundle).ok(), "751\n");
}

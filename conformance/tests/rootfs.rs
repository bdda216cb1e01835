//! The root filesystem: read-only, masks, devices, what is refused as a root.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use conformance::{View, corten_only, is_peer, kernel, sandbox};
use serde_json::json;

#[test]
fn readonly_or_not() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("echo x 2>/dev/null >/etc/new && echo written || echo refused");
    assert_eq!(t.run(&bundle).ok(), "refused\n");
    bundle.set("/root/readonly", false);
    assert_eq!(t.run(&bundle).ok(), "written\n");
    assert!(bundle.inside("/etc/new").exists());
    bundle.remove("/root/readonly");
    assert_eq!(t.run(&bundle).ok(), "written\n");
}

#[test]
fn nothing_of_the_host_is_mounted_beyond_the_config() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let text = t.run(bundle.args(["cat", "/proc/self/mountinfo"])).ok();
    let configured: Vec<String> = bundle.config()["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .chain(&[json!({"destination": "/"})])
        .map(|mount| mount["destination"].as_str().unwrap().to_owned())
        .collect();
    for mount in kernel::mounts(&text) {
        let below = |path: &str| mount.point.starts_with(path);
        assert!(
            configured.contains(&mount.point) || below("/proc/") || below("/sys/"),
            "{mount:?} is not in the config"
        );
    }
    // The old root is gone, and the payload stands at the top.
    assert_eq!(
        t.run(bundle.script("cd /; cd ..; cd ../..; pwd; ls -d .oldroot* 2>/dev/null; true")).ok(),
        "/\n"
    );
}

#[test]
fn masked_paths_are_empty() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::create_dir(bundle.inside("/secrets")).unwrap();
    fs::write(bundle.inside("/secrets/file"), "secret").unwrap();
    fs::write(bundle.inside("/etc/secret"), "secret").unwrap();
    for path in ["/secrets", "/etc/secret", "/proc/uptime", "/proc/nosuch", "/nosuch"] {
        bundle.push("/linux/maskedPaths", json!(path));
    }
    bundle.set("/root/readonly", false);
    bundle.script(
        "cat /etc/secret /proc/uptime /proc/kcore | wc -c; ls -A /secrets /sys/firmware; \
         echo x 2>/dev/null >/secrets/x || echo refused; ls /proc/nosuch /nosuch 2>/dev/null; true",
    );
    assert_eq!(t.run(&bundle).ok(), "0\n/secrets:\n\n/sys/firmware:\nrefused\n");
    assert_eq!(fs::read_to_string(bundle.inside("/etc/secret")).unwrap(), "secret");
    t.assert_clean();
}

#[test]
fn readonly_paths_are_readonly() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/root/readonly", false);
    fs::create_dir(bundle.inside("/data")).unwrap();
    for path in ["/data", "/etc/passwd", "/nosuch"] {
        bundle.push("/linux/readonlyPaths", json!(path));
    }
    bundle.script(
        "for f in /data/x /etc/passwd /proc/sys/kernel/hostname; do \
         (echo x >$f) 2>&1 | grep -o 'Read-only file system'; done; echo x >/etc/new && echo written",
    );
    let refused = "Read-only file system\n".repeat(3);
    assert_eq!(t.run(&bundle).ok(), format!("{refused}written\n"));
    let text = t.run(bundle.args(["cat", "/proc/self/mountinfo"])).ok();
    for path in ["/proc/sys", "/proc/bus", "/data"] {
        assert!(kernel::mount_at(&text, path).options.iter().any(|option| option == "ro"), "{path}");
    }
}

#[test]
fn default_devices_and_links() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script(
        "cd /dev; for d in null zero full random urandom tty; do stat -c \"$d %F %t:%T %a %u:%g\" $d; done; \
         for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done",
    );
    let device = |name: &str, minor: &str| format!("{name} character special file {minor} 666 0:0\n");
    let mut expected = String::new();
    for (name, number) in [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ] {
        expected += &device(name, number);
    }
    expected += "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx\n";
    // Whatever the caller's umask.
    assert_eq!(t.on_bundle(["run"], &bundle, &t.id()).after("umask 077").run().ok(), expected);

    bundle.script("echo x >/dev/null; head -c 4 /dev/zero | wc -c; echo x 2>&1 >/dev/full; head -c 4 /dev/urandom | wc -c");
    let text = t.run(&bundle).ok();
    assert!(text.contains("No space left on device"), "{text}");
    assert!(text.ends_with("4\n"), "{text}");
}

#[test]
fn devices_of_the_config() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.push(
        "/linux/devices",
        json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 7, "fileMode": 0o640, "uid": 5, "gid": 6}),
    );
    bundle.push("/linux/devices", json!({"path": "/dev/deep/pipe", "type": "p", "fileMode": 0o600}));
    bundle.push("/linux/devices", json!({"path": "/dev/block", "type": "b", "major": 7, "minor": 0}));
    bundle.push(
        "/linux/devices",
        json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o660}),
    );
    // Who lists a default device has to allow it, too.
    bundle.push(
        "/linux/resources/devices",
        json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}),
    );
    bundle.script("stat -c '%n %F %t:%T %a %u:%g' /dev/mine /dev/deep/pipe /dev/block /dev/null");
    let text = t.on_bundle(["run"], &bundle, &t.id()).after("umask 077").run().ok();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "/dev/mine character special file 1:7 640 5:6");
    assert_eq!(lines[1], "/dev/deep/pipe fifo 0:0 600 0:0");
    assert!(lines[2].starts_with("/dev/block block special file 7:0 "), "{text}");
    assert!(lines[3].starts_with("/dev/null character special file 1:3 660 "), "{text}");
}

#[test]
fn device_rules_hold() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    // A node without a rule that allows it.
    bundle.push(
        "/linux/devices",
        json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666}),
    );
    bundle.capabilities(&["CAP_MKNOD"]);
    bundle.script(
        "cat /dev/mine 2>&1 | grep -o 'Operation not permitted'; mknod /dev/shm/null c 1 3 && echo made; \
         echo x >/dev/null && echo written",
    );
    assert_eq!(t.run(&bundle).ok(), "Operation not permitted\nmade\nwritten\n");
}

#[test]
fn a_device_directory_of_the_image_is_used_without_a_mount() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(path);
    }
    bundle.script("echo x >/dev/null; stat -c '%F %t:%T' /dev/zero");
    assert_eq!(t.run(&bundle).ok(), "character special file 1:5\n");
    assert!(fs::metadata(bundle.inside("/dev/null")).unwrap().file_type().is_char_device());
    // Once more, over what is there now.
    assert_eq!(t.run(&bundle).ok(), "character special file 1:5\n");
}

#[test]
fn propagation_of_the_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["cat", "/proc/self/mountinfo"]);
    for (kind, begin) in [
        ("private", None),
        ("rprivate", None),
        ("shared", Some("shared:")),
        ("rshared", Some("shared:")),
        ("unbindable", Some("unbindable")),
    ] {
        if is_peer() && begin.is_some() {
            continue; // runc 1.1 leaves the root private
        }
        let text = t.run(bundle.set("/linux/rootfsPropagation", kind)).ok();
        let root = kernel::mount_at(&text, "/");
        let matches = match begin {
            Some(begin) => root.propagation.iter().any(|field| field.starts_with(begin)),
            None => root.propagation.is_empty(),
        };
        assert!(matches, "{kind}: {root:?}");
    }
    bundle.set("/linux/rootfsPropagation", "sideways");
    t.create_fails(&bundle);
    t.assert_clean();
}

#[test]
fn roots_by_other_paths() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let root = bundle.rootfs();
    bundle.args(["echo", "fine"]);
    for path in [root.to_str().unwrap(), "./rootfs/", "rootfs/../rootfs"] {
        assert_eq!(t.run(bundle.set("/root/path", path)).ok(), "fine\n", "{path}");
    }
}

#[test]
fn what_is_no_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::write(bundle.dir().join("file"), "").unwrap();
    bundle.args(["true"]);
    for (path, text) in [("nosuch", "no such file or directory"), ("file", "not a directory"), ("", "")] {
        let stderr = t.create_fails(bundle.set("/root/path", path));
        assert!(stderr.contains(text), "{path}: {stderr}");
    }
    t.create_fails(bundle.remove("/root/path"));
    t.create_fails(bundle.remove("/root"));
}

#[test]
fn roots_that_are_refused() {
    corten_only!(); // rule D27
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    for path in ["/", "/../", t.dir().to_str().unwrap()] {
        // The host's root, and one that contains the state root.
        assert_eq!(t.refused_at(bundle.set("/root/path", path)), "/root/path", "{path}");
    }
}

#[test]
fn what_the_host_mounts_in_a_root_later_is_not_seen() {
    // runc does this since 1.2.
    corten_only!();
    let t = sandbox!(View::Host);
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let root = bundle.rootfs();
    let id = t.id();
    bundle.write();
    let script = format!(
        "mount --bind '{root}' '{root}' && mount --make-shared '{root}' && \
         '{rt}' --root '{state}' run -d -b '{dir}' {id} >/dev/null 2>&1 </dev/null; \
         mount -t tmpfs later '{root}/opt' && '{rt}' --root '{state}' exec {id} cat /proc/self/mountinfo; \
         '{rt}' --root '{state}' delete --force {id}",
        root = root.display(),
        rt = t.program().display(),
        state = t.state_root().display(),
        dir = bundle.dir().display(),
    );
    fs::create_dir(bundle.inside("/opt")).unwrap();
    let text = t.command(["unshare", "-m", "--propagation", "private", "sh", "-c", &script]).run().ok();
    let mounts = kernel::mounts(&text);
    assert!(mounts.iter().any(|mount| mount.point == "/"), "{text}");
    assert!(mounts.iter().all(|mount| mount.source != "later"), "a mount of the host shows:\n{text}");
    t.assert_clean();
}

#[test]
fn a_root_on_a_shared_mount_stays_private() {
    let t = sandbox!(View::Host);
    let mut bundle = t.bundle();
    bundle.mount("/mnt", "tmpfs", "inner", &[]).args(["sleep", "1000"]);
    let root = bundle.rootfs();
    let id = t.id();
    bundle.write();
    let script = format!(
        "mount --bind '{root}' '{root}' && mount --make-shared '{root}' && \
         '{rt}' --root '{state}' run -d -b '{dir}' {id} >/dev/null 2>&1 </dev/null; cat /proc/self/mountinfo; \
         '{rt}' --root '{state}' delete --force {id}",
        root = root.display(),
        rt = t.program().display(),
        state = t.state_root().display(),
        dir = bundle.dir().display(),
    );
    let text = t.command(["unshare", "-m", "--propagation", "private", "sh", "-c", &script]).run().ok();
    assert!(
        kernel::mounts(&text).iter().all(|mount| mount.source != "inner"),
        "a mount of the container leaks:\n{text}"
    );
    t.assert_clean();
}

//! Images whose paths lead elsewhere. The oracle is never an error text, but what lies beside the root filesystem: canaries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use conformance::{Bundle, corten_only, is_peer, kernel, sandbox};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;

use crate::canaries::{Canaries, attempt, bundle_with_bare_dev};

/// Puts something at a path of the image.
type Make<'a> = &'a dyn Fn(&Path);

/// T01
#[test]
fn a_device_directory_that_is_a_link() {
    corten_only!(); // runc before 1.3.6 fails this: CVE-2026-41579
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let relative = Path::new("../../hostdir");
    for target in [canaries.dir.as_path(), relative] {
        for terminal in [false, true] {
            let mut bundle = bundle_with_bare_dev(&t);
            fs::remove_dir(bundle.inside("/dev")).unwrap();
            symlink(target, bundle.inside("/dev")).unwrap();
            attempt(&t, bundle.set("/process/terminal", terminal));
            canaries.assert_untouched(&format!("/dev -> {}", target.display()));
        }
        for name in ["pts", "shm", "mqueue"] {
            let mut bundle = bundle_with_bare_dev(&t);
            symlink(target, bundle.inside("/dev").join(name)).unwrap();
            let kind = if name == "pts" { "devpts" } else { "tmpfs" };
            bundle.mount(&format!("/dev/{name}"), kind, kind, &[]);
            attempt(&t, &bundle);
            canaries.assert_untouched(&format!("/dev/{name} -> {}", target.display()));
        }
    }
    t.assert_clean();
}

/// T02
#[test]
fn a_null_device_that_is_something_else() {
    corten_only!(); // runc 1.1 gives the host's own null device to uid 1
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let make: [(&str, Make<'_>); 5] = [
        ("a link", &|path| symlink(canaries.path("victim"), path).unwrap()),
        ("a relative link", &|path| symlink("../../../hostdir/victim", path).unwrap()),
        ("a file", &|path| fs::write(path, "file").unwrap()),
        ("a fifo", &|path| mknod(path, SFlag::S_IFIFO, Mode::from_bits_truncate(0o666), 0).unwrap()),
        ("zero", &|path| {
            mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 5)).unwrap()
        }),
    ];
    for (what, make) in make {
        let mut bundle = bundle_with_bare_dev(&t);
        make(&bundle.inside("/dev/null"));
        bundle.set("/process/user/uid", 1).args(["stat", "-L", "-c", "%t:%T", "/proc/self/fd/0"]);
        let id = t.id();
        let output = t.on_bundle(["run", "--detach"], &bundle, &id).run();
        canaries.assert_untouched(what);
        if output.success() {
            let c = conformance::Container::new(&t, id, output);
            let said = c.finish();
            assert!(said == "1:3\n", "{what}: standard input is {said}");
        }
    }
    t.assert_clean();
}

/// T03
#[test]
fn masks_do_not_come_from_the_image() {
    corten_only!(); // runc before 1.2.8 fails this: CVE-2025-31133
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let mut bundle = bundle_with_bare_dev(&t);
    symlink("/proc/sys/kernel/core_pattern", bundle.inside("/dev/null")).unwrap();
    let masked = ["/proc/timer_list", "/proc/kcore", "/proc/uptime", "/proc/keys"];
    bundle.set("/linux/maskedPaths", masked.to_vec()).set("/linux/readonlyPaths", json!([]));
    // To open it does no harm where the runtime fails this.
    bundle.script("(: >>/proc/uptime) && echo writable; cat /proc/uptime; echo; cat /proc/self/mountinfo");
    let output = attempt(&t, &bundle);
    canaries.assert_untouched("a null device that links to core_pattern");
    if output.success() {
        let text = output.stdout();
        assert!(!text.contains("writable"), "{text}");
        for mount in kernel::mounts(&text).iter().filter(|mount| masked.contains(&mount.point.as_str())) {
            assert_ne!(mount.kind, "proc", "{mount:?}");
        }
        assert!(text.starts_with('\n'), "a masked file is not empty: {text}");
    }
}

/// T04
#[test]
fn a_console_that_is_a_link() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    for target in [canaries.path("new"), canaries.path("victim"), "../../../hostdir/new".into()] {
        for readonly in [false, true] {
            let mut bundle = bundle_with_bare_dev(&t);
            symlink(&target, bundle.inside("/dev/console")).unwrap();
            bundle.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
            bundle.set("/process/terminal", true).set("/root/readonly", readonly).args(["sleep", "1000"]);
            attempt(&t, &bundle);
            canaries.assert_untouched(&format!("/dev/console -> {}", target.display()));
        }
    }
    t.assert_clean();
}

/// T05: every way to name a target, through every kind of link.
#[test]
fn links_never_lead_out_of_the_root() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let host = canaries.dir.to_str().unwrap().to_owned();
    let up = "../".repeat(40);
    let mut targets = vec![
        host.clone(),
        format!("{up}{}", &host[1..]),
        "../../hostdir".to_owned(),
        format!("/proc/self/root{host}"),
        format!("/proc/1/root{host}"),
    ];
    targets.extend([3, 5, 7, 9, 11].map(|fd| format!("/proc/self/fd/{fd}{host}")));
    for target in targets {
        let bundle = t.bundle();
        symlink(&target, bundle.inside("/parent")).unwrap();
        symlink(format!("{target}/victim"), bundle.inside("/last")).unwrap();
        symlink(format!("{target}/dangling"), bundle.inside("/dangling")).unwrap();
        symlink(format!("{target}/sub"), bundle.inside("/directory")).unwrap();
        let mut base = t.share(&bundle);
        base.set("/root/readonly", false).args(["true"]);
        for path in [
            "/parent/x",
            "/parent/sub",
            "/parent/victim",
            "/last",
            "/dangling",
            "/dangling/deep",
            "/directory",
        ] {
            for kind in ["tmpfs", "bind a directory", "bind a file", "device", "cwd", "masked", "readonly"] {
                let mut attack = t.share(&base);
                match kind {
                    "tmpfs" => attack.mount(path, "tmpfs", "tmpfs", &[]),
                    "bind a directory" => attack.mount(path, "bind", "/usr/share", &["rbind"]),
                    "bind a file" => attack.mount(path, "bind", "/etc/hostname", &["bind"]),
                    "device" => attack
                        .push("/linux/devices", json!({"path": path, "type": "c", "major": 1, "minor": 3})),
                    "cwd" => attack.set("/process/cwd", path),
                    "masked" => attack.push("/linux/maskedPaths", json!(path)),
                    _ => attack.push("/linux/readonlyPaths", json!(path)),
                };
                if is_peer() && kind != "tmpfs" {
                    continue; // half a second each
                }
                attempt(&t, &attack);
                canaries.assert_untouched(&format!("{kind} at {path} -> {target}"));
            }
        }
        fs::remove_dir_all(bundle.dir()).unwrap();
    }
    t.assert_clean();
}

/// Adds one thing of a kind at a path.
fn put(bundle: &mut Bundle, kind: &str, path: &str) {
    match kind {
        "masked" => bundle.push("/linux/maskedPaths", json!(path)),
        "readonly" => bundle.push("/linux/readonlyPaths", json!(path)),
        "tmpfs" => bundle.mount(path, "tmpfs", "tmpfs", &[]),
        "bind" => bundle.mount(path, "bind", "/etc/hostname", &["bind"]),
        _ => bundle.push("/linux/devices", json!({"path": path, "type": "c", "major": 1, "minor": 3})),
    };
}

/// T09: the image's links to descriptors. The caller, who is init's parent, has the directory of the canaries open.
#[test]
fn links_to_descriptors_are_not_followed() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let open = format!("exec 9<'{}' 8<'{}'", canaries.dir.display(), canaries.path("victim").display());
    let base = bundle_with_bare_dev(&t);
    let run = |path: &str, kind: &str| {
        let mut bundle = t.share(&base);
        put(&mut bundle, kind, path);
        bundle.args(["ls", "-l", "/proc/self/fd/"]);
        let output = t.on_bundle(["run"], &bundle, &t.id()).after(&open).run();
        canaries.assert_untouched(&output.report());
        assert!(!output.stdout().contains("hostdir"), "{}", output.report());
        output
    };
    let links =
        [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("ptmx", "fd/9"), ("null", "fd/9/victim")];
    for kind in ["masked", "readonly", "tmpfs", "bind", "device"] {
        run(&format!("/dev/none/{kind}"), kind).ok();
        for (process, (link, target)) in
            ["self", "thread-self", "1"].into_iter().flat_map(|process| links.map(|link| (process, link)))
        {
            let entry = base.inside("/dev").join(link);
            let _ = fs::remove_file(&entry);
            symlink(format!("/proc/{process}/{target}"), &entry).unwrap();
            let below = (3..12).map(|fd| format!("/dev/fd/{fd}"));
            let paths: Vec<String> = match link {
                "fd" => below.flat_map(|fd| [format!("{fd}/made"), format!("{fd}/victim"), fd]).collect(),
                link => vec![format!("/dev/{link}/made"), format!("/dev/{link}")],
            };
            for path in paths {
                let output = run(&path, kind);
                let told = output.success() || output.stderr().contains("/dev/");
                assert!(told, "{kind} at {path} -> /proc/{process}/{target}: {}", output.report());
            }
            fs::remove_file(&entry).unwrap();
        }
    }
    t.assert_clean();
}

/// T10
#[test]
fn proc_and_sys_must_be_directories() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    for name in ["proc", "sys"] {
        for target in [Some(canaries.dir.clone()), Some("../../hostdir".into()), Some("/tmp".into()), None] {
            let mut bundle = t.bundle();
            let path = bundle.inside(name);
            fs::remove_dir(&path).unwrap();
            match &target {
                Some(target) => symlink(target, &path).unwrap(),
                None => fs::write(&path, "a file").unwrap(),
            }
            bundle.args(["true"]);
            t.create_fails(&bundle);
            canaries.assert_untouched(&format!("/{name} -> {target:?}"));
            assert!(fs::read_dir(bundle.inside("/tmp")).unwrap().next().is_none());
        }
    }
}

/// T20: the file of users belongs to the image.
#[test]
fn a_hostile_file_of_users() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    fs::write(canaries.path("victim"), "root:x:0:0::/from-the-host:/bin/sh\n").unwrap();
    let canaries = canaries.renewed();
    let make: [(&str, Make<'_>); 5] = [
        ("a fifo", &|path| mknod(path, SFlag::S_IFIFO, Mode::from_bits_truncate(0o666), 0).unwrap()),
        ("a link to the host", &|path| symlink(canaries.path("victim"), path).unwrap()),
        ("a relative link", &|path| symlink("../../../hostdir/victim", path).unwrap()),
        ("a directory", &|path| fs::create_dir(path).unwrap()),
        ("a hole of 1 GiB", &|path| fs::File::create(path).unwrap().set_len(1 << 30).unwrap()),
    ];
    for (what, make) in make {
        if is_peer() && (what == "a fifo" || what.starts_with("a hole")) {
            continue; // runc waits for the fifo, and reads the hole
        }
        let mut bundle = t.bundle();
        fs::remove_file(bundle.inside("/etc/passwd")).unwrap();
        make(&bundle.inside("/etc/passwd"));
        bundle.args(["sh", "-c", "echo $HOME"]);
        let output = t.on_bundle(["run"], &bundle, &t.id()).limit(std::time::Duration::from_secs(5)).run();
        assert!(!output.stdout().contains("host"), "{what}: {}", output.report());
        canaries.assert_untouched(what);
    }
    t.assert_clean();
}

//! Hostile images and callers. The oracle is never an error text, but what lies beside the root filesystem: canaries.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use conformance::{
    Bundle, Sandbox, Socket, Terminal, corten_only, is_peer, kernel, sandbox, tool, wait_until,
};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;

/// A directory of the host with files that nobody may touch, and the kernel's files that attacks aim at.
pub(crate) struct Canaries {
    pub(crate) dir: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Canaries {
    pub(crate) fn new(t: &Sandbox) -> Self {
        let dir = t.path("hostdir");
        fs::create_dir(&dir).unwrap();
        for (name, mode) in [("ptmx", 0o644), ("victim", 0o600), ("new-target", 0o600)] {
            fs::write(dir.join(name), "canary").unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(dir.join("sub")).unwrap();
        let before = Self::look(&dir);
        Self { dir, before }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Everything that could change: names, types, owners, modes, inodes, times, contents.
    fn look(dir: &Path) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        let mut left = vec![dir.to_owned()];
        while let Some(path) = left.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            let facts = [meta.mode().into(), meta.uid().into(), meta.gid().into(), meta.ino(), meta.rdev()];
            if meta.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
            }
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            seen.insert(path, format!("{facts:?} {times:?} {content}"));
        }
        for file in
            ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/sys/net/ipv4/ip_forward"]
        {
            seen.insert(file.into(), fs::read_to_string(file).unwrap_or_default());
        }
        let null = fs::metadata("/dev/null").unwrap();
        seen.insert("/dev/null".into(), format!("{:o} {} {}", null.mode(), null.uid(), null.rdev()));
        seen
    }

    #[track_caller]
    pub(crate) fn assert_untouched(&self, what: &str) {
        let after = Self::look(&self.dir);
        for (path, facts) in &self.before {
            assert_eq!(after.get(path), Some(facts), "{what}: {} changed", path.display());
        }
        for path in after.keys() {
            assert!(self.before.contains_key(path), "{what}: {} appeared", path.display());
        }
    }
}

/// Puts something at a path of the image.
type Make<'a> = &'a dyn Fn(&Path);

/// Runs a bundle, whatever comes of it, and removes the container.
pub(crate) fn attempt(t: &Sandbox, bundle: &Bundle) -> conformance::Output {
    let id = t.id();
    let socket = bundle.config()["process"]["terminal"] == true;
    if socket {
        let socket = Socket::bind(t.path(&format!("{id}.sock")));
        let output = t.on_bundle(["run", "--detach", "--console-socket", socket.path()], bundle, &id).run();
        if output.success() {
            drop(socket.receive());
        }
        t.runtime(["delete", "--force", &id]).run().ok();
        output
    } else {
        let output = t.on_bundle(["run"], bundle, &id).run();
        t.runtime(["delete", "--force", &id]).run();
        output
    }
}

/// A bundle without mounts over `/dev`.
pub(crate) fn bundle_with_bare_dev(t: &Sandbox) -> Bundle {
    let mut bundle = t.bundle();
    for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(path);
    }
    bundle.set("/root/readonly", false).args(["true"]);
    bundle
}

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

/// T09: the image's links to descriptors. The caller, who is init's parent, has the directory of the canaries open.
#[test]
fn links_to_descriptors_are_not_followed() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let links =
        [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("ptmx", "fd/9"), ("null", "fd/9/victim")];
    for process in ["self", "thread-self", "1"] {
        for (link, target) in links {
            let target = format!("/proc/{process}/{target}");
            let descriptors = (3..20).map(|fd| format!("/dev/fd/{fd}"));
            let paths: Vec<String> = match link {
                "fd" => {
                    descriptors.flat_map(|fd| [format!("{fd}/made"), format!("{fd}/victim"), fd]).collect()
                }
                link => vec![format!("/dev/{link}/made"), format!("/dev/{link}")],
            };
            let mut bundles: Vec<Bundle> = (0..4).map(|_| bundle_with_bare_dev(&t)).collect();
            bundles[0].set("/linux/maskedPaths", json!(paths)).set("/linux/readonlyPaths", json!(paths));
            for path in &paths {
                bundles[1].mount(path, "tmpfs", "tmpfs", &[]);
                bundles[2].mount(path, "bind", "/etc/hostname", &["bind"]);
                bundles[3].push("/linux/devices", json!({"path": path, "type": "c", "major": 1, "minor": 3}));
            }
            for mut bundle in bundles {
                symlink(&target, bundle.inside("/dev").join(link)).unwrap();
                bundle.args(["ls", "-l", "/proc/self/fd/"]);
                let open =
                    format!("exec 9<'{}' 8<'{}'", canaries.dir.display(), canaries.path("victim").display());
                let output = t.on_bundle(["run"], &bundle, &t.id()).after(&open).run();
                canaries.assert_untouched(&format!("{link} -> {target}: {}", output.report()));
                assert!(!output.stdout().contains("hostdir"), "{}", output.report());
            }
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

fn checksum(path: &Path) -> (Vec<u8>, u64, i64) {
    let meta = fs::metadata(path).unwrap();
    (fs::read(path).unwrap(), meta.ino(), meta.mtime())
}

/// T12
#[test]
fn the_runtimes_own_file_never_enters() {
    let t = sandbox!();
    let before = checksum(t.program());
    let mut bundle = t.bundle();
    let script = bundle.inside("/bin/again");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.capabilities(&["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]);
    for program in ["/proc/self/exe", "/bin/again"] {
        attempt(&t, bundle.args([program]));
    }
    // Beside a stream of execs: whose files can be seen, and can one be opened for writing?
    let look = "while :; do for p in /proc/[0-9]*; do readlink $p/exe; (: >>$p/exe) 2>/dev/null && echo OPEN $(readlink $p/exe); \
                done; done 2>/dev/null";
    let c = t.launch(bundle.script(look));
    for _ in 0..15 {
        c.exec(["true"]).ok();
        c.exec(["/proc/self/exe"]);
    }
    let seen = c.output().stdout();
    c.force_delete();
    let own = t.program().to_str().unwrap();
    for line in seen.lines() {
        assert!(!line.contains(own), "the runtime's file is visible: {line}");
        assert!(!line.starts_with("OPEN") || line.contains("busybox"), "writable: {line}");
    }
    assert!(checksum(t.program()) == before, "the runtime's file has changed");
}

/// T14
#[test]
fn descriptors_of_the_caller_lead_nowhere() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let open: String = (3..16).map(|fd| format!("exec {fd}</; ")).filter(|_| true).take(7).collect();
    let open = open.trim_end_matches("; ");
    let mut bundle = t.bundle();
    for fd in 3..16 {
        symlink(format!("/proc/self/fd/{fd}"), bundle.inside(&format!("/link{fd}"))).unwrap();
    }
    let host_file = canaries.path("victim");
    let script = "pwd; ls .; readlink /proc/self/cwd; cat ../../../../../../..$CANARY 2>/dev/null";
    bundle
        .set("/root/readonly", false)
        .push("/process/env", json!(format!("CANARY={}", host_file.display())));
    let c = t.launch(t.share(&bundle).args(["sleep", "1000"]));
    for fd in 3..12 {
        for cwd in [format!("/proc/self/fd/{fd}"), format!("/link{fd}"), format!("/link{fd}/tmp")] {
            let mut attack = t.share(&bundle);
            attack.script(script).set("/process/cwd", cwd.as_str());
            let output = t.on_bundle(["run"], &attack, &t.id()).after(open).run();
            assert!(!output.stdout().contains("canary"), "{cwd}: {}", output.report());
            let output = c.exec_with(["--cwd", &cwd], ["sh", "-c", script]).after(open).run();
            assert!(!output.stdout().contains("canary"), "exec in {cwd}: {}", output.report());
        }
        let program = format!("/proc/self/fd/{fd}{}", tool("busybox").unwrap().display());
        let output =
            t.on_bundle(["run"], t.share(&bundle).args([&program, "echo", "out"]), &t.id()).after(open).run();
        assert!(!output.stdout().contains("out"), "{program}: {}", output.report());
        if is_peer() && fd == 5 {
            break; // slow
        }
    }
    c.force_delete();
    canaries.assert_untouched("descriptors of the caller");
    t.assert_clean();
}

/// T15
#[test]
fn ids_that_are_paths_or_worse() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let mut bundle = t.bundle();
    bundle.args(["true"]).write();
    fs::create_dir_all(t.state_root()).unwrap();
    fs::write(t.state_root().join("state.json"), "{}").unwrap();
    let escape = "../hostdir";
    let long = "x".repeat(1025);
    let mut ids =
        vec!["..", ".", "", "/x", "a/b", escape, "new\nline", "two words", "ünï", "a\\b", "a*", &long];
    if !is_peer() {
        ids.extend(["a:b", ".hidden", "a\u{1b}[0m"]); // rule D26
    }
    for id in ids {
        let before: Vec<_> = fs::read_dir(t.state_root()).unwrap().flatten().map(|e| e.file_name()).collect();
        let dir = bundle.dir().to_str().unwrap();
        let commands: [&[&str]; 9] = [
            &["create", "--bundle", dir, id],
            &["run", "--bundle", dir, id],
            &["start", id],
            &["state", id],
            &["kill", id, "KILL"],
            &["delete", id],
            &["exec", id, "true"],
            &["ps", id],
            &["pause", id],
        ];
        for command in commands {
            let output = t.runtime(command).run();
            assert!(!output.success(), "{}", output.report());
            assert!(!output.stderr().contains("panicked"), "{}", output.report());
        }
        // Whatever it answers, it deletes nothing.
        t.runtime(["delete", "--force", id]).run();
        let after: Vec<_> = fs::read_dir(t.state_root()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(before, after, "{id:?}");
        canaries.assert_untouched(id);
    }
    for id in ["a", "A.b_c+d-1", "0"] {
        t.on_bundle(["run"], &bundle, id).run().ok();
    }
    fs::remove_file(t.state_root().join("state.json")).unwrap();
    t.assert_clean();
}

#[test]
fn invalid_ids_have_their_text() {
    let t = sandbox!();
    t.runtime(["state", "a/b"]).run().fails_with(1, "invalid container ID format");
    if !is_peer() {
        t.runtime(["state", ""]).run().fails_with(1, "container id cannot be empty");
        t.runtime(["create", "-x"]).run().fails(1);
    }
}

/// T18: what the payload has is what the config says, whatever the caller has.
#[test]
fn capabilities_and_groups_of_the_caller_stay_outside() {
    let Some(setpriv) = tool("setpriv") else { conformance::skip!("setpriv is not installed") };
    let t = sandbox!();
    let mut bundle = t.bundle();
    let setpriv = setpriv.to_str().unwrap();
    let rich = [setpriv, "--inh-caps", "+all", "--ambient-caps", "+all", "--groups", "3,4,5"];
    let probe = t.command(["true"]).wrap(rich).run();
    if !probe.success() {
        conformance::skip!("setpriv cannot raise ambient capabilities here: {}", probe.stderr());
    }
    let (none, kill) = ("0000000000000000", "0000000000000020");
    let facts = |status: &str| ["CapInh", "CapAmb", "Groups"].map(|name| kernel::field(status, name));
    for uid in [0, 1000] {
        for (inheritable, ambient, groups) in
            [(json!([]), json!([]), json!([])), (json!(["CAP_KILL"]), json!(["CAP_KILL"]), json!([7, 9]))]
        {
            let expected = if groups == json!([]) { [none, none, ""] } else { [kill, kill, "7 9"] };
            bundle.set("/process/capabilities/inheritable", inheritable);
            bundle.set("/process/capabilities/ambient", ambient).set("/process/user/additionalGids", groups);
            bundle.set("/process/user/uid", uid).args(["cat", "/proc/self/status"]);
            let status = t.on_bundle(["run"], &bundle, &t.id()).wrap(rich).run().ok();
            assert_eq!(facts(&status), expected, "uid {uid}");
            let c = t.launch(bundle.args(["sleep", "1000"]));
            let exec = |flags: &[&str]| {
                let words = [&["exec"], flags, &[c.id(), "cat", "/proc/self/status"]].concat();
                facts(&t.runtime(words).wrap(rich).run().ok())
            };
            assert_eq!(exec(&[]), expected, "exec, uid {uid}");
            if !is_peer() {
                let [inheritable, ambient, groups] = expected;
                let more = exec(&["--cap", "CAP_NET_BIND_SERVICE", "--additional-gids", "11"]);
                assert_eq!(
                    more,
                    [inheritable, ambient, format!("{groups} 11").trim()],
                    "exec with more, uid {uid}"
                );
            }
        }
    }
}

/// T20
#[test]
fn users_are_numbers_and_nothing_else() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::write(bundle.inside("/etc/passwd"), "1000:x:0:0::/evil:/bin/sh\n1:x:0:0::/evil:/bin/sh\n").unwrap();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let id = |user: &str| c.exec_with(["--user", user], ["sh", "-c", "echo $(id -u):$(id -g)"]).run();
    assert_eq!(id("1000").ok(), "1000:0\n");
    assert_eq!(id("1:1").ok(), "1:1\n");
    for user in ["4294967296", "18446744073709551616", "-1", "1 ", " 1", "name", "1:", "0x10", "1:2:3"] {
        if is_peer() {
            continue; // runc 1.1 wraps and overlooks some
        }
        let output = id(user);
        output.fails_with(255, "bad ");
    }
    if !is_peer() {
        id("4294967295").fails(255);
    }
}

/// T20: the file of users belongs to the image.
#[test]
fn a_hostile_file_of_users() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    fs::write(canaries.path("victim"), "root:x:0:0::/from-the-host:/bin/sh\n").unwrap();
    let canaries = Canaries { before: Canaries::look(&canaries.dir), dir: canaries.dir };
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

/// T21
#[test]
fn sysctls_of_the_host_are_out_of_reach() {
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let own_net = format!("/proc/{}/ns/net", std::process::id());
    for (name, value) in [
        ("kernel.core_pattern", "|/evil"),
        ("kernel/core_pattern", "|/evil"),
        ("net.../../kernel/core_pattern", "|/evil"),
        ("net/../kernel/core_pattern", "|/evil"),
        ("net.ipv4...vm.swappiness", "1"),
        ("vm.swappiness", "1"),
        ("net", "1"),
        ("", "1"),
    ] {
        let mut bundle = t.bundle();
        bundle.args(["true"]).set("/linux/sysctl", json!({name: value}));
        t.create_fails(&bundle);
        canaries.assert_untouched(name);
    }
    for value in ["1\n0", "1\u{0}"] {
        if is_peer() {
            continue; // runc checks names only
        }
        let mut bundle = t.bundle();
        t.create_fails(bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": value})));
    }
    // Where the runtime fails this, the host keeps the value that it has.
    let value = kernel::read("/proc/sys/net/ipv4/ip_forward");
    let mut bundle = t.bundle();
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": value}));
    t.create_fails(bundle.without_namespace("network"));
    t.create_fails(bundle.join_namespace("network", &own_net));
    let value = kernel::read("/proc/sys/kernel/msgmax");
    bundle.set("/linux/sysctl", json!({"kernel.msgmax": value}));
    t.create_fails(bundle.without_namespace("ipc"));
    canaries.assert_untouched("namespaces of the host");
}

/// T22
#[test]
fn a_payload_without_a_terminal_has_no_controlling_one() {
    let t = sandbox!();
    let terminal = Terminal::open();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let id = t.id();
    let run =
        t.on_bundle(["run", "--detach"], &bundle, &id).wrap(["setsid", "-c"]).terminal(terminal.slave());
    let output = run.run();
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    wait_until("the payload", || c.init().file("cmdline").starts_with("sleep"));
    let stat = c.init().file("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[4], "0", "a controlling terminal: {stat}");
    assert_eq!(fields[3], c.pid().to_string(), "it leads its session: {stat}");
    assert_eq!(c.init().descriptors().len(), 3);
}

/// T24
#[test]
fn a_state_root_of_somebody_else() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    let root = t.state_root();
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, Some(1000), Some(1000)).unwrap();
    t.on_bundle(["create"], &bundle, &t.id()).run().fails(1);
    fs::remove_dir(&root).unwrap();
    t.assert_clean();
}

/// What an earlier, broken or hostile process left in the state root hurts nobody else.
#[test]
fn rubbish_in_the_state_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let root = t.state_root();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("broken")).unwrap();
    fs::write(root.join("broken/state.json"), "{").unwrap();
    fs::write(root.join("file"), "").unwrap();
    let output = t.runtime(["list", "-q"]).run();
    assert_eq!(output.ok().trim_end().lines().find(|line| *line == c.id()), Some(c.id()));
    for name in ["empty", "broken"] {
        t.runtime(["state", name]).run().fails(1);
    }
    t.runtime(["delete", "--force", "empty"]).run().ok();
    assert!(is_peer() || !root.join("empty").exists());
    for name in ["empty", "broken"] {
        let _ = fs::remove_dir_all(root.join(name));
    }
    fs::remove_file(root.join("file")).unwrap();
}

//! Somebody changes the image's paths while a container is made of it. The oracle is what lies beside the root file system:
//! whether a container comes of it does not matter.
//!
//! `ROUNDS` is the number of containers of each test (without: a few); 2000 is what a release is tested with.

use std::env;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use conformance::{Bundle, Output, Sandbox, corten_only, kernel, sandbox, skip};
use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;

use crate::canaries::{Canaries, attempt, bundle_with_bare_dev};
use crate::labels::{NO_APPARMOR, Profile};

pub(crate) fn rounds() -> u32 {
    env::var("ROUNDS").ok().map_or(10, |rounds| rounds.parse().expect("ROUNDS"))
}

/// Exchanges two names: `renameat2(RENAME_EXCHANGE)`, for which nix has a wrapper with glibc alone.
#[allow(unsafe_code)]
fn exchange(one: &Path, other: &Path) -> nix::Result<()> {
    let [one, other] = [one, other].map(|path| CString::new(path.as_os_str().as_bytes()).expect("no NUL"));
    let (here, flags) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
    // SAFETY: both names end with a NUL and live through the call.
    let done = unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), flags) };
    Errno::result(done).map(drop)
}

/// Exchanges pairs of names until it is dropped, at changing intervals.
struct Racer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    fn start(pairs: Vec<(PathBuf, PathBuf)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut random = 0x2545_f491_u32;
            while !seen.load(Ordering::Relaxed) {
                for (one, other) in &pairs {
                    // What the other side does meanwhile may take a name away for a moment.
                    let _ = exchange(one, other);
                }
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let pause = Duration::from_micros(u64::from(random % 300));
                let since = Instant::now();
                while since.elapsed() < pause {
                    std::hint::spin_loop();
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the racer");
        }
    }
}

/// Makes containers of a bundle, which runs while nobody disturbs it, while these pairs of names are exchanged; `check` looks at
/// each.
fn race(
    t: &Sandbox,
    canaries: &Canaries,
    bundle: &Bundle,
    pairs: Vec<(PathBuf, PathBuf)>,
    check: impl Fn(&Output),
) {
    let undisturbed = attempt(t, bundle);
    undisturbed.ok();
    check(&undisturbed);
    let mut came = 0;
    let since = Instant::now();
    let racer = Racer::start(pairs);
    for round in 0..rounds() {
        let output = attempt(t, bundle);
        came += u32::from(output.success());
        assert!(!output.stderr().contains("panicked"), "{}", output.report());
        canaries.assert_untouched(&format!("round {round}: {}", output.report()));
        check(&output);
        if round % 50 == 49 {
            // Outputs are files of the sandbox.
            let _ = fs::remove_dir_all(t.path("output")).and_then(|()| fs::create_dir(t.path("output")));
        }
    }
    drop(racer);
    eprintln!("{came} of {} came to run, {:.1} s", rounds(), since.elapsed().as_secs_f32());
    assert!(came > 0 || rounds() < 100, "none came to run");
    t.assert_clean();
}

/// A link out of the root, absolute or by its parents.
fn links_out(canaries: &Canaries) -> [String; 2] {
    let absolute = canaries.dir.to_str().unwrap().to_owned();
    [absolute.clone(), format!("{}{absolute}", "../".repeat(40))]
}

/// T01, T04: the directory of devices, with and without a terminal.
#[test]
fn the_device_directory() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    for (terminal, target) in [(false, &links_out(&canaries)[0]), (true, &links_out(&canaries)[1])] {
        let mut bundle = bundle_with_bare_dev(&t);
        if terminal {
            bundle.set("/process/terminal", true);
            bundle.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
        }
        symlink(target, bundle.inside("/other")).unwrap();
        let pairs = vec![(bundle.inside("/dev"), bundle.inside("/other"))];
        race(&t, &canaries, &bundle, pairs, |_| {});
    }
}

/// T03, T04: entries of a volume that is the container's `/dev`.
#[test]
fn entries_of_the_device_directory() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let mut bundle = bundle_with_bare_dev(&t);
    bundle.set("/process/terminal", true);
    let mut pairs = Vec::new();
    fs::create_dir_all(bundle.inside("/dev/pts")).unwrap();
    bundle.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
    for (name, target) in [
        ("console", canaries.path("new-target")),
        ("null", "/proc/sys/kernel/core_pattern".into()),
        ("ptmx", canaries.path("ptmx")),
        ("stdin", canaries.path("made")),
    ] {
        let (entry, other) = (bundle.inside("/dev").join(name), bundle.inside("/").join(name));
        if name == "null" {
            mknod(&entry, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
        } else {
            fs::write(&entry, "").unwrap();
        }
        symlink(target, &other).unwrap();
        pairs.push((entry, other));
    }
    race(&t, &canaries, &bundle, pairs, |_| {});
}

/// T05, T06: a directory on the way to all that is mounted or made.
#[test]
fn targets() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    for target in links_out(&canaries) {
        let mut bundle = t.bundle();
        bundle.set("/root/readonly", false);
        fs::create_dir_all(bundle.inside("/v/d")).unwrap();
        symlink(target, bundle.inside("/v/l")).unwrap();
        bundle.mount("/v/d/tmpfs", "tmpfs", "tmpfs", &["ro"]);
        bundle.mount("/v/d/dir", "bind", "/usr/share", &["rbind", "ro"]);
        bundle.mount("/v/d/file", "bind", "/etc/hostname", &["bind"]);
        bundle.mount("/v/d/link", "bind", "/etc/hostname", &["bind", "src-nofollow", "dest-nofollow"]);
        bundle.push("/linux/devices", json!({"path": "/v/d/null", "type": "c", "major": 1, "minor": 3}));
        bundle.set("/process/cwd", "/v/d/cwd").args(["cat", "/proc/self/mountinfo"]);
        let pairs = vec![(bundle.inside("/v/d"), bundle.inside("/v/l"))];
        race(&t, &canaries, &bundle, pairs, |output| {
            let mounts = kernel::mounts(&output.stdout());
            assert!(mounts.iter().filter(|mount| mount.point == "/").count() <= 1, "{}", output.report());
        });
    }
}

/// What a payload gets of files that are masked or read-only, by each of the names that they have in turn.
const GET: &str = "cat /proc/self/mountinfo; for d in /v/d /v/l; do cat $d/file $d/dir/below; \
    for name in kept tree/below; do (: >>$d/$name) && echo written $name; done; done 2>/dev/null; true";

/// T07: what must not be written or seen. Where a path was covered, the mount shows it, and what it covers is out of reach.
#[test]
fn masks() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    // Masked paths, read-only paths; each with what a payload would say who gets it all the same.
    type Covered = &'static [(&'static str, &'static str)];
    let lists: [(Covered, Covered); 3] = [
        (&[("", "secret")], &[]),
        (&[], &[("", "written")]),
        (
            &[("/file", "secret file"), ("/dir", "secret dir/below"), ("/victim", "canary")],
            &[("/kept", "written kept"), ("/tree", "written tree/below"), ("/sub", "written sub")],
        ),
    ];
    for (target, (masked, readonly)) in
        links_out(&canaries).iter().flat_map(|target| lists.map(|list| (target, list)))
    {
        let mut bundle = t.bundle();
        for name in ["file", "dir/below", "kept", "tree/below"] {
            let path = bundle.inside("/v/d").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("secret {name}\n")).unwrap();
        }
        symlink(target, bundle.inside("/v/l")).unwrap();
        for (list, paths) in [("maskedPaths", masked), ("readonlyPaths", readonly)] {
            let paths: Vec<String> = paths.iter().map(|(name, _)| format!("/v/d{name}")).collect();
            bundle.set(&format!("/linux/{list}"), paths);
        }
        bundle.set("/root/readonly", false).script(GET);
        let covered =
            || masked.iter().chain(readonly).filter(|(name, _)| !["/victim", "/sub"].contains(name));
        let is_mounted = |text: &str, name: &str| {
            let points = ["/v/d", "/v/l"].map(|dir| format!("{dir}{name}"));
            kernel::mounts(text).iter().any(|mount| points.contains(&mount.point))
        };
        let text = attempt(&t, &bundle).ok();
        for (name, _) in covered() {
            assert!(is_mounted(&text, name), "/v/d{name} is not covered: {text}");
        }
        let pairs = vec![(bundle.inside("/v/d"), bundle.inside("/v/l"))];
        race(&t, &canaries, &bundle, pairs, |output| {
            let text = output.stdout();
            assert!(!text.contains("/hostdir"), "{}", output.report());
            for (name, got) in covered() {
                assert!(!(is_mounted(&text, name) && text.contains(got)), "{name}: {}", output.report());
            }
        });
    }
}

/// T08, T10, T21: `/proc` and `/sys` become links; parameters of the kernel are written meanwhile.
#[test]
fn proc_and_sys() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let fake = canaries.dir.join("sub");
    let mut bundle = t.bundle();
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    symlink(&fake, bundle.inside("/p")).unwrap();
    symlink(&fake, bundle.inside("/s")).unwrap();
    bundle.args(["cat", "/proc/sys/net/ipv4/ip_forward"]);
    let pairs =
        vec![(bundle.inside("/proc"), bundle.inside("/p")), (bundle.inside("/sys"), bundle.inside("/s"))];
    race(&t, &canaries, &bundle, pairs, |output| {
        assert!(!output.success() || output.stdout() == "1\n", "{}", output.report());
    });
}

/// T20: the file of users.
#[test]
fn the_file_of_users() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let outside = t.path("passwd");
    fs::write(&outside, "root:x:0:0::/from-the-host:/bin/sh\n").unwrap();
    let mut bundle = t.bundle();
    symlink(&outside, bundle.inside("/link")).unwrap();
    mknod(&bundle.inside("/fifo"), SFlag::S_IFIFO, Mode::from_bits_truncate(0o666), 0).unwrap();
    bundle.script("echo $HOME");
    let passwd = bundle.inside("/etc/passwd");
    let pairs = vec![(passwd.clone(), bundle.inside("/link")), (passwd, bundle.inside("/fifo"))];
    race(&t, &canaries, &bundle, pairs, |output| {
        assert!(!output.stdout().contains("host"), "{}", output.report());
    });
}

/// A source that lies in the root.
#[test]
fn sources_in_the_root() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    for target in links_out(&canaries) {
        let mut bundle = t.bundle();
        fs::create_dir_all(bundle.inside("/v/d")).unwrap();
        symlink(target, bundle.inside("/v/l")).unwrap();
        let source = bundle.inside("/v/d");
        bundle.mount("/mnt", "bind", &source, &["rbind"]);
        bundle.mount("/copy", "bind", &source, &["bind", "copy-symlink"]);
        bundle.set("/root/readonly", false).script("cat /mnt/victim /copy/victim; touch /mnt/made");
        let pairs = vec![(source.clone(), bundle.inside("/v/l"))];
        race(&t, &canaries, &bundle, pairs, |output| {
            assert!(!output.stdout().contains("canary"), "{}", output.report());
        });
        let _ = fs::remove_file(bundle.inside("/copy"));
    }
}

/// T06: what is taken away with a container that has no mount namespace of its own.
#[test]
fn mounts_are_taken_away() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let mut bundle = t.bundle();
    bundle
        .without_namespace("mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    bundle.set("/root/readonly", false).args(["true"]);
    fs::create_dir_all(bundle.inside("/v/d")).unwrap();
    symlink(&canaries.dir, bundle.inside("/v/l")).unwrap();
    bundle.mount("/v/d/tmpfs", "tmpfs", "tmpfs", &[]);
    bundle.mount("/v/d/sub", "tmpfs", "tmpfs", &[]);
    // The host has a mount of its own where the link leads.
    let host = format!(
        "mount -t tmpfs own '{0}' && \"$@\"; grep -F '{1}' /proc/self/mountinfo",
        canaries.path("sub").display(),
        t.dir().display(),
    );
    let racer = Racer::start(vec![(bundle.inside("/v/d"), bundle.inside("/v/l"))]);
    for round in 0..rounds() {
        let id = t.id();
        let command = t.on_bundle(["run"], &bundle, &id);
        let output =
            command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &host, "sh"]).run();
        let left: Vec<String> = output.stdout().lines().map(str::to_owned).collect();
        assert_eq!(left.len(), 1, "round {round}: {}", output.report());
        assert!(left[0].contains("tmpfs own"), "round {round}: {}", output.report());
        canaries.assert_untouched(&output.report());
        t.runtime(["delete", "--force", &id]).run();
    }
    drop(racer);
    t.assert_clean();
}

/// A root file system is opened once: another one that takes its name meanwhile is no danger.
#[test]
fn the_root_itself() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let mut bundle = t.bundle();
    bundle.args(["ls", "/"]);
    fs::create_dir(bundle.dir().join("empty")).unwrap();
    let pairs: Vec<(PathBuf, PathBuf)> = vec![(bundle.rootfs(), bundle.dir().join("empty"))];
    race(&t, &canaries, &bundle, pairs, |output| {
        assert!(!output.success() || output.stdout().contains("bin"), "{}", output.report());
    });
}

/// T11: the profile of create, while the image's `/proc` becomes a tree with files of its own in `self/attr`.
#[test]
fn the_label_of_create() {
    corten_only!();
    let t = sandbox!();
    let canaries = Canaries::new(&t);
    let Some(profile) = Profile::denying(&t, &["/tmp/denied"]) else { skip!("{NO_APPARMOR}") };
    let mut bundle = t.bundle();
    for process in ["self", "thread-self", "1"] {
        let attr = bundle.inside("/fake").join(process).join("attr");
        fs::create_dir_all(attr.join("apparmor")).unwrap();
        for name in ["exec", "current", "apparmor/exec"] {
            fs::write(attr.join(name), "").unwrap();
        }
    }
    symlink("/fake", bundle.inside("/link")).unwrap();
    bundle.set("/process/apparmorProfile", profile.name.as_str()).set("/root/readonly", false);
    bundle.script("touch /tmp/fine; touch /tmp/denied; true");
    let proc = bundle.inside("/proc");
    let pairs = vec![(proc.clone(), bundle.inside("/fake")), (proc, bundle.inside("/link"))];
    race(&t, &canaries, &bundle, pairs, |output| {
        assert!(!bundle.inside("/tmp/denied").exists(), "{}", output.report());
    });
    assert!(bundle.inside("/tmp/fine").exists(), "none came to run");
}

/// T11: the profile of exec, while the container mounts other things over its `/proc`.
#[test]
fn the_label_of_exec() {
    corten_only!();
    let t = sandbox!();
    let Some(profile) = Profile::denying(&t, &["/tmp/denied"]) else { skip!("{NO_APPARMOR}") };
    let mut bundle = t.bundle();
    bundle.capabilities(&["CAP_SYS_ADMIN"]).set("/root/readonly", false);
    bundle.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    bundle.script(
        "mkdir -p /fake/self/attr/apparmor; for f in exec current apparmor/exec; do > /fake/self/attr/$f; done; \
         cp -r /fake/self /fake/thread-self; while :; do mount --bind /fake /proc; umount /proc; \
         mount -t tmpfs x /proc/self/attr; umount /proc/self/attr; \
         for p in /proc/[0-9]*; do mount --bind /fake/self/attr $p/attr && umount $p/attr; done 2>/dev/null; done",
    );
    let c = t.launch(&bundle);
    let mut came = 0;
    for round in 0..rounds() {
        let output = c
            .exec_with(["--apparmor", &profile.name], ["sh", "-c", "touch /tmp/fine; touch /tmp/denied"])
            .run();
        came += u32::from(bundle.inside("/tmp/fine").exists());
        assert!(!bundle.inside("/tmp/denied").exists(), "round {round}: {}", output.report());
        let _ = fs::remove_file(bundle.inside("/tmp/fine"));
    }
    eprintln!("{came} of {} came to run", rounds());
    assert!(came > 0 && c.status() == "running");
}

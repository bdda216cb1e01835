//! A root file system that is a mount of the config, at `/`; and roots that several containers share.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use conformance::{Bundle, Sandbox, corten_only, kernel, sandbox, skip, tool};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

/// A bundle whose root is this mount, over an empty directory.
fn with_root(t: &Sandbox, kind: &str, source: &Path, options: &[String]) -> (Bundle, PathBuf) {
    let mut bundle = t.bundle();
    let empty = bundle.dir().join("empty");
    fs::create_dir(&empty).unwrap();
    let root = json!({"destination": "/", "type": kind, "source": source, "options": options});
    let mounts = bundle.config()["mounts"].as_array().unwrap().iter().cloned();
    let mounts: Vec<Value> = [root].into_iter().chain(mounts).collect();
    bundle.set("/mounts", mounts).set("/root/path", "empty").set("/root/readonly", false);
    (bundle, empty)
}

fn assert_empty(dir: &Path) {
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "{}", dir.display());
}

#[test]
fn an_overlay() {
    corten_only!();
    let t = sandbox!();
    let (upper, work) = (t.path("upper"), t.path("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    // Many layers are longer than one value of fsconfig(2).
    let layers: Vec<PathBuf> =
        (0..8).map(|layer| t.path(&format!("layer-with-a-name-that-is-long-{layer}"))).collect();
    for layer in &layers {
        fs::create_dir(layer).unwrap();
        fs::write(layer.join(layer.file_name().unwrap()), "").unwrap();
    }
    let (mut bundle, empty) = with_root(&t, "overlay", Path::new("overlay"), &[]);
    let lower: Vec<String> =
        layers.iter().chain([&bundle.rootfs()]).map(|dir| dir.display().to_string()).collect();
    let options = [
        format!("lowerdir={}", lower.join(":")),
        format!("upperdir={}", upper.display()),
        format!("workdir={}", work.display()),
    ];
    bundle.set("/mounts/0/options", options.to_vec());
    bundle.script("touch /new && ls / | grep -c layer; grep ' / ' /proc/self/mountinfo");
    let text = t.run(&bundle).ok();
    assert!(text.starts_with("8\n"), "{text}");
    assert_eq!(kernel::mount_at(&text, "/").kind, "overlay");
    assert!(upper.join("new").is_file());
    assert_empty(&empty);

    bundle.set("/root/readonly", true).script("touch /newer || echo refused");
    assert_eq!(t.run(&bundle).ok(), "refused\n");
    // The word does the same, when everything has been made.
    bundle.set("/root/readonly", false).push("/mounts/0/options", json!("ro"));
    assert_eq!(t.run(&bundle).ok(), "refused\n");
    for flags in [&["--no-pivot"][..], &[]] {
        let bundle = bundle.script("ls /etc/passwd").write().dir();
        let output = t
            .runtime(["run"])
            .args(flags)
            .args(["--bundle".as_ref(), bundle.as_os_str()])
            .args([t.id()])
            .run();
        assert_eq!(output.ok(), "/etc/passwd\n");
    }
    t.assert_clean();
}

#[test]
fn a_tmpfs() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, empty) = with_root(&t, "tmpfs", Path::new("root"), &["size=1m".to_owned()]);
    let bin = bundle.inside("/bin");
    bundle.mount("/bin", "bind", bin, &["bind", "ro"]);
    let c = t.launch(bundle.args(["sleep", "1000"]));
    assert_eq!(c.shell("touch /made; ls /"), "bin\ndev\nmade\nproc\nsys\n");
    let mount = kernel::mount_at(&c.shell("cat /proc/self/mountinfo"), "/");
    assert!(mount.kind == "tmpfs" && mount.source == "root" && mount.has("size=1024k"), "{mount:?}");
    c.force_delete();
    assert_empty(&empty);
    t.assert_clean();
}

/// An image of a directory, where the tool for it is installed and the kernel mounts it without a block device.
fn erofs(t: &Sandbox, dir: &Path) -> Option<PathBuf> {
    let (image, at) = (t.path("image.erofs"), t.path("probe"));
    t.command([tool("mkfs.erofs")?.as_path(), Path::new("--quiet"), &image, dir]).run().ok();
    fs::create_dir(&at).unwrap();
    let probe = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        mount(Some(&image), &at, Some("erofs"), MsFlags::MS_RDONLY, None::<&str>)
    };
    // The namespace goes with the thread.
    let mounted = thread::scope(|scope| scope.spawn(probe).join().unwrap());
    mounted.is_ok().then_some(image)
}

const NO_EROFS: &str =
    "mkfs.erofs is not installed, or this kernel mounts no file of $TMPDIR as erofs (none of a tmpfs)";

#[test]
fn an_erofs_image() {
    corten_only!();
    let t = sandbox!();
    let Some(image) = erofs(&t, &t.bundle().rootfs()) else { skip!("{NO_EROFS}") };
    // Whether the config asks for it or not, it is read-only.
    for options in [&["ro".to_owned()][..], &[]] {
        let (mut bundle, empty) = with_root(&t, "erofs", &image, options);
        bundle.mount("/tmp", "tmpfs", "tmpfs", &[]).set("/linux/maskedPaths/0", "/etc/passwd");
        bundle.script("touch /new; touch /tmp/new && cat /etc/passwd; ls /tmp; cat /proc/self/mountinfo");
        let output = t.run(&bundle);
        let text = output.ok();
        assert!(output.stderr().contains("/new: Read-only file system"), "{}", output.report());
        assert!(text.starts_with("new\n"), "{text}");
        let root = kernel::mount_at(&text, "/");
        assert!(root.kind == "erofs" && Path::new(&root.source) == image, "{root:?}");
        assert_empty(&empty);
    }
    t.assert_clean();
}

/// As composefs has it: an image of names and attributes, and below it a directory that holds the files' contents alone.
#[test]
fn an_overlay_with_layers_of_data() {
    corten_only!();
    let t = sandbox!();
    let (names, objects, image_at) = (t.bundle().rootfs(), t.path("objects"), t.path("names"));
    fs::create_dir_all(&objects).unwrap();
    fs::create_dir(&image_at).unwrap();
    fs::rename(names.join("bin/busybox"), objects.join("0a1b2c")).unwrap();
    let stand_in = fs::File::create(names.join("bin/busybox")).unwrap();
    stand_in.set_len(fs::metadata(objects.join("0a1b2c")).unwrap().len()).unwrap();
    stand_in.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    let attributes = "import os, sys; os.setxattr(sys.argv[1], 'trusted.overlay.metacopy', b''); \
        os.setxattr(sys.argv[1], 'trusted.overlay.redirect', b'/0a1b2c')";
    let Some(python) = tool("python3") else { skip!("python3 is not installed") };
    let set = t
        .command([python.as_path(), Path::new("-c"), Path::new(attributes), &names.join("bin/busybox")])
        .run();
    let Some(image) = erofs(&t, &names).filter(|_| set.success()) else {
        skip!("{NO_EROFS}, or no trusted.*")
    };

    let host = format!(
        "mount -t erofs -o ro,loop '{}' '{}' || exit 77; exec \"$@\"",
        image.display(),
        image_at.display()
    );
    let layers = format!("lowerdir={}::{}", image_at.display(), objects.display());
    // Values over 255 bytes take another way.
    let long = format!("{layers}::{}", t.path(&"long".repeat(50)).display());
    fs::create_dir(t.path(&"long".repeat(50))).unwrap();
    for layers in [layers, long] {
        let options = [layers, "metacopy=on".to_owned(), "redirect_dir=follow".to_owned()];
        let (mut bundle, empty) = with_root(&t, "overlay", Path::new("overlay"), &options);
        bundle.script("ls / /bin/busybox; cat /proc/self/mountinfo");
        let command = t.on_bundle(["run"], &bundle, &t.id());
        let output =
            command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &host, "sh"]).run();
        if output.code() == 77 {
            skip!("{NO_EROFS}");
        }
        let text = output.ok();
        assert!(
            text.starts_with("/bin/busybox\n\n/:\nbin\ndev\netc\n") && !text.contains("0a1b2c\n"),
            "{text}"
        );
        assert_eq!(kernel::mount_at(&text, "/").kind, "overlay");
        assert_empty(&empty);
    }
    t.assert_clean();
}

/// The bundle's files belong to root on the disk and to the container's root in it.
#[test]
fn an_id_mapped_root() {
    corten_only!();
    let t = sandbox!();
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    for user_namespace in [false, true] {
        let (mut bundle, empty) = with_root(&t, "bind", Path::new("rootfs"), &["rbind".to_owned()]);
        bundle.set("/mounts/0/uidMappings", ids.clone()).set("/mounts/0/gidMappings", ids.clone());
        if user_namespace {
            bundle.push("/linux/namespaces", json!({"type": "user"}));
            bundle.set("/linux/uidMappings", ids.clone()).set("/linux/gidMappings", ids.clone());
        }
        bundle.script("stat -c %u:%g /bin/busybox; touch /tmp/made");
        let owner = if user_namespace { "0:0\n" } else { "100000:100000\n" };
        let output = t.run(&bundle);
        assert_eq!(output.stdout(), owner, "{}", output.report());
        assert_eq!(
            bundle.inside("/tmp/made").exists(),
            user_namespace,
            "ids that are not mapped own nothing"
        );
        assert!(!user_namespace || fs::metadata(bundle.inside("/tmp/made")).unwrap().uid() == 0);
        assert_empty(&empty);
    }
    t.assert_clean();
}

#[test]
fn only_the_first_mount_can_be_the_root() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.mount("/", "tmpfs", "tmpfs", &[]);
    let last = bundle.config()["mounts"].as_array().unwrap().len() - 1;
    assert_eq!(t.refused_at(&bundle), format!("/mounts/{last}/destination"));
    let (mut bundle, _) = with_root(&t, "tmpfs", Path::new("tmpfs"), &[]);
    bundle
        .without_namespace("mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    assert_eq!(t.refused_at(&bundle), "/mounts/0/destination");
    let (mut bundle, _) = with_root(&t, "tmpfs", Path::new("tmpfs"), &["remount".to_owned()]);
    assert_eq!(t.refused_at(&bundle), "/mounts/0/destination");
    bundle.set("/mounts/0/type", "proc").set("/mounts/0/options", json!([]));
    assert_eq!(t.refused_at(&bundle), "/mounts/0/destination");
}

/// What every file of a tree is: an entry that is made, changed or removed changes one of these.
fn look(dir: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64)> {
    let mut seen = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
        }
        seen.insert(path, (meta.ino(), meta.mode(), meta.ctime(), meta.ctime_nsec()));
    }
    seen
}

#[test]
fn nothing_is_made_in_a_root_that_has_it_all() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    fs::create_dir_all(bundle.inside("/data")).unwrap();
    fs::write(bundle.inside("/data/file"), "").unwrap();
    let before = look(&bundle.rootfs());
    let root = bundle.rootfs();
    let host =
        format!("mount --bind '{0}' '{0}' && mount -o remount,bind,ro '{0}' && exec \"$@\"", root.display());
    // Two share it, one after the other; the second cannot write at all.
    for wrapped in [false, true] {
        let mut other = t.share(&bundle);
        other.mount("/data", "tmpfs", "tmpfs", &[]).mount("/data/file", "bind", "/etc/hostname", &["bind"]);
        other.set("/process/cwd", "/tmp").args(["cat", "/data/file"]);
        let command = t.on_bundle(["run"], &other, &t.id());
        let command = match wrapped {
            true => command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &host, "sh"]),
            false => command,
        };
        assert_eq!(command.run().ok(), fs::read_to_string("/etc/hostname").unwrap());
    }
    assert_eq!(look(&bundle.rootfs()), before);
    t.assert_clean();
}

/// Masks of files alone leave no mount beside them.
#[test]
fn masked_files_alone() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::write(bundle.inside("/etc/secret"), "secret").unwrap();
    bundle.set("/linux/maskedPaths", json!(["/etc/secret", "/proc/timer_list", "/missing"]));
    bundle.set("/linux/readonlyPaths", json!([]));
    bundle.script("cat /etc/secret; ls /; cat /proc/self/mountinfo");
    for flags in [&["--no-pivot"][..], &[]] {
        let text = t
            .runtime(["run"])
            .args(flags)
            .args(["--bundle".as_ref(), bundle.write().dir().as_os_str()])
            .args([t.id()])
            .run()
            .ok();
        assert!(text.starts_with("bin\ndev\n"), "{text}");
        assert_eq!(kernel::mounts(&text).iter().filter(|mount| mount.point == "/").count(), 1, "{text}");
        assert_eq!(kernel::mount_at(&text, "/proc/timer_list").kind, "tmpfs");
    }
    bundle.set("/linux/rootfsPropagation", "rshared");
    assert!(t.run(&bundle).ok().starts_with("bin\ndev\n"));
    t.assert_clean();
}

/// A mount over the host's root does not keep that root in the container.
#[test]
fn a_host_with_something_over_its_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["cat", "/proc/self/mountinfo"]);
    let host = "mount -t tmpfs over / && mount -t tmpfs more / && exec \"$@\"";
    let command = t.on_bundle(["run"], &bundle, &t.id());
    let text = command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", host, "sh"]).run().ok();
    let roots = kernel::mounts(&text).into_iter().filter(|mount| mount.point == "/").count();
    assert_eq!(roots, 1, "{text}");
    t.assert_clean();
}

/// Rule D27: a directory in which every user may put another root, or another state, in place.
#[test]
fn directories_that_everybody_may_change_are_warned_of() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    let text = |mode| {
        fs::set_permissions(t.dir(), fs::Permissions::from_mode(mode)).unwrap();
        let output = t.run(&bundle);
        output.ok();
        output.stderr()
    };
    assert!(text(0o777).contains(&format!("rename what is in {}", t.dir().display())));
    assert_eq!(text(0o1777), "");
    assert_eq!(text(0o755), "");
}

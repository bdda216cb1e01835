//! Sources of bind mounts: ones that lie in the root itself, and symbolic links.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use conformance::{Bundle, Sandbox, corten_only, kernel, sandbox};
use serde_json::{Value, json};

fn ids() -> Value {
    json!([{"containerID": 0, "hostID": 100_000, "size": 65536}])
}

fn bind(bundle: &mut Bundle, source: &Path, target: &Path, mapped: bool) {
    let mut mount =
        json!({"destination": target, "type": "bind", "source": source, "options": ["rbind", "rprivate"]});
    if mapped {
        mount["uidMappings"] = ids();
        mount["gidMappings"] = ids();
    }
    bundle.push("/mounts", mount);
}

/// Mounts are made in their order: what is mounted first is part of a later source. A destination on the host's side of the root
/// is one in it.
#[test]
fn sources_in_the_root() {
    let t = sandbox!();
    for (user_namespace, mapped) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut bundle = t.bundle();
        bundle.set("/root/readonly", false);
        if user_namespace {
            bundle.push("/linux/namespaces", json!({"type": "user"}));
            bundle.set("/linux/uidMappings", ids()).set("/linux/gidMappings", ids());
            t.command(["chown", "-R", "100000:100000"]).args([bundle.rootfs()]).run().ok();
        }
        let host = bundle.dir().join("host");
        for path in ["a/x", "b/y", "c/z"] {
            fs::create_dir_all(host.join(path)).unwrap();
            fs::write(host.join(path).join("file"), path).unwrap();
        }
        // What is the host's only the host side can open.
        fs::set_permissions(&host, fs::Permissions::from_mode(0o700)).unwrap();
        let root = bundle.rootfs();
        for (source, target) in [("a", "mnt"), ("b", "mnt/x"), ("c", "mnt/x/y")] {
            bind(&mut bundle, &host.join(source), &Path::new("/").join(target), false);
        }
        bind(&mut bundle, &root.join("mnt/x"), &root.join("mnt/x/y/z"), mapped);
        bind(&mut bundle, &root.join("mnt"), &root.join("final"), mapped);
        bundle.script("cat /final/x/y/z/y/z/file; stat -c ' %u' /final");
        let output = t.run(&bundle);
        let owner = match (user_namespace, mapped) {
            (true, false) => 65534,
            (false, true) => 100_000,
            _ => 0,
        };
        assert_eq!(output.ok(), format!("c/z {owner}\n"), "{user_namespace} {mapped}: {}", output.report());
        assert!(!root.join("tmp").join(root.strip_prefix("/").unwrap()).exists());
    }
    t.assert_clean();
}

/// A link in the root leads no source out of it.
#[test]
fn a_source_in_the_root_stays_there() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let secret = t.path("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("file"), "secret").unwrap();
    symlink(&secret, bundle.inside("/leads-out")).unwrap();
    let source = bundle.inside("/leads-out");
    bind(&mut bundle, &source, Path::new("/mnt"), false);
    let output = t.run(bundle.args(["cat", "/mnt/file"]));
    output.fails_with(1, "no such file or directory");
    t.assert_clean();
}

fn links(t: &Sandbox) -> Bundle {
    let bundle = t.bundle();
    fs::create_dir_all(t.path("host/dir")).unwrap();
    fs::write(t.path("host/dir/file"), "content").unwrap();
    if !t.path("host/link").is_symlink() {
        symlink("dir/file", t.path("host/link")).unwrap();
    }
    bundle
}

#[test]
fn a_copied_link() {
    corten_only!();
    let t = sandbox!();
    for user_namespace in [false, true] {
        let mut bundle = links(&t);
        bundle.set("/root/readonly", false);
        if user_namespace {
            bundle.push("/linux/namespaces", json!({"type": "user"}));
            bundle.set("/linux/uidMappings", ids()).set("/linux/gidMappings", ids());
            t.command(["chown", "-R", "100000:100000"]).args([bundle.rootfs()]).run().ok();
        }
        bundle.mount("/new/link", "bind", t.path("host/link"), &["bind", "copy-symlink"]);
        bundle.mount("/new/dir", "bind", t.path("host/dir"), &["bind", "copy-symlink"]);
        bundle.script("readlink /new/link; cat /new/link; grep -c ' /new/link ' /proc/self/mountinfo; true");
        assert_eq!(t.run(&bundle).ok(), "dir/file\ncontent0\n");
        // Once more is fine; another link, or a file, is not.
        assert_eq!(t.run(&bundle).ok(), "dir/file\ncontent0\n");
        fs::remove_file(bundle.inside("/new/link")).unwrap();
        symlink("dir/file2", bundle.inside("/new/link")).unwrap();
        t.run(&bundle).fails_with(1, "file exists");
        fs::remove_file(bundle.inside("/new/link")).unwrap();
        fs::write(bundle.inside("/new/link"), "").unwrap();
        t.run(&bundle).fails_with(1, "file exists");
    }
    t.assert_clean();
}

#[test]
fn mounted_links() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = links(&t);
    symlink("/nowhere", bundle.inside("/target")).unwrap();
    fs::write(bundle.inside("/file"), "").unwrap();
    let link = t.path("host/link");
    bundle.mount("/target", "bind", &link, &["bind", "src-nofollow", "dest-nofollow"]);
    bundle.mount("/file", "bind", &link, &["bind", "src-nofollow"]);
    bundle.mount("/made", "bind", t.path("host/dir"), &["bind", "dest-nofollow"]);
    bundle.script("readlink /target; readlink /file; cat /made/file; echo; cat /proc/self/mountinfo");
    let text = t.run(&bundle).ok();
    assert!(text.starts_with("dir/file\ndir/file\ncontent\n"), "{text}");
    assert!(kernel::mount_at(&text, "/target").root.ends_with("/host/link"));
    assert!(!bundle.inside("/nowhere").exists());
    t.assert_clean();
}

#[test]
fn options_about_links_that_make_no_sense() {
    corten_only!();
    let t = sandbox!();
    for (kind, options) in [
        ("tmpfs", vec!["src-nofollow"]),
        ("tmpfs", vec!["copy-symlink"]),
        ("bind", vec!["bind", "copy-symlink", "dest-nofollow"]),
    ] {
        let mut bundle = links(&t);
        bundle.set("/mounts", json!([])).mount("/mnt", kind, t.path("host/link"), &options);
        assert_eq!(t.refused_at(&bundle), "/mounts/0/options", "{options:?}");
        let check = t.runtime(["check", "--bundle"]).args([bundle.dir()]).run();
        assert!(check.stdout().contains("copy-symlink"), "{}", check.report());
    }
}

//! The attributes of bind mounts: those that are named and no others; in a user namespace what the host has restricted stays.

use std::fs;

use conformance::{Bundle, Output, Sandbox, corten_only, kernel, sandbox};
use serde_json::json;

/// What the host's mount has, the options of the bind mount, what it must have then, and what not.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// Runs a bundle whose `/mnt` is a bind of a mount with these attributes.
fn bind(t: &Sandbox, bundle: &Bundle, host: &str, options: &str) -> Output {
    let dir = t.path("host");
    fs::create_dir_all(&dir).unwrap();
    let mut bundle = t.share(bundle);
    let options: Vec<&str> = options.split(',').collect();
    bundle.mount("/mnt", "bind", &dir, &options).args(["cat", "/proc/self/mountinfo"]);
    let dir = dir.display();
    let script = format!(
        "mount -t tmpfs -o strictatime tmpfs '{dir}' && mount -o remount,bind,'{host}' '{dir}' && exec \"$@\""
    );
    let command = t.on_bundle(["run"], &bundle, &t.id());
    command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"]).run()
}

fn assert_attributes(t: &Sandbox, bundle: &Bundle, (host, options, has, has_not): Row) {
    let text = bind(t, bundle, host, options).ok();
    let mount = kernel::mount_at(&text, "/mnt");
    let has_option = |word: &&str| mount.options.iter().any(|option| option == word);
    let words = |list: &'static str| list.split(',').filter(|word| !word.is_empty());
    assert!(words(has).all(|word| has_option(&word)), "{options} of {host}: {mount:?}");
    assert!(!words(has_not).any(|word| has_option(&word)), "{options} of {host}: {mount:?}");
}

/// A bundle whose root is not the host's.
fn in_user_namespace(t: &Sandbox) -> Bundle {
    let mut bundle = t.bundle();
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.set("/linux/uidMappings", ids.clone()).set("/linux/gidMappings", ids);
    t.command(["chown", "-R", "100000:100000"]).args([bundle.rootfs()]).run().ok();
    bundle
}

#[test]
fn those_that_are_named_and_no_others() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    for row in [
        ("ro,noexec,nosymfollow,nodiratime", "bind", "ro,noexec,nosymfollow,nodiratime", "rw"),
        ("ro,noexec,nosymfollow,nodiratime", "bind,rprivate", "ro,noexec,nosymfollow,nodiratime", "rw"),
        ("ro,noexec,nosymfollow,nodiratime", "bind,dev", "rw,nodiratime", "ro,noexec,nosymfollow"),
        ("ro", "bind,nosuid,nodev", "rw,nosuid,nodev", "ro"),
        ("ro", "rbind,rw", "rw", "ro"),
        ("nosuid,nodev,noexec,noatime", "bind,dev,suid,exec,atime", "rw,noatime", "nosuid,nodev,noexec"),
        ("rw,nodev,nosuid,noexec,noatime", "bind,ro", "ro,noatime", "nosuid,nodev,noexec"),
        ("rw,nodev,nosymfollow", "bind,ro,symfollow", "ro", "nodev,nosymfollow"),
        ("ro,nodev", "rbind,rro,nosuid", "ro,nosuid", "nodev"),
        ("noatime", "bind,norelatime", "noatime", "relatime"),
        ("noatime", "bind,relatime", "relatime", "noatime"),
        ("noatime", "bind,nodiratime", "nodiratime,relatime", "noatime"),
        ("noatime", "bind,nodiratime,strictatime", "nodiratime", "noatime,relatime"),
        ("nodiratime", "bind,strictatime", "", "noatime,relatime,nodiratime"),
    ] {
        assert_attributes(&t, &bundle, row);
    }
    t.assert_clean();
}

#[test]
fn in_a_user_namespace_the_hosts_restrictions_stay() {
    corten_only!();
    let t = sandbox!();
    let bundle = in_user_namespace(&t);
    for row in [
        ("ro,noexec,nosymfollow,nodiratime", "bind", "ro,noexec,nosymfollow,nodiratime", "rw"),
        ("ro,noexec,nosymfollow,nodiratime", "bind,dev", "ro,noexec,nodiratime", "rw,nosymfollow"),
        ("ro", "bind,nosuid,nodev", "ro,nosuid,nodev", "rw"),
        ("rw,nodev,nosuid,noexec,noatime", "bind,ro", "ro,nosuid,nodev,noexec,noatime", "rw"),
        ("rw,nodev,nosymfollow", "bind,ro,symfollow", "ro,nodev", "nosymfollow"),
        ("noatime,nodiratime", "bind,norelatime,atime,diratime", "noatime,nodiratime", "relatime"),
        ("relatime", "bind,relatime", "relatime", "noatime"),
    ] {
        assert_attributes(&t, &bundle, row);
    }
    t.assert_clean();
}

#[test]
fn in_a_user_namespace_nothing_can_be_lifted() {
    corten_only!();
    let t = sandbox!();
    let bundle = in_user_namespace(&t);
    for (host, options, named) in [
        ("ro", "bind,rw,nosuid,nodev", "cannot clear ro"),
        ("ro,nodev", "rbind,rrw,rsuid", "cannot clear ro, locked"),
        ("relatime", "rbind,rnoatime", "access times"),
        ("nodev,nosuid", "bind,dev,suid,exec", "cannot clear nosuid, nodev"),
        ("nodiratime", "bind,strictatime", "access times"),
        ("relatime", "bind,noatime", "access times"),
        ("strictatime", "bind,nodiratime", "access times"),
        ("noatime", "bind,relatime", "access times"),
    ] {
        let output = bind(&t, &bundle, host, options);
        let text = output.fails(1);
        assert!(text.contains(named) && text.contains("operation not permitted"), "{}", output.report());
        assert!(text.contains(t.path("host").to_str().unwrap()), "{}", output.report());
    }
    t.assert_clean();
}

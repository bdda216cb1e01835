//! Id-mapped mounts, and tmpfs that begin as copies.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use conformance::{Bundle, Sandbox, corten_only, is_peer, sandbox};
use serde_json::{Value, json};

/// A directory with a file of each of these users.
fn data(t: &Sandbox, users: &[u32]) -> PathBuf {
    let dir = t.path("data");
    fs::create_dir_all(&dir).unwrap();
    for user in users {
        fs::write(dir.join(user.to_string()), "").unwrap();
        chown(dir.join(user.to_string()), Some(*user), Some(*user)).unwrap();
    }
    dir
}

fn ranges(ranges: &[(u32, u32, u32)]) -> Value {
    let range =
        |&(inside, outside, size): &_| json!({"containerID": inside, "hostID": outside, "size": size});
    ranges.iter().map(range).collect()
}

fn in_user_namespace(bundle: &mut Bundle, map: &[(u32, u32, u32)]) {
    bundle.push("/linux/namespaces", json!({"type": "user"})).set("/root/readonly", false);
    bundle.set("/linux/uidMappings", ranges(map)).set("/linux/gidMappings", ranges(map));
    for name in ["", "dev", "proc", "sys"] {
        chown(bundle.inside(name), Some(map[0].1), Some(map[0].1)).unwrap();
    }
}

#[test]
fn mappings_of_a_mount() {
    corten_only!();
    let t = sandbox!();
    let source = data(&t, &[0, 7]);
    let mut bundle = t.bundle();
    let map = ranges(&[(0, 5000, 100)]);
    bundle.push(
        "/mounts",
        json!({
            "destination": "/data", "type": "bind", "source": source, "options": ["bind", "idmap"],
            "uidMappings": map, "gidMappings": map
        }),
    );
    bundle.script("stat -c '%u:%g' /data/0 /data/7");
    assert_eq!(t.run(&bundle).ok(), "5000:5000\n5007:5007\n");
    // Without the word too.
    let last = bundle.config()["mounts"].as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{last}/options"), json!(["bind"]));
    assert_eq!(t.run(&bundle).ok(), "5000:5000\n5007:5007\n");
}

#[test]
fn those_of_the_container() {
    let t = sandbox!();
    let source = data(&t, &[0, 7]);
    let mut bundle = t.bundle();
    in_user_namespace(&mut bundle, &[(0, 100_000, 65_536)]);
    bundle.mount("/data", "bind", &source, &["rbind", if is_peer() { "idmap" } else { "ridmap" }]);
    bundle.mount("/plain", "bind", &source, &["bind"]);
    bundle.script("stat -c '%u' /data/7 /plain/7; touch /data/made");
    assert_eq!(t.run(&bundle).ok(), "7\n65534\n");
    assert_eq!(fs::metadata(source.join("made")).unwrap().uid(), 0);
}

#[test]
fn those_of_a_joined_user_namespace() {
    corten_only!();
    let t = sandbox!();
    let source = data(&t, &[0, 7]);
    let mut first = t.bundle();
    in_user_namespace(&mut first, &[(0, 100_000, 65_536)]);
    let one = t.launch(first.args(["sleep", "1000"]));
    let mut second = t.share(&first);
    second.remove("/linux/uidMappings").remove("/linux/gidMappings");
    second.join_namespace("user", &format!("/proc/{}/ns/user", one.pid()));
    second.mount("/data", "bind", &source, &["rbind", "idmap"]);
    second.script("stat -c '%u:%g' /data/0 /data/7");
    assert_eq!(t.run(&second).ok(), "0:0\n7:7\n");
}

/// A mount that is added to such a container has them too, also where `/proc` leads to nobody's namespace.
#[test]
fn those_of_a_running_container() {
    corten_only!();
    let t = sandbox!();
    let source = data(&t, &[7]);
    let mut first = t.bundle();
    in_user_namespace(&mut first, &[(0, 100_000, 65_536)]);
    first.args(["sleep", "1000"]);
    let one = t.launch(&first);
    let mut second = t.share(&first);
    second.remove("/linux/uidMappings").remove("/linux/gidMappings");
    second.join_namespace("user", &format!("/proc/{}/ns/user", one.pid()));
    second.set("/root/readonly", false);
    let c = t.launch(&second);
    let list =
        json!([{"destination": "/late", "type": "bind", "source": source, "options": ["rbind", "idmap"]}]);
    for proc in ["true", "mount -t tmpfs none /proc"] {
        let host = format!("{proc} && exec \"$@\"");
        let add = t.runtime(["mounts", "add", c.id(), "-"]).input(list.to_string());
        add.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &host, "sh"]).run().ok();
        assert_eq!(c.exec(["stat", "-c", "%u:%g", "/late/7"]).ok(), "7:7\n");
        t.runtime(["mounts", "remove", c.id(), "-"]).input(list.to_string()).run().ok();
    }
}

#[test]
fn those_in_the_option() {
    corten_only!();
    let t = sandbox!();
    let source = data(&t, &[7]);
    let mut bundle = t.bundle();
    in_user_namespace(&mut bundle, &[(0, 100_000, 10), (10, 200_000, 10)]);
    // The file's owner is user 12 of the container.
    bundle.mount("/data", "bind", &source, &["bind", "idmap=uids=@5-10-5;gids=7-100003-1"]);
    bundle.script("stat -c '%u:%g' /data/7");
    assert_eq!(t.run(&bundle).ok(), "12:3\n");
}

#[test]
fn what_cannot_be_mapped_is_named() {
    corten_only!();
    let t = sandbox!();
    let source = data(&t, &[7]);
    for (kind, options, pointer) in [
        ("bind", &["bind", "idmap"][..], ""),
        ("bind", &["bind", "idmap=uids=1"], "/options"),
        ("tmpfs", &["idmap"], "/options"),
    ] {
        let mut bundle = t.bundle();
        let index = bundle.config()["mounts"].as_array().unwrap().len();
        bundle.mount("/data", kind, &source, options);
        assert_eq!(t.refused_at(&bundle), format!("/mounts/{index}{pointer}"));
    }
    // procfs has no id-mapped mounts.
    let mut bundle = t.bundle();
    let index = bundle.config()["mounts"].as_array().unwrap().len();
    bundle.mount("/data", "bind", "/proc/self/net", &["bind", "idmap=uids=0-0-1;gids=0-0-1"]);
    assert_eq!(t.refused_at(&bundle), format!("/mounts/{index}"));
}

#[test]
fn a_tmpfs_begins_with_what_it_covers() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let dir = bundle.inside("/var/data");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/text"), "kept\n").unwrap();
    fs::set_permissions(dir.join("sub/text"), fs::Permissions::from_mode(0o644)).unwrap();
    chown(dir.join("sub/text"), Some(12), Some(34)).unwrap();
    symlink("sub/text", dir.join("link")).unwrap();
    bundle.mount("/var/data", "tmpfs", "tmpfs", &["tmpcopyup", "nosuid", "size=1m"]);
    bundle.mount("/missing", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]);
    bundle.script(
        "cat /var/data/link; stat -c '%a %u %g' /var/data/sub/text; rm /var/data/sub/text; ls /missing",
    );
    assert_eq!(t.run(&bundle).ok(), "kept\n644 12 34\n");
    assert_eq!(fs::read_to_string(dir.join("sub/text")).unwrap(), "kept\n", "the image's own is not changed");
}

#[test]
fn a_read_only_copy_is_complete_and_a_small_one_says_so() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let dir = bundle.inside("/var/data");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("large"), vec![0; 100_000]).unwrap();
    bundle.mount("/var/data", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]);
    bundle.script("wc -c < /var/data/large; touch /var/data/x");
    let output = t.run(&bundle);
    assert!(output.stdout() == "100000\n" && output.stderr().contains("Read-only"), "{}", output.report());
    let last = bundle.config()["mounts"].as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{last}/options"), json!(["tmpcopyup", "size=4k"]));
    assert_eq!(t.refused_at(&bundle), format!("/mounts/{last}"));
}

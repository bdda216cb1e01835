//! What the host's mounts restrict stays so for a container in a user namespace, whatever its payload may do there.

use std::fs;
use std::path::Path;

use conformance::{Bundle, Container, Sandbox, corten_only, kernel, sandbox};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Attributes of mounts, and what takes them away.
const ATTRIBUTES: [(&str, &str); 4] =
    [("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec")];

fn ids() -> Value {
    json!([{"containerID": 0, "hostID": 100_000, "size": 65536}])
}

/// A bundle with a user namespace, whose payload is an administrator there and runs `script`.
fn bundle(t: &Sandbox, script: &str) -> Bundle {
    let mut bundle = t.bundle();
    bundle.push("/linux/namespaces", json!({"type": "user"})).set("/root/readonly", false);
    bundle.set("/linux/uidMappings", ids()).set("/linux/gidMappings", ids());
    bundle.capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]).script(script);
    t.command(["chown", "-R", "100000:100000"]).args([bundle.rootfs()]).run().ok();
    bundle
}

/// Words in front of a command that give it, in a mount namespace of its own, what `script` mounts.
fn with_mounts(script: &str) -> Vec<String> {
    let script = format!("set -e; {script}; exec \"$@\"");
    ["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

/// Mounts below a directory, for each attribute: one that has it, and one that has it not with one below that has it.
fn host(dir: &Path) -> String {
    fs::create_dir_all(dir).unwrap();
    format!(
        "mount -t tmpfs tmpfs {0}; for name in ro nosuid nodev noexec; do \
         for top in {0}/$name {0}/$name-below; do mkdir $top; mount -t tmpfs tmpfs $top; done; \
         touch {0}/$name/file; mkdir {0}/$name-below/sub; mount -t tmpfs tmpfs {0}/$name-below/sub; \
         mount -o remount,bind,$name {0}/$name; mount -o remount,bind,$name {0}/$name-below/sub; done",
        dir.display()
    )
}

/// Binds of what [`host`] mounts: a directory, a file, with mapped ids, with what is below.
fn binds(dir: &Path) -> Vec<Value> {
    let of = |name: &str| {
        let bind = |target: String, source: String, word: &str| json!({"destination": target, "type": "bind", "source": dir.join(source), "options": [word]});
        let mut mapped = bind(format!("/t/{name}-ids"), name.into(), "bind");
        mapped["uidMappings"] = ids();
        mapped["gidMappings"] = ids();
        let below = format!("{name}-below");
        [
            bind(format!("/t/{name}"), name.into(), "bind"),
            bind(format!("/t/{name}-file"), format!("{name}/file"), "bind"),
            bind(format!("/t/{below}"), below, "rbind"),
            mapped,
        ]
    };
    ATTRIBUTES.iter().flat_map(|(name, _)| of(name)).collect()
}

/// Tries to take everything away from the mounts of [`binds`], after something that shows that it may.
const ATTACK: &str = "mkdir -p /tmp/own; mount -t tmpfs own /tmp/own; mount -o remount,bind,ro own /tmp/own; \
    mount -o remount,bind,rw own /tmp/own && echo able; \
    for pair in ro:rw nosuid:suid nodev:dev noexec:exec; do name=/t/${pair%:*}; \
    for at in $name $name-file $name-ids $name-below/sub; do \
    mount -o remount,bind,${pair#*:} none $at 2>/dev/null && echo lifted $at; done; \
    umount $name-below/sub 2>/dev/null && echo uncovered $name; done; cat /proc/self/mountinfo";

#[track_caller]
fn assert_kept(text: &str) {
    assert!(text.starts_with("able\n"), "{text}");
    let words = |line: &&str| line.starts_with("lifted") || line.starts_with("uncovered");
    assert_eq!(text.lines().filter(words).collect::<Vec<_>>(), [""; 0]);
    for (name, _) in ATTRIBUTES {
        for place in ["", "-file", "-ids", "-below/sub"] {
            let mount = kernel::mount_at(text, &format!("/t/{name}{place}"));
            assert!(mount.options.iter().any(|option| option == name), "{mount:?}");
        }
        assert!(!kernel::mount_at(text, &format!("/t/{name}-below")).has(name), "{text}");
    }
}

#[test]
fn in_a_new_user_namespace() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = bundle(&t, ATTACK);
    let dir = t.path("host");
    for bind in binds(&dir) {
        bundle.push("/mounts", bind);
    }
    let output = t.on_bundle(["run"], &bundle, &t.id()).wrap(with_mounts(&host(&dir))).run();
    assert_kept(&output.ok());
    t.assert_clean();
}

#[test]
fn in_a_joined_user_namespace() {
    corten_only!();
    let t = sandbox!();
    let one = t.launch(bundle(&t, "").args(["sleep", "1000"]));
    let mut two = bundle(&t, ATTACK);
    two.join_namespace("user", &format!("/proc/{}/ns/user", one.pid()));
    let dir = t.path("host");
    for bind in binds(&dir) {
        two.push("/mounts", bind);
    }
    let output = t.on_bundle(["run"], &two, &t.id()).wrap(with_mounts(&host(&dir))).run();
    assert_kept(&output.ok());
    one.force_delete();
    t.assert_clean();
}

#[test]
fn added_to_a_running_container() {
    corten_only!();
    let t = sandbox!();
    let c = t.launch(bundle(&t, "").args(["sleep", "1000"]));
    let dir = t.path("host");
    let change = |operation| {
        let list = Value::from(binds(&dir)).to_string();
        t.runtime(["mounts", operation, c.id(), "-"]).input(list)
    };
    change("add").wrap(with_mounts(&host(&dir))).run().ok();
    assert_kept(&c.shell(ATTACK));
    change("remove").run().ok();
    assert!(!c.init().file("mountinfo").contains(" /t/"), "{}", c.init().file("mountinfo"));
    c.force_delete();
    t.assert_clean();
}

#[test]
fn the_root_itself() {
    corten_only!();
    let t = sandbox!();
    let script = "mount -o remount,bind,dev none / 2>/dev/null && echo lifted; cat /proc/self/mountinfo";
    let bundle = bundle(&t, script);
    let own = format!("mount --bind {0} {0}; mount -o remount,bind,nodev {0}", bundle.rootfs().display());
    let text = t.on_bundle(["run"], &bundle, &t.id()).wrap(with_mounts(&own)).run().ok();
    assert!(!text.contains("lifted") && kernel::mount_at(&text, "/").has("nodev"), "{text}");
}

/// What the config itself restricts is the container's own.
#[test]
fn attributes_of_the_config() {
    corten_only!();
    let t = sandbox!();
    let script = "mount -o remount,bind,rw none /one && echo lifted; cat /proc/self/mountinfo";
    let mut bundle = bundle(&t, script);
    let dir = t.path("source");
    fs::create_dir(&dir).unwrap();
    bundle.mount("/one", "bind", &dir, &["rbind", "ro"]);
    bundle.mount("/two", "bind", &dir, &["rbind", "rro", "nosuid"]);
    // Mounts of which the host restricts nothing, as it may what the sandbox lies on.
    let below =
        format!("mount -t tmpfs tmpfs {0}; mkdir {0}/sub; mount -t tmpfs tmpfs {0}/sub", dir.display());
    let text = t.on_bundle(["run"], &bundle, &t.id()).wrap(with_mounts(&below)).run().ok();
    let has = |point, option| kernel::mount_at(&text, point).options.iter().any(|word| word == option);
    assert!(text.starts_with("lifted\n") && has("/one", "rw") && has("/one/sub", "rw"), "{text}");
    assert!(has("/two", "ro") && has("/two", "nosuid") && has("/two/sub", "ro"), "{text}");
    assert!(!has("/two/sub", "nosuid"), "{text}");
}

/// What the host mounts later comes to who wants it.
#[test]
fn propagation_from_the_host() {
    corten_only!();
    let t = sandbox!();
    let dir = t.path("source");
    fs::create_dir_all(dir.join("late")).unwrap();
    for (options, comes) in [(&["rbind", "rslave"], 1), (&["rbind", "rprivate"], 0)] {
        let mut bundle = bundle(&t, "");
        bundle.args(["sleep", "1000"]).mount("/mnt", "bind", &dir, options);
        let (id, pid) = (t.id(), t.path("pid"));
        let script = format!(
            "mount --bind {0} {0}; mount --make-shared {0}; \"$@\"; mount -t tmpfs none {0}/late; \
             grep -c ' /mnt/late ' /proc/$(cat {1})/mountinfo || true; exit",
            dir.display(),
            pid.display()
        );
        let run = t.on_bundle(["run", "--detach", "--pid-file", pid.to_str().unwrap()], &bundle, &id);
        let output = run.wrap(with_mounts(&script)).run();
        assert_eq!(output.ok(), format!("{comes}\n"), "{options:?}");
        Container::new(&t, id, output).force_delete();
    }
    t.assert_clean();
}

/// A mount below keeps what it has too, and the config cannot say otherwise.
#[test]
fn nothing_can_be_lifted_below() {
    corten_only!();
    let t = sandbox!();
    let dir = t.path("host");
    let mounts = host(&dir);
    for (name, lift) in ATTRIBUTES {
        let source = dir.join(format!("{name}-below"));
        let mut bundle = bundle(&t, "");
        bundle.mount("/mnt", "bind", &source, &["rbind", &format!("r{lift}")]);
        let output = t.on_bundle(["run"], &bundle, &t.id()).wrap(with_mounts(&mounts)).run();
        let text = output.fails(1);
        assert!(text.contains(&format!("cannot clear {name} of a mount below")), "{}", output.report());
        assert!(text.contains(source.to_str().unwrap()), "{}", output.report());
        assert!(text.contains("operation not permitted"), "{}", output.report());
    }
    t.assert_clean();
}

/// Here one of a file server that never says a word.
#[test]
fn a_source_that_does_not_answer_leaves_the_create_to_signals() {
    corten_only!();
    let t = sandbox!();
    let dir = t.path("silent");
    fs::create_dir(&dir).unwrap();
    let mut bundle = bundle(&t, "true");
    bundle.mount("/mnt", "bind", dir.join("below"), &["bind"]);
    let options = "fd=9,rootmode=40000,user_id=0,group_id=0";
    let silent = format!("exec 9<> /dev/fuse; mount -i -t fuse -o {options} none {}", dir.display());
    let id = t.id();
    let mut creating = t.on_bundle(["create"], &bundle, &id).wrap(with_mounts(&silent)).spawn();
    let parent = creating.pid().to_string();
    let children = || kernel::Process::all().into_iter().filter(|process| process.status("PPid") == parent);
    let mut looking = None;
    conformance::wait_until("the look at the source", || {
        looking = children().find(|process| process.file("wchan").contains("fuse"));
        looking.is_some()
    });
    creating.signal(Signal::SIGTERM);
    conformance::wait_until("the end of create", || creating.is_over());
    let looking = looking.unwrap();
    conformance::wait_until("the end of its child", || !looking.is_alive());
    t.runtime(["delete", "--force", &id]).run().ok();
    t.assert_clean();
}

/// They lead to mounts of the caller's namespace, of which there are no locked ones.
#[test]
fn files_of_a_process_are_no_sources() {
    corten_only!();
    let t = sandbox!();
    fs::create_dir(t.path("source")).unwrap();
    let mut bundle = bundle(&t, "true");
    bundle.mount("/mnt", "bind", "/proc/self/fd/9", &["bind"]);
    let descriptor = format!("exec 9< {}", t.path("source").display());
    let output = t.on_bundle(["run"], &bundle, &t.id()).after(&descriptor).run();
    output.fails_with(1, "of another mount namespace");
    t.assert_clean();
}

/// A caller that is not at the root of its mounts gets no user namespace. What it must not get is a source of another root.
#[test]
fn sources_of_a_caller_in_a_chroot() {
    corten_only!();
    let t = sandbox!();
    let one = t.launch(bundle(&t, "").args(["sleep", "1000"]));
    for name in ["source", "other"] {
        fs::create_dir(t.path(name)).unwrap();
        fs::write(t.path(name).join("name"), name).unwrap();
    }
    let (root, source) = (t.path("root"), t.path("source"));
    fs::create_dir(&root).unwrap();
    let mut two = bundle(&t, "cat /mnt/name");
    two.join_namespace("user", &format!("/proc/{}/ns/user", one.pid()));
    two.mount("/mnt", "bind", &source, &["rbind"]);
    let enter = format!(
        "mount --rbind / {0}; mount --bind {1} {0}{2}; exec chroot {0} \"$@\"",
        root.display(),
        t.path("other").display(),
        source.display()
    );
    let output = t.on_bundle(["run"], &two, &t.id()).wrap(with_mounts(&enter)).run();
    output.fails_with(1, "copy the mounts for a user namespace: operation not permitted");
    one.force_delete();
    t.assert_clean();
}

/// The kernel lets nobody in a user namespace see what such a mount covers.
#[test]
fn a_bind_without_the_mounts_below_is_refused() {
    corten_only!();
    let t = sandbox!();
    let dir = t.path("source");
    fs::create_dir_all(dir.join("sub")).unwrap();
    let below = format!("mount -t tmpfs tmpfs {}/sub", dir.display());
    for (word, works) in [("bind", false), ("rbind", true)] {
        let mut bundle = bundle(&t, "grep -c ' /mnt/sub ' /proc/self/mountinfo");
        bundle.mount("/mnt", "bind", &dir, &[word]);
        let output = t.on_bundle(["run"], &bundle, &t.id()).wrap(with_mounts(&below)).run();
        if works {
            assert_eq!(output.ok(), "1\n");
        } else {
            let text = output.fails(1);
            assert!(text.contains("invalid argument") && text.contains("use rbind"), "{}", output.report());
        }
    }
    t.assert_clean();
}

/// A runtime that is root of a user namespace only, where a limit lets no further one be made: one that is there can be joined, but
/// no source of a mount be opened for it.
#[test]
fn a_limit_of_user_namespaces() {
    corten_only!();
    let t = sandbox!();
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "content").unwrap();
    let mut bundle = t.bundle();
    bundle.remove("/linux/resources").set("/root/readonly", false).args(["cat", "/mnt/file"]);
    bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
    bundle.join_namespace("user", "/proc/self/fd/9").mount("/mnt", "bind", &source, &["rbind"]);
    for (limit, allowed) in [(9, true), (1, false)] {
        let script = format!(
            "unshare --user --map-root-user sleep 30 & i=0; \
             until [ $(readlink /proc/$!/ns/user) != $(readlink /proc/$$/ns/user) ] && grep -q . /proc/$!/gid_map; \
             do i=$((i + 1)); [ $i -lt 1000 ] || exit 9; sleep 0.01; done; exec 9< /proc/$!/ns/user; kill $!; echo {limit} > /proc/sys/user/max_user_namespaces; exec \"$@\""
        );
        let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"];
        let output = t.on_bundle(["run"], &bundle, &t.id()).wrap(wrapper).run();
        if allowed {
            assert_eq!(output.ok(), "content");
        } else {
            output.fails_with(1, "a limit of user.max_*_namespaces is reached");
        }
    }
    t.assert_clean();
}

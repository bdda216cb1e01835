//! A root that is moved instead of pivoted: the host's mounts stay below it, out of reach.

use std::fs;

use conformance::{Bundle, Command, Sandbox, corten_only, sandbox};

#[test]
fn a_moved_root() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("echo fine; ls / | grep -c rootfs; cd ..; pwd");
    assert_eq!(
        t.on_bundle(["run", "--no-pivot", "--no-new-keyring"], &bundle, &t.id()).run().ok(),
        "fine\n0\n/\n"
    );
    t.assert_clean();
}

/// A payload that tries to get a procfs and a sysfs in which nothing is masked, in namespaces of its own.
const NEW_VIEWS: &str = "cd /tmp; busybox unshare -mrpfn sh -c '\
    mkdir proc sys; mount -t proc proc proc && echo PROC; mount -t sysfs sys sys && echo SYS; \
    busybox nsenter --mount=/proc/self/ns/mnt sh -c \"pwd; ls /\"; true'; echo end";

fn with_moved_root(t: &Sandbox, bundle: &mut Bundle, script: &str) -> Command {
    bundle.mount("/tmp", "tmpfs", "tmpfs", &[]).script(script);
    bundle.capabilities(&["CAP_SETFCAP", "CAP_SYS_CHROOT"]);
    t.on_bundle(["run", "--no-pivot"], bundle, &t.id())
}

/// A mount namespace for the runtime, made ready by a script.
fn on_a_host(command: Command, script: &str) -> Command {
    let script = format!("{script} && exec \"$@\"");
    command.wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"])
}

/// The host's procfs and sysfs, which stay below the root, are no leave to mount new ones.
#[test]
fn no_unmasked_view_of_the_kernel() {
    let t = sandbox!();
    let other = t.path("with blank");
    fs::create_dir_all(&other).unwrap();
    let twice = format!(
        "mount -t proc proc /proc && mount -t sysfs sysfs '{0}' && mount -t proc other '{0}'",
        other.display()
    );
    for host in ["true", &twice] {
        let output = on_a_host(with_moved_root(&t, &mut t.bundle(), NEW_VIEWS), host).run();
        let text = output.ok();
        assert!(text.ends_with("end\n"), "{}", output.report());
        assert!(!text.contains("PROC") && !text.contains("SYS"), "{}", output.report());
        assert!(!text.contains("rootfs") && !text.contains("home"), "{}", output.report());
        assert!(output.stderr().contains("permission denied"), "{}", output.report());
    }
    t.assert_clean();
}

/// One that cannot be reached, to be covered, is refused.
#[test]
fn a_hidden_procfs_is_refused() {
    corten_only!();
    let t = sandbox!();
    let hidden = t.path("hidden");
    fs::create_dir_all(hidden.join("proc")).unwrap();
    let hidden = hidden.display();
    let host = format!("mount -t proc proc '{hidden}/proc' && mount -t tmpfs over '{hidden}'");
    let output = on_a_host(with_moved_root(&t, &mut t.bundle(), NEW_VIEWS), &host).run();
    output.fails_with(1, "lies below another mount and cannot be hidden");
    t.assert_clean();
}

/// Who may change its root finds nothing above the container's.
#[test]
fn nothing_lies_above() {
    let t = sandbox!();
    let script = "mkdir -p /tmp/a/bin && cp /bin/busybox /tmp/a/bin && \
        busybox nsenter -r/tmp/a -w/ /bin/busybox sh -c 'cd ..; cd ..; /bin/busybox ls'";
    let output = with_moved_root(&t, &mut t.bundle(), script).run();
    let seen: Vec<String> = output.ok().lines().map(str::to_owned).collect();
    assert!(seen.iter().any(|name| name == "bin") && !seen.iter().any(|name| name == "home"), "{seen:?}");
    t.assert_clean();
}

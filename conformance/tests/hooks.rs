//! Hooks: the six kinds, their order, state, environment, time limits, and what their failure means.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use conformance::{Bundle, Sandbox, corten_only, is_peer, kernel, sandbox, wait_until};
use serde_json::{Value, json};

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
/// Those that run on the host's side, with the host's files.
const HOST_KINDS: [&str; 5] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];

/// A hook that runs shell code, of the host or (startContainer) of the container.
fn shell(code: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", code], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]})
}

/// A bundle that sees the directory `shared` of the sandbox at the same path inside.
fn bundle_with_shared_directory(t: &Sandbox) -> (Bundle, std::path::PathBuf) {
    let shared = t.path("shared");
    fs::create_dir_all(&shared).unwrap();
    let mut bundle = t.bundle();
    bundle.mount(shared.to_str().unwrap(), "bind", &shared, &["rbind"]).args(["sleep", "1000"]);
    (bundle, shared)
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn all_kinds_run_in_order() {
    corten_only!(); // runc 1.1 runs the poststart hooks in create already
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let log = shared.join("log");
    for kind in KINDS {
        for number in [1, 2] {
            bundle.push(
                &format!("/hooks/{kind}"),
                shell(&format!("echo {kind}{number} >>'{}'", log.display())),
            );
        }
    }
    bundle.script(&format!("echo payload >>'{}'; exec sleep 1000", log.display()));
    let c = t.create(&bundle);
    let mut expected = vec![
        "prestart1",
        "prestart2",
        "createRuntime1",
        "createRuntime2",
        "createContainer1",
        "createContainer2",
    ];
    assert_eq!(lines(&log), expected);
    c.start();
    wait_until("the payload", || lines(&log).len() >= 11);
    let after_start = &lines(&log)[6..];
    assert_eq!(after_start[..2], ["startContainer1", "startContainer2"]);
    // The payload runs beside the poststart hooks.
    let poststart: Vec<_> = after_start[2..].iter().filter(|line| *line != "payload").collect();
    assert_eq!(poststart, ["poststart1", "poststart2"]);
    c.force_delete();
    expected = vec!["poststop1", "poststop2"];
    assert_eq!(lines(&log)[11..], expected);
    t.assert_clean();
}

#[test]
fn the_loopback_interface_is_up_for_those_inside() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let seen = shared.join("seen");
    let look = format!("busybox ifconfig lo >>'{}'", seen.display());
    bundle.push("/hooks/createContainer", shell(&look)).args(["true"]);
    for _ in 0..10 {
        t.run(&bundle).ok();
    }
    let seen = fs::read_to_string(&seen).unwrap();
    assert_eq!(seen.matches("UP LOOPBACK").count(), 10, "{seen}");
    t.assert_clean();
}

#[test]
fn each_gets_the_state_on_standard_input() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    bundle.set("/annotations/org.example", "value");
    for kind in KINDS {
        bundle.push(&format!("/hooks/{kind}"), shell(&format!("cat >'{}/{kind}'", shared.display())));
    }
    let c = t.create(&bundle);
    let (pid, version) = (c.pid(), c.state()["ociVersion"].clone());
    c.start();
    wait_until("the poststart hook", || shared.join("poststart").exists());
    c.force_delete();
    for kind in KINDS {
        let text = fs::read_to_string(shared.join(kind)).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{kind}: {e}: {text}"));
        // The version that the document complies with, whatever that of the configuration.
        assert_eq!(state["ociVersion"], version, "{kind}: {text}");
        assert_eq!(state["id"], c.id(), "{kind}");
        assert_eq!(state["bundle"], json!(bundle.dir()), "{kind}");
        assert_eq!(state["annotations"]["org.example"], "value", "{kind}");
        let status = match kind {
            "startContainer" => "created",
            "poststart" if is_peer() => "created",
            "poststart" => "running",
            "poststop" => "stopped",
            _ => "creating",
        };
        assert_eq!(state["status"], status, "{kind}");
        match kind {
            "createContainer" if is_peer() => assert!(state["pid"].as_u64() > Some(0)),
            // Of the pid namespace that the hook runs in.
            "createContainer" | "startContainer" => assert_eq!(state["pid"], 1, "{kind}"),
            "poststop" => assert_eq!(state["pid"].as_u64().unwrap_or(0), 0, "{kind}"),
            _ => assert_eq!(state["pid"], pid, "{kind}"),
        }
    }
}

#[test]
fn start_container_has_the_environment_of_the_process() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let file = shared.join("environment");
    let code = format!("env | grep -E '^(HOME|ONE)=' | sort >'{}'", file.display());
    bundle.push("/hooks/startContainer", json!({"path": "/bin/sh", "args": ["sh", "-c", code]}));
    // An empty HOME is as good as none.
    bundle.push("/process/env", json!("ONE=two")).push("/process/env", json!("HOME="));
    let c = t.launch(&bundle);
    wait_until("the hook", || !lines(&file).is_empty());
    assert_eq!(lines(&file), ["HOME=/root", "ONE=two"]);
    c.force_delete();
}

#[test]
fn each_runs_in_its_namespaces() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    for kind in KINDS {
        let code = format!(
            "readlink /proc/self/ns/mnt >'{0}/{kind}'; test -e '{1}' && echo host >>'{0}/{kind}'; true",
            shared.display(),
            t.dir().join("output").display()
        );
        bundle.push(&format!("/hooks/{kind}"), shell(&code));
    }
    let c = t.create(&bundle);
    c.start();
    let host = kernel::Process(std::process::id()).namespace("mnt");
    let inside = c.init().namespace("mnt");
    wait_until("the hooks of start", || {
        ["poststart", "startContainer"].iter().all(|kind| !lines(&shared.join(kind)).is_empty())
    });
    c.force_delete();
    for (kind, namespace, sees_the_host) in [
        ("prestart", &host, true),
        ("createRuntime", &host, true),
        ("createContainer", &inside, true), // before pivot_root
        ("startContainer", &inside, false), // after it
        ("poststart", &host, true),
        ("poststop", &host, true),
    ] {
        let lines = lines(&shared.join(kind));
        assert_eq!(&lines[0], namespace, "{kind}");
        assert_eq!(lines.len() == 2, sees_the_host, "{kind}");
    }
}

/// Hooks that come before the pivot put files and mounts into the root, as those of GPU vendors do. From `create` on it is read-only:
/// in between there is nobody in the container but init.
#[test]
fn a_read_only_root_is_written_by_hooks_of_create_alone() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let root = bundle.rootfs();
    for kind in ["prestart", "createRuntime", "createContainer"] {
        bundle
            .push(&format!("/hooks/{kind}"), shell(&format!("echo {kind} >> '{}/written'", root.display())));
    }
    fs::create_dir(root.join("mnt")).unwrap();
    bundle.push("/hooks/createContainer", shell(&format!("mount -t tmpfs hook '{}/mnt'", root.display())));
    bundle.push("/hooks/startContainer", shell("touch /written && touch /late; true"));
    bundle.args(["sleep", "1000"]);
    let c = t.create(&bundle);
    let mounts = c.init().file("mountinfo");
    assert!(kernel::mount_at(&mounts, "/").options.contains(&"ro".to_owned()), "{mounts}");
    assert_eq!(kernel::mount_at(&mounts, "/mnt").source, "hook");
    c.start();
    assert_eq!(c.shell("cat /written"), "prestart\ncreateRuntime\ncreateContainer\n");
    assert!(c.exec(["touch", "/written"]).stderr().contains("Read-only file system"));
    assert!(!root.join("late").exists());
    c.force_delete();
    t.assert_clean();
}

#[test]
fn arguments_and_environment_are_exactly_the_configured_ones() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    bundle.push("/process/env", json!("LD_PRELOAD_=of the container"));
    for kind in KINDS {
        let code = format!(
            "env | grep -v -e ^PWD= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort >'{}/{kind}'; echo $0 $1 >>'{0}/{kind}'",
            shared.display()
        );
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", code, "name", "one"], "env": ["PATH=/bin", "A=1"]});
        bundle.push(&format!("/hooks/{kind}"), hook);
    }
    let id = t.id();
    let output = t.on_bundle(["create"], &bundle, &id).env("SECRET", "of the caller").run();
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    c.start();
    wait_until("the hooks of start", || {
        ["poststart", "startContainer"].iter().all(|kind| lines(&shared.join(kind)).len() == 3)
    });
    c.force_delete();
    for kind in KINDS {
        assert_eq!(lines(&shared.join(kind)), ["A=1", "PATH=/bin", "name one"], "{kind}");
    }
}

#[test]
fn an_absent_environment_is_inherited() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let file = shared.join("env");
    let code = format!("echo $CALLER >'{}'", file.display());
    bundle.push("/hooks/createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", code]}));
    let id = t.id();
    t.on_bundle(["create"], &bundle, &id).env("CALLER", "here").run().ok();
    t.runtime(["delete", "--force", &id]).run().ok();
    assert_eq!(lines(&file), ["here"]);
}

#[test]
fn a_hook_has_three_descriptors_and_a_clean_slate() {
    corten_only!(); // rules D20, D22
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let signals = "grep ^SigBlk /proc/self/status";
    for kind in HOST_KINDS {
        let code = format!(
            "exec >'{}/{kind}'; ls -l /proc/self/fd | grep -c -- '->'; umask; {signals}",
            shared.display()
        );
        bundle.push(&format!("/hooks/{kind}"), shell(&code));
    }
    let id = t.id();
    let create = t.on_bundle(["create"], &bundle, &id).after("exec 5</ 6</etc; umask 077");
    let output = create.wrap(["env", "--block-signal=USR2"]).run();
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    c.start();
    wait_until("the poststart hook", || lines(&shared.join("poststart")).len() == 3);
    c.force_delete();
    for kind in HOST_KINDS {
        let lines = lines(&shared.join(kind));
        // Three, and the directory that ls reads.
        assert_eq!(lines[0], "4", "{kind}");
        assert_eq!(lines[2], "SigBlk:\t0000000000000000", "{kind}");
    }
}

#[test]
fn failures_before_the_start_undo_the_create() {
    let t = sandbox!();
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let (mut bundle, shared) = bundle_with_shared_directory(&t);
        let log = shared.join(format!("{kind}.log"));
        bundle.push(&format!("/hooks/{kind}"), shell("echo the reason >&2; exit 3"));
        bundle.push(&format!("/hooks/{kind}"), shell(&format!("echo second >>'{}'", log.display())));
        let stderr = t.create_fails(&bundle);
        assert!(stderr.contains("the reason"), "{kind}: {stderr}");
        assert_eq!(lines(&log), [""; 0], "{kind}: the next hook runs all the same");
        assert!(is_peer() || stderr.contains(&format!("{kind} hook #0")), "{kind}: {stderr}");
    }
}

#[test]
fn a_failing_start_container_hook_is_an_error_of_start() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let file = shared.join("started");
    bundle.push("/hooks/startContainer", shell("exit 3"));
    bundle.args(["touch", file.to_str().unwrap()]);
    let c = t.create(&bundle);
    if !is_peer() {
        // runc 1.1 says nothing.
        c.call("start").fails_with(1, "startContainer hook #0");
    } else {
        c.call("start");
    }
    c.wait_for("stopped");
    assert!(!file.exists(), "the payload runs");
    c.delete();
    t.assert_clean();
}

#[test]
fn a_failing_poststart_hook_stops_the_container() {
    corten_only!(); // runc 1.1 runs them in create
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let log = shared.join("log");
    bundle.push("/hooks/poststart", shell("exit 3"));
    bundle.push("/hooks/poststart", shell(&format!("echo second >>'{}'", log.display())));
    bundle.push("/hooks/poststop", shell(&format!("echo poststop >>'{}'", log.display())));
    let c = t.create(&bundle);
    let init = c.init();
    c.call("start").fails_with(1, "poststart hook #0");
    wait_until("the end of the payload", || !init.is_alive());
    c.force_delete();
    assert_eq!(lines(&log), ["poststop"]);
    t.assert_clean();
}

#[test]
fn a_failing_poststop_hook_is_a_warning() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let log = shared.join("log");
    bundle.push("/hooks/poststop", shell("exit 3"));
    bundle.push("/hooks/poststop", shell(&format!("echo second >>'{}'", log.display())));
    let c = t.launch(&bundle);
    let output = t.runtime(["delete", "--force", c.id()]).run();
    output.ok();
    // runc 1.1 calls it an error, and skips the rest.
    let level = if is_peer() { "level=" } else { "level=warning" };
    assert!(output.stderr().contains(level), "{}", output.report());
    if !is_peer() {
        assert_eq!(lines(&log), ["second"]);
    }
    t.assert_clean();
}

#[test]
fn a_time_limit_ends_the_hook() {
    let t = sandbox!();
    for kind in ["prestart", "createContainer"] {
        let (mut bundle, _) = bundle_with_shared_directory(&t);
        let mut hook = shell("exec sleep 30");
        hook["timeout"] = json!(1);
        let begin = Instant::now();
        let stderr = t.create_fails(bundle.push(&format!("/hooks/{kind}"), hook));
        let time = begin.elapsed();
        assert!(time >= Duration::from_millis(900) && time < Duration::from_secs(5), "{kind}: {time:?}");
        if !is_peer() {
            assert!(stderr.contains(&format!("{kind} hook #0")), "{stderr}");
            assert!(stderr.contains("1 s") || stderr.contains("1s"), "the limit is missing: {stderr}");
        }
    }
}

#[test]
fn a_time_limit_beyond_all_clocks_is_none() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    for kind in ["prestart", "createContainer"] {
        let mut hook = shell(&format!("echo {kind} >>'{}/log'", shared.display()));
        hook["timeout"] = json!(i64::MAX);
        bundle.push(&format!("/hooks/{kind}"), hook);
    }
    t.create(&bundle).force_delete();
    assert_eq!(lines(&shared.join("log")), ["prestart", "createContainer"]);
}

#[test]
fn a_time_limit_reaches_the_whole_group() {
    corten_only!(); // rule D22; runc kills one process
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let mut hook = shell(&format!("(sleep 31; echo late >'{}/late') & sleep 32", shared.display()));
    hook["timeout"] = json!(1);
    t.create_fails(bundle.push("/hooks/createRuntime", hook));
    let survivors =
        kernel::Process::all().into_iter().filter(|p| p.file("cmdline").contains(shared.to_str().unwrap()));
    assert_eq!(survivors.count(), 0);
}

/// A daemon that keeps the hook's descriptors, a flood of text, and a hook that reads nothing.
#[test]
fn hooks_that_behave_badly() {
    let t = sandbox!();
    for code in ["sleep 5 & exit 0", "head -c 10000000 /dev/zero >&2", "exec <&-; exit 0"] {
        let (mut bundle, _) = bundle_with_shared_directory(&t);
        bundle.push("/hooks/createRuntime", shell(code));
        if is_peer() && code.contains('&') {
            continue; // Go waits for whoever holds the pipes
        }
        let id = t.id();
        let output = t.on_bundle(["create"], &bundle, &id).limit(Duration::from_secs(10)).run();
        output.ok();
        t.runtime(["delete", "--force", &id]).run().ok();
    }
}

#[test]
fn hooks_that_cannot_run() {
    let t = sandbox!();
    let plain = t.path("plain");
    fs::write(&plain, "text").unwrap();
    let no_interpreter = t.path("script");
    fs::write(&no_interpreter, "true\n").unwrap();
    fs::set_permissions(&no_interpreter, fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["/nosuch", plain.to_str().unwrap(), no_interpreter.to_str().unwrap(), "/etc"] {
        let (mut bundle, _) = bundle_with_shared_directory(&t);
        bundle.push("/hooks/createRuntime", json!({"path": path}));
        let stderr = t.create_fails(&bundle);
        assert!(stderr.contains(path), "{stderr}");
    }
}

#[test]
fn poststop_runs_for_a_create_that_never_started() {
    let t = sandbox!();
    let (mut bundle, shared) = bundle_with_shared_directory(&t);
    let log = shared.join("log");
    bundle.push("/hooks/poststop", shell(&format!("echo poststop >>'{}'", log.display())));
    let c = t.create(&bundle);
    fs::remove_file(bundle.dir().join("config.json")).unwrap();
    c.delete();
    assert_eq!(lines(&log), ["poststop"]);
}

/// Whoever fails removes what it has made, not what has its name by then.
#[test]
fn a_failed_run_leaves_its_successor_alone() {
    corten_only!(); // runc deletes by name
    let t = sandbox!();
    for flags in [&["run", "--detach"][..], &["run"]] {
        let (mut bundle, id) = (t.bundle(), t.id());
        bundle.args(["sleep", "1000"]);
        let next = t.share(&bundle);
        next.write();
        let code = format!(
            "r() {{ '{}' --root '{}' \"$@\" </dev/null >/dev/null; }}; r delete --force {id} && r create --bundle '{}' {id}; exit 1",
            t.program().display(),
            t.state_root().display(),
            next.dir().display(),
        );
        bundle.push("/hooks/poststart", shell(&code)).write();
        let dir = bundle.dir().to_str().unwrap();
        let run = t.runtime(flags).args(["--bundle", dir, &id]).run();
        assert!(run.fails(1).contains("poststart"), "{}", run.report());
        let c = conformance::Container::new(&t, id, run);
        assert_eq!(c.status(), "created");
        c.start();
        c.exec(["true"]).ok();
        c.force_delete();
    }
    t.assert_clean();
}

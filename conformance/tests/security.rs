//! Hostile callers, and what a payload could get of the host. The oracle is never an error text, but what lies beside the root
//! filesystem: canaries.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use conformance::{Terminal, corten_only, is_peer, kernel, sandbox, tool, wait_until};
use serde_json::json;

use crate::canaries::{Canaries, attempt};

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
    assert!(seen.contains("busybox"), "nothing was seen: {seen}");
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
    let open: String = (3..12).map(|fd| format!("exec {fd}</; ")).collect();
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

//! What config.json says of the process, and what the process then finds.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use conformance::{
    Bundle, Container, Sandbox, corten_only, is_peer, kernel, sandbox, skip, tool, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::json;

/// Runs a bundle whose payload prints a file of `/proc/self`.
fn shows(t: &Sandbox, bundle: &mut Bundle, file: &str) -> String {
    t.run(bundle.args(["cat", &format!("/proc/self/{file}")])).ok()
}

/// The five capability sets in the status text, as numbers: inheritable, permitted, effective, bounding, ambient.
fn capability_sets(status: &str) -> [u64; 5] {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|name| u64::from_str_radix(&kernel::field(status, name), 16).unwrap())
}

#[test]
fn arguments_arrive_as_they_are() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let long = "x".repeat(100_000);
    let args = ["", "two words", "new\nline", "\"quoted\" $HOME", "ünï", &long];
    let mut line = vec!["sh", "-c", "tr '\\0' '|' </proc/1/cmdline; true"];
    line.extend(args);
    bundle.set("/process/args", line.clone());
    assert!(t.run(&bundle).ok() == format!("{}|", line.join("|")), "the arguments differ");
}

#[test]
fn the_environment_is_the_configured_one_and_home() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let path = "PATH=/usr/bin:/bin";
    let run = |bundle: &Bundle| {
        let mut command = t.on_bundle(["run"], bundle, &t.id());
        for name in ["SECRET", "LISTEN_FDNAMES", "LD_PRELOAD_", "XDG_RUNTIME_DIR"] {
            command = command.env(name, "0");
        }
        let text = command.run().ok();
        let mut lines: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        lines.sort();
        lines
    };
    bundle.args(["cat", "/proc/self/environ"]);
    bundle.set("/process/env", json!([path, "A=1", "EMPTY=", "EQUAL=a=b", "LINE=one\ntwo"]));
    assert_eq!(run(&bundle), ["A=1", "EMPTY=", "EQUAL=a=b", "HOME=/root", "LINE=one\ntwo", path]);
    bundle.set("/process/env", json!([path, "HOME=/else"]));
    assert_eq!(run(&bundle), ["HOME=/else", path]);
    bundle.set("/process/env", json!([path])).set("/process/user/uid", 1000);
    assert_eq!(run(&bundle), ["HOME=/home/user", path]);
    bundle.set("/process/user/uid", 4711);
    assert_eq!(run(&bundle), ["HOME=/", path]);
}

#[test]
fn the_last_of_equal_variables_wins() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sh", "-c", "echo $A"]).set("/process/env", json!(["PATH=/bin", "A=1", "A=2"]));
    assert_eq!(t.run(&bundle).ok(), "2\n");
}

#[test]
fn ten_thousand_variables() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let mut env = vec!["PATH=/bin".to_owned()];
    env.extend((0..10_000).map(|i| format!("VARIABLE_{i}={i}")));
    bundle.args(["sh", "-c", "env | grep -c ^VARIABLE_"]).set("/process/env", env);
    assert_eq!(t.run(&bundle).ok(), "10000\n");
}

#[test]
fn the_working_directory_is_entered_and_made_if_missing() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["pwd"]).set("/root/readonly", false);
    let long = "/long".repeat(100);
    for cwd in ["/etc", "/new/and/deep", "/etc/../tmp", &long] {
        bundle.set("/process/cwd", cwd);
        let expected = if cwd.contains("..") { "/tmp" } else { cwd };
        assert_eq!(t.run(&bundle).ok().trim_end(), expected);
    }
    assert!(bundle.inside("/new/and/deep").is_dir());
}

#[test]
fn a_working_directory_only_for_the_user() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let dir = bundle.inside("/private");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    bundle
        .args(["pwd"])
        .set("/process/cwd", "/private")
        .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.capabilities(&[]);
    assert_eq!(t.run(&bundle).ok(), "/private\n");
}

#[test]
fn a_working_directory_that_is_a_file() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let stderr = t.create_fails(bundle.set("/process/cwd", "/etc/passwd"));
    assert!(stderr.contains("not a directory"), "{stderr}");
    assert!(stderr.contains("/etc/passwd"), "{stderr}");
}

#[test]
fn a_relative_program_is_found_in_the_working_directory() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let program = bundle.inside("/etc/program");
    fs::write(&program, "#!/bin/sh\necho ran $0\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.args(["./program"]).set("/process/cwd", "/etc");
    assert_eq!(t.run(&bundle).ok(), "ran ./program\n");
}

#[test]
fn ids_and_groups_are_exactly_the_configured_ones() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let status = shows(&t, &mut bundle, "status");
    assert_eq!(kernel::field(&status, "Groups"), "", "the caller's groups leak");
    bundle.set("/process/user", json!({"uid": 1234, "gid": 5678, "additionalGids": [7, 100_000]}));
    let status = shows(&t, &mut bundle, "status");
    assert_eq!(kernel::field(&status, "Uid"), "1234\t1234\t1234\t1234");
    assert_eq!(kernel::field(&status, "Gid"), "5678\t5678\t5678\t5678");
    assert_eq!(kernel::field(&status, "Groups"), "7 100000");
}

#[test]
fn the_callers_groups_stay_outside() {
    let Some(setpriv) = tool("setpriv") else { skip!("setpriv is not installed") };
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["cat", "/proc/self/status"]);
    let run = t.on_bundle(["run"], &bundle, &t.id()).wrap([setpriv.to_str().unwrap(), "--groups", "3,4,5"]);
    assert_eq!(kernel::field(&run.run().ok(), "Groups"), "");
}

#[test]
fn a_session_keyring_of_its_own() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let keyring = |id: &str| kernel::read("/proc/keys").contains(&format!(" _ses.{id}"));
    let c = t.launch(&bundle);
    if !keyring(c.id()) {
        skip!("the keys of others cannot be seen here");
    }
    let id = t.id();
    t.on_bundle(["run", "--detach", "--no-new-keyring"], &bundle, &id).run().ok();
    assert!(!keyring(&id));
}

/// Makes keys until there is room for no more, and keeps them.
const FILL_KEYRING: &str = "import ctypes, time, os
os.setgid(654321), os.setuid(654321)
add_key, n = ctypes.CDLL(None).syscall, 0
while add_key({'x86_64': 248, 'aarch64': 217}[os.uname().machine], b'user', b'k%d' % n, b'x', 1, -2) > 0: n += 1
print('full', flush=True)
time.sleep(100)";

/// Its containers stay in the keyring of their caller, and say so.
#[test]
fn a_user_who_may_have_no_more_keyrings() {
    corten_only!();
    let t = sandbox!();
    let Some(python) = tool("python3") else { skip!("python3 is not installed") };
    let keeper = t.command([python.as_os_str(), "-c".as_ref(), FILL_KEYRING.as_ref()]).spawn();
    wait_until("the quota", || keeper.stdout() == "full\n");
    let mut bundle = t.bundle();
    bundle.push("/linux/namespaces", json!({"type": "user"})).set("/root/readonly", false);
    let map = json!([{"containerID": 0, "hostID": 654_321, "size": 1}]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    for name in ["", "dev", "proc", "sys"] {
        chown(bundle.inside(name), Some(654_321), Some(654_321)).unwrap();
    }
    bundle.unmount("/dev/pts").args(["echo", "runs"]);
    let output = t.run(&bundle);
    assert_eq!(output.ok(), "runs\n");
    let warning = "unable to join a session keyring: keyctl: disk quota exceeded";
    assert!(
        output.stderr().contains("level=warning") && output.stderr().contains(warning),
        "{}",
        output.report()
    );
    keeper.signal(Signal::SIGKILL);
    keeper.wait();
    t.assert_clean();
}

#[test]
fn umask_is_configured_or_022() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sh", "-c", "umask"]);
    let run = |bundle: &Bundle| t.on_bundle(["run"], bundle, &t.id()).after("umask 077").run().ok();
    assert_eq!(run(&bundle), "0022\n");
    bundle.set("/process/user/umask", 0o027);
    assert_eq!(run(&bundle), "0027\n");
    bundle.set("/process/user/umask", 0);
    assert_eq!(run(&bundle), "0000\n");
}

#[test]
fn capability_sets_are_exactly_the_configured_ones() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set(
        "/process/capabilities",
        json!({"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"], "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]}),
    );
    // The exec of root gives permitted = effective = bounding + inheritable; so a user, whose sets then are the ambient ones.
    bundle.set("/process/user/uid", 1000);
    let sets = capability_sets(&shows(&t, &mut bundle, "status"));
    assert_eq!(sets, [1, 1, 1, 1 | 1 << 5 | 1 << 13, 1]);
    bundle.set("/process/user/uid", 0);
    let sets = capability_sets(&shows(&t, &mut bundle, "status"));
    let all = 1 | 1 << 5 | 1 << 13;
    assert_eq!(sets[3], all, "bounding");
    assert_eq!(sets[0], 1, "inheritable");
}

#[test]
fn inheritable_and_ambient_are_empty_unless_asked_for() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    for uid in [0, 1000] {
        let sets = capability_sets(&shows(&t, bundle.set("/process/user/uid", uid), "status"));
        let configured = 1 << 29 | 1 << 5 | 1 << 10;
        let effective = if uid == 0 { configured } else { 0 };
        assert_eq!(sets, [0, effective, effective, configured, 0]);
    }
}

#[test]
fn no_capabilities_at_all() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.capabilities(&[]);
    assert_eq!(capability_sets(&shows(&t, &mut bundle, "status")), [0; 5]);
    bundle.remove("/process/capabilities");
    let sets = capability_sets(&shows(&t, &mut bundle, "status"));
    assert_eq!(sets, [0; 5], "none are given without the section");
}

#[test]
fn an_unknown_capability_is_a_warning() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.capabilities(&["CAP_CHOWN", "CAP_OF_THE_FUTURE"]);
    let output = t.run(bundle.args(["cat", "/proc/self/status"]));
    assert_eq!(capability_sets(&output.ok()), [1; 5]);
    assert!(output.stderr().contains("CAP_OF_THE_FUTURE"), "{}", output.report());
}

#[test]
fn limits_are_set() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set(
        "/process/rlimits",
        json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_FSIZE", "soft": 1_000_000, "hard": 18_446_744_073_709_551_615_u64},
            {"type": "RLIMIT_NPROC", "soft": 300, "hard": 300},
            {"type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 1_048_576}
        ]),
    );
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let pair = |soft: &str, hard: &str| (soft.to_owned(), hard.to_owned());
    let init = c.init();
    wait_until("the payload", || init.file("cmdline").starts_with("sleep"));
    assert_eq!(init.limit("Max open files"), pair("100", "200"));
    assert_eq!(init.limit("Max core file size"), pair("0", "0"));
    assert_eq!(init.limit("Max file size"), pair("1000000", "unlimited"));
    assert_eq!(init.limit("Max processes"), pair("300", "300"));
    assert_eq!(init.limit("Max stack size"), pair("1048576", "1048576"));
    assert_eq!(init.limit("Max cpu time"), kernel::Process(std::process::id()).limit("Max cpu time"));
}

#[test]
fn tiny_limits_do_not_hurt_the_set_up() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let zero = |kind: &str, soft: u64| json!({"type": kind, "soft": soft, "hard": soft});
    let limits = [zero("RLIMIT_NOFILE", 3), zero("RLIMIT_FSIZE", 0), zero("RLIMIT_CPU", 1)];
    bundle.set("/process/rlimits", limits.to_vec());
    if is_peer() {
        skip!("runc's own set-up needs more descriptors");
    }
    assert_eq!(t.run(bundle.args(["/bin/echo", "fine"])).ok(), "fine\n");
    t.assert_clean();
}

#[test]
fn no_new_privileges_is_as_configured() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    for (value, shown) in [(true, "1"), (false, "0")] {
        let status = shows(&t, bundle.set("/process/noNewPrivileges", value), "status");
        assert_eq!(kernel::field(&status, "NoNewPrivs"), shown);
    }
    let status = shows(&t, bundle.remove("/process/noNewPrivileges"), "status");
    assert_eq!(kernel::field(&status, "NoNewPrivs"), "0");
}

#[test]
fn the_score_of_the_oom_killer_is_set() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    for score in [0, 500, 1000] {
        bundle.set("/process/oomScoreAdj", score);
        assert_eq!(shows(&t, &mut bundle, "oom_score_adj").trim_end(), score.to_string());
    }
}

#[test]
fn signals_start_with_an_empty_mask_and_default_dispositions() {
    corten_only!(); // runc hands the caller's blocked signals on
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let id = t.id();
    let env = ["env", "--block-signal=USR2,TERM,CHLD,RTMIN+3", "--ignore-signal=HUP,INT,PIPE,QUIT"];
    let output = t.on_bundle(["run", "--detach"], &bundle, &id).wrap(env).run();
    output.ok();
    let c = Container::new(&t, id, output);
    let clean = |process: kernel::Process| {
        wait_until("the payload", || process.file("cmdline").starts_with("sleep"));
        for set in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
            assert_eq!(process.status(set), "0000000000000000", "{set}");
        }
    };
    clean(c.init());
    let pid_file = t.path("exec.pid");
    let exec = c.exec_with(["--detach", "--pid-file", pid_file.to_str().unwrap()], ["sleep", "1000"]);
    exec.wrap(env).run().ok();
    clean(kernel::Process(kernel::read(&pid_file).parse().unwrap()));
}

#[test]
fn the_process_leads_a_session() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let stat = shows(&t, &mut bundle, "stat");
    let numbers: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(numbers[2..4], ["1", "1"], "process group and session: {stat}");
}

#[test]
fn a_user_can_use_its_standard_streams() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script(
        "echo out >/proc/self/fd/1; echo err >/proc/self/fd/2; read line </proc/self/fd/0; echo $line",
    );
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let output = t.on_bundle(["run"], &bundle, &t.id()).input("in\n").run();
    assert_eq!(output.ok(), "out\nin\n");
    assert_eq!(output.stderr(), "err\n");

    // Detached, the streams are inherited: pipes change their owner.
    bundle.script("echo out >/proc/self/fd/1; sleep 0.2");
    let pipe = t.on_bundle(["run", "--detach"], &bundle, &t.id());
    let output = pipe.wrap(["sh", "-c", r#""$@" 2>&1 | cat"#, "sh"]).run();
    assert_eq!(output.ok(), "out\n");
}

#[test]
fn regular_files_never_change_their_owner() {
    corten_only!(); // rule D8
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).args(["true"]);
    let file = t.path("victim");
    let command = t.on_bundle(["run", "--detach"], &bundle, &t.id());
    command.after(&format!("exec >'{0}' 2>>'{0}'", file.display())).run().ok();
    assert_eq!(fs::metadata(&file).unwrap().uid(), 0);
    assert_eq!(fs::metadata("/dev/null").unwrap().uid(), 0);
}

//! linux.seccomp: filters as the payload meets them, their listeners, and profiles that are wrong.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use conformance::{
    Bundle, Running, Sandbox, companion, corten_only, is_peer, sandbox, skip, tool, wait_until,
};
use nix::sys::signal::Signal;
use nix::sys::socket::{Backlog, listen};
use serde_json::{Value, json};

/// What allows everything but the calls of these rules.
fn profile(rules: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
}

/// A rule for new directories.
fn on_mkdir(action: &str) -> Value {
    json!([{"names": ["mkdir", "mkdirat"], "action": format!("SCMP_ACT_{action}")}])
}

/// The default profile of Docker for a container without further capabilities, for all three ABIs of x86.
fn docker() -> Value {
    serde_json::from_str(include_str!("../../runtime-core/src/seccomp/tests/docker.json")).unwrap()
}

/// A place for new files in a read-only root.
const NEW: &str = "/dev/shm/new";

#[test]
fn each_action() {
    let t = sandbox!();
    let base = t.bundle();
    for (action, code, text) in [
        ("KILL", 159, ""),
        ("KILL_THREAD", 159, ""),
        ("KILL_PROCESS", 159, ""),
        ("TRAP", 159, ""),
        ("ERRNO", 1, "Operation not permitted"),
        // Without a tracer.
        ("TRACE", 1, "Function not implemented"),
        ("LOG", 0, ""),
        ("ALLOW", 0, ""),
    ] {
        for no_new_privileges in [true, false] {
            let mut bundle = t.share(&base);
            bundle.args(["mkdir", NEW]).set("/linux/seccomp", profile(on_mkdir(action)));
            bundle.set("/process/noNewPrivileges", no_new_privileges);
            let output = t.run(&bundle);
            assert_eq!(output.code(), code, "{action}\n{}", output.report());
            assert!(output.stderr().contains(text), "{action}\n{}", output.report());
        }
    }
    let mut bundle = t.share(&base);
    bundle.args(["mkdir", NEW]).set("/linux/seccomp", profile(on_mkdir("ERRNO")));
    bundle.set("/linux/seccomp/syscalls/0/errnoRet", 28);
    t.run(&bundle).fails_with(1, "No space left on device");
    t.assert_clean();
}

#[test]
fn each_operator() {
    let t = sandbox!();
    let base = t.bundle();
    let script = format!("touch {NEW}; for m in 600 640 644; do chmod $m {NEW} 2>&- && echo $m; done; true");
    for (operator, value, masked, allowed) in [
        ("EQ", 0o640, 0, "600\n644\n"),
        ("NE", 0o640, 0, "640\n"),
        ("LT", 0o640, 0, "640\n644\n"),
        ("LE", 0o640, 0, "644\n"),
        ("GT", 0o640, 0, "600\n640\n"),
        ("GE", 0o640, 0, "600\n"),
        ("MASKED_EQ", 0o040, 0o040, "600\n"),
    ] {
        let rule = |name: &str, index: u32| {
            let arg = json!({"index": index, "value": value, "valueTwo": masked, "op": format!("SCMP_CMP_{operator}")});
            json!({"names": [name], "action": "SCMP_ACT_ERRNO", "args": [arg]})
        };
        let mut bundle = t.share(&base);
        bundle.script(&script);
        bundle.set("/linux/seccomp", profile(json!([rule("chmod", 1), rule("fchmodat", 2)])));
        assert_eq!(t.run(&bundle).ok(), allowed, "{operator}");
    }
    t.assert_clean();
}

#[test]
fn each_flag() {
    corten_only!();
    let t = sandbox!();
    let features: Value = serde_json::from_str(&t.bare(["features"]).run().ok()).unwrap();
    let supported = features["linux"]["seccomp"]["supportedFlags"].as_array().unwrap();
    let base = t.bundle();
    let all: Vec<Value> = supported.clone();
    let lists = supported.iter().map(|flag| json!([flag])).chain([json!([]), json!(all), Value::Null]);
    for flags in lists {
        let mut bundle = t.share(&base);
        bundle.script("grep ^Seccomp: /proc/self/status").set("/linux/seccomp", profile(on_mkdir("ERRNO")));
        bundle.set("/linux/seccomp/flags", flags.clone());
        assert_eq!(t.run(&bundle).ok(), "Seccomp:\t2\n", "{flags}");
    }
    t.assert_clean();
}

/// Nothing but what the program itself needs: the runtime's own calls are made before the filter is there.
#[test]
fn a_profile_of_the_program_alone() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let names = "execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom \
        mprotect mmap munmap uname newfstatat fstat fcntl getuid setuid geteuid getgid setgid getegid prctl exit_group";
    let names: Vec<&str> = names.split_whitespace().collect();
    bundle.args(["true"]).set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}),
    );
    t.run(&bundle).ok();
    // Without the promise a capability has to go after the filter has come.
    bundle.set("/process/noNewPrivileges", false).set("/process/user/uid", 1000);
    bundle
        .set("/linux/seccomp/syscalls/0/names", names.iter().copied().chain(["capset"]).collect::<Vec<_>>());
    t.run(&bundle).ok();
    t.assert_clean();
}

/// Hooks in the container run under its filter, and init itself does not: it makes more calls than a hook needs.
#[test]
fn hooks_at_the_start_are_confined() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    let hook = |code: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", code]}]);
    let status = format!("grep -E '^(Seccomp|CapPrm):' /proc/self/status >{NEW}");
    for (no_new_privileges, uid) in [(true, 0), (false, 0), (false, 1000)] {
        let mut bundle = t.share(&base);
        bundle.set("/process/noNewPrivileges", no_new_privileges).set("/process/user/uid", uid);
        bundle.set("/linux/seccomp", profile(on_mkdir("KILL"))).args(["cat", NEW]);
        bundle.set("/hooks/startContainer", hook(&status));
        let seen = t.run(&bundle).ok();
        assert!(seen.contains("Seccomp:\t2"), "{seen}");
        let rights = if uid == 0 { "CapPrm:\t0000000020000420" } else { "CapPrm:\t0000000000000000" };
        assert!(seen.contains(rights), "nothing borrowed is left: {seen}");
        bundle.set("/hooks/startContainer", hook(&format!("exec mkdir {NEW}")));
        t.run(&bundle).fails_with(1, "error running startContainer hook #0: killed by signal 31");
    }
    // What init needs to run a hook is not the hook's.
    let forbidden =
        json!([{"names": ["memfd_create", "pwrite64", "clone3"], "action": "SCMP_ACT_KILL_PROCESS"}]);
    let mut bundle = t.share(&base);
    bundle.set("/linux/seccomp", profile(forbidden)).args(["cat", NEW]);
    bundle.set("/hooks/startContainer", hook(&status));
    assert!(t.run(&bundle).ok().contains("Seccomp:\t2"));
    t.assert_clean();
}

/// The filter costs the payload no right and gives it none.
#[test]
fn capabilities_are_those_of_the_config() {
    let t = sandbox!();
    let base = t.bundle();
    let script = "grep -E '^(Cap|NoNewPrivs|Uid)' /proc/self/status";
    for (no_new_privileges, uid) in [(true, 0), (false, 0), (false, 1000)] {
        let run = |filtered: bool| {
            let mut bundle = t.share(&base);
            bundle.script(script).set("/process/noNewPrivileges", no_new_privileges);
            bundle.set("/process/user/uid", uid);
            if filtered {
                bundle.set("/linux/seccomp", docker());
            }
            t.run(&bundle).ok()
        };
        assert_eq!(run(true), run(false));
    }
    t.assert_clean();
}

/// Programs under Docker's default profile, with exit codes and messages.
const APPLETS: &str = r#"cd /dev/shm; exec 2>&1
try() { "$@"; echo "$1: $?"; }
try mkdir d; try touch f; try ln -s f l; try ln f h; try readlink l; try mv h g; try cp f c; try chmod 600 c; try chown 1:1 c
try stat -c '%a %u %g %F' c; try mkfifo p; try dd if=/dev/zero of=z bs=4k count=2; try wc -c z; try md5sum z; try rm -r d f l g c p z
try mknod n c 1 3; try mount -t tmpfs x /tmp; try umount /proc; try chroot / true; try hostname other; try date -s 0 -u
try dmesg; try id; try uname -m; try nproc; try env; try sleep 0; try timeout 5 true; try kill -0 1; try setsid true; try sort /etc/group
try sh -c 'kill -TERM $$'; try sh -c 'ulimit -n 10; ulimit -n'; try nc -w 1 127.0.0.1 1; try ps -o comm; try stty; try tty
echo ab | tee t; seq 3 | xargs echo | sed s/2/x/ | grep -c x; find . -name t; base64 t; od -c t; cut -c1 t; tail -1 t; usleep 1; which sh; yes | head -1
"#;

#[test]
fn applets_under_the_profile_of_docker() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script(APPLETS).set("/linux/seccomp", docker());
    let ours = t.run(&bundle).ok();
    assert!(ours.contains("mount: 1") && ours.contains("mkdir: 0"), "{ours}");
    let Some(runc) = tool("runc") else { skip!("runc is not installed") };
    let other = sandbox!().with_program(runc);
    let id = other.id();
    let theirs = other.on_bundle(["run"], &bundle, &id).run().ok();
    assert_eq!(ours, theirs);
    t.assert_clean();
}

#[test]
fn exec_has_the_profile_that_the_container_was_made_with() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/linux/seccomp", profile(on_mkdir("ERRNO")));
    let c = t.launch(&bundle);
    // The bundle may change meanwhile.
    bundle.remove("/linux/seccomp").write();
    c.exec(["mkdir", NEW]).fails_with(1, "Operation not permitted");
    let status = "grep -E '^(Seccomp|CapEff):' /proc/self/status";
    let plain = c.shell(status);
    assert!(plain.contains("Seccomp:\t2"), "{plain}");
    // With rights of its own and without the promise.
    let free = c.exec_with(["--cap", "CAP_CHOWN"], ["sh", "-c", status]).run().ok();
    assert!(free.contains("Seccomp:\t2"), "{free}");
    c.force_delete();
    t.assert_clean();
}

/// The example agent, listening.
pub(crate) fn agent(t: &Sandbox) -> (Running, PathBuf) {
    let path = t.path("agent.sock");
    let agent = t.command([&companion(env!("CARGO_BIN_EXE_seccomp-agent")), &path]).spawn();
    wait_until("the agent", || path.exists());
    (agent, path)
}

/// A bundle whose new directories and devices are left to an agent.
fn with_agent(t: &Sandbox, path: &Path) -> Bundle {
    let names = ["mkdir", "mkdirat", "mknod", "mknodat"];
    let mut bundle = t.bundle();
    bundle.set("/linux/seccomp", profile(json!([{"names": names, "action": "SCMP_ACT_NOTIFY"}])));
    bundle.set("/linux/seccomp/listenerPath", path.to_str().unwrap());
    bundle.set("/linux/seccomp/listenerMetadata", "-agent");
    if !is_peer() {
        bundle.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]));
    }
    bundle
}

#[test]
fn an_agent_answers() {
    let t = sandbox!();
    let (agent, path) = agent(&t);
    let mut bundle = with_agent(&t, &path);
    bundle.set("/annotations", json!({"a": "b"})).args(["sleep", "1000"]);
    let c = t.create(&bundle);
    c.start();
    let script = "cd /dev/shm; mkdir a && mkdir /dev/shm/b && mknod null c 1 3 && [ -c null ] && ls; \
        mknod kmsg c 1 11 2>&1; mkdir /tmp/../nowhere/x 2>&1";
    let output = c.shell(&format!("{script}; true"));
    assert_eq!(
        output,
        "a-agent\nb-agent\nnull\nmknod: kmsg: Operation not permitted\n\
        mkdir: can't create directory '/tmp/../nowhere/x': No such file or directory\n"
    );
    let documents: Vec<Value> =
        agent.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [created, executed] = &documents[..] else { panic!("{documents:?}") };
    let init = c.pid();
    assert_eq!(
        *created,
        json!({
            "ociVersion": created["ociVersion"],
            "fds": ["seccompFd"],
            "pid": init,
            "metadata": "-agent",
            "state": {
                "ociVersion": created["ociVersion"], "id": c.id(), "status": "creating", "pid": init,
                "bundle": bundle.dir(), "annotations": {"a": "b"}
            }
        })
    );
    assert_eq!((&executed["state"]["status"], &executed["state"]["pid"]), (&json!("running"), &json!(init)));
    assert_ne!(executed["pid"], json!(init));
    c.force_delete();
    agent.signal(Signal::SIGKILL);
    agent.wait();
    t.assert_clean();
}

#[test]
fn without_new_privileges_or_with_them() {
    let t = sandbox!();
    let (agent, path) = agent(&t);
    for (no_new_privileges, uid) in [(true, 1000), (false, 0), (false, 1000)] {
        let mut bundle = with_agent(&t, &path);
        bundle.script(&format!("mkdir {NEW} && ls /dev/shm && grep CapEff /proc/self/status"));
        bundle.set("/process/noNewPrivileges", no_new_privileges).set("/process/user/uid", uid);
        bundle.capabilities(&["CAP_KILL"]);
        assert_eq!(t.run(&bundle).ok(), "new-agent\nCapEff:\t0000000000000020\n");
    }
    agent.signal(Signal::SIGKILL);
    agent.wait();
    t.assert_clean();
}

#[test]
fn an_agent_that_goes_away() {
    let t = sandbox!();
    let path = t.path("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut bundle = with_agent(&t, &path);
    bundle.script(&format!("mkdir {NEW}"));
    // It sends rubbish, and leaves when it has been given the listener.
    let agent = std::thread::spawn(move || {
        let (mut runtime, _) = listener.accept().unwrap();
        // The runtime may have said all it has to say already.
        let _ = runtime.write_all(b"{rubbish");
        let _ = runtime.read_to_string(&mut String::new());
    });
    t.run(&bundle).fails_with(1, "Function not implemented");
    agent.join().unwrap();
    // The socket is there, and nobody behind it.
    assert!(t.create_fails(&bundle).contains("onnection refused"));
    t.assert_clean();
}

#[test]
fn an_agent_that_is_none() {
    corten_only!();
    let t = sandbox!();
    std::fs::write(t.path("file"), "").unwrap();
    let long = format!("/{}", "x".repeat(200));
    for path in [
        t.path("nowhere").to_str().unwrap(),
        t.path("file").to_str().unwrap(),
        "/",
        &long,
        "agent.sock",
        "@agent",
    ] {
        let mut bundle = with_agent(&t, Path::new(path));
        bundle.args(["true"]);
        assert_eq!(t.refused_at(&bundle), "/linux/seccomp/listenerPath", "{path}");
        t.run(&bundle)
            .fails_with(1, if path.starts_with('/') { "seccomp agent" } else { "is not an absolute path" });
    }
}

/// Nobody takes the connection; nobody answers for a call that init makes: both end.
#[test]
fn an_agent_that_does_not_answer() {
    corten_only!();
    let t = sandbox!();
    let path = t.path("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut bundle = with_agent(&t, &path);
    bundle.args(["true"]).set("/linux/seccomp/syscalls/0/names", json!(["prctl", "rt_sigprocmask"]));
    assert_eq!(t.refused_at(&bundle), "/linux/seccomp");
    // The connection that was just made still stands in the queue, which takes no more.
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    bundle.set("/linux/seccomp/syscalls/0/names", json!(["mkdir"]));
    assert_eq!(t.refused_at(&bundle), "/linux/seccomp/listenerPath");
}

/// Once init is ready, what the agent lets wait is between it and the process: nobody else hangs.
#[test]
fn an_agent_that_does_not_let_programs_start() {
    corten_only!();
    let t = sandbox!();
    let path = t.path("agent.sock");
    // In the queue of a socket that nobody reads the descriptors stay open.
    let agent = UnixListener::bind(&path).unwrap();
    let mut bundle = with_agent(&t, &path);
    bundle.args(["true"]).set("/linux/seccomp/syscalls/0/names", json!(["execve", "execveat"]));
    let c = t.create(&bundle);
    let output = c.call("start");
    output.ok();
    assert!(output.stderr().contains("the agent does not answer"), "{}", output.report());
    assert_eq!(c.status(), "running");
    c.call("start").fails_with(1, "already running");
    let output = c.exec_with(["--detach"], ["true"]).run();
    output.ok();
    assert!(output.stderr().contains("the agent does not answer"), "{}", output.report());
    c.force_delete();

    // A hook may take the time that it has, and then it is init's turn.
    let hook = json!({"path": "/bin/true", "timeout": 1});
    bundle.set("/hooks/startContainer", json!([hook]));
    let limit = json!([{"index": 1, "value": nix::libc::RLIMIT_NOFILE, "op": "SCMP_CMP_EQ"}]);
    bundle
        .set("/linux/seccomp/syscalls/0/names", json!(["prlimit64"]))
        .set("/linux/seccomp/syscalls/0/args", limit);
    let c = t.create(&bundle);
    let output = c.call("start");
    output.ok();
    assert!(output.stderr().contains("the agent does not answer"), "{}", output.report());
    drop(agent);
    c.wait_for("stopped").delete();
    t.assert_clean();
}

#[test]
fn exec_without_the_agent() {
    let t = sandbox!();
    let (agent, path) = agent(&t);
    let mut bundle = with_agent(&t, &path);
    bundle.args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    agent.signal(Signal::SIGKILL);
    agent.wait();
    c.exec(["true"]).fails_with(255, "onnection refused");
    std::fs::remove_file(&path).unwrap();
    c.exec(["true"]).fails_with(255, "o such file or directory");
    assert_eq!(c.status(), "running");
    assert_eq!(c.call("ps").ok().matches("sleep").count(), 1, "nothing is left of them");
    c.force_delete();
    t.assert_clean();
}

#[test]
fn profiles_that_are_wrong() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    let rule = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "syscalls": [rule]});
    let arg = |arg: Value| rule(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [arg]}));
    for (profile, pointer) in [
        (json!({}), "/defaultAction"),
        (json!({"defaultAction": "SCMP_ACT_NONSENSE"}), "/defaultAction"),
        (json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/agent"}), "/defaultAction"),
        (json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}), "/defaultErrnoRet"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["LOG"]}), "/flags/0"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86"]}), "/architectures/0"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}), "/listenerMetadata"),
        (rule(json!({"names": ["read"], "action": "DENY"})), "/syscalls/0/action"),
        (
            rule(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096})),
            "/syscalls/0/errnoRet",
        ),
        (rule(json!({"names": ["write"], "action": "SCMP_ACT_NOTIFY"})), "/syscalls/0/names/0"),
        (arg(json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"})), "/syscalls/0/args/0/index"),
        (arg(json!({"index": 0, "value": 0, "op": "=="})), "/syscalls/0/args/0/op"),
        (profile(on_mkdir("NOTIFY")), "/listenerPath"),
    ] {
        let mut bundle = t.share(&base);
        bundle.args(["true"]).set("/linux/seccomp", profile);
        assert_eq!(t.refused_at(&bundle), format!("/linux/seccomp{pointer}"));
    }
    // An unknown system call is left out, unless that is asked to be an error.
    let mut bundle = t.share(&base);
    bundle.args(["true"]);
    bundle.set("/linux/seccomp", rule(json!({"names": ["frobnicate"], "action": "SCMP_ACT_ERRNO"})));
    let output = t.run(&bundle);
    output.ok();
    assert!(output.stderr().contains("frobnicate"), "{}", output.report());
    let output = t.on_bundle(["run", "--strict"], &bundle, &t.id()).run();
    output.fails_with(1, "/linux/seccomp/syscalls/0/names/0");
    t.assert_clean();
}

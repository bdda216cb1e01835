//! exec: into a running container, by flags and by `--process`.

use std::fs;
use std::path::PathBuf;
use std::thread;

use conformance::{Bundle, Container, Sandbox, View, corten_only, kernel, sandbox, views, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A container that sleeps.
fn sleeper(t: &Sandbox) -> Container<'_> {
    t.launch(t.bundle().args(["sleep", "1000"]))
}

/// Writes a process description for `--process` and gives its path.
fn process_file(t: &Sandbox, process: &Value) -> PathBuf {
    let path = t.path(&format!("process-{}.json", t.id()));
    fs::write(&path, process.to_string()).unwrap();
    path
}

/// `exec --process` of a description, with these flags.
fn exec_process(t: &Sandbox, c: &Container<'_>, process: &Value) -> conformance::Command {
    let file = process_file(t, process);
    t.runtime(["exec", "--process", file.to_str().unwrap(), c.id()])
}

views!(it_joins_everything, it_enters_a_sub_cgroup);

fn it_joins_everything(view: View) {
    let t = sandbox!(view);
    let c = sleeper(&t);
    let pid_file = t.path("pid");
    c.exec_with(["--detach", "--pid-file", pid_file.to_str().unwrap()], ["sleep", "1000"]).run().ok();
    let process = kernel::Process(kernel::read(&pid_file).parse().unwrap());
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user"] {
        assert_eq!(process.namespace(kind), c.init().namespace(kind), "{kind}");
    }
    assert_eq!(process.file("cgroup"), c.init().file("cgroup"));
    assert_eq!(process.link("root"), c.init().link("root"));
    assert_eq!(c.shell("echo $(hostname) $(pwd)"), "corten /\n");
    // It dies with init, whose pid namespace it shares.
    c.kill("KILL");
    wait_until("the end of the joined process", || !process.is_alive());
}

#[test]
fn exit_codes_and_standard_streams() {
    let t = sandbox!();
    let c = sleeper(&t);
    c.exec(["sh", "-c", "exit 7"]).fails(7);
    c.exec(["sh", "-c", "kill -9 $$"]).fails(137);
    c.exec(["sh", "-c", "kill -15 $$"]).fails(143);
    // One of the real-time signals, which not every library knows.
    c.exec(["sh", "-c", "kill -40 $$"]).fails(168);
    let input = "many lines\n".repeat(50_000);
    let output = c.exec_with([], ["sh", "-c", "cat; echo problem >&2"]).input(input.clone()).run();
    assert!(output.ok() == input, "the copied text differs");
    assert_eq!(output.stderr(), "problem\n");
}

#[test]
fn everything_after_the_id_belongs_to_the_process() {
    let t = sandbox!();
    let c = sleeper(&t);
    assert_eq!(c.exec(["echo", "--env", "-t", "--", "--help"]).ok(), "--env -t -- --help\n");
}

#[test]
fn it_starts_from_the_process_of_the_config() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).set("/process/cwd", "/etc");
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [7]}));
    bundle.push("/process/env", json!("CONFIGURED=yes"));
    bundle.capabilities(&["CAP_KILL"]);
    let c = t.launch(&bundle);
    assert_eq!(c.shell("echo $(pwd) $CONFIGURED $HOME"), "/etc yes /home/user\n");
    let status = c.exec(["cat", "/proc/self/status"]).ok();
    assert_eq!(kernel::field(&status, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(kernel::field(&status, "Gid"), "1001\t1001\t1001\t1001");
    assert_eq!(kernel::field(&status, "CapEff"), "0000000000000020");
    assert_eq!(kernel::field(&status, "CapBnd"), "0000000000000020");
    assert_eq!(kernel::field(&status, "NoNewPrivs"), "1");
    assert_eq!(kernel::field(&status, "Groups"), "7");
    let limits = c.exec(["cat", "/proc/self/limits"]).ok();
    assert!(limits.contains("Max open files            1024                 1024"), "{limits}");
}

#[test]
fn flags_change_the_process() {
    let t = sandbox!();
    let c = sleeper(&t);
    let run = |flags: &[&str], script: &str| {
        t.runtime(["exec"]).args(flags).args([c.id(), "sh", "-c", script]).run().ok().trim_end().to_owned()
    };
    assert_eq!(run(&["--cwd", "/etc"], "pwd"), "/etc");
    assert_eq!(run(&["-e", "A=1,2", "-e", "B=x=y"], "echo $A $B"), "1,2 x=y");
    assert_eq!(run(&["--env", "TERM=other"], "echo $TERM"), "other");
    assert_eq!(run(&["--user", "1000"], "id -u; echo $HOME"), "1000\n/home/user");
    assert_eq!(run(&["-u", "5:6"], "id -u; id -g"), "5\n6");
    let groups = run(&["-u", "5:6", "-g", "7", "-g", "8"], "grep Groups: /proc/self/status");
    assert_eq!(groups, "Groups:\t7 8");
    if !conformance::is_peer() {
        // urfave/cli cannot mix the two forms of a flag.
        assert_eq!(run(&["-e", "A=1", "--env", "B=2"], "echo $A $B"), "1 2");
    }
    assert_eq!(run(&["--no-new-privs"], "grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t1");
}

#[test]
fn added_capabilities_are_never_inheritable() {
    let t = sandbox!();
    let c = sleeper(&t);
    let status =
        c.exec_with(["--cap", "CAP_NET_RAW", "--cap", "CAP_CHOWN"], ["cat", "/proc/self/status"]).run().ok();
    let configured: u64 = 1 << 29 | 1 << 5 | 1 << 10;
    let added = format!("{:016x}", configured | 1 << 13 | 1);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(kernel::field(&status, set), added, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(kernel::field(&status, set), "0000000000000000", "{set}");
    }
    let output = c.exec_with(["--cap", "CAP_OF_THE_FUTURE"], ["true"]).run();
    output.ok();
    assert!(output.stderr().contains("CAP_OF_THE_FUTURE"), "{}", output.report());
}

#[test]
fn a_process_file_replaces_everything() {
    let t = sandbox!();
    let c = sleeper(&t);
    let mut process = json!({
        "args": ["sh", "-c", "pwd; echo $ONLY $TERM; cat /proc/self/status"],
        "cwd": "/tmp", "env": ["PATH=/bin", "ONLY=this"],
        "user": {"uid": 33, "gid": 44, "additionalGids": [55]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}],
        "capabilities": {"bounding": ["CAP_CHOWN"]},
        "noNewPrivileges": true, "oomScoreAdj": 300
    });
    let text = exec_process(&t, &c, &process).run().ok();
    assert!(text.starts_with("/tmp\nthis\n"), "{text}");
    assert_eq!(kernel::field(&text, "Uid"), "33\t33\t33\t33");
    assert_eq!(kernel::field(&text, "Gid"), "44\t44\t44\t44");
    assert_eq!(kernel::field(&text, "Groups"), "55");
    assert_eq!(kernel::field(&text, "CapBnd"), "0000000000000001");
    assert_eq!(kernel::field(&text, "NoNewPrivs"), "1");
    process["args"] = json!(["sh", "-c", "ulimit -n; cat /proc/self/oom_score_adj; exit 3"]);
    let output = exec_process(&t, &c, &process).run();
    output.fails(3);
    if !conformance::is_peer() {
        // Of runc 1.1 neither arrives: Go raises the soft limit, and the score is init's alone.
        assert_eq!(output.stdout(), "50\n300\n");
    }
}

#[test]
fn the_umask_is_that_of_the_process_or_022() {
    corten_only!(); // runc 1.1 ignores it, and hands the caller's on
    let t = sandbox!();
    let c = sleeper(&t);
    assert_eq!(c.exec_with([], ["sh", "-c", "umask"]).after("umask 077").run().ok(), "0022\n");
    let mut process = json!({"args": ["sh", "-c", "umask"], "cwd": "/", "env": ["PATH=/bin"]});
    process["user"] = json!({"uid": 0, "gid": 0, "umask": 7});
    assert_eq!(exec_process(&t, &c, &process).run().ok(), "0007\n");
}

#[test]
fn what_cannot_be_executed() {
    let t = sandbox!();
    let c = sleeper(&t);
    let fails = |flags: &[&str], args: &[&str], text: &str| {
        t.runtime(["exec"]).args(flags).args([c.id()]).args(args).run().fails_with(255, text);
    };
    let not_found = "exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH";
    fails(&[], &["nosuch"], not_found);
    fails(&[], &["/bin/nosuch"], "no such file or directory");
    fails(&[], &["/etc/passwd"], "permission denied");
    fails(&["--cwd", "relative"], &["true"], "Cwd must be an absolute path");
    fails(&["--cwd", "/etc/passwd"], &["true"], "not a directory");
    if !conformance::is_peer() {
        fails(&[], &["/etc"], "is a directory");
        fails(&[], &[], "exec args cannot be empty");
        fails(&["--user", "name"], &["true"], "bad uid");
        fails(&["--user", "0:name"], &["true"], "bad gid");
        fails(&["--env", "NOVALUE"], &["true"], "NOVALUE");
    }
    let process = |key: &str, value: Value| {
        let mut process = json!({"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}});
        process[key] = value;
        exec_process(&t, &c, &process).run()
    };
    process("cwd", json!("")).fails_with(255, "Cwd property must not be empty");
    process("args", json!([])).fails_with(255, "args must not be empty");
    t.runtime(["exec", "--process", "/nosuch", c.id()]).run().fails_with(255, "no such file or directory");
    assert_eq!(c.status(), "running");
    assert_eq!(t.runtime(["ps", "-f", "json", c.id()]).run().ok(), format!("[{}]\n", c.pid()));
}

#[test]
fn a_container_that_is_not_running() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(["sleep", "1000"]));
    // A created container can be entered.
    assert_eq!(c.shell("hostname"), "corten\n");
    assert_eq!(c.status(), "created");
    c.kill("KILL");
    c.wait_for("stopped");
    c.exec(["true"]).fails_with(255, "cannot exec in a stopped container");
    t.runtime(["exec", "nosuch", "true"]).run().fails_with(255, "container does not exist");
}

views!(a_paused_container_is_entered_only_on_demand);

fn a_paused_container_is_entered_only_on_demand(view: View) {
    let t = sandbox!(view);
    let c = sleeper(&t);
    c.call("pause").ok();
    c.exec(["true"]).fails_with(255, "cannot exec in a paused container (use --ignore-paused to override)");
    let mut running = c.exec_with(["--ignore-paused"], ["echo", "resumed"]).spawn();
    thread::sleep(std::time::Duration::from_millis(150));
    assert!(!running.is_over(), "it runs in a frozen container");
    c.call("resume").ok();
    assert_eq!(running.wait().ok(), "resumed\n");
}

#[test]
fn it_forwards_signals() {
    let t = sandbox!();
    let c = sleeper(&t);
    let running =
        c.exec_with([], ["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done"]).spawn();
    wait_until("the process", || running.stdout() == "ready\n");
    running.signal(Signal::SIGTERM);
    running.wait().fails(9);
}

#[test]
fn many_at_a_time() {
    let t = sandbox!();
    let c = sleeper(&t);
    thread::scope(|scope| {
        for worker in 0..6 {
            let (t, c) = (&t, &c);
            scope.spawn(move || {
                for turn in 0..5 {
                    let word = format!("{worker}-{turn}");
                    assert_eq!(t.runtime(["exec", c.id(), "echo", &word]).run().ok(), format!("{word}\n"));
                }
            });
        }
    });
    assert_eq!(t.runtime(["ps", "-f", "json", c.id()]).run().ok(), format!("[{}]\n", c.pid()));
}

#[test]
fn it_needs_no_bundle() {
    corten_only!(); // runc reads config.json of the bundle again
    let t = sandbox!();
    let mut bundle: Bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    fs::remove_file(bundle.dir().join("config.json")).unwrap();
    assert_eq!(c.shell("echo fine"), "fine\n");
}

fn it_enters_a_sub_cgroup(view: View) {
    let t = sandbox!(view);
    let c = sleeper(&t);
    let controller = if view.is_v2() { "" } else { "freezer" };
    let own = c.init().cgroup(controller).unwrap();
    fs::create_dir(own.join("sub")).unwrap();
    fs::create_dir(format!("{}-sibling", own.display())).unwrap();
    let flag = if view.is_v2() { "sub".to_owned() } else { "freezer:sub".to_owned() };
    let pid_file = t.path("pid");
    let flags = ["--detach", "--cgroup", &flag, "--pid-file", pid_file.to_str().unwrap()];
    c.exec_with(flags, ["sleep", "1000"]).run().ok();
    let process = kernel::Process(kernel::read(&pid_file).parse().unwrap());
    assert_eq!(process.cgroup(controller).unwrap(), own.join("sub"));
    let sibling = format!("../{}-sibling", c.id());
    for bad in ["../", "nosuch", &sibling, "sub/../../x"] {
        if conformance::is_peer() && bad == sibling {
            continue; // runc before 1.5.2 lets it in: the names have a common beginning
        }
        let flag = if view.is_v2() { bad.to_owned() } else { format!("freezer:{bad}") };
        c.exec_with(["--cgroup", &flag], ["true"]).run().fails(255);
    }
    if !view.is_v2() && !conformance::is_peer() {
        c.exec_with(["--cgroup", ":sub"], ["true"]).run().fails_with(255, "(empty <controller> prefix)");
        let twice = ["--cgroup", "freezer:sub", "--cgroup", "freezer:sub"];
        c.exec_with(twice, ["true"]).run().fails_with(255, "controller freezer specified multiple times");
    }
    c.force_delete();
    fs::remove_dir(format!("{}-sibling", own.display())).unwrap();
    t.assert_clean();
}

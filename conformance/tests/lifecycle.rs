//! create, start, run, state, kill, delete, list, ps, pause, resume.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use conformance::{View, corten_only, kernel, sandbox, views, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SLEEP: [&str; 2] = ["sleep", "1000"];
/// A payload that ends with status 7 on SIGTERM, once it has said that it is ready.
const ENDS_ON_TERM: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";

views!(whole_life, pause_and_resume, init_is_in_its_cgroup_when_create_returns, ps_lists_host_pids);

fn whole_life(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.script("echo started; exec sleep 1000");
    let c = t.create(&bundle);
    assert_eq!(c.status(), "created");
    let init = c.init();
    assert!(init.is_alive());
    assert_eq!(c.output().stdout(), "", "the payload runs before start");

    c.start();
    assert_eq!(c.status(), "running");
    assert_eq!(c.init().0, init.0, "the pid never changes");
    wait_until("the payload's output", || c.output().stdout() == "started\n");

    c.kill("KILL");
    c.wait_for("stopped");
    assert_eq!(c.state()["pid"], 0);
    c.delete();
    c.call("state").fails_with(1, "container does not exist");
    t.assert_clean();
}

#[test]
fn state_is_printed_as_engines_expect_it() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(SLEEP).set("/annotations/org.example.key", "a value");
    let c = t.create(&bundle);
    let text = c.call("state").ok();
    assert!(text.starts_with("{\n  \"ociVersion\": \"1."), "{text}");
    assert!(text.ends_with("\n}"), "ends without a newline: {text}");
    let keys = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  \"")).collect();
    for (line, key) in lines.iter().zip(keys) {
        assert!(line.starts_with(&format!("  \"{key}\": ")), "{key} expected, found {line}");
    }
    let state = c.state();
    assert_eq!(state["id"], c.id());
    assert_eq!(state["bundle"], json!(bundle.dir()));
    assert_eq!(state["rootfs"], json!(bundle.rootfs()));
    assert_eq!(state["annotations"], json!({"org.example.key": "a value"}));
    assert_eq!(state["owner"], "");
    let created = state["created"].as_str().unwrap();
    assert!(created.starts_with("20") && created.ends_with('Z') && created.contains('T'), "{created}");
}

#[test]
fn state_leaves_empty_annotations_out() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(SLEEP));
    assert_eq!(c.state().get("annotations"), None);
}

#[test]
fn state_root_is_private() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(SLEEP));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(t.state_root()), 0o700);
    assert_eq!(mode(t.state_root().join(c.id())) & 0o066, 0, "others can read the state directory");
}

fn init_is_in_its_cgroup_when_create_returns(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(SLEEP));
    let text = c.init().file("cgroup");
    let paths: Vec<&str> = text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    assert!(paths.iter().any(|path| path.ends_with(c.id())), "{text}");
    if view == View::Host && !View::host_is_v2() {
        let missing: Vec<_> = paths.iter().filter(|path| !path.ends_with(c.id())).collect();
        assert!(missing.len() <= 1, "in its own cgroup everywhere, but perhaps in the unified one: {text}");
    }
}

#[test]
fn foreground_run_gives_the_exit_status() {
    let t = sandbox!();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$; sleep 1", 137)] {
        let mut bundle = t.bundle();
        // Not pid 1, which would ignore its own signals.
        bundle.script(script).without_namespace("pid");
        t.run(&bundle).fails(code);
    }
    t.assert_clean();
}

#[test]
fn foreground_run_copies_standard_streams() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("cat; echo problem >&2");
    let input = "many lines\n".repeat(50_000);
    let output = t.on_bundle(["run"], &bundle, &t.id()).input(input.clone()).run();
    assert_eq!(output.ok(), input);
    assert_eq!(output.stderr(), "problem\n");
    t.assert_clean();
}

#[test]
fn foreground_run_forwards_signals() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script(ENDS_ON_TERM);
    let running = t.on_bundle(["run"], &bundle, &t.id()).spawn();
    wait_until("the payload", || running.stdout() == "ready\n");
    running.signal(Signal::SIGTERM);
    running.wait().fails(7);
    t.assert_clean();
}

#[test]
fn run_keeps_a_container_when_asked() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    let id = t.id();
    let output = t.on_bundle(["run", "--keep"], &bundle, &id).run();
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    assert_eq!(c.status(), "stopped");
    c.delete();
    t.assert_clean();
}

#[test]
fn detached_run_leaves_no_process_behind() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(SLEEP));
    assert_eq!(c.status(), "running");
    let program = t.program().as_os_str().to_str().unwrap();
    let mentions =
        |p: &kernel::Process| p.file("cmdline").contains(c.id()) && p.file("cmdline").contains(program);
    assert!(kernel::Process::all().iter().all(|p| !mentions(p)), "a runtime stays behind");
    c.force_delete();
    t.assert_clean();
}

#[test]
fn start_is_refused_twice_stopped_and_paused() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(SLEEP));
    c.call("start").fails_with(1, "cannot start an already running container");
    c.call("pause").ok();
    c.call("start").fails_with(1, "cannot start a container in the paused state");
    c.call("resume").ok();
    c.kill("KILL");
    c.wait_for("stopped");
    c.call("start").fails_with(1, "cannot start a container that has stopped");
}

#[test]
fn an_id_is_taken_once() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(SLEEP));
    for command in ["create", "run"] {
        t.on_bundle([command], &bundle, c.id()).run().fails_with(1, "container with given ID already exists");
    }
    assert_eq!(c.status(), "running");
    assert_eq!(c.exec(["true"]).code(), 0);
}

#[test]
fn kill_takes_numbers_and_names_in_any_case() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script(
        "for s in HUP INT USR1; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.02; done",
    );
    let c = t.launch(&bundle);
    let mut said = String::from("ready\n");
    for (signal, name) in
        [("1", "HUP"), ("SIGINT", "INT"), ("usr1", "USR1"), ("sigUSR1", "USR1"), ("HUP", "HUP")]
    {
        wait_until(&format!("{said:?}"), || c.output().stdout() == said);
        c.kill(signal);
        said += &format!("{name}\n");
    }
    wait_until(&format!("{said:?}"), || c.output().stdout() == said);
    c.command("kill", ["FOO"]).run().fails_with(1, "unknown signal \"FOO\"");
}

#[test]
fn kill_sends_sigterm_by_default() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.script(&format!("{ENDS_ON_TERM} >&2")));
    wait_until("the payload", || c.output().stdout() == "ready\n");
    c.call("kill").ok();
    c.wait_for("stopped");
}

#[test]
fn kill_of_what_does_not_run() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    for signal in ["TERM", "FOO"] {
        t.runtime(["kill", "nosuch", signal]).run().fails_with(1, "container does not exist");
    }
    let c = t.launch(bundle.args(["true"]));
    c.wait_for("stopped");
    c.command("kill", ["TERM"]).run().fails_with(1, "container not running");
    c.command("kill", ["0"]).run().fails_with(1, "container not running");
    t.runtime(["kill", "--all", c.id(), "KILL"]).run().ok();
    t.runtime(["kill", "-a", c.id(), "9"]).run().ok();
}

#[test]
fn a_created_container_can_be_killed() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(SLEEP));
    c.kill("KILL");
    c.wait_for("stopped");
    c.call("start").fails(1);
    c.delete();
    t.assert_clean();
}

/// Though it is the first process of its pid namespace, which the kernel spares all signals but SIGKILL without a handler.
#[test]
fn a_created_container_heeds_signals() {
    corten_only!(); // runc pays no heed to some
    let t = sandbox!();
    for (signal, own_namespace) in
        [("TERM", true), ("INT", true), ("USR1", true), ("RTMIN+3", true), ("TERM", false)]
    {
        let mut bundle = t.bundle();
        bundle.args(SLEEP);
        if !own_namespace {
            bundle.without_namespace("pid");
        }
        let c = t.create(&bundle);
        for harmless in ["CHLD", "WINCH", "CONT", "0"] {
            c.kill(harmless);
        }
        assert_eq!(c.status(), "created");
        c.kill(signal);
        c.wait_for("stopped");
        c.delete();
    }
    t.assert_clean();
}

/// What init does with signals while it waits is no matter of the payload's.
#[test]
fn the_payload_has_default_dispositions() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
    let none = "0".repeat(16);
    let expected = format!("SigBlk:\t{none}\nSigIgn:\t{none}\nSigCgt:\t{none}\n");
    assert_eq!(t.run(&bundle).ok(), expected);
}

views!(a_paused_container_can_be_killed, kill_reaches_all_of_a_shared_pid_namespace);

fn a_paused_container_can_be_killed(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(SLEEP));
    c.call("pause").ok();
    c.kill("KILL");
    c.wait_for("stopped");
    c.delete();
    t.assert_clean();
}

fn kill_reaches_all_of_a_shared_pid_namespace(view: View) {
    corten_only!(); // runc 1.1 needs --all
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.script("sleep 1000 & sleep 1001 & echo ready; wait").without_namespace("pid");
    let c = t.launch(&bundle);
    wait_until("the payload", || c.output().stdout() == "ready\n");
    c.kill("KILL");
    c.wait_for("stopped");
    wait_until("the end of all processes", || {
        kernel::Process::all().iter().all(|p| !p.file("cgroup").contains(c.id()) || !p.is_alive())
    });
    c.delete();
    t.assert_clean();
}

views!(kill_reaches_what_init_has_left_behind);

fn kill_reaches_what_init_has_left_behind(view: View) {
    corten_only!(); // since runc 1.2
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.script("sleep 1000 & sleep 1001 & echo ready; wait").without_namespace("pid");
    let c = t.launch(&bundle);
    wait_until("the payload", || c.output().stdout() == "ready\n");
    let members = || {
        let all = kernel::Process::all().into_iter();
        all.filter(|p| p.file("cgroup").contains(c.id()) && p.is_alive()).count()
    };
    c.init().signal(Signal::SIGKILL);
    c.wait_for("stopped");
    assert_eq!(members(), 2);
    c.command("kill", ["TERM"]).run().fails_with(1, "container not running");
    c.kill("KILL");
    wait_until("the end of all processes", || members() == 0);
    c.command("kill", ["KILL"]).run().fails_with(1, "container not running");
    c.delete();
    t.assert_clean();
}

#[test]
fn delete_by_state() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(SLEEP);
    t.runtime(["delete", "nosuch"]).run().fails_with(1, "container does not exist");
    assert_eq!(t.runtime(["delete", "--force", "nosuch"]).run().ok(), "");

    let created = t.create(&bundle);
    created.delete();

    let running = t.launch(&bundle);
    let text = format!("cannot delete container {} that is not stopped: running", running.id());
    running.call("delete").fails_with(1, &text);
    assert_eq!(running.status(), "running");
    t.runtime(["delete", "-f", running.id()]).run().ok();

    let paused = t.launch(&bundle);
    paused.call("pause").ok();
    paused.call("delete").fails(1);
    paused.force_delete();
    t.assert_clean();
}

views!(forced_delete_takes_everything_in_a_shared_pid_namespace);

fn forced_delete_takes_everything_in_a_shared_pid_namespace(view: View) {
    if view == View::V2 {
        corten_only!(); // runc 1.1 leaves the cgroup behind at times
    }
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.script("sleep 1000 & sleep 1001 & echo ready; wait").without_namespace("pid");
    let c = t.launch(&bundle);
    wait_until("the payload", || c.output().stdout() == "ready\n");
    c.force_delete();
    t.assert_clean();
}

#[test]
fn delete_takes_a_directory_that_holds_no_container_away() {
    corten_only!(); // runc wants more than a directory in its own
    let t = sandbox!();
    for lock in [false, true] {
        let dir = t.state_root().join("left");
        fs::create_dir_all(&dir).unwrap();
        if lock {
            fs::write(dir.join("lock"), "").unwrap();
        }
        t.runtime(["delete", "left"]).run().fails_with(1, "container does not exist");
        assert!(!dir.exists());
    }
    // One that cannot be read is left to --force.
    let dir = t.state_root().join("odd");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("state.json"), "{}").unwrap();
    t.runtime(["delete", "odd"]).run().fails_with(1, "state.json");
    assert!(dir.exists());
    t.runtime(["delete", "--force", "odd"]).run().ok();
    assert!(!dir.exists());
}

#[test]
fn delete_needs_neither_the_bundle_nor_its_directory() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(SLEEP));
    fs::remove_dir_all(bundle.dir()).unwrap();
    t.runtime(["delete", "--force", c.id()]).dir("/").run().ok();
    t.assert_clean();
}

fn pause_and_resume(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let c = t.launch(bundle.script("while :; do echo tick; sleep 0.01; done"));
    wait_until("a tick", || !c.output().stdout().is_empty());
    c.call("resume").fails_with(1, "container not paused");
    c.call("pause").ok();
    assert_eq!(c.status(), "paused");
    let length = c.output().stdout().len();
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(c.output().stdout().len(), length, "it runs while paused");
    c.exec(["true"]).fails_with(255, "cannot exec in a paused container");
    c.call("resume").ok();
    assert_eq!(c.status(), "running");
    wait_until("more ticks", || c.output().stdout().len() > length);
    c.force_delete();
    t.assert_clean();
}

#[test]
fn pause_needs_a_process() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["true"]));
    c.wait_for("stopped");
    c.call("pause").fails_with(1, "container not running");
    c.call("resume").fails_with(1, "container not paused");
    t.runtime(["pause", "nosuch"]).run().fails_with(1, "container does not exist");
}

#[test]
fn list_in_all_forms() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.create(bundle.args(SLEEP));
    let table = t.runtime(["list"]).run().ok();
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let state = c.state();
    let bundle_dir = bundle.dir().to_str().unwrap();
    let pid = c.pid().to_string();
    assert_eq!(row, [c.id(), &pid, "created", bundle_dir, state["created"].as_str().unwrap(), "root"]);
    assert_eq!(lines.next(), None);

    assert_eq!(t.runtime(["list", "-q"]).run().ok(), format!("{}\n", c.id()));
    let json = t.runtime(["list", "--format", "json"]).run().ok();
    assert!(json.ends_with("]\n") && json.lines().count() == 1, "{json}");
    let mut expected = state.clone();
    expected["owner"] = json!("root");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!([expected]));
    t.runtime(["list", "-f", "xml"]).run().fails_with(1, "invalid format option");
}

views!(containers_are_listed_without_their_cgroups);

/// What somebody with another view of the cgroup file systems has made is listed all the same.
fn containers_are_listed_without_their_cgroups(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let created = t.create(bundle.args(SLEEP));
    let running = t.launch(&bundle);
    let nothing = r#"mount -t tmpfs none /sys/fs/cgroup && exec "$@""#;
    let elsewhere = ["unshare", "-m", "--propagation", "private", "sh", "-c", nothing, "sh"];
    let list =
        [t.program(), "--root".as_ref(), &t.state_root(), "list".as_ref(), "-f".as_ref(), "json".as_ref()];
    let list = t.command(list).wrap(elsewhere).run();
    let states: Vec<Value> = serde_json::from_str(&list.ok()).unwrap();
    let shown: Vec<_> = states.iter().map(|state| (&state["id"], &state["status"])).collect();
    let expected = [(&json!(created.id()), &json!("created")), (&json!(running.id()), &json!("running"))];
    assert_eq!(shown, expected);
    assert_eq!(list.stderr(), "");
}

#[test]
fn list_of_nothing() {
    let t = sandbox!();
    fs::create_dir(t.state_root()).unwrap();
    assert_eq!(t.runtime(["list", "-f", "json"]).run().ok(), "null\n");
    assert_eq!(t.runtime(["list", "-q"]).run().ok(), "");
    let table = t.runtime(["list"]).run().ok();
    assert_eq!(table.split_whitespace().next(), Some("ID"));
    assert_eq!(table.lines().count(), 1);
}

fn ps_lists_host_pids(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    let c = t.launch(bundle.script("sleep 1000 & sleep 1001 & echo ready; wait"));
    wait_until("the payload", || c.output().stdout() == "ready\n");
    let json = t.runtime(["ps", "--format", "json", c.id()]).run().ok();
    assert!(json.ends_with("]\n"), "{json:?}");
    let pids: Vec<u32> = serde_json::from_str(&json).unwrap();
    assert_eq!(pids.len(), 3);
    assert!(pids.contains(&c.pid()));

    let table = c.call("ps").ok();
    assert!(table.lines().next().unwrap().contains("PID"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    let table = t.runtime(["ps", c.id(), "-o", "pid,args"]).run().ok();
    assert!(table.contains("sleep 1001"), "{table}");
    // The other view needs programs of its own.
    if !conformance::is_peer() && !view.is_v2() {
        let table = t.runtime(["ps", c.id()]).env("PATH", "/nowhere").run().ok();
        assert_eq!(table.lines().count(), 4, "{table}");
        assert!(table.contains("PID") && table.contains("sleep 1001"), "{table}");
    }

    c.kill("KILL");
    c.wait_for("stopped");
    assert_eq!(t.runtime(["ps", "-f", "json", c.id()]).run().ok(), "null\n");
    t.runtime(["ps", "nosuch"]).run().fails_with(1, "container does not exist");
}

/// Each of these must come from `create` already, with the words that Podman and moby look for.
#[test]
fn create_looks_the_payload_up() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::write(bundle.inside("/etc/plain"), "text").unwrap();
    for (arg, text) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/bin/nosuch", "no such file or directory"),
        ("/etc", "is a directory"),
        ("/etc/plain", "permission denied"),
        ("/etc/passwd/x", "not a directory"),
    ] {
        // runc 1.1 says "permission denied" of directories.
        let text = if conformance::is_peer() && arg == "/etc" { "" } else { text };
        let stderr = t.create_fails(bundle.args([arg]));
        assert!(stderr.contains(text), "{arg}: {text:?} is missing in {stderr}");
        assert!(stderr.contains("runc create failed: unable to start container process: "), "{stderr}");
    }
    let output = t.run(&bundle);
    output.fails_with(1, "runc run failed: unable to start container process: ");
    t.assert_clean();
}

#[test]
fn a_lookup_uses_the_path_of_the_process() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    fs::create_dir(bundle.inside("/opt")).unwrap();
    fs::copy(bundle.inside("/bin/busybox"), bundle.inside("/opt/echo")).unwrap();
    bundle.args(["echo", "found"]).set("/process/env", json!(["PATH=/nosuch:/opt"]));
    assert_eq!(t.run(&bundle).ok(), "found\n");
    bundle.args(["ls"]);
    t.create_fails(&bundle);
}

#[test]
fn what_the_kernel_cannot_execute_is_an_error_of_start() {
    corten_only!(); // runc reports nothing: the container is started and then stopped
    let t = sandbox!();
    let mut bundle = t.bundle();
    let program = bundle.inside("/bin/broken");
    fs::write(&program, "\x7fELF, but not really").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let c = t.create(bundle.args(["/bin/broken"]));
    c.call("start").fails_with(1, "exec format error");
    c.wait_for("stopped");
    c.delete();
    t.on_bundle(["run"], &bundle, &t.id()).run().fails_with(1, "exec format error");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    let output = t.on_bundle(["--log-format=json", "run"], &bundle, &t.id()).run();
    output.fails_with(1, "no such file or directory");
    assert!(output.stderr().contains("the interpreter or loader that the file names"), "{}", output.report());
    t.assert_clean();
}

#[test]
fn the_config_may_be_outside_the_bundle() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["echo", "elsewhere"]).write();
    let config = t.path("other.json");
    fs::rename(bundle.dir().join("config.json"), &config).unwrap();
    let dir = bundle.dir().to_str().unwrap().to_owned();
    let with = |command: &[&str], config: &str, id: &[&str]| {
        let words = [command, &["--bundle", &dir, "--config", config], id].concat();
        t.runtime(words).dir(t.dir()).run()
    };
    assert_eq!(with(&["run"], "other.json", &[&t.id()]).ok(), "elsewhere\n");
    let id = t.id();
    with(&["create"], config.to_str().unwrap(), &[&id]).ok();
    t.runtime(["delete", "--force", &id]).run().ok();
    assert_eq!(with(&["check"], "other.json", &[]).ok(), "no faults\n");
    assert!(with(&["plan"], "other.json", &[]).ok().contains("elsewhere"));

    fs::write(&config, bundle.set("/typo", 1).config().to_string()).unwrap();
    with(&["run", "--strict"], "other.json", &[&t.id()]).fails_with(1, "/typo: unknown field");
    with(&["run"], "nowhere.json", &[&t.id()]).fails_with(1, "nowhere.json: no such file or directory");
    t.assert_clean();
}

#[test]
fn the_bundle_is_the_current_directory_by_default() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["echo", "here"]).write();
    let id = t.id();
    assert_eq!(t.runtime(["run", &id]).dir(bundle.dir()).run().ok(), "here\n");
    let name = bundle.dir().file_name().unwrap().to_str().unwrap();
    let id = t.id();
    assert_eq!(t.runtime(["run", "-b", name, &id]).dir(t.dir()).run().ok(), "here\n");
}

#[test]
fn a_zombie_is_stopped() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(SLEEP).write();
    let id = t.id();
    let root = t.state_root();
    let rt = format!("'{}' --root '{}'", t.program().display(), root.display());
    let run = format!("{rt} run -d -b '{}' {id} && {rt} kill {id} KILL", bundle.dir().display());
    let look = format!("sleep 0.2; {rt} state {id}; {rt} delete {id}");
    // Pid 1 of the namespace is a sleep: it never reaps the orphan that init is.
    let script =
        format!("({run}; {look}; echo done) >'{}' 2>&1 </dev/null & exec sleep 20", t.path("said").display());
    let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script];
    let running = t.command(unshare).spawn();
    let said = || fs::read_to_string(t.path("said")).unwrap_or_default();
    wait_until("the end of the script", || said().ends_with("done\n"));
    running.signal(Signal::SIGKILL);
    assert!(said().contains("\"status\": \"stopped\""), "{}", said());
    assert!(!root.join(&id).exists(), "{}", said());
    t.assert_clean();
}

#[test]
fn a_failed_create_leaves_the_state_root_usable() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let id = t.id();
    bundle.args(["nosuch"]);
    t.on_bundle(["create"], &bundle, &id).run().fails(1);
    t.assert_clean();
    bundle.args(["echo", "again"]);
    assert_eq!(t.on_bundle(["run"], &bundle, &id).run().ok(), "again\n");
}

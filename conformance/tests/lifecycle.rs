//! create, start, run, state, delete, pause, resume.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use conformance::{View, corten_only, kernel, sandbox, tool, views, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SLEEP: [&str; 2] = ["sleep", "1000"];
/// A payload that ends with status 7 on SIGTERM, once it has said that it is ready.
const ENDS_ON_TERM: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";

views!(whole_life, pause_and_resume, init_is_in_its_cgroup_when_create_returns);

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

views!(delete_takes_what_init_has_left_behind);

fn delete_takes_what_init_has_left_behind(view: View) {
    corten_only!(); // runc 1.1 finds its cgroup busy
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.script("sleep 1000 & sleep 1001 & echo ready; wait").without_namespace("pid");
    let c = t.launch(&bundle);
    wait_until("the payload", || c.output().stdout() == "ready\n");
    let left = || {
        let all = kernel::Process::all().into_iter();
        all.filter(|p| p.file("cgroup").contains(c.id()) && p.is_alive()).count()
    };
    c.init().signal(Signal::SIGKILL);
    c.wait_for("stopped");
    assert_eq!(left(), 2);
    c.delete();
    assert_eq!(left(), 0);
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
    if tool("setpriv").is_some() {
        // A caller to whom init is closed does not see its plan, nor does another release understand it.
        let c = t.create(&bundle);
        let closed = ["setpriv", "--bounding-set", "-sys_ptrace"];
        let output = t.runtime(["start", c.id()]).wrap(closed).run();
        output.fails_with(1, "unable to start \"/bin/broken\": ");
        output.fails_with(1, "exec format error");
        c.force_delete();
    }
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
    with(&["run", "--strict"], "other.json", &[&t.id()]).fails_with(1, "/typo: not a field");
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

/// An image that is a nameless file gives its inode to a later one: by that alone no process is a container's.
#[test]
fn an_image_is_not_known_by_a_number_that_others_get() {
    corten_only!();
    let t = sandbox!();
    let (c, other) = (t.create(&t.bundle()), t.create(&t.bundle()));
    let file = |id: &str| t.state_root().join(id).join("state.json");
    let read = |id: &str| serde_json::from_slice::<Value>(&fs::read(file(id)).unwrap()).unwrap();
    c.init().signal(Signal::SIGKILL);
    c.wait_for("stopped");
    // As if another container's init had got the pid and the inode, without a memfd.
    let mut record = read(c.id());
    let theirs = &read(other.id())["init"];
    record["init"]["image"] = theirs["image"].clone();
    record["init"]["identity"]["pid"] = theirs["identity"]["pid"].clone();
    record["init"].as_object_mut().unwrap().remove("imageIsUnique");
    fs::write(file(c.id()), record.to_string()).unwrap();
    assert_eq!((c.status().as_str(), other.status().as_str()), ("stopped", "created"));
    c.delete();
    other.force_delete();
    t.assert_clean();
}

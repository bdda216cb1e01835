//! A command that is killed at any moment leaves nothing that `delete --force` does not clean.

use std::thread::sleep;
use std::time::{Duration, Instant};

use conformance::{Bundle, Command, Container, Sandbox, View, corten_only, sandbox, views, wait_until};
use nix::sys::signal::Signal;

/// How many moments of each command are tried.
const MOMENTS: u32 = 24;

views!(create, run, start_and_delete, exec);

/// How long a command takes when nobody disturbs it.
fn duration(command: Command) -> Duration {
    let begin = Instant::now();
    command.run().ok();
    begin.elapsed()
}

/// Starts the command, kills it after a part of `whole`, and waits for its end.
fn kill_after(command: Command, whole: Duration, moment: u32) {
    let running = command.spawn();
    sleep(whole * moment / MOMENTS);
    running.signal(Signal::SIGKILL);
    running.wait();
}

fn force_delete(t: &Sandbox, id: &str) {
    t.runtime(["delete", "--force", id]).run().ok();
    let state = t.runtime(["state", id]).run();
    state.fails_with(1, "container does not exist");
}

fn try_new_containers(t: &Sandbox, command: &dyn Fn(&Bundle, &str) -> Command) {
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    // The first run pays for what later ones find in caches.
    for _ in 0..2 {
        let id = t.id();
        command(&bundle, &id).run().ok();
        force_delete(t, &id);
    }
    let id = t.id();
    let whole = duration(command(&bundle, &id));
    force_delete(t, &id);
    for moment in 0..=MOMENTS {
        let id = t.id();
        kill_after(command(&bundle, &id), whole, moment);
        force_delete(t, &id);
        // The id is free again, at once.
        if moment % 8 == 0 {
            command(&bundle, &id).run().ok();
            force_delete(t, &id);
        }
    }
    t.assert_clean();
}

fn create(view: View) {
    corten_only!(); // runc leaves a cgroup behind in every second try
    let t = sandbox!(view);
    try_new_containers(&t, &|bundle, id| t.on_bundle(["create"], bundle, id));
}

fn run(view: View) {
    corten_only!();
    let t = sandbox!(view);
    try_new_containers(&t, &|bundle, id| t.on_bundle(["run", "--detach"], bundle, id));
}

fn start_and_delete(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let whole = duration(t.create(&bundle).command("start", [""; 0]));
    for moment in 0..=MOMENTS {
        let c = t.create(&bundle);
        kill_after(c.command("start", [""; 0]), whole, moment);
        // It has started or not, or died with the command; a status there is.
        let status = c.status();
        assert!(["created", "running", "stopped"].contains(&status.as_str()), "{status}");
        kill_after(t.runtime(["delete", "--force", c.id()]), whole, moment);
        force_delete(&t, c.id());
    }
    t.assert_clean();
}

fn exec(view: View) {
    corten_only!();
    let t = sandbox!(view);
    let c = t.launch(t.bundle().args(["sleep", "1000"]));
    let command = |c: &Container<'_>| c.exec_with([], ["true"]);
    command(&c).run().ok();
    let whole = duration(command(&c));
    for moment in 0..=MOMENTS {
        kill_after(command(&c), whole, moment);
    }
    assert_eq!(c.status(), "running");
    c.exec(["true"]).ok();
    let only_init = format!("[{}]\n", c.pid());
    wait_until("the end of what was killed halfway", || {
        t.runtime(["ps", "--format", "json", c.id()]).run().ok() == only_init
    });
    c.force_delete();
    t.assert_clean();
}

/// A foreground `run` that is killed leaves a container that can be deleted.
#[test]
fn a_killed_foreground() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("echo ready; sleep 1000");
    let id = t.id();
    let running = t.on_bundle(["run"], &bundle, &id).spawn();
    wait_until("the payload", || running.stdout() == "ready\n");
    running.signal(Signal::SIGKILL);
    running.wait();
    t.runtime(["delete", "--force", &id]).run().ok();
    t.assert_clean();
}

/// A creator that hangs in a hook is interrupted by a forced delete.
#[test]
fn a_forced_delete_interrupts_a_create() {
    corten_only!(); // rule D31
    let t = sandbox!();
    let mut bundle = t.bundle();
    // The comment marks the hook as the sandbox's, which must not outlive it.
    let code = format!("sleep 60; true # {}", t.dir().display());
    let hook = serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", code]});
    bundle.push("/hooks/createRuntime", hook);
    let id = t.id();
    let creating = t.on_bundle(["create"], &bundle, &id).spawn();
    wait_until("the hook", || t.runtime(["state", &id]).run().success());
    t.runtime(["kill", &id, "KILL"]).run().fails_with(1, "container not running");
    let begin = Instant::now();
    t.runtime(["delete", "--force", &id]).run().ok();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // It fails, or has been killed: a corten command may be.
    assert!(!creating.wait().success());
    t.assert_clean();
}

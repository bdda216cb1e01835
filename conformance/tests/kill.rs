//! kill.

use conformance::{View, corten_only, kernel, sandbox, views, wait_until};
use nix::sys::signal::Signal;

const SLEEP: [&str; 2] = ["sleep", "1000"];

views!(
    a_paused_container_can_be_killed,
    kill_reaches_all_of_a_shared_pid_namespace,
    kill_reaches_what_init_has_left_behind
);

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
    let c = t.launch(bundle.script("trap exit TERM; echo ready; while :; do sleep 0.05; done"));
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

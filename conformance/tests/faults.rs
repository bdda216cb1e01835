//! A command that is killed between any two of its system calls leaves nothing that `delete --force` does not clean.
//!
//! Each run tries some of the calls, another run others; `FAULT_STEP=1` tries them all.

use std::collections::HashMap;
use std::fs;

use conformance::{Bundle, Command, Sandbox, View, corten_only, sandbox, skip, tool, views};

/// Every how many calls one is tried.
const STEP: usize = 24;

views!(create, run, start, exec, delete, delete_by_force);

/// Makes what a command needs: the id of a container.
type Prepare = fn(&Sandbox, &Bundle) -> String;

fn nothing(t: &Sandbox, _: &Bundle) -> String {
    t.id()
}

fn created(t: &Sandbox, bundle: &Bundle) -> String {
    let id = t.id();
    t.on_bundle(["create"], bundle, &id).run().ok();
    id
}

fn running(t: &Sandbox, bundle: &Bundle) -> String {
    let id = t.id();
    t.on_bundle(["run", "--detach"], bundle, &id).run().ok();
    id
}

/// The system calls that a command makes, each with its number among those of its name.
fn calls(t: &Sandbox, command: Command) -> Vec<(String, usize)> {
    let trace = t.path("trace");
    command.wrap(["strace", "-e", "signal=none", "-o", trace.to_str().unwrap()]).run().ok();
    let mut counts = HashMap::new();
    let mut calls = Vec::new();
    for line in fs::read_to_string(&trace).unwrap().lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        if name == "execve" {
            // What was before it made the view.
            calls.clear();
        }
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        calls.push((name.to_owned(), *count));
    }
    calls
}

fn kill_at_each_call(view: View, prepare: Prepare, command: impl Fn(&Sandbox, &Bundle, &str) -> Command) {
    corten_only!(); // the peers leave cgroups behind
    let t = sandbox!(view);
    if tool("strace").is_none() {
        skip!("strace is not installed (see conformance/install-deps.sh)");
    }
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let force_delete = |id: &str| t.runtime(["delete", "--force", id]).run().ok();

    let id = prepare(&t, &bundle);
    let calls = calls(&t, command(&t, &bundle, &id));
    force_delete(&id);
    let step = std::env::var("FAULT_STEP").map_or(STEP, |step| step.parse().expect("FAULT_STEP"));
    let first = std::process::id() as usize % step;
    for (name, number) in calls.iter().skip(first).step_by(step) {
        let id = prepare(&t, &bundle);
        let fault = format!("inject={name}:signal=SIGKILL:when={number}");
        eprintln!("{fault}");
        let output = t.path("faulty").to_str().unwrap().to_owned();
        command(&t, &bundle, &id).wrap(["strace", "-o", &output, "-e", "signal=none", "-e", &fault]).run();
        force_delete(&id);
        t.assert_clean();
    }
}

fn create(view: View) {
    kill_at_each_call(view, nothing, |t, bundle, id| t.on_bundle(["create"], bundle, id));
}

fn run(view: View) {
    kill_at_each_call(view, nothing, |t, bundle, id| t.on_bundle(["run", "--detach"], bundle, id));
}

fn start(view: View) {
    kill_at_each_call(view, created, |t, _, id| t.runtime(["start", id]));
}

fn exec(view: View) {
    kill_at_each_call(view, running, |t, _, id| t.runtime(["exec", id, "true"]));
}

fn delete(view: View) {
    kill_at_each_call(view, created, |t, _, id| t.runtime(["delete", id]));
}

fn delete_by_force(view: View) {
    kill_at_each_call(view, running, |t, _, id| t.runtime(["delete", "--force", id]));
}

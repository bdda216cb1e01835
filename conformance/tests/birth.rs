//! How processes come into the container's cgroup. A write to `cgroup.procs` waits for every processor of the host, so there is
//! none on the way to a started container, nor in `exec`.

use std::fs;

use conformance::{Command, Sandbox, View, corten_only, sandbox, skip, tool, views};

views!(nobody_is_moved);

/// What a command and all that it starts open, write and clone.
fn trace(t: &Sandbox, command: Command) -> String {
    let output = t.path("trace");
    let calls = "trace=open,openat,openat2,creat,write,writev,pwrite64,clone,clone3,vfork,fork";
    let strace = ["strace", "-f", "-y", "-s", "200", "-e", calls, "-e", "signal=none", "-o"];
    command.wrap([output.to_str().unwrap()]).wrap(strace).run().ok();
    fs::read_to_string(output).unwrap()
}

#[track_caller]
fn judge(view: View, trace: &str, what: &str) {
    let writes = |line: &&str| {
        line.contains("cgroup.procs")
            && (!line.contains("open") || line.contains("O_WRONLY") || line.contains("O_RDWR"))
    };
    assert_eq!(trace.lines().filter(writes).collect::<Vec<_>>(), [""; 0], "{what}");
    // The way that is taken in its place, without which there would be nothing to see.
    let by_clone = trace.lines().any(|line| line.contains("CLONE_INTO_CGROUP"));
    let by_tasks = trace.lines().any(|line| line.contains("/tasks>, \"0\""));
    assert_eq!(
        (by_clone, by_tasks),
        (conformance::kernel::hierarchy("").is_some(), !view.is_v2()),
        "{what}: {trace}"
    );
}

fn nobody_is_moved(view: View) {
    corten_only!();
    if tool("strace").is_none() {
        skip!("strace is not installed (see conformance/install-deps.sh)");
    }
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.args(["true"]).write();
    judge(view, &trace(&t, t.on_bundle(["run"], &bundle, &t.id())), "run");

    // Step by step. strace stays with what it has seen born, so the payload ends by itself.
    bundle.script("while [ ! -e /tmp/end ]; do sleep 0.1; done").set("/root/readonly", false);
    let id = t.id();
    let create = t.path("create");
    let words =
        ["strace", "-f", "-D", "-y", "-s", "200", "-e", "signal=none", "-o", create.to_str().unwrap()];
    let output = t.on_bundle(["create"], &bundle, &id).wrap(words).run();
    output.ok();
    let c = conformance::Container::new(&t, id, output);
    judge(view, &fs::read_to_string(&create).unwrap(), "create");
    let start = trace(&t, c.command("start", [""; 0]));
    assert!(!start.contains("cgroup.procs") && !start.contains("/tasks"), "{start}");
    judge(view, &trace(&t, c.exec_with([], ["true"])), "exec");
    fs::write(bundle.inside("tmp/end"), "").unwrap();
    c.wait_for("stopped");
    c.delete();
    t.assert_clean();
}

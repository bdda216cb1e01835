//! A host whose `/proc` is not what it should be (rule D3): the runtime makes a procfs of its own, which nobody else sees.

use conformance::{Container, Output, Sandbox, corten_only, sandbox};
use serde_json::{Value, json};

/// No procfs, one with less in it, files of somebody's making, and a part of one. One that hides processes hides none from root:
/// `rootless` has it.
const CHANGES: [&str; 4] = [
    "mount -t tmpfs none /proc",
    "mount -t proc -o subset=pid none /proc",
    "mount -t tmpfs none /proc && mkdir -p /proc/self /proc/thread-self/attr && \
     echo '0 0 4294967295' > /proc/self/uid_map && echo 4.0 > /proc/version",
    "mount --bind /proc/sys /proc",
];

/// Runs the runtime, with these arguments, on such a host.
fn on(t: &Sandbox, change: &str, args: &[&str]) -> Output {
    let code = format!("{change} && exec \"$@\"");
    t.runtime(args).wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", &code, "sh"]).run()
}

#[test]
fn every_command_works_without_a_procfs_of_the_hosts() {
    corten_only!();
    let t = sandbox!();
    for change in CHANGES {
        let (mut bundle, id) = (t.bundle(), t.id());
        bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})).set("/process/oomScoreAdj", 7);
        bundle.mount(
            "/mapped",
            "bind",
            bundle.inside("/etc"),
            &["bind", "idmap=uids=0-1000-1;gids=0-1000-1"],
        );
        bundle.set("/root/readonly", false);
        bundle.script(
            "cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; stat -c %u /mapped; exec sleep 1000",
        );
        let dir = bundle.write().dir().to_str().unwrap().to_owned();
        let run = |args: &[&str]| on(&t, change, args);
        let created = run(&["create", "--bundle", &dir, &id]);
        created.ok();
        let c = Container::new(&t, id.clone(), created);
        run(&["start", &id]).ok();
        let state: Value = serde_json::from_str(&run(&["state", &id]).ok()).unwrap();
        assert_eq!(state["status"], "running", "{change}");
        assert_eq!(run(&["exec", &id, "cat", "/proc/1/comm"]).ok(), "sleep\n", "{change}");
        assert!(run(&["list"]).ok().contains("running"), "{change}");
        let pids: Vec<i32> = serde_json::from_str(&run(&["ps", "--format", "json", &id]).ok()).unwrap();
        assert_eq!(pids.len(), 1, "{change}");
        let table = run(&["ps", &id]).ok();
        assert!(table.contains("sleep 1000") && table.lines().count() == 2, "{change}: {table}");
        run(&["update", "--pids-limit", "100", &id]).ok();
        run(&["pause", &id]).ok();
        run(&["resume", &id]).ok();
        run(&["kill", &id, "KILL"]).ok();
        c.wait_for("stopped");
        assert_eq!(c.output().stdout(), "1\n7\n1000\n", "{change}");
        run(&["delete", &id]).ok();
        t.assert_clean();
    }
}

/// In a pid namespace with the procfs of the one around it, the container's pids are there those of strangers.
#[test]
fn a_procfs_of_another_pid_namespace_is_none() {
    corten_only!();
    let t = sandbox!();
    let (mut bundle, id) = (t.bundle(), t.id());
    bundle.set("/process/oomScoreAdj", 7).script("cat /proc/self/oom_score_adj; exec sleep 1000");
    let code = format!(
        "\"$@\" create --bundle '{}' {id} && \"$@\" start {id} && \"$@\" list && \"$@\" exec {id} cat /proc/1/comm && \
         \"$@\" ps {id}; \"$@\" delete --force {id}",
        bundle.write().dir().display()
    );
    let in_pid_namespace = ["unshare", "-mpf", "--propagation", "private", "sh", "-c", &code, "sh"];
    let output = t.runtime([""; 0]).wrap(in_pid_namespace).run();
    let stdout = output.ok();
    for expected in ["7\n", "running", "sleep\n", "sleep 1000"] {
        assert!(stdout.contains(expected), "{expected}: {}", output.report());
    }
    t.assert_clean();
}

/// Where none can be made either, one error says so.
#[test]
fn a_host_without_a_procfs_is_told() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    bundle.write();
    let create = ["create", "--bundle", bundle.dir().to_str().unwrap(), "nobody"];
    let code = "mount -t tmpfs none /proc && exec setpriv --bounding-set=-sys_admin \"$@\"";
    let refused =
        t.runtime(create).wrap(["unshare", "-m", "--propagation", "private", "sh", "-c", code, "sh"]).run();
    let stderr = refused.fails(1);
    assert!(stderr.contains("/proc is not the root of a whole procfs"), "{stderr}");
}

//! list and ps.

use std::fs;

use conformance::{View, corten_only, sandbox, views, wait_until};
use serde_json::{Value, json};

const SLEEP: [&str; 2] = ["sleep", "1000"];

views!(containers_are_listed_without_their_cgroups, ps_lists_host_pids);

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

//! list and ps.

use std::fs;

use conformance::{Container, View, corten_only, sandbox, views, wait_until};
use serde_json::{Value, json};

const SLEEP: [&str; 2] = ["sleep", "1000"];

views!(containers_are_listed_without_their_cgroups, a_list_says_what_state_says, ps_lists_host_pids);

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

/// A list is made of less than a state: of a part of the record, by path.
fn a_list_says_what_state_says(view: View) {
    let t = sandbox!(view);
    let mut bundle = t.bundle();
    bundle.args(SLEEP);
    let waiting = t.create(&bundle);
    let frozen = t.create(&bundle);
    frozen.call("pause").ok();
    let killed = t.create(&bundle);
    killed.kill("KILL");
    let running = t.launch(&bundle);
    let paused = t.launch(&bundle);
    paused.call("pause").ok();
    let ended = t.launch(&bundle);
    ended.kill("KILL");
    bundle.set("/annotations", json!({"a": "b \" c"}));
    let annotated = t.create(&bundle);
    let containers = [waiting, frozen, killed, running, paused, ended, annotated];
    let statuses = ["created", "paused", "stopped", "running", "paused", "stopped", "created"];
    for (container, status) in containers.iter().zip(statuses) {
        container.wait_for(status);
    }

    let mut expected: Vec<Value> = containers.iter().map(Container::state).collect();
    expected.iter_mut().for_each(|state| state["owner"] = json!("root"));
    expected.sort_by_key(|state| state["id"].to_string());
    let json = t.runtime(["list", "--format", "json"]).run().ok();
    let mut listed: Vec<Value> = serde_json::from_str(&json).unwrap();
    listed.sort_by_key(|state| state["id"].to_string());
    assert_eq!(listed, expected);
    let table = t.runtime(["list"]).run().ok();
    for state in expected {
        let row = table.lines().find(|row| row.split_whitespace().next() == state["id"].as_str());
        let words: Vec<_> = row.unwrap().split_whitespace().map(str::to_owned).collect();
        let text = |key: &str| state[key].as_str().unwrap().to_owned();
        assert_eq!(words[1..4], [state["pid"].to_string(), text("status"), text("bundle")]);
    }
    for container in containers.iter().filter(|container| container.status() == "paused") {
        container.call("resume").ok();
    }
}

/// What cannot be read is complained of, and hides nothing; a path may hold anything.
#[test]
fn lists_beside_what_is_broken() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let whole = t.create(bundle.args(SLEEP));
    let odd = t.dir().join("a \"bundle\"\\");
    fs::rename(bundle.dir(), &odd).unwrap();
    let strange = t.runtime(["create", "--bundle"]).args([odd.as_os_str(), "strange".as_ref()]).run();
    strange.ok();
    let broken = t.state_root().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("state.json"), "{}").unwrap();
    std::os::unix::fs::symlink(whole.id(), t.state_root().join("link")).unwrap();

    let list = t.runtime(["list", "-f", "json"]).run();
    let states: Vec<Value> = serde_json::from_str(&list.ok()).unwrap();
    let ids: Vec<_> = states.iter().map(|state| state["id"].as_str().unwrap()).collect();
    assert!(ids.len() == 2 && ids.contains(&whole.id()) && ids.contains(&"strange"), "{ids:?}");
    assert!(states.iter().any(|state| state["bundle"] == *odd.to_str().unwrap()), "{states:?}");
    let complaints = list.stderr();
    assert!(complaints.contains("load container broken: "), "{complaints}");
    assert!(complaints.contains("load container link: "), "{complaints}");
    fs::remove_dir_all(broken).unwrap();
    fs::remove_file(t.state_root().join("link")).unwrap();
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

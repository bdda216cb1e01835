//! Many containers at a time, and many commands upon one.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

use conformance::{View, corten_only, is_peer, kernel, sandbox, views};

const WORKERS: usize = 8;

views!(three_hundred_containers, more_are_listed_than_there_are_descriptors, one_id_for_sixty_four_creators);

fn three_hundred_containers(view: View) {
    let t = sandbox!(view);
    let count = if is_peer() { 48 } else { 300 };
    let mut base = t.bundle();
    base.args(["sleep", "1000"]);
    let left = AtomicU32::new(count);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let bundle = t.share(&base);
                while take() {
                    let c = t.create(&bundle);
                    c.start();
                    assert_eq!(c.shell("hostname"), "corten\n");
                    c.kill("KILL");
                    c.wait_for("stopped");
                    c.delete();
                }
            });
        }
    });
    t.assert_clean();
}

/// Each is read when its turn comes; one whose state cannot be read is mentioned and costs the others nothing.
fn more_are_listed_than_there_are_descriptors(view: View) {
    let t = sandbox!(view);
    let mut base = t.bundle();
    base.args(["sleep", "1000"]).set("/annotations/org.example", "value");
    let bundle = t.share(&base);
    let containers: Vec<_> = (0..24).map(|_| t.create(&bundle)).collect();
    t.runtime(["pause", containers[0].id()]).run().ok();
    let broken = t.state_root().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("state.json"), "{").unwrap();
    let descriptors = if is_peer() { 64 } else { 16 };
    let list = |format| {
        let limit = format!("ulimit -n {descriptors}");
        let output = t.runtime(["list", "--format", format]).after(&limit).run();
        assert!(output.stderr().contains("load container broken: "), "{}", output.report());
        output.ok()
    };
    let table = list("table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let states: Vec<Value> = serde_json::from_str(&list("json")).unwrap();
    for (index, c) in containers.iter().enumerate() {
        let status = if index == 0 { "paused" } else { "created" };
        let state = states.iter().find(|state| state["id"] == c.id()).expect("a state of each container");
        assert_eq!(
            (&state["status"], &state["annotations"]["org.example"]),
            (&json!(status), &json!("value"))
        );
        let row = [c.id(), &c.pid().to_string(), status];
        assert!(rows.iter().any(|cells| cells[..3] == row), "{row:?}: {table}");
    }
    assert_eq!((states.len(), rows.len()), (24, 25));
    fs::remove_dir_all(&broken).unwrap();
}

fn one_id_for_sixty_four_creators(view: View) {
    let t = sandbox!(view);
    let mut base = t.bundle();
    base.args(["sleep", "1000"]);
    let id = t.id();
    let outputs: Vec<_> = thread::scope(|scope| {
        let creators: Vec<_> = (0..64)
            .map(|_| {
                let bundle = t.share(&base);
                let (t, id) = (&t, &id);
                scope.spawn(move || t.on_bundle(["create"], &bundle, id).run())
            })
            .collect();
        creators.into_iter().map(|creator| creator.join().unwrap()).collect()
    });
    let winners = outputs.iter().filter(|output| output.success()).count();
    if is_peer() && winners != 1 {
        conformance::skip!("runc 1.1 had {winners} winners");
    }
    assert_eq!(winners, 1);
    for output in outputs.iter().filter(|output| !output.success()) {
        output.fails_with(1, "container with given ID already exists");
    }
    let winner = outputs.into_iter().find(conformance::Output::success).unwrap();
    let c = conformance::Container::new(&t, id, winner);
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(c.shell("hostname"), "corten\n");
    c.force_delete();
    t.assert_clean();
}

/// Whatever meets whatever: no hang, no crash, and a clean end.
#[test]
fn all_commands_upon_one_container() {
    let t = sandbox!();
    let c = t.launch(t.bundle().args(["sleep", "1000"]));
    thread::scope(|scope| {
        for worker in 0..6 {
            let (t, id) = (&t, c.id());
            scope.spawn(move || {
                for turn in 0..10 {
                    let command: &[&str] = match (worker + turn) % 6 {
                        0 => &["state", id],
                        1 => &["exec", "--ignore-paused", id, "true"],
                        2 => &["pause", id],
                        3 => &["resume", id],
                        4 => &["kill", id, "0"],
                        _ => &["ps", "-f", "json", id],
                    };
                    // An exec into the paused container waits for a resume.
                    let rescue = command[0] == "exec";
                    let mut running = t.runtime(command).spawn();
                    while rescue && !running.is_over() {
                        t.runtime(["resume", id]).run();
                    }
                    let output = running.wait();
                    assert!(!output.stderr().contains("panicked"), "{}", output.report());
                    assert!(output.code() < 2 || output.code() == 255, "{}", output.report());
                }
            });
        }
    });
    t.runtime(["resume", c.id()]).run();
    assert_eq!(c.status(), "running");
    c.exec(["true"]).ok();
    c.force_delete();
    t.assert_clean();
}

#[test]
fn many_deletes_of_one_container() {
    corten_only!(); // runc's deletes disturb each other
    let t = sandbox!();
    let c = t.launch(t.bundle().args(["sleep", "1000"]));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| t.runtime(["delete", "--force", c.id()]).run().ok());
        }
    });
    t.assert_clean();
}

/// The host's mount table is the same before and after, seen from the host.
#[test]
fn the_mount_table_does_not_grow() {
    let t = sandbox!();
    let own = || {
        kernel::Process(std::process::id())
            .file("mountinfo")
            .lines()
            .filter(|l| l.contains(t.dir().to_str().unwrap()))
            .count()
    };
    let c = t.launch(t.bundle().args(["sleep", "1000"]));
    assert_eq!(own(), 0, "a mount of a running container is visible outside");
    c.force_delete();
    assert_eq!(own(), 0);
}

//! T19: values of a size that nobody asks for. A container comes of it whose payload has all of the value, or one clear error;
//! the runtime needs less than 256 MiB for it.

use std::fs;
use std::time::Duration;

use conformance::{Bundle, Output, Sandbox, corten_only, sandbox};
use serde_json::{Value, json};

/// The address space that the runtime, its init and the payload may have each.
const MEMORY: &str = "ulimit -v 262144";

/// Whether the machine is one of QEMU's, some ten times slower than others.
fn is_emulated() -> bool {
    fs::read_to_string("/sys/class/dmi/id/sys_vendor").is_ok_and(|vendor| vendor.trim() == "QEMU")
}

/// What takes longer grows faster than its input.
fn time() -> Duration {
    Duration::from_secs(if is_emulated() { 300 } else { 60 })
}

/// Runs a bundle, which must end in time.
#[track_caller]
fn run(t: &Sandbox, bundle: &Bundle, what: &str) -> Output {
    let output = t.on_bundle(["run"], bundle, &t.id()).after(MEMORY).limit(time()).run();
    assert!(!output.stderr().contains("panicked"), "{what}: {}", output.report());
    assert!(output.stderr().len() < 2000, "{what}: a message of {} bytes", output.stderr().len());
    t.assert_clean();
    output
}

/// A value that is too large: the error names it.
#[track_caller]
fn refused(t: &Sandbox, base: &Bundle, pointer: &str, value: Value) {
    let mut bundle = t.share(base);
    bundle.args(["true"]).set(pointer, value);
    let output = run(t, &bundle, pointer);
    let stderr = output.fails(1);
    assert!(stderr.contains(pointer), "{pointer}: {stderr}");
}

fn mappings(count: u32) -> Value {
    (0..count).map(|id| json!({"containerID": 2 * id, "hostID": 100_000 + 2 * id, "size": 1})).collect()
}

#[test]
fn mappings_of_ids() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    // The kernel takes 340, and of text a page.
    for (count, taken) in [(300, true), (340, false), (341, false), (1000, false)] {
        let mut bundle = t.share(&base);
        bundle.push("/linux/namespaces", json!({"type": "user"}));
        bundle.unmount("/dev/pts"); // its group is not mapped
        bundle.set("/linux/uidMappings", mappings(count)).set("/linux/gidMappings", mappings(count));
        bundle.script("wc -l < /proc/self/uid_map; tail -n 1 /proc/self/gid_map");
        let output = run(&t, &bundle, "mappings");
        if taken {
            let text = output.ok();
            assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["300", "598", "100598", "1"]);
        } else {
            assert!(output.fails(1).contains("/linux/uidMappings"), "{}", output.report());
        }
    }
}

#[test]
fn groups() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    let groups = |count: u32| -> Vec<u32> { (0..count).map(|group| group * 3).collect() };
    let mut bundle = t.share(&base);
    bundle.set("/process/user/additionalGids", groups(65_536));
    bundle
        .script("grep Groups /proc/self/status | wc -w; id -G | wc -w; grep -c ' 196605 ' /proc/self/status");
    assert_eq!(run(&t, &bundle, "groups").ok(), "65537\n65536\n1\n");
    refused(&t, &base, "/process/user/additionalGids", groups(70_000).into());
}

#[test]
fn names_and_paths() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    let path = format!("/{}", "x/".repeat(32 * 1024));
    for pointer in [
        "/linux/namespaces/0/path",
        "/process/cwd",
        "/mounts/0/destination",
        "/mounts/0/source",
        "/linux/cgroupsPath",
        "/linux/maskedPaths/0",
        "/linux/readonlyPaths/0",
        "/root/path",
        "/process/args/0",
    ] {
        let value =
            if pointer.ends_with("cgroupsPath") { path.replace('x', "long/../y") } else { path.clone() };
        let mut bundle = t.share(&base);
        bundle.args(["true"]);
        if pointer.ends_with("source") {
            bundle.set("/mounts/0/type", "bind").set("/mounts/0/options", json!(["bind"]));
        }
        bundle.set(pointer, value);
        let output = run(&t, &bundle, pointer);
        let text = output.report();
        assert!(
            !output.success() && text.contains(pointer.trim_end_matches("/0")),
            "{pointer}: {}",
            &text[..text.len().min(3000)]
        );
    }
    refused(&t, &base, "/hostname", "h".repeat(8 << 20).into());
    refused(&t, &base, "/domainname", "d".repeat(8 << 20).into());
}

#[test]
fn the_environment() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    let environment = |count: u32| -> Vec<String> {
        [String::from("PATH=/bin")].into_iter().chain((0..count).map(|i| format!("V{i}={i}"))).collect()
    };
    for (count, refused) in
        [(20_000, None), (300_000, Some("argument list too long")), (1_000_000, Some("16 MiB"))]
    {
        let mut bundle = t.share(&base);
        bundle.set("/process/env", environment(count));
        bundle.args(["cat", "/proc/self/environ"]);
        let output = run(&t, &bundle, "environment");
        match refused {
            Some(why) => assert!(output.fails(1).contains(why), "{}", output.report()),
            None => {
                let text = output.ok();
                let variables: Vec<&str> =
                    text.split('\0').filter(|variable| variable.starts_with('V')).collect();
                assert_eq!((variables.len(), variables.last()), (20_000, Some(&"V19999=19999")));
            }
        }
    }
}

/// As many as the kernel's limit of a mount namespace: some were there before.
#[test]
fn mounts() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    // The kernel there takes longer to unmount the many than a runtime waits for the end of init.
    let sizes = if is_emulated() { vec![(2_000_u32, true)] } else { vec![(2_000, true), (100_000, false)] };
    for (count, taken) in sizes {
        let mut bundle = t.share(&base);
        bundle.set("/root/readonly", false);
        let tmpfs =
            |number| json!({"destination": format!("/dev/shm/{number}"), "type": "tmpfs", "source": "bomb"});
        let mounts = bundle.config()["mounts"].as_array().unwrap().iter().cloned();
        let mounts: Vec<Value> = mounts.chain((0..count).map(tmpfs)).collect();
        bundle.set("/mounts", mounts).script("grep -c bomb /proc/self/mountinfo");
        let output = run(&t, &bundle, "mounts");
        if taken {
            assert_eq!(output.ok(), "2000\n");
        } else {
            let stderr = output.fails(1);
            assert!(stderr.contains("pointer=/mounts/") && stderr.contains("no space left"), "{stderr}");
        }
    }
}

/// A document with an object in two spellings is written anew: once, whatever else it holds.
#[test]
fn an_object_in_two_spellings() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    let config = bundle.config().to_string();
    let with = |members: &str| config.replacen('{', &format!("{{{members},\"Process\":{{}},"), 1);
    let many: Vec<String> = (0..80_000).map(|number| format!("\"a{number}\":\"\"")).collect();
    let objects: Vec<String> =
        (0..20_000).map(|number| format!("\"a{number}\":{{}},\"A{number}\":{{}}")).collect();
    let deep = "{\"a\":".repeat(120) + "\"" + &"x".repeat(15 << 20) + "\"" + &"}".repeat(120);
    for (what, members) in [
        ("annotations", format!("\"annotations\":{{{}}}", many.join(","))),
        ("unknown objects", objects.join(",")),
        ("a deep object", format!("\"windows\":{deep}")),
        ("a deep unknown object", format!("\"future\":{deep}")),
    ] {
        bundle.write_bytes(with(&members).as_bytes());
        let check = t.runtime(["check", "--bundle", bundle.dir().to_str().unwrap()]);
        let output = check.after(MEMORY).limit(time()).run();
        output.ok();
        bundle.write_bytes(with(&format!("{members},\"process\":{{}}")).as_bytes());
        let output = t
            .runtime(["create", "--bundle", bundle.dir().to_str().unwrap(), &t.id()])
            .after(MEMORY)
            .limit(time())
            .run();
        assert!(output.fails(1).contains("duplicate field `process`"), "{what}: {}", output.report());
    }
    t.assert_clean();
}

#[test]
fn depth() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    let nest = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    for deep in [nest("[", "]", 100_000), nest("{\"a\":", "}", 100_000)] {
        for field in ["annotations", "unknown"] {
            bundle.write_bytes(format!("{{\"ociVersion\": \"1.0.2\", \"{field}\": {deep}}}").as_bytes());
            let create = t.runtime(["create", "--bundle", bundle.dir().to_str().unwrap(), &t.id()]);
            let stderr = create.after(MEMORY).run().fails(1);
            assert!(stderr.len() < 2000 && !stderr.contains("panicked"), "{stderr}");
        }
    }
    t.assert_clean();
}

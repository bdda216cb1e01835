//! Annotations with an effect: those of crun's extensions that engines write.

use conformance::{corten_only, kernel, sandbox, skip, tool};
use serde_json::json;

#[test]
fn original_groups_are_kept() {
    if conformance::is_peer() {
        skip!("an extension that not every peer has");
    }
    let Some(setpriv) = tool("setpriv") else { skip!("setpriv is not installed") };
    let t = sandbox!();
    let with_groups = [setpriv.to_str().unwrap(), "--groups", "3,4,5"];
    let mut bundle = t.bundle();
    bundle.set("/annotations/run.oci.keep_original_groups", "1").args(["sleep", "1000"]);
    for in_user_namespace in [false, true] {
        if in_user_namespace {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            bundle.push("/linux/namespaces", json!({"type": "user"}));
            bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        let id = t.id();
        let output = t.on_bundle(["run", "--detach"], &bundle, &id).wrap(with_groups).run();
        output.ok();
        let c = conformance::Container::new(&t, id, output);
        assert_eq!(c.init().status("Groups"), "3 4 5");
        // Groups that have no number inside show as the one for all of these.
        let inside = if in_user_namespace { "65534 65534 65534" } else { "3 4 5" };
        let status = c.exec_with([], ["cat", "/proc/self/status"]).wrap(with_groups).run().ok();
        assert_eq!(kernel::field(&status, "Groups"), inside);
    }
    bundle.set("/annotations/run.oci.keep_original_groups", "0");
    let id = t.id();
    let output = t.on_bundle(["run", "--detach"], &bundle, &id).wrap(with_groups).run();
    output.ok();
    assert_eq!(conformance::Container::new(&t, id, output).init().status("Groups"), "");
}

#[test]
fn the_kind_of_label_of_mounts() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let label = "system_u:object_r:container_file_t:s0:c1,c2";
    bundle.set("/linux/mountLabel", label).write();
    let dir = bundle.dir().to_owned();
    let plan = || t.runtime(["plan", "--bundle", dir.to_str().unwrap()]).run().ok();
    let option = |kind: &str| format!("\"{kind}={label}\"");
    let text = plan();
    assert!(text.contains(&option("context")) && !text.contains("rootcontext"), "{text}");
    bundle.set("/annotations/run.oci.mount_context_type", "rootcontext").write();
    let text = plan();
    assert!(text.contains(&option("rootcontext")) && !text.contains(&option("context")), "{text}");
}

#[test]
fn unknown_system_calls_may_be_errors() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let rule = json!([{"names": ["of_the_future"], "action": "SCMP_ACT_ERRNO"}]);
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule})).args(["true"]);
    t.run(&bundle).ok();
    bundle.set("/annotations/run.oci.seccomp_fail_unknown_syscall", "1");
    assert_eq!(t.refused_at(&bundle), "/linux/seccomp/syscalls/0/names/0");
}

#[test]
fn what_cannot_be_honoured_is_refused_or_mentioned() {
    corten_only!();
    let t = sandbox!();
    for (name, value) in [
        ("run.oci.handler", "krun"),
        ("run.oci.keep_original_groups", "perhaps"),
        ("run.oci.mount_context_type", "nonsense"),
    ] {
        let mut bundle = t.bundle();
        bundle.set("/annotations", json!({name: value}));
        assert_eq!(t.refused_at(&bundle), format!("/annotations/{name}"));
    }
    let mut bundle = t.bundle();
    bundle.set("/annotations", json!({"run.oci.of_the_future": "1"})).args(["true"]).write();
    let output = t.runtime(["--debug", "run", "--bundle", bundle.dir().to_str().unwrap(), &t.id()]).run();
    output.ok();
    assert!(output.stderr().contains("/annotations/run.oci.of_the_future"), "{}", output.report());
}

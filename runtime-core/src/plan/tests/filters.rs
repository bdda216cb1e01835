//! When filters of system calls are loaded, and by what right.

use super::*;

fn filtered(action: &str, no_new_privileges: bool, effective: &[&str]) -> Value {
    with([
        ("/process/noNewPrivileges", json!(no_new_privileges)),
        ("/process/capabilities", json!({"effective": effective, "permitted": effective})),
        (
            "/linux/seccomp",
            json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": "/run/agent.sock",
                "syscalls": [{"names": ["mkdir"], "action": action}]
            }),
        ),
    ])
}

/// The names of the steps from the first change of capabilities on, without what every plan has.
fn last_steps(config: Value) -> Vec<&'static str> {
    let names = wire_names(&plan(config).unwrap());
    let from = names.iter().position(|name| *name == "SetCaps").unwrap();
    let known = ["SetCaps", "NoNewPrivs", "LoadSeccomp", "AwaitStart", "ConfineHooks", "RunHook", "Exec"];
    names[from..].iter().copied().filter(|name| known.contains(name)).collect()
}

#[test]
fn filters_are_loaded_last() {
    let (errno, notify) = ("SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY");
    assert_eq!(
        last_steps(filtered(errno, true, &[])),
        ["SetCaps", "NoNewPrivs", "AwaitStart", "LoadSeccomp", "Exec"]
    );
    // It takes a capability, which the payload may have anyway.
    assert_eq!(
        last_steps(filtered(errno, false, &[])),
        ["SetCaps", "AwaitStart", "LoadSeccomp", "SetCaps", "Exec"]
    );
    assert_eq!(
        last_steps(filtered(errno, false, &["CAP_SYS_ADMIN"])),
        ["SetCaps", "AwaitStart", "LoadSeccomp", "Exec"]
    );
    assert_eq!(
        last_steps(filtered(notify, true, &[])),
        ["SetCaps", "NoNewPrivs", "LoadSeccomp", "AwaitStart", "Exec"]
    );
    assert_eq!(
        last_steps(filtered(notify, false, &[])),
        ["SetCaps", "LoadSeccomp", "SetCaps", "AwaitStart", "Exec"]
    );
}

#[test]
fn filters_borrow_one_capability() {
    snapshot("seccomp", &plan(filtered("SCMP_ACT_ERRNO", false, &["CAP_KILL"])).unwrap());
}

#[test]
fn filters_that_the_kernel_would_refuse() {
    // Every other number a condition of its own.
    let args: Vec<Value> =
        (0..5000).map(|value| json!({"index": 0, "value": value * 2, "op": "SCMP_CMP_EQ"})).collect();
    let mut config = filtered("SCMP_ACT_ERRNO", true, &[]);
    set(&mut config, "/linux/seccomp/syscalls/0/args", args.into());
    let error = plan(config).map(drop).unwrap_err();
    assert_eq!(error.pointer, "/linux/seccomp/syscalls");
    assert!(error.message.contains("4096"), "{error}");
}

#[test]
fn hooks_at_the_start_load_the_filter_themselves() {
    let mut config = filtered("SCMP_ACT_ERRNO", true, &[]);
    set(&mut config, "/hooks", json!({"startContainer": [{"path": "/bin/hook"}]}));
    assert_eq!(
        last_steps(config),
        ["SetCaps", "NoNewPrivs", "AwaitStart", "ConfineHooks", "RunHook", "LoadSeccomp", "Exec"]
    );
    // One with a listener is in force by then.
    let mut config = filtered("SCMP_ACT_NOTIFY", true, &[]);
    set(&mut config, "/hooks", json!({"startContainer": [{"path": "/bin/hook"}]}));
    assert_eq!(last_steps(config), ["SetCaps", "NoNewPrivs", "LoadSeccomp", "AwaitStart", "RunHook", "Exec"]);
}

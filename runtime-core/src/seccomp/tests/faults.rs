//! Bad input: one clear error, with the place of the value.

use serde_json::{Value, json};

use super::super::{Arch, check, compile};
use super::profiles::Random;

/// The only fault of a profile with a change.
fn error(change: impl FnOnce(&mut Value)) -> String {
    let mut profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_LOG"},
            {"names": ["open", "openat"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        ],
    });
    change(&mut profile);
    let profile = serde_json::from_value(profile).unwrap();
    let faults = check(&profile);
    assert_eq!(faults.len(), 1, "{faults:?}");
    let compiled = compile(&profile, Arch::X86_64).map(|_| ());
    assert_eq!(compiled.err().as_ref(), faults.iter().find(|error| !error.fault.is_warning()));
    faults[0].to_string()
}

#[test]
fn each_fault_has_its_place() {
    let cases: [(&str, Value, &str); 12] = [
        (
            "/defaultAction",
            json!("SCMP_ACT_DENY"),
            "/linux/seccomp/defaultAction: unknown seccomp action \"SCMP_ACT_DENY\"",
        ),
        (
            "/defaultAction",
            json!("SCMP_ACT_NOTIFY"),
            "/linux/seccomp/defaultAction: SCMP_ACT_NOTIFY cannot be",
        ),
        (
            "/defaultErrnoRet",
            json!(1),
            "/linux/seccomp/defaultErrnoRet: SCMP_ACT_ALLOW returns no error number",
        ),
        (
            "/architectures/0",
            json!("x86"),
            "/linux/seccomp/architectures/0: unknown seccomp architecture \"x86\"",
        ),
        ("/flags/0", json!("LOG"), "/linux/seccomp/flags/0: unknown seccomp flag \"LOG\""),
        ("/syscalls/1/action", json!(""), "/linux/seccomp/syscalls/1/action: the action is missing"),
        (
            "/syscalls/1/errnoRet",
            json!(4096),
            "/linux/seccomp/syscalls/1/errnoRet: error number 4096 is too large",
        ),
        (
            "/syscalls/0/errnoRet",
            json!(1),
            "/linux/seccomp/syscalls/0/errnoRet: SCMP_ACT_LOG returns no error number",
        ),
        (
            "/syscalls/1/names/1",
            json!("opens"),
            "/linux/seccomp/syscalls/1/names/1: unknown system call \"opens\"",
        ),
        (
            "/syscalls/1/args/0/index",
            json!(6),
            "/linux/seccomp/syscalls/1/args/0/index: a system call has no argument 6",
        ),
        (
            "/syscalls/1/args/0/op",
            json!("EQ"),
            "/linux/seccomp/syscalls/1/args/0/op: unknown seccomp operator \"EQ\"",
        ),
        (
            "/syscalls/0/action",
            json!("SCMP_ACT_NOTIFY"),
            "/linux/seccomp/listenerPath: SCMP_ACT_NOTIFY needs a listener",
        ),
    ];
    for (pointer, value, message) in cases {
        let error = error(|profile| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match profile.pointer_mut(parent).unwrap() {
                Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
                parent => parent[key] = value,
            }
        });
        assert!(error.starts_with(message), "{error}");
    }
    let error = error(|profile| {
        profile["listenerPath"] = json!("/agent");
        profile["syscalls"][0] = json!({"names": ["write"], "action": "SCMP_ACT_NOTIFY"});
    });
    assert!(
        error.starts_with(
            "/linux/seccomp/syscalls/0/names/0: SCMP_ACT_NOTIFY cannot be used for the write syscall"
        ),
        "{error}"
    );
}

#[test]
fn an_unknown_call_is_a_warning() {
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read", "frobnicate"], "action": "SCMP_ACT_TRAP"}]});
    let profile = serde_json::from_value(profile).unwrap();
    let faults: Vec<String> = check(&profile).iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "/linux/seccomp/syscalls/0/names/1: unknown system call \"frobnicate\", ignored: correct or remove the name"
        ]
    );
    compile(&profile, Arch::X86_64).unwrap();
}

#[test]
fn a_flag_without_effect_is_a_warning() {
    let flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags});
    let profile = serde_json::from_value(profile).unwrap();
    let faults = check(&profile);
    assert!(faults.len() == 1 && faults[0].fault.is_warning(), "{faults:?}");
    assert_eq!(faults[0].pointer, "/linux/seccomp/flags/1");
    assert_eq!(compile(&profile, Arch::X86_64).unwrap().flags, 0b10);
}

/// A profile with many faults: each is found.
#[test]
fn all_at_once() {
    let profile = json!({
        "defaultAction": "X", "architectures": ["X"], "flags": ["X"], "listenerMetadata": "x",
        "syscalls": [{"names": [], "action": "X", "args": [{"index": 9, "value": 0, "op": "X"}]}, {"names": ["", "x"], "action": "SCMP_ACT_LOG"}],
    });
    let faults = check(&serde_json::from_value(profile).unwrap());
    let pointers: Vec<&str> = faults.iter().map(|error| &error.pointer["/linux/seccomp/".len()..]).collect();
    assert_eq!(
        pointers,
        [
            "defaultAction",
            "architectures/0",
            "syscalls/0/action",
            "syscalls/0/names",
            "syscalls/0/args/0/index",
            "syscalls/0/args/0/op",
            "syscalls/1/names/0",
            "syscalls/1/names/1",
            "listenerMetadata",
            "flags/0"
        ]
    );
}

/// Whatever stands in a profile: a filter or an error.
#[test]
fn rubbish() {
    let words = [
        "",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_NOTIFY",
        "SCMP_ARCH_ARM",
        "SCMP_CMP_LE",
        "write",
        "ipc",
        "\u{0}é",
    ];
    let mut random = Random(42);
    let (mut filters, mut errors) = (0, 0);
    for _ in 0..20_000 {
        let mut word = || words[random.below(words.len())];
        let (default, arch, name, action, op) = (word(), word(), word(), word(), word());
        let number = |random: &mut Random| u32::MAX >> random.below(33).min(31);
        let errno = (random.below(2) == 0).then(|| number(&mut random));
        let profile = json!({
            "defaultAction": default, "architectures": [arch], "listenerPath": "/agent",
            "syscalls": [{"names": [name, "open"], "action": action, "errnoRet": errno,
                "args": [{"index": random.below(7), "value": number(&mut random), "op": op}]}],
        });
        match compile(&serde_json::from_value(profile).unwrap(), Arch::ARM) {
            Ok(filter) => {
                super::emulator::check(&filter.program);
                filters += 1;
            }
            Err(_) => errors += 1,
        }
    }
    assert!(filters > 0 && errors > 0);
}

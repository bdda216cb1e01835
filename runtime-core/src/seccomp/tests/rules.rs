//! One test for each thing that a profile can say.

use serde_json::{Value, json};

use super::super::{Arch, Filter, action, bpf, compile};
use super::emulator::{self, Call, run};
use super::model::ENOSYS;

fn filter(profile: Value) -> Filter {
    let profile = serde_json::from_value(profile).unwrap();
    let filter = compile(&profile, Arch::X86_64).unwrap();
    emulator::check(&filter.program);
    filter
}

fn verdict(filter: &Filter, arch: Arch, name: &str, args: [u64; 6]) -> u32 {
    run(&filter.program, &Call::new(arch, arch.syscall(name).unwrap(), args)).0
}

fn number(filter: &Filter, arch: Arch, number: u32) -> u32 {
    run(&filter.program, &Call::new(arch, number, [0; 6])).0
}

#[test]
fn every_action() {
    let actions = [
        ("SCMP_ACT_KILL", json!(null), 0),
        ("SCMP_ACT_KILL_THREAD", json!(null), 0),
        ("SCMP_ACT_KILL_PROCESS", json!(null), 0x8000_0000),
        ("SCMP_ACT_TRAP", json!(null), 0x0003_0000),
        ("SCMP_ACT_ERRNO", json!(null), 0x0005_0001),
        ("SCMP_ACT_ERRNO", json!(0), 0x0005_0000),
        ("SCMP_ACT_ERRNO", json!(4095), 0x0005_0fff),
        ("SCMP_ACT_TRACE", json!(null), 0x7ff0_0001),
        ("SCMP_ACT_TRACE", json!(65535), 0x7ff0_ffff),
        ("SCMP_ACT_LOG", json!(null), 0x7ffc_0000),
        ("SCMP_ACT_ALLOW", json!(null), 0x7fff_0000),
        ("SCMP_ACT_NOTIFY", json!(null), 0x7fc0_0000),
    ];
    for (action, errno, value) in &actions {
        let rule = json!({"names": ["mkdir"], "action": action, "errnoRet": errno});
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 7, "syscalls": [rule], "listenerPath": "/agent",
        });
        let filter = filter(profile);
        assert_eq!(verdict(&filter, Arch::X86_64, "mkdir", [0; 6]), *value, "{action}");
        assert_eq!(verdict(&filter, Arch::X86_64, "read", [0; 6]), 0x0005_0007, "{action}");
        assert_eq!(filter.notifies(), *action == "SCMP_ACT_NOTIFY");
    }
    for (action, errno, value) in &actions[..11] {
        let filter = filter(json!({"defaultAction": action, "defaultErrnoRet": errno}));
        assert_eq!(verdict(&filter, Arch::X86_64, "mkdir", [0; 6]), *value, "{action}");
    }
}

#[test]
fn every_operator_in_both_words() {
    type Holds = fn(u64) -> bool;
    const FIVE: u64 = 0x5_0000_0005;
    let operators: [(&str, Holds); 7] = [
        ("NE", |arg| arg != FIVE),
        ("LT", |arg| arg < FIVE),
        ("LE", |arg| arg <= FIVE),
        ("EQ", |arg| arg == FIVE),
        ("GE", |arg| arg >= FIVE),
        ("GT", |arg| arg > FIVE),
        ("MASKED_EQ", |arg| arg & FIVE == 0x4_0000_0001),
    ];
    let args = [
        0,
        4,
        5,
        6,
        0x4_0000_0001,
        0x4_0000_0005,
        0x4_0000_0006,
        FIVE - 1,
        FIVE,
        FIVE + 1,
        0x6_0000_0003,
        u64::MAX,
    ];
    for (name, holds) in operators {
        let arg = json!({"index": 3, "op": format!("SCMP_CMP_{name}"), "value": FIVE, "valueTwo": 0x4_0000_0009_u64});
        let rule = json!({"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [arg]});
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        for arg in args {
            let expected = if holds(arg) { action::TRAP } else { action::ALLOW };
            assert_eq!(
                verdict(&filter, Arch::X86_64, "read", [0, 0, 0, arg, 0, 0]),
                expected,
                "{name} {arg:#x}"
            );
        }
    }
}

#[test]
fn conditions_of_one_rule_join_those_of_several_add_up() {
    let arg = |index: u32, value: u64| json!({"index": index, "op": "SCMP_CMP_EQ", "value": value});
    let rules = json!([
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [arg(0, 1), arg(1, 2)]},
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [arg(2, 3)]},
        {"names": ["write"], "action": "SCMP_ACT_ALLOW", "args": [arg(0, 1), arg(0, 2), arg(1, 9)]},
    ]);
    let filter = filter(json!({"defaultAction": "SCMP_ACT_TRAP", "syscalls": rules}));
    let allowed = |name, args| verdict(&filter, Arch::X86_64, name, args) == action::ALLOW;
    assert!(allowed("read", [1, 2, 0, 0, 0, 0]));
    assert!(!allowed("read", [1, 0, 0, 0, 0, 0]));
    assert!(!allowed("read", [0, 2, 0, 0, 0, 0]));
    assert!(allowed("read", [0, 0, 3, 0, 0, 0]));
    assert!(allowed("write", [1, 0, 0, 0, 0, 0]), "a repeated index means any of the conditions");
    assert!(allowed("write", [2, 0, 0, 0, 0, 0]));
    assert!(allowed("write", [0, 9, 0, 0, 0, 0]));
    assert!(!allowed("write", [3, 0, 0, 0, 0, 0]));
}

#[test]
fn the_rule_without_conditions_wins() {
    let equal = json!([{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}]);
    let rules = json!([
        {"names": ["read"], "action": "SCMP_ACT_TRAP", "args": equal},
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["read"], "action": "SCMP_ACT_KILL"},
        {"names": ["write"], "action": "SCMP_ACT_ERRNO", "args": equal},
        {"names": ["write"], "action": "SCMP_ACT_LOG", "args": equal},
    ]);
    let filter = filter(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}));
    assert_eq!(verdict(&filter, Arch::X86_64, "read", [1, 0, 0, 0, 0, 0]), action::ALLOW);
    assert_eq!(
        verdict(&filter, Arch::X86_64, "write", [1, 0, 0, 0, 0, 0]),
        action::LOG,
        "a rule like the default is none"
    );
}

#[test]
fn narrow_architectures_compare_the_lower_word() {
    let arg = json!({"index": 0, "op": "SCMP_CMP_EQ", "value": 0x1_0000_0005_u64});
    let rule = json!({"names": ["close"], "action": "SCMP_ACT_TRAP", "args": [arg]});
    let arches = ["X86_64", "X86", "X32", "ARM", "MIPS", "MIPS64N32", "S390", "S390X"]
        .map(|name| format!("SCMP_ARCH_{name}"));
    let filter =
        filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": arches, "syscalls": [rule]}));
    for (arch, wide) in [
        (Arch::X86_64, true),
        (Arch::S390X, true),
        (Arch::X86, false),
        (Arch::X32, false),
        (Arch::ARM, false),
        (Arch::MIPS, false),
        (Arch::MIPS64N32, false),
        (Arch::S390, false),
    ] {
        let on = |arg| verdict(&filter, arch, "close", [arg, 0, 0, 0, 0, 0]) == action::TRAP;
        assert_eq!((on(5), on(0x1_0000_0005), on(0x2_0000_0005)), (!wide, true, !wide), "{}", arch.name());
    }
}

#[test]
fn architectures_that_are_not_listed() {
    let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    assert_eq!(
        verdict(&filter, Arch::X86_64, "read", [0; 6]),
        action::ALLOW,
        "the native one needs no listing"
    );
    assert_eq!(verdict(&filter, Arch::X86, "read", [0; 6]), action::KILL_THREAD);
    assert_eq!(verdict(&filter, Arch::AARCH64, "read", [0; 6]), action::KILL_THREAD);
    assert_eq!(verdict(&filter, Arch::X32, "read", [0; 6]), action::KILL_THREAD);
    assert_eq!(number(&filter, Arch::X86_64, 0xffff_ffff), action::ALLOW, "a call that a tracer has skipped");
}

#[test]
fn calls_through_socketcall_and_ipc() {
    let rules = json!([
        {"names": ["socket", "semtimedop"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["connect"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 77}]},
    ]);
    let arches = json!(["SCMP_ARCH_X86", "SCMP_ARCH_S390X"]);
    let filter =
        filter(json!({"defaultAction": "SCMP_ACT_TRAP", "architectures": arches, "syscalls": rules}));
    for arch in [Arch::X86, Arch::S390X] {
        let allowed = |name, call: u64| verdict(&filter, arch, name, [call, 0, 0, 0, 0, 0]) == action::ALLOW;
        assert!(allowed("socket", 0));
        assert!(allowed("socketcall", 1) && !allowed("socketcall", 2));
        assert!(allowed("socketcall", 3), "what is in memory cannot be compared");
        assert!(allowed("connect", 77) && !allowed("connect", 78));
        assert!(allowed("ipc", 4) && !allowed("ipc", 1));
        assert!(allowed("ipc", 0x3_0004), "the version in the upper half is not part of the call");
    }
}

#[test]
fn calls_newer_than_the_profile() {
    let arches = json!(["SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_S390X"]);
    let profile = |default: &str| {
        let rules = json!([{"names": ["openat2", "set_tls"], "action": "SCMP_ACT_KILL_PROCESS"}]);
        filter(json!({"defaultAction": default, "architectures": arches, "syscalls": rules}))
    };
    let refusing = profile("SCMP_ACT_TRAP");
    for (arch, newest) in
        [(Arch::X86_64, 437), (Arch::X32, 0x4000_0000 + 437), (Arch::ARM, 437), (Arch::S390X, 437)]
    {
        assert_eq!(number(&refusing, arch, newest - 1), action::TRAP);
        assert_eq!(number(&refusing, arch, newest), action::KILL_PROCESS);
        assert_eq!(number(&refusing, arch, newest + 1), ENOSYS);
    }
    assert_eq!(number(&refusing, Arch::ARM, 0xeffff), ENOSYS);
    assert_eq!(number(&refusing, Arch::ARM, 0xf0005), action::KILL_PROCESS);
    assert_eq!(number(&refusing, Arch::ARM, 0xf0006), ENOSYS);
    assert_eq!(number(&refusing, Arch::S390X, 0), ENOSYS);
    // A profile without private calls knows none of them.
    let ordinary = filter(json!({
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_ARM"],
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]
    }));
    assert_eq!(number(&ordinary, Arch::ARM, 0xf0005), ENOSYS);
    for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"] {
        assert_ne!(number(&profile(default), Arch::X86_64, 438), ENOSYS, "{default}");
    }
}

#[test]
fn flags() {
    let flags = |flags: Value, action: &str| {
        let rules = json!([{"names": ["mkdir"], "action": action}]);
        let profile = json!({"defaultAction": "SCMP_ACT_TRAP", "flags": flags, "syscalls": rules, "listenerPath": "/agent"});
        filter(profile).flags
    };
    let all = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]
        .map(|flag| format!("SECCOMP_FILTER_FLAG_{flag}"));
    assert_eq!(flags(json!(null), "SCMP_ACT_ALLOW"), 0b100);
    assert_eq!(flags(json!([]), "SCMP_ACT_ALLOW"), 0);
    assert_eq!(flags(json!(all), "SCMP_ACT_ALLOW"), 0b111);
    assert_eq!(flags(json!([]), "SCMP_ACT_NOTIFY"), 0b1000);
    assert_eq!(flags(json!(all), "SCMP_ACT_NOTIFY"), 0b11_1111);
}

/// So many values that conditions need jumps over more than 255 instructions.
#[test]
fn long_jumps() {
    let names = ["read", "write", "close"];
    let rules: Vec<Value> = (0..900)
        .map(|value| {
            let arg = json!({"index": value % 3, "op": "SCMP_CMP_NE", "value": value});
            let other = json!({"index": 4, "op": "SCMP_CMP_EQ", "value": value});
            json!({"names": [names[value % 3]], "action": "SCMP_ACT_ERRNO", "errnoRet": value, "args": [arg, other]})
        })
        .collect();
    let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": &rules[..400]}));
    assert!(filter.program.iter().any(|one| one.code == bpf::JUMP));
    for value in 0..400_u32 {
        let args = [u64::MAX, u64::MAX, u64::MAX, 0, value.into(), 0];
        assert_eq!(verdict(&filter, Arch::X86_64, names[value as usize % 3], args), action::ERRNO | value);
    }
    let profile =
        serde_json::from_value(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})).unwrap();
    let error = compile(&profile, Arch::X86_64).unwrap_err();
    assert!(error.to_string().starts_with("/linux/seccomp/syscalls: the filter has "), "{error}");
}

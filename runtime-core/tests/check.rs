//! Judging a configuration: one row per bad value, and the specification's own documents.

// Helpers of tests fail by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use runtime_core::bundle::{parse_process, parse_spec};
use runtime_core::check::{Checked, Finding, Severity, check, check_process, check_resources};
use runtime_core::config::{Resources, Spec};
use serde_json::{Value, json};

use Severity::{Error, Warning};

fn data(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn base() -> Value {
    serde_json::from_slice(&data("base.json")).unwrap()
}

/// Puts a value where a pointer leads, making what is missing on the way; `null` takes it away.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        place = match place {
            Value::Array(items) => {
                let index: usize = key.parse().unwrap();
                if index == items.len() {
                    items.push(Value::Null);
                }
                &mut items[index]
            }
            other => &mut other[key.as_str()],
        };
    }
    *place = value;
}

fn with(pointer: &str, value: Value) -> Spec {
    let mut document = base();
    set(&mut document, pointer, value);
    parse_spec(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{pointer}: {error}"))
}

fn summary(findings: &[Finding]) -> Vec<(&str, Severity)> {
    findings.iter().map(|finding| (finding.pointer.as_str(), finding.severity)).collect()
}

#[test]
fn the_base_has_no_faults() {
    let spec = parse_spec(&data("base.json")).unwrap();
    assert_eq!(check(&spec), []);
    let (checked, warnings) = Checked::new(&spec).unwrap();
    assert_eq!((checked.spec(), warnings), (&spec, vec![]));
}

/// Changes one value of the base and expects findings with just that pointer (or the one given).
fn assert_rows(severity: Severity, rows: &[(&str, Value, &str)]) {
    for (place, value, pointer) in rows {
        let expected = if pointer.is_empty() { place } else { pointer };
        let findings = check(&with(place, value.clone()));
        assert_eq!(summary(&findings), [(*expected, severity)], "{place} = {value}: {findings:?}");
    }
}

#[test]
fn bad_values_of_the_top() {
    let long = "x".repeat(65);
    assert_rows(
        Error,
        &[
            ("/ociVersion", json!(null), ""),
            ("/ociVersion", json!("1.0"), ""),
            ("/ociVersion", json!("2.0.0"), ""),
            ("/root", json!(null), ""),
            ("/root/path", json!(""), ""),
            ("/process", json!(null), ""),
            ("/hostname", json!(long), ""),
            ("/domainname", json!(long), ""),
            ("/annotations", json!({"": "x"}), "/annotations/"),
            ("/hooks/poststop/0/path", json!(""), ""),
            ("/hooks/poststop/0/path", json!("bin/true"), ""),
            ("/hooks/poststop/0/timeout", json!(0), ""),
            (
                "/hooks/createRuntime",
                json!([{"path": "/x", "timeout": -1}]),
                "/hooks/createRuntime/0/timeout",
            ),
        ],
    );
}

#[test]
fn bad_values_of_the_process() {
    assert_rows(
        Error,
        &[
            ("/process/args", json!([]), ""),
            ("/process/cwd", json!(null), ""),
            ("/process/cwd", json!("tmp"), ""),
            ("/process/env/0", json!("PATH"), ""),
            ("/process/env/0", json!("=x"), ""),
            ("/process/env/0", json!(""), ""),
            ("/process/consoleSize/width", json!(65536), ""),
            ("/process/user/uid", json!(4_294_967_295_u32), ""),
            ("/process/user/gid", json!(4_294_967_295_u32), ""),
            ("/process/user/additionalGids/0", json!(4_294_967_295_u32), ""),
            ("/process/user/additionalGids", json!(vec![1; 65537]), ""),
            ("/process/user/umask", json!(512), ""),
            ("/process/capabilities/effective/0", json!("CAP_CHOWN"), ""),
            ("/process/rlimits/0/type", json!("NOFILE"), ""),
            ("/process/rlimits/0/type", json!(""), ""),
            ("/process/rlimits/0/soft", json!(1025), ""),
            (
                "/process/rlimits/1",
                json!({"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}),
                "/process/rlimits/1/type",
            ),
            ("/process/oomScoreAdj", json!(1001), ""),
            ("/process/oomScoreAdj", json!(-1001), ""),
        ],
    );
}

#[test]
fn bad_values_of_mounts_and_namespaces() {
    assert_rows(
        Error,
        &[
            ("/mounts/0/destination", json!(null), ""),
            ("/mounts/0/destination", json!("/a/../../b"), ""),
            ("/mounts/0/type", json!(null), ""),
            ("/mounts/1/source", json!(null), ""),
            ("/linux/namespaces/1/type", json!("net"), ""),
            ("/linux/namespaces/1/type", json!(null), ""),
            ("/linux/namespaces/1/type", json!("ipc"), "/linux/namespaces/2/type"),
            ("/linux/namespaces/4/path", json!("netns/a"), ""),
            ("/linux/namespaces/3", json!({"type": "time", "path": "/t"}), "/hostname"),
        ],
    );
}

#[test]
fn bad_values_of_linux() {
    assert_rows(
        Error,
        &[
            ("/linux/devices/0/type", json!("x"), ""),
            ("/linux/devices/0/path", json!("dev/fuse"), ""),
            ("/linux/devices/0/path", json!("/dev/../fuse"), ""),
            ("/linux/devices/0/path", json!(null), ""),
            ("/linux/devices/0/major", json!(null), ""),
            ("/linux/devices/0/minor", json!(null), ""),
            ("/linux/devices/0/major", json!(-1), ""),
            ("/linux/devices/0/major", json!(4096), ""),
            ("/linux/devices/0/minor", json!(1_048_576), ""),
            ("/linux/devices/0/fileMode", json!(65536), ""),
            ("/linux/devices/0/uid", json!(4_294_967_295_u32), ""),
            ("/linux/maskedPaths/0", json!("proc/keys"), ""),
            ("/linux/maskedPaths/0", json!(""), ""),
            ("/linux/readonlyPaths/0", json!("/proc/../x"), ""),
            ("/linux/rootfsPropagation", json!("public"), ""),
            ("/linux/cgroupsPath", json!("/a/../.."), ""),
            ("/linux/cgroupsPath", json!("../b"), ""),
            ("/linux/sysctl/kernel.core_pattern", json!("|/x"), ""),
            ("/linux/sysctl/kernel.hostname", json!("x"), ""),
            ("/linux/sysctl/net.ipv4.ip_forward", json!("1\n2"), ""),
            ("/linux/sysctl/net~1ipv4~1ip_forward", json!("1"), ""),
            ("/linux/sysctl/net.ipv4...kernel", json!("1"), ""),
            ("/linux/sysctl/user.max_user_namespaces", json!("1"), ""),
        ],
    );
}

#[test]
fn bad_values_of_resources() {
    assert_rows(
        Error,
        &[
            ("/linux/resources/devices/1/type", json!("p"), ""),
            ("/linux/resources/devices/1/access", json!("rx"), ""),
            ("/linux/resources/devices/1/access", json!("a"), ""),
            ("/linux/resources/devices/1/major", json!(-2), ""),
            ("/linux/resources/devices/1/minor", json!(1_048_576), ""),
            ("/linux/resources/memory/limit", json!(-2), ""),
            ("/linux/resources/memory/reservation", json!(-2), ""),
            ("/linux/resources/memory/swap", json!(-2), ""),
            ("/linux/resources/memory/swap", json!(1), ""),
            ("/linux/resources/memory/swappiness", json!(101), ""),
            ("/linux/resources/cpu/quota", json!(-2), ""),
            ("/linux/resources/cpu/quota", json!(999), ""),
            ("/linux/resources/cpu/period", json!(999), ""),
            ("/linux/resources/cpu/period", json!(1_000_001), ""),
            ("/linux/resources/cpu/burst", json!(50001), ""),
            ("/linux/resources/cpu/cpus", json!("3-0"), ""),
            ("/linux/resources/cpu/mems", json!("a"), ""),
            ("/linux/resources/cpu/idle", json!(2), ""),
            ("/linux/resources/pids/limit", json!(-2), ""),
            ("/linux/resources/unified/a~1b.c", json!("1"), ""),
            ("/linux/resources/unified/cgroup.procs", json!("1"), ""),
            ("/linux/resources/blockIO/weight", json!(9), ""),
            (
                "/linux/resources/blockIO/throttleReadIOPSDevice",
                json!([{"major": -1, "minor": 0, "rate": 1}]),
                "/linux/resources/blockIO/throttleReadIOPSDevice/0/major",
            ),
            (
                "/linux/resources/network/priorities",
                json!([{"name": "", "priority": 1}]),
                "/linux/resources/network/priorities/0/name",
            ),
            ("/linux/resources/rdma/", json!({}), ""),
        ],
    );
}

#[test]
fn values_without_effect_are_warnings() {
    assert_rows(
        Warning,
        &[
            ("/windows", json!({}), ""),
            ("/vm", json!({"kernel": {}}), ""),
            ("/process/capabilities/bounding/0", json!("CAP_FUTURE"), ""),
            ("/process/capabilities/inheritable", json!([]), "/process/capabilities/ambient/0"),
            ("/process/user/username", json!("root"), ""),
            ("/process/commandLine", json!("sh"), ""),
            ("/mounts/0/destination", json!("proc"), ""),
            ("/mounts/1/options/2", json!("mode=755"), ""),
            ("/linux/resources/memory/kernel", json!(1), ""),
            ("/linux/resources/memory/useHierarchy", json!(false), ""),
            ("/linux/resources/devices/1/access", json!("rwa"), ""),
        ],
    );
}

#[test]
fn ids_of_a_user_namespace() {
    let findings = |uids: Value, gids: Value| {
        let mut config = base();
        set(&mut config, "/linux/namespaces/6", json!({"type": "user"}));
        set(&mut config, "/linux/uidMappings", uids);
        set(&mut config, "/linux/gidMappings", gids);
        set(&mut config, "/process/user", json!({"uid": 7, "gid": 8, "additionalGids": [2000]}));
        set(&mut config, "/mounts/0/options", json!(["gid=70000"]));
        let spec: Spec = serde_json::from_value(config).unwrap();
        check(&spec).into_iter().map(|finding| finding.pointer).collect::<Vec<_>>()
    };
    let range = |inside: u32, outside: u32, size: u32| json!({"containerID": inside, "hostID": outside, "size": size});
    let all = json!([range(0, 100_000, 65_536), range(65_536, 1000, 5000)]);
    assert_eq!(findings(all.clone(), all.clone()), [""; 0]);
    assert_eq!(findings(Value::Null, all.clone()), ["/linux/uidMappings"]);
    assert_eq!(
        findings(json!([range(0, 0, 7)]), json!([range(0, 0, 2000)])),
        ["/process/user/uid", "/process/user/additionalGids/0", "/mounts/0/options/0"]
    );
    assert_eq!(
        findings(
            json!([range(5, 10, 5), range(0, 100, 6)]),
            json!([range(0, 0, 70_001), range(70_001, 9, 1)])
        ),
        ["/linux/uidMappings/0/containerID", "/linux/gidMappings/1/hostID"]
    );
    let many: Vec<Value> = (0..341).map(|id| range(id, id, 1)).collect();
    assert_eq!(findings(json!(many), all), ["/linux/uidMappings"]);
}

#[test]
fn values_that_engines_write_for_nothing_are_fine() {
    for (place, value) in [
        ("/linux/resources/blockIO", json!({"weight": 0})),
        ("/linux/resources/network", json!({})),
        ("/linux/resources/unified", json!({})),
        ("/linux/resources/cpu/realtimePeriod", json!(0)),
        ("/linux/resources/cpu/quota", json!(0)),
        ("/linux/resources/memory/swappiness", json!(u64::MAX)),
        ("/linux/resources/pids/limit", json!(-1)),
        ("/linux/devices/0/fileMode", json!(0o020_666)),
        ("/process/apparmorProfile", json!("")),
        ("/linux/namespaces/6", json!({"type": "user", "path": "/proc/1/ns/user"})),
        ("/linux/namespaces/6", json!({"type": "time", "path": "/proc/1/ns/time"})),
        ("/linux/rootfsPropagation", json!("rprivate")),
        ("/process/capabilities/bounding/0", json!("kill")),
        ("/mounts/0/options", json!(["size=1k", "anything=goes", "rro"])),
    ] {
        assert_eq!(check(&with(place, value.clone())), [], "{place} = {value}");
    }
}

/// Values inside of what is not supported yet are judged too; the refusal comes beside them.
#[test]
fn bad_values_of_the_linux_section() {
    let bad = json!([{"containerID": 1, "hostID": 4_294_967_295_u32, "size": 1}]);
    for (place, value, expected) in [
        ("/process/scheduler", json!({}), "/process/scheduler/policy"),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 20}), "/process/scheduler/nice"),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "priority": 1}),
            "/process/scheduler/priority",
        ),
        ("/process/scheduler", json!({"policy": "SCHED_FIFO"}), "/process/scheduler/priority"),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "runtime": 1}), "/process/scheduler/runtime"),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "flags": ["X"]}),
            "/process/scheduler/flags/0",
        ),
        ("/process/ioPriority", json!({"class": "X"}), "/process/ioPriority/class"),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            "/process/ioPriority/priority",
        ),
        ("/process/execCPUAffinity", json!({"final": "1-"}), "/process/execCPUAffinity/final"),
        ("/mounts/1/uidMappings", bad.clone(), "/mounts/1/uidMappings/0/hostID"),
        ("/linux/uidMappings", bad, "/linux/uidMappings"),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 1}}), "/linux/timeOffsets"),
        ("/linux/timeOffsets", json!({"realtime": {"secs": 1}}), "/linux/timeOffsets/realtime"),
        (
            "/linux/timeOffsets",
            json!({"boottime": {"nanosecs": 1_000_000_000}}),
            "/linux/timeOffsets/boottime/nanosecs",
        ),
        ("/linux/netDevices", json!({"a/b": {}}), "/linux/netDevices/a~1b"),
        ("/linux/netDevices", json!({"eth0": {"name": "0123456789abcdef"}}), "/linux/netDevices/eth0/name"),
        ("/linux/intelRdt", json!({"closID": "a/b"}), "/linux/intelRdt/closID"),
        ("/linux/intelRdt", json!({"closID": "//"}), "/linux/intelRdt/closID"),
        ("/linux/intelRdt", json!({"memBwSchema": "L3:0=1"}), "/linux/intelRdt/memBwSchema"),
        ("/linux/memoryPolicy", json!({"mode": "X"}), "/linux/memoryPolicy/mode"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "x"}), "/linux/memoryPolicy/nodes"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "flags": ["x"]}), "/linux/memoryPolicy/flags/0"),
        ("/linux/personality", json!({"domain": "X"}), "/linux/personality/domain"),
        ("/linux/personality", json!({"domain": "LINUX", "flags": ["X"]}), "/linux/personality/flags/0"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "70000"}), "/linux/memoryPolicy/nodes"),
    ] {
        let findings = check(&with(place, value.clone()));
        assert!(summary(&findings).contains(&(expected, Error)), "{place} = {value}: {findings:?}");
    }
}

#[test]
fn profiles_of_system_calls() {
    let syscall = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    for (profile, expected, severity) in [
        (json!({}), "/linux/seccomp/defaultAction", Error),
        (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "/linux/seccomp/defaultAction", Error),
        (json!({"defaultAction": "SCMP_ACT_LOG", "flags": ["X"]}), "/linux/seccomp/flags/0", Error),
        (syscall(json!({"action": "SCMP_ACT_LOG"})), "/linux/seccomp/syscalls/0/names", Warning),
        (syscall(json!({"names": ["x"], "action": "X"})), "/linux/seccomp/syscalls/0/action", Error),
        (syscall(json!({"names": ["x"], "action": "SCMP_ACT_NOTIFY"})), "/linux/seccomp/listenerPath", Error),
        (
            syscall(json!({
                "names": ["x"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]
            })),
            "/linux/seccomp/syscalls/0/args/0/index",
            Error,
        ),
        (
            json!({"defaultAction": "SCMP_ACT_LOG", "listenerPath": "agent.sock"}),
            "/linux/seccomp/listenerPath",
            Error,
        ),
        (
            syscall(json!({"names": ["frobnicate"], "action": "SCMP_ACT_LOG"})),
            "/linux/seccomp/syscalls/0/names/0",
            Warning,
        ),
    ] {
        let findings = check(&with("/linux/seccomp", profile.clone()));
        assert!(summary(&findings).contains(&(expected, severity)), "{profile}: {findings:?}");
    }
}

#[test]
fn the_documents_of_the_specification() {
    for (name, expected) in [
        ("minimal", vec![("/process", Error), ("/linux/namespaces", Warning)]),
        ("minimal-for-start", vec![("/linux/namespaces", Warning)]),
        (
            "linux-netdevice",
            vec![("/process", Error), ("/linux/namespaces", Warning), ("/linux/netDevices", Error)],
        ),
        ("linux-rdma", vec![("/process", Error), ("/linux/namespaces", Warning)]),
        ("spec-example", vec![("/ociVersion", Error), ("/linux/resources/memory/useHierarchy", Warning)]),
    ] {
        let spec = parse_spec(&data(&format!("runtime-spec/good/{name}.json"))).unwrap();
        assert_eq!(summary(&check(&spec)), expected, "{name}");
    }
    for name in ["freebsd-example", "freebsd-minimal", "zos-example", "zos-minimal"] {
        let spec = parse_spec(&data(&format!("runtime-spec/good/{name}.json"))).unwrap();
        assert!(check(&spec).iter().any(|finding| finding.severity == Warning), "{name}");
    }
}

#[test]
fn the_bad_documents_of_the_specification() {
    for (name, pointer) in [
        ("linux-netdevice", Some("/linux/netDevices/eth0/name")),
        ("linux-rdma", Some("/linux/resources/rdma/mlx5_1/hcaHandles")),
        ("invalid-json", None),
    ] {
        let error = parse_spec(&data(&format!("runtime-spec/bad/{name}.json"))).unwrap_err();
        assert_eq!(error.pointer(), pointer, "{name}: {error}");
    }
    let hugepage = parse_spec(&data("runtime-spec/bad/linux-hugepage.json")).unwrap();
    let expected = ("/linux/resources/hugepageLimits/0/pageSize", Error);
    assert!(summary(&check(&hugepage)).contains(&expected));
}

#[test]
fn parts_are_judged_where_they_stand() {
    let process = parse_process(br#"{"args": [], "cwd": "x"}"#).unwrap();
    assert_eq!(summary(&check_process(&process, "")), [("/args", Error), ("/cwd", Error)]);
    let resources = Resources { unified: [("high".into(), "1".into())].into(), ..Default::default() };
    assert_eq!(summary(&check_resources(&resources, "")), [("/unified/high", Error)]);
}

/// A caller of the library may bring values that no document can hold.
#[test]
fn nul_bytes_are_found_without_a_document() {
    let mut spec = parse_spec(&data("base.json")).unwrap();
    spec.mounts[1].source = Some("a\0b".into());
    assert_eq!(summary(&check(&spec)), [("/mounts/1/source", Error)]);
}

#[test]
fn every_fault_is_shown_and_a_long_value_is_cut() {
    let mut document = base();
    set(&mut document, "/process/cwd", json!("tmp"));
    set(&mut document, "/linux/devices/0/path", json!("x".repeat(1000)));
    let spec = parse_spec(document.to_string().as_bytes()).unwrap();
    let findings = Checked::new(&spec).unwrap_err();
    assert_eq!(summary(&findings), [("/process/cwd", Error), ("/linux/devices/0/path", Error)]);
    assert!(findings[1].to_string().len() < 200, "{}", findings[1]);
}

/// Whatever a document holds, the answer is an error or a list of findings with pointers.
#[test]
fn damaged_documents_do_no_harm() {
    let original = data("runtime-spec/good/spec-example.json");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut read = 0;
    for _ in 0..5000 {
        let mut bytes = original.clone();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = usize::try_from(random >> 16).unwrap() % bytes.len();
        bytes[place] ^= 1 << (random & 7);
        if let Ok(spec) = parse_spec(&bytes) {
            read += 1;
            assert!(check(&spec).iter().all(|finding| finding.pointer.starts_with('/')));
        }
    }
    assert!(read > 100, "only {read} documents were still readable");
}

/// Judging must stay linear in the size of the document.
#[test]
fn many_items_take_little_time() {
    let mut document = base();
    let limits: Vec<Value> =
        (0..100_000).map(|n| json!({"type": format!("RLIMIT_{n}"), "soft": 1, "hard": 1})).collect();
    let namespaces: Vec<Value> = (0..100_000).map(|n| json!({"type": format!("type-{n}")})).collect();
    set(&mut document, "/process/rlimits", Value::Array(limits));
    set(&mut document, "/linux/namespaces", Value::Array(namespaces));
    set(&mut document, "/linux/cgroupsPath", json!("a/../".repeat(100_000)));
    let spec = parse_spec(document.to_string().as_bytes()).unwrap();
    let start = std::time::Instant::now();
    assert!(check(&spec).len() >= 200_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

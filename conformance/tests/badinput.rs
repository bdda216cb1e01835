//! Wrong configs: one error that names the JSON pointer of the value at fault, and nothing left behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use conformance::{Bundle, Sandbox, Socket, View, corten_only, kernel, sandbox};
use serde_json::{Value, json};

/// Asserts that `create` of this bundle fails with a message that contains each text, and leaves nothing.
#[track_caller]
fn refused(t: &Sandbox, bundle: &Bundle, what: &str, texts: &[&str]) {
    let output = t.on_bundle(["create"], bundle, &t.id()).run();
    judge(t, &output, what, texts);
}

#[track_caller]
fn judge(t: &Sandbox, output: &conformance::Output, what: &str, texts: &[&str]) {
    let stderr = output.fails(1);
    for text in texts {
        assert!(stderr.contains(text), "{what}: {text:?} is missing in {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    assert_eq!(output.stdout(), "", "{what}");
    let left: Vec<_> = fs::read_dir(t.state_root()).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{what}: {left:?} is left");
}

/// Tries a table of (pointer, wrong value): the message has to name the pointer.
fn try_all(rows: &[(impl AsRef<str>, Value)]) {
    corten_only!();
    let t = sandbox!();
    let mut base = t.bundle();
    base.push("/linux/devices", json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3}));
    for kind in HOOKS {
        base.push(&format!("/hooks/{kind}"), json!({"path": "/bin/true", "args": ["true"], "env": ["A=b"]}));
    }
    for (pointer, value) in rows {
        let pointer = pointer.as_ref();
        let mut bundle = t.share(&base);
        bundle.args(["true"]).set(pointer, value.clone());
        refused(&t, &bundle, &format!("{pointer} = {value}"), &[pointer]);
    }
    t.assert_clean();
}

/// Values of every type but one: for a field of that type all of them are wrong.
fn all_types_but(good: &str) -> Vec<Value> {
    let all = [
        ("string", json!("text")),
        ("number", json!(7)),
        ("bool", json!(true)),
        ("list", json!([1.5])),
        ("object", json!({"a": [1.5]})),
        ("float", json!(1.5)),
    ];
    all.into_iter().filter(|(name, _)| *name != good).map(|(_, value)| value).collect()
}

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The fields of a hook, by their types.
const FIELDS_OF_HOOKS: [(&str, &[&str]); 4] = [
    ("string", &["/path", "/args/0", "/env/0"]),
    ("number", &["/timeout"]),
    ("list", &["/args", "/env"]),
    ("object", &[""]),
];

/// The fields of one type, those of each kind of hook among them.
fn fields(kind: &str) -> Vec<String> {
    let plain = FIELDS.iter().filter(|(other, _)| *other == kind).flat_map(|(_, pointers)| *pointers);
    let of_hooks = FIELDS_OF_HOOKS.iter().filter(|(other, _)| *other == kind).flat_map(|(_, names)| *names);
    let of_hooks = of_hooks.flat_map(|name| HOOKS.map(|hook| format!("/hooks/{hook}/0{name}")));
    plain.map(|pointer| (*pointer).to_owned()).chain(of_hooks).collect()
}

/// Every field that the foundation knows, by its type; for those of hooks see above.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "string",
        &[
            "/ociVersion",
            "/root/path",
            "/hostname",
            "/domainname",
            "/process/cwd",
            "/process/args/0",
            "/process/env/0",
            "/process/capabilities/bounding/0",
            "/process/rlimits/0/type",
            "/mounts/0/destination",
            "/mounts/0/type",
            "/mounts/0/source",
            "/mounts/1/options/0",
            "/linux/cgroupsPath",
            "/linux/rootfsPropagation",
            "/linux/maskedPaths/0",
            "/linux/readonlyPaths/0",
            "/linux/namespaces/0/type",
            "/linux/namespaces/0/path",
            "/linux/devices/0/path",
            "/linux/devices/0/type",
            "/linux/resources/devices/0/access",
            "/linux/resources/devices/0/type",
            "/linux/resources/cpu/cpus",
            "/linux/resources/cpu/mems",
            "/annotations/key",
            "/linux/sysctl/net.ipv4.ip_forward",
        ],
    ),
    (
        "bool",
        &[
            "/root/readonly",
            "/process/terminal",
            "/process/noNewPrivileges",
            "/linux/resources/devices/0/allow",
            "/linux/resources/memory/disableOOMKiller",
            "/linux/resources/memory/checkBeforeUpdate",
        ],
    ),
    (
        "number",
        &[
            "/process/user/uid",
            "/process/user/gid",
            "/process/user/umask",
            "/process/oomScoreAdj",
            "/process/consoleSize/height",
            "/process/consoleSize/width",
            "/process/rlimits/0/soft",
            "/process/rlimits/0/hard",
            "/linux/devices/0/major",
            "/linux/devices/0/minor",
            "/linux/devices/0/fileMode",
            "/linux/devices/0/uid",
            "/linux/devices/0/gid",
            "/linux/resources/devices/0/major",
            "/linux/resources/devices/0/minor",
            "/linux/resources/memory/limit",
            "/linux/resources/memory/reservation",
            "/linux/resources/memory/swap",
            "/linux/resources/memory/swappiness",
            "/linux/resources/cpu/shares",
            "/linux/resources/cpu/quota",
            "/linux/resources/cpu/period",
            "/linux/resources/cpu/burst",
            "/linux/resources/cpu/idle",
            "/linux/resources/pids/limit",
        ],
    ),
    (
        "list",
        &[
            "/mounts",
            "/process/args",
            "/process/env",
            "/process/rlimits",
            "/process/user/additionalGids",
            "/process/capabilities/bounding",
            "/process/capabilities/effective",
            "/process/capabilities/permitted",
            "/process/capabilities/inheritable",
            "/process/capabilities/ambient",
            "/mounts/0/options",
            "/linux/namespaces",
            "/linux/devices",
            "/linux/maskedPaths",
            "/linux/readonlyPaths",
            "/linux/resources/devices",
            "/hooks/prestart",
            "/hooks/createRuntime",
            "/hooks/createContainer",
            "/hooks/startContainer",
            "/hooks/poststart",
            "/hooks/poststop",
        ],
    ),
    (
        "object",
        &[
            "/root",
            "/process",
            "/process/user",
            "/process/capabilities",
            "/process/rlimits/0",
            "/process/consoleSize",
            "/mounts/0",
            "/hooks",
            "/linux",
            "/linux/sysctl",
            "/linux/namespaces/0",
            "/linux/devices/0",
            "/linux/resources",
            "/linux/resources/memory",
            "/linux/resources/cpu",
            "/linux/resources/pids",
            "/linux/resources/devices/0",
            "/annotations",
        ],
    ),
];

#[test]
fn every_field_of_another_type() {
    let rows: Vec<(String, Value)> = FIELDS
        .iter()
        .flat_map(|(kind, _)| fields(kind).into_iter().map(move |pointer| (kind, pointer)))
        .flat_map(|(kind, pointer)| {
            all_types_but(kind).into_iter().map(move |value| (pointer.clone(), value))
        })
        .collect();
    try_all(&rows);
}

#[test]
fn every_text_with_a_null_byte() {
    let rows: Vec<_> = fields("string").into_iter().map(|pointer| (pointer, json!("/a\u{0}b"))).collect();
    try_all(&rows);
}

#[test]
fn numbers_out_of_range() {
    try_all(&[
        ("/process/user/uid", json!(-1)),
        ("/process/user/uid", json!(4_294_967_295_u64)),
        ("/process/user/uid", json!(4_294_967_296_u64)),
        ("/process/user/gid", json!(4_294_967_295_u64)),
        ("/process/user/gid", json!(-1)),
        ("/process/user/additionalGids", json!([4_294_967_296_u64])),
        ("/process/user/additionalGids", json!([4_294_967_295_u64])),
        ("/process/user/umask", json!(0o1000)),
        ("/process/user/umask", json!(-1)),
        ("/process/oomScoreAdj", json!(1001)),
        ("/process/oomScoreAdj", json!(-1001)),
        ("/process/rlimits/0/soft", json!(-1)),
        ("/process/rlimits/0/soft", json!(2048)),
        ("/linux/resources/memory/limit", json!(-2)),
        ("/linux/resources/memory/limit", json!(1_u64 << 63)),
        ("/linux/resources/memory/swappiness", json!(101)),
        ("/linux/resources/cpu/shares", json!(-1)),
        ("/linux/resources/cpu/idle", json!(2)),
        ("/linux/resources/devices/0/major", json!(1_u64 << 33)),
    ]);
}

#[test]
fn words_that_are_not_known() {
    try_all(&[
        ("/ociVersion", json!("")),
        ("/ociVersion", json!("one")),
        ("/ociVersion", json!("0.9.0")),
        ("/ociVersion", json!("2.0.0")),
        ("/process/rlimits/0/type", json!("RLIMIT_NOSUCH")),
        ("/process/rlimits/0/type", json!("")),
        ("/linux/namespaces/0/type", json!("sideways")),
        ("/linux/namespaces/0/type", json!("")),
        ("/linux/rootfsPropagation", json!("sideways")),
        ("/linux/resources/devices/0/access", json!("rwx")),
        ("/linux/resources/devices/0/type", json!("z")),
        ("/linux/resources/cpu/cpus", json!("a-b")),
        ("/linux/resources/cpu/cpus", json!("3-1")),
        ("/linux/sysctl", json!({"kernel.core_pattern": "|/evil"})),
    ]);
}

#[test]
fn texts_in_a_wrong_form() {
    let long = "x".repeat(65);
    try_all(&[
        ("/root/path", json!("")),
        ("/hostname", json!(long)),
        ("/domainname", json!(long)),
        ("/process/args", json!([])),
        ("/process/cwd", json!("")),
        ("/process/cwd", json!("relative")),
        ("/process/env", json!(["PATH=/bin", "=value"])),
        ("/mounts/0/destination", json!("")),
        ("/mounts/0/destination", json!("/a/../../b")),
        ("/mounts/0/type", json!("")),
        ("/linux/cgroupsPath", json!("/../../x")),
        ("/linux/maskedPaths/0", json!("relative")),
        ("/linux/maskedPaths/0", json!("/proc/../etc")),
        ("/linux/readonlyPaths/0", json!("relative")),
        ("/linux/namespaces/0/path", json!("relative")),
        ("/linux/devices", json!([{"path": "relative", "type": "c", "major": 1, "minor": 3}])),
        ("/linux/devices", json!([{"path": "/dev/../etc/x", "type": "c", "major": 1, "minor": 3}])),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c", "minor": 3}])),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}])),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c", "major": -1, "minor": 3}])),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o200_000}]),
        ),
        ("/hooks/prestart", json!([{"path": "relative"}])),
        ("/hooks/prestart", json!([{"path": ""}])),
        ("/hooks/prestart", json!([{"args": ["x"]}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "timeout": 0}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "timeout": -1}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "env": [7]}])),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]),
        ),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}])),
    ]);
}

#[test]
fn a_console_wider_than_the_kernel_can_say() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/terminal", true).set("/process/consoleSize", json!({"height": 24, "width": 65_536}));
    let socket = Socket::bind(t.path("console.sock"));
    let output = t.on_bundle(["create", "--console-socket", socket.path()], &bundle, &t.id()).run();
    judge(&t, &output, "a width of 65536", &["/process/consoleSize/width"]);
}

#[test]
fn what_is_missing() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    for (pointer, text) in [
        ("/ociVersion", "ociVersion"),
        ("/root", "/root"),
        ("/root/path", "/root"),
        ("/process/args", "args"),
        ("/process/cwd", "cwd"),
        ("/mounts/0/destination", "/mounts/0"),
        ("/process/rlimits/0/type", "/process/rlimits/0"),
        ("/process/rlimits/0/hard", "/process/rlimits/0"),
        ("/linux/namespaces/0/type", "/linux/namespaces/0"),
    ] {
        let mut bundle = t.share(&base);
        bundle.remove(pointer);
        refused(&t, &bundle, &format!("without {pointer}"), &[text]);
    }
    t.assert_clean();
}

/// What a field needs that not every machine has: with it the container runs, without it the field is named.
#[test]
fn what_this_machine_lacks_is_named_and_the_rest_works() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    let id_map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let label = |text| json!(format!("system_u:{text}_t:s0"));
    let selinux = |label: &Value| fs::write("/sys/fs/selinux/context", label.as_str().unwrap()).is_ok();
    let (process, files) = (label("system_r:container"), label("object_r:container_file"));
    let mounted = |kind: &str| kernel::Process(std::process::id()).file("mounts").contains(kind);
    let has = |path: &str| Path::new(path).exists();
    for (pointer, value, works) in [
        ("/linux/intelRdt", json!({"closID": "x"}), mounted(" resctrl ")),
        ("/linux/personality", json!({"domain": "LINUX32"}), true),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 10}}), false),
        ("/linux/uidMappings", id_map.clone(), false),
        ("/linux/mountLabel", files.clone(), selinux(&files)),
        ("/linux/netDevices", json!({"eth7": {}}), false),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}), has("/sys/devices/system/node")),
        ("/linux/resources/unified", json!({"memory.high": "100000000"}), View::host_is_v2()),
        ("/process/scheduler", json!({"policy": "SCHED_BATCH"}), true),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}), true),
        ("/process/execCPUAffinity", json!({"initial": "0"}), true),
        ("/process/apparmorProfile", json!("no-such-profile"), false),
        ("/process/selinuxLabel", process.clone(), selinux(&process)),
    ] {
        let mut bundle = t.share(&base);
        bundle.args(["true"]).set(pointer, value);
        let output = t.run(&bundle);
        assert_eq!(output.success(), works, "{pointer}: {}", output.report());
        assert!(works || output.stderr().contains(pointer), "{pointer}: {}", output.report());
    }
    t.assert_clean();
}

#[test]
fn an_unknown_field_is_ignored_unless_strict() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]).set("/linux/ofTheFuture", json!({"a": 1})).set("/process/typo", 1);
    t.run(&bundle).ok();
    let debug = t.runtime(["--debug", "run", "--bundle", bundle.dir().to_str().unwrap(), &t.id()]).run();
    debug.ok();
    assert!(debug.stderr().contains("/linux/ofTheFuture"), "{}", debug.report());
    let strict = t.on_bundle(["run", "--strict"], &bundle, &t.id()).run();
    strict.fails_with(1, "/linux/ofTheFuture");
    // One that is read, as Go's reader would.
    let mut bundle = t.bundle();
    bundle.args(["hostname"]).remove("/hostname").set("/HostName", "other");
    assert_eq!(t.run(&bundle).ok(), "other\n");
    t.on_bundle(["run", "--strict"], &bundle, &t.id()).run().fails_with(1, "/HostName: not a field");
    t.assert_clean();
}

#[test]
fn documents_that_are_no_config() {
    corten_only!(); // runc takes trailing bytes and repeated keys
    let t = sandbox!();
    let bundle = t.bundle();
    let good = bundle.config().to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let repeated = good.replacen("\"hostname\"", "\"hostname\":\"first\",\"hostname\"", 1);
    let nested = good.replacen("\"cwd\"", "\"cwd\":\"/first\",\"cwd\"", 1);
    let with = |value: &str| good.replacen('{', &format!("{{\"future\":{value},"), 1);
    let long = format!("\"{}\"", "x".repeat(17 << 20));
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("cut off", good.as_bytes()[..good.len() / 2].to_vec()),
        ("trailing bytes", format!("{good} x").into_bytes()),
        ("two documents", format!("{good}{good}").into_bytes()),
        ("a repeated key", repeated.into_bytes()),
        ("a repeated key further in", nested.into_bytes()),
        (
            "not UTF-8",
            good.replace("corten", "cor\u{1}en")
                .into_bytes()
                .iter()
                .map(|b| if *b == 1 { 0xff } else { *b })
                .collect(),
        ),
        ("too deep", with(&deep).into_bytes()),
        ("too long", with(&long).into_bytes()),
    ] {
        bundle.write_bytes(&bytes);
        let begin = Instant::now();
        let dir = bundle.dir().to_str().unwrap();
        let output = t.runtime(["create", "--bundle", dir, &t.id()]).run();
        judge(&t, &output, what, &[]);
        assert!(begin.elapsed() < Duration::from_secs(3), "{what} takes {:?}", begin.elapsed());
        assert!(output.stderr().len() < 2000, "{what}: a message of {} bytes", output.stderr().len());
    }
    t.assert_clean();
}

/// What the specification's own documents of bad configs have in them.
#[test]
fn documents_of_the_specification() {
    corten_only!();
    let t = sandbox!();
    let base = t.bundle();
    for (what, pointer, value) in [
        ("linux-rdma", "/linux/resources/rdma/mlx5_1/hcaHandles", json!("not a uint32")),
        ("linux-hugepage", "/linux/resources/hugepageLimits/0/pageSize", json!("64kB")),
    ] {
        let mut bundle = t.share(&base);
        if what == "linux-hugepage" {
            bundle.push("/linux/resources/hugepageLimits", json!({"limit": 1_234_123}));
        }
        bundle.set(pointer, value);
        assert_eq!(t.refused_at(&bundle), pointer, "{what}");
    }
    t.assert_clean();
}

#[test]
fn a_config_that_is_no_file() {
    let t = sandbox!();
    let bundle = t.bundle();
    let file = bundle.dir().join("config.json");
    let create = |what: &str| {
        let output = t.runtime(["create", "--bundle", bundle.dir().to_str().unwrap(), &t.id()]);
        judge(&t, &output.limit(Duration::from_secs(5)).run(), what, &[]);
    };
    fs::create_dir(&file).unwrap();
    create("a directory");
    fs::remove_dir(&file).unwrap();
    symlink("/nosuch", &file).unwrap();
    create("a dangling link");
    if !conformance::is_peer() {
        fs::remove_file(&file).unwrap();
        symlink("/dev/zero", &file).unwrap();
        create("without end");
    }
}

#[test]
fn large_values_are_taken_or_refused_in_time() {
    let t = sandbox!();
    let base = t.bundle();
    let many: Vec<u32> = (0..65_536).collect();
    let paths: Vec<String> = (0..20_000).map(|i| format!("/proc/nosuch{i}")).collect();
    for (pointer, value) in [
        ("/process/user/additionalGids", json!(many)),
        ("/linux/maskedPaths", json!(paths)),
        ("/process/env", json!((0..20_000).map(|i| format!("V{i}={i}")).collect::<Vec<_>>())),
        (
            "/annotations",
            (0..20_000).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>().into(),
        ),
        ("/process/args", json!(["true", "x".repeat(100_000)])),
    ] {
        let mut bundle = t.share(&base);
        bundle.args(["/bin/true"]).set(pointer, value);
        if pointer == "/process/env" {
            bundle.push(pointer, json!("PATH=/bin"));
        }
        let begin = Instant::now();
        let output = t.run(&bundle);
        let time = begin.elapsed();
        assert!(output.success() || output.code() == 1, "{pointer}: {}", output.report());
        assert!(!output.stderr().contains("panicked"), "{}", output.report());
        assert!(time < Duration::from_secs(8), "{pointer}: {time:?}");
    }
    t.assert_clean();
}

/// What is kept of a config is missing: nothing that needs it begins, and nobody says that there is no container.
#[test]
fn a_state_without_its_config() {
    corten_only!();
    let t = sandbox!();
    let kept = |id: &str| t.state_root().join(id).join("config.json");
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    fs::remove_file(kept(c.id())).unwrap();
    c.exec(["true"]).fails_with(255, "config.json: missing");
    let tmpfs = r#"[{"destination": "/tmp", "type": "tmpfs"}]"#;
    let added = t.runtime(["mounts", "add", c.id(), "-"]).input(tmpfs).run();
    added.fails_with(1, "config.json: missing");
    assert_eq!(c.status(), "running");
    c.force_delete();

    let c = t.create(bundle.push("/hooks/poststart", json!({"path": "/bin/true"})));
    fs::remove_file(kept(c.id())).unwrap();
    c.call("start").fails_with(1, "config.json: missing");
    assert_eq!(c.status(), "created");
    c.force_delete();
    t.assert_clean();
}

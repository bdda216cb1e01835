//! Reading a bundle: what is refused before a single value is judged, and where it stands.

use std::fs;
use std::io;
use std::path::PathBuf;

use runtime_core::bundle::{
    Bundle, BundleError, MAX_SIZE, ParseError, parse_process, parse_resources, parse_spec, unknown_fields,
};
use runtime_core::config::Spec;
use serde_json::Value;

/// A directory that is removed at the end of its test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("corten-bundle-{name}-{}", std::process::id()));
        fs::create_dir(&path).map(|()| Self(path))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_bundle_is_a_directory_with_a_configuration() {
    let dir = Dir::new("load").unwrap();
    let missing = Bundle::load(dir.0.join("no")).unwrap_err();
    assert!(matches!(missing, BundleError::Dir { .. }), "{missing}");

    let empty = Bundle::load(&dir.0).unwrap_err();
    assert_eq!(empty.to_string(), "JSON specification file config.json not found");

    fs::write(dir.0.join("config.json"), r#"{"ociVersion": "1.0.0", "root": {"path": 1}}"#).unwrap();
    let bad = Bundle::load(&dir.0).unwrap_err().to_string();
    assert!(bad.contains("config.json: /root/path: invalid type: integer `1`"), "{bad}");

    fs::write(dir.0.join("config.json"), r#"{"ociVersion": "1.0.0"}"#).unwrap();
    let bundle = Bundle::load(dir.0.join(".")).unwrap();
    assert_eq!(bundle.dir, dir.0.canonicalize().unwrap());
    assert_eq!(bundle.spec.oci_version, "1.0.0");
}

#[test]
fn a_configuration_is_a_regular_file() {
    let dir = Dir::new("fifo").unwrap();
    let status = std::process::Command::new("mkfifo").arg(dir.0.join("config.json")).status().unwrap();
    assert!(status.success());
    let error = Bundle::load(&dir.0).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_document_is_one_json_value() {
    for (bytes, expected) in [
        (&b""[..], "EOF"),
        (b"{", "EOF"),
        (b"{} {}", "trailing"),
        (b"{}x", "trailing"),
        (b"{'a': 1}", "key"),
        (b"\xef\xbb\xbf{}", "expected value"),
        (b"{\"hostname\": \"a\0b\"}", "control character"),
    ] {
        let error = parse_spec(bytes).unwrap_err();
        assert!(matches!(&error, ParseError::Syntax(text) if text.contains(expected)), "{error:?}");
    }
    assert_eq!(parse_spec(b"{\"hostname\": \"\xff\"}").unwrap_err(), ParseError::NotUtf8(14));
    assert_eq!(parse_spec(&vec![b' '; MAX_SIZE + 1]).unwrap_err(), ParseError::TooLarge);
    // One that is read into a value, and some that nothing reads, at all distances from the beginning of a word.
    let unknown = (0..8).map(|length| "x".repeat(length));
    for field in std::iter::once("windows".to_owned()).chain(unknown) {
        let nested = |depth: usize| {
            let pairs = depth / 2;
            format!("{{\"{field}\": {}0{}}}", "[{\"\":".repeat(pairs), "}]".repeat(pairs))
        };
        assert!(parse_spec(nested(126).as_bytes()).is_ok());
        let error = parse_spec(nested(128).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 128"), "{error}");
    }
    let brackets = format!("{{\"hostname\": \"{}\"}}", "[{\\\"".repeat(200));
    assert!(parse_spec(brackets.as_bytes()).is_ok(), "brackets in a string nest nothing");
}

#[test]
fn faults_have_pointers() {
    for (document, expected, text) in [
        (r#"[]"#, "", "invalid type: sequence"),
        (r#"{"root": ["rootfs", true]}"#, "/root", "invalid type: sequence"),
        (r#"{"process": {"user": [0, 0]}}"#, "/process/user", "invalid type: sequence"),
        (r#"{"annotations": []}"#, "/annotations", "invalid type: sequence, expected a map"),
        (r#"{"process": {"args": "sh"}}"#, "/process/args", "expected a sequence"),
        (r#"{"process": {"args": ["sh", null]}}"#, "/process/args/1", "expected a string"),
        (r#"{"process": {"user": {"uid": -1}}}"#, "/process/user/uid", "expected u32"),
        (r#"{"process": {"user": {"uid": 4294967296}}}"#, "/process/user/uid", "expected u32"),
        (r#"{"process": {"user": {"uid": 1.0}}}"#, "/process/user/uid", "floating point"),
        (r#"{"process": {"user": {"uid": 1e3}}}"#, "/process/user/uid", "floating point"),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1}]}}"#,
            "/process/rlimits/0",
            "missing field `hard`",
        ),
        (r#"{"process": {"cwd": "/", "cwd": "/"}}"#, "/process", "duplicate field `cwd`"),
        (r#"{"process": {"CWD": "/", "cwd": "/"}}"#, "/process", "duplicate field `cwd`"),
        (r#"{"process": {"cwd": "/", "CWD": "/"}}"#, "/process", "duplicate field `cwd`"),
        (
            r#"{"Linux": {"resources": {"CPU": {"Quota": "1"}}}}"#,
            "/Linux/resources/CPU/Quota",
            "expected i64",
        ),
        (r#"{"annotations": {"a/b": 1}}"#, "/annotations/a~1b", "expected a string"),
        (r#"{"annotations": {"a": "1", "a": "2"}}"#, "/annotations", "duplicate key `a`"),
        (r#"{"linux": {"sysctl": {"a": "1", "a": "1"}}}"#, "/linux/sysctl", "duplicate key `a`"),
        (
            r#"{"linux": {"resources": {"pids": {"limit": "1"}}}}"#,
            "/linux/resources/pids/limit",
            "expected i64",
        ),
        (
            r#"{"linux": {"resources": {"memory": {"limit": 9223372036854775808}}}}"#,
            "/linux/resources/memory/limit",
            "expected i64",
        ),
        (r#"{"hooks": {"poststop": [{"path": []}]}}"#, "/hooks/poststop/0/path", "expected a string"),
    ] {
        let error = parse_spec(document.as_bytes()).unwrap_err();
        assert_eq!(error.pointer(), Some(expected), "{document}: {error}");
        assert!(error.to_string().contains(text), "{document}: {error}");
    }
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let document = format!(r#"{{"process": {{"args": "{}"}}}}"#, "é".repeat(1000));
    let error = parse_spec(document.as_bytes()).unwrap_err().to_string();
    assert!(error.len() < 500 && error.contains("expected a sequence"), "{error}");
}

#[test]
fn nul_bytes_are_refused_wherever_they_are() {
    for (document, expected) in [
        (r#"{"process": {"args": ["sh", "a\u0000b"]}}"#, "/process/args/1"),
        (r#"{"annotations": {"a/b": "\u0000"}}"#, "/annotations/a~1b"),
        (r#"{"annotations": {"a\u0000": ""}}"#, "/annotations"),
        (r#"{"future": {"x": "\u0000"}}"#, "/future/x"),
    ] {
        assert_eq!(
            parse_spec(document.as_bytes()).unwrap_err(),
            ParseError::Nul(expected.into()),
            "{document}"
        );
    }
    let escaped = parse_spec(br#"{"hostname": "a\\u0000"}"#).unwrap();
    assert_eq!(escaped.hostname.as_deref(), Some("a\\u0000"));
}

#[test]
fn a_process_stands_alone() {
    let process = parse_process(br#"{"args": ["id"], "cwd": "/", "user": {"uid": 7}}"#).unwrap();
    assert_eq!((process.args, process.user.uid), (vec!["id".to_owned()], 7));
    let error = parse_process(br#"{"args": 1}"#).unwrap_err();
    assert_eq!(error.pointer(), Some("/args"));
}

#[test]
fn null_and_empty_strings_are_absent() {
    let spec = parse_spec(
        br#"{
            "ociVersion": null, "process": null, "root": null, "hostname": "", "mounts": null, "hooks": null,
            "annotations": null, "windows": null,
            "linux": {
                "namespaces": [{"type": "pid", "path": ""}], "sysctl": null, "resources": {"pids": {"limit": null}},
                "cgroupsPath": "", "seccomp": null, "maskedPaths": null
            }
        }"#,
    )
    .unwrap();
    let absent =
        parse_spec(br#"{"linux": {"namespaces": [{"type": "pid"}], "resources": {"pids": {}}}}"#).unwrap();
    assert_eq!(spec, absent);
}

#[test]
fn absent_is_not_zero() {
    let limit = |text: &str| {
        parse_spec(text.as_bytes()).unwrap().linux.unwrap().resources.unwrap().pids.unwrap().limit
    };
    assert_eq!(limit(r#"{"linux": {"resources": {"pids": {}}}}"#), None);
    assert_eq!(limit(r#"{"linux": {"resources": {"pids": {"limit": 0}}}}"#), Some(0));
}

#[test]
fn unknown_fields_are_listed() {
    let document = br#"{
        "ociVersion": "1.0.0", "future": 1,
        "mounts": [{"destination": "/a", "x": {"y": 1}}],
        "linux": {"sysctl": {"any": "1"}, "resources": {"pids": {"limit": 1, "a/b": 2}}}
    }"#;
    let unknown = unknown_fields(document).unwrap();
    assert_eq!(unknown, ["/future", "/linux/resources/pids/a~1b", "/mounts/0/x"]);
}

/// Fields that are read all the same, and what is ignored below them.
#[test]
fn keys_in_another_case_are_listed() {
    for (document, expected) in [
        (r#"{"HostName": "a", "hooks": {}}"#, &["/HostName"][..]),
        (r#"{"Linux": {"x": 1, "resources": {"CPU": {"QUOTA": 1}}}}"#, &["/Linux", "/Linux/x"]),
        (
            r#"{"linux": {"resources": {"cpu": {"shares": 5}, "CPU": {"quota": 1}}}}"#,
            &["/linux/resources/CPU"],
        ),
        // A field that must be there.
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_CPU", "Soft": 1, "hard": 1}]}}"#,
            &["/process/rlimits/0/Soft"],
        ),
        (r#"{"annotations": {"CPU": "1", "cpu": "1"}, "windows": {"CPU": 1, "cpu": 2}}"#, &[]),
    ] {
        assert_eq!(unknown_fields(document.as_bytes()).unwrap(), expected, "{document}");
    }
}

#[test]
fn fields_are_listed_of_a_document_that_can_be_read() {
    let deep = format!("{{\"future\": {}{}}}", "[".repeat(128), "]".repeat(128));
    for document in [
        &b"\xff"[..],
        b"{} {}",
        b"{\"root\": {\"path\": 1}}",
        b"{\"hostname\": \"\", \"hostname\": \"\"}",
        &[b' '; MAX_SIZE + 1],
        deep.as_bytes(),
    ] {
        assert_eq!(unknown_fields(document).unwrap_err(), parse_spec(document).unwrap_err());
    }
}

/// The same document with each key of an object in capital letters; what a map holds has keys of its own.
fn shouted(value: &Value) -> Value {
    const MAPS: [&str; 6] = ["annotations", "sysctl", "timeOffsets", "netDevices", "rdma", "unified"];
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| match value {
                    Value::Object(map) if MAPS.contains(&key.as_str()) => {
                        let map = map.iter().map(|(key, value)| (key.clone(), shouted(value)));
                        (key.to_uppercase(), map.collect())
                    }
                    value => (key.to_uppercase(), shouted(value)),
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(shouted).collect(),
        value => value.clone(),
    }
}

#[test]
fn keys_are_read_in_any_case() {
    for name in ["base.json", "runtime-spec/good/spec-example.json", "runtime-spec/good/linux-rdma.json"] {
        let text = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap();
        let document = shouted(&serde_json::from_slice(&text).unwrap());
        let bytes = serde_json::to_vec(&document).unwrap();
        assert_eq!(parse_spec(&bytes).unwrap(), parse_spec(&text).unwrap(), "{name}");
        assert_eq!(serde_json::from_value::<Spec>(document).unwrap(), parse_spec(&text).unwrap(), "{name}");
    }
    let resources = parse_resources(
        br#"{"CPU": {"Cpus": "0", "x": {"quota": 1}, "Q\u0075ota": 7}, "hugepagelimits": [{"pagesize": "2MB", "limit": 1}],
             "Unified": {"A": "1", "a": "2"}, "pids": {"Limit": null}, "Memory": null}"#,
    );
    let expected = parse_resources(
        br#"{"cpu": {"cpus": "0", "quota": 7}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
             "unified": {"A": "1", "a": "2"}, "pids": {}}"#,
    );
    assert_eq!(resources.unwrap(), expected.unwrap());
}

#[test]
fn an_object_in_two_spellings_is_one() {
    let spec = |resources: &str| format!(r#"{{"a": [{{"b": 1}}], "linux": {{"resources": {resources}}}}}"#);
    let one = spec(
        r#"{"cpu": {"shares": 5, "cpus": "0", "mems": "0"}, "rdma": {"x": {}, "X": {"hcaHandles": 1}}}"#,
    );
    for twins in [
        r#"{"cpu": {"shares": 5}, "CPU": {"Cpus": "0", "mems": "0"}, "rdma": {"x": {}, "X": {"hcaHandles": 1}}}"#,
        r#"{"Cpu": {"cpus": "0"}, "cpu": { }, "rdma": {"x": {}, "X": {"hcaHandles": 1}}, "CPU": {"shares": 5, "mems": "0"}}"#,
    ] {
        let text = spec(twins);
        assert_eq!(parse_spec(text.as_bytes()).unwrap(), parse_spec(one.as_bytes()).unwrap(), "{twins}");
    }
    let both = r#"{"Linux": {"resources": {}}, "linux": {"Resources": {"pids": {"limit": 1}}}}"#;
    let one = r#"{"linux": {"resources": {"pids": {"limit": 1}}}}"#;
    assert_eq!(parse_spec(both.as_bytes()).unwrap(), parse_spec(one.as_bytes()).unwrap());
    // Each structure that a structure has; what nobody reads stays as it is.
    let document = |wrap: &dyn Fn(&str) -> String| {
        let user = wrap(r#""user": {"uid": 1}"#);
        format!(
            r#"{{"linux": {{{}, {}, {}}}, "process": {{{user}}}, "windows": {{"a": {{"b": 1}}, "A": {{"b": 1}}}}}}"#,
            wrap(r#""intelRdt": {"schemata": ["a"]}"#),
            wrap(r#""seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}"#),
            wrap(r#""memoryPolicy": {"mode": "a"}"#),
        )
    };
    let shout = |member: &str| {
        let (key, _) = member.split_once(": ").unwrap();
        format!("{member}, {}: {{}}", key.to_uppercase())
    };
    let (plain, twins) = (document(&str::to_owned), document(&shout));
    assert_eq!(parse_spec(twins.as_bytes()).unwrap(), parse_spec(plain.as_bytes()).unwrap());
}

#[test]
fn what_two_spellings_cannot_say() {
    let cpu = |text: &str| parse_resources(text.as_bytes()).unwrap_err();
    for refused in [
        r#"{"cpu": {"shares": 5}, "cpu": {"cpus": "0"}}"#,
        r#"{"cpu": {"shares": 5}, "CPU": null}"#,
        r#"{"cpu": {}, "CPU": {}, "pids": {}, "pids": {}}"#,
        r#"{"CPU": {"shares": 5}, "cpu": {"cpus": "0"}, "cpu": {}}"#,
        r#"{"cpu": {}, "CPU": {"shares": 5}, "CPU": {"cpus": "0"}}"#,
        r#"{"cpu": {}, "CPU": {"shares": 5}, "cpu": {"cpus": "0"}}"#,
        r#"{"CPU": {}, "cpu": {"shares": 5}, "\u0063pu": {"cpus": "0"}}"#,
        r#"{"devices": [], "Devices": []}"#,
    ] {
        let error = cpu(refused);
        assert_eq!(error.pointer(), Some(""), "{refused}: {error}");
        assert!(error.to_string().contains("duplicate field"), "{refused}: {error}");
    }
    for (document, pointer, text) in [
        (
            r#"{"linux": {"resources": {"cpu": {"shares": 5}, "CPU": {"quota": "x"}}}}"#,
            "/linux/resources/cpu/quota",
            "expected i64",
        ),
        (
            r#"{"linux": {"resources": {"cpu": {}, "CPU": {}, "memory": {"limit": "x"}}}}"#,
            "/linux/resources/memory/limit",
            "expected i64",
        ),
        (
            r#"{"linux": {"resources": {"cpu": {"shares": 5}, "CPU": {"Shares": 6}}}}"#,
            "/linux/resources/cpu",
            "duplicate field `shares`",
        ),
        (
            r#"{"linux": {"resources": {"cpu": {}, "CPU": {}, "pids": {}, "pids": {}}}}"#,
            "/linux/resources",
            "duplicate field `pids`",
        ),
        (
            r#"{"Process": {"cwd": "/"}, "process": {"args": []}, "hostname": 5}"#,
            "/hostname",
            "expected a string",
        ),
        (
            r#"{"linux": {"Resources": {}, "resources": {"rdma": {"a": {}, "a": {}}}}}"#,
            "/linux/resources/rdma",
            "duplicate key `a`",
        ),
    ] {
        let error = parse_spec(document.as_bytes()).unwrap_err();
        assert_eq!(error.pointer(), Some(pointer), "{document}: {error}");
        let error = error.to_string();
        assert!(error.contains(text) && !error.contains(" line "), "{document}: {error}");
    }
    for behind in ["x", "{}", "]"] {
        let error = cpu(&format!("{{\"cpu\": {{}}, \"CPU\": {{}}}}{behind}"));
        assert!(matches!(&error, ParseError::Syntax(text) if text.contains("trailing")), "{error:?}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for name in ["base.json", "runtime-spec/good/spec-example.json", "runtime-spec/good/linux-rdma.json"] {
        let text = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap();
        let spec = parse_spec(&text).unwrap();
        let written = serde_json::to_vec(&spec).unwrap();
        assert_eq!(parse_spec(&written).unwrap(), spec, "{name}");
        assert!(!written.windows(4).any(|bytes| bytes == b"null"), "{name}");
    }
}

//! `plan` and `check`: what a bundle would come to, without privileges and without running anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use conformance::{Bundle, Command, Sandbox, corten_only, sandbox, tool};
use serde_json::{Value, json};

/// The command as an unprivileged user runs it.
fn unprivileged(command: Command) -> Command {
    match tool("setpriv") {
        Some(setpriv) => command.wrap([
            setpriv.to_str().unwrap(),
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--",
        ]),
        None => command,
    }
}

fn ask(t: &Sandbox, command: &[&str], bundle: &Bundle) -> Command {
    bundle.write();
    // The program may stand where only root can go.
    let program = t.path("runtime");
    if !program.exists() {
        fs::copy(t.program(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let command = t.command([&program]).args(command).args(["--bundle".as_ref(), bundle.dir().as_os_str()]);
    unprivileged(command)
}

#[test]
fn a_plan_names_the_origin_of_each_step() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/user/uid", 1000).set("/linux/sysctl", json!({"net.ipv4.ip_forward": "0"}));
    let text = ask(&t, &["plan"], &bundle).run().ok();
    for origin in [
        "/mounts/0",
        "/mounts/6",
        "/linux/namespaces",
        "/process/args",
        "/linux/maskedPaths",
        "/hostname",
        "/root/readonly",
    ] {
        assert!(text.contains(origin), "{origin} is missing in\n{text}");
    }
    let lines: Vec<String> = text.lines().map(str::to_lowercase).collect();
    let line = |word: &str| {
        lines.iter().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}:\n{text}"))
    };
    assert!(line("/mounts/0") < line("pivot"), "mounts come before pivot_root");
    assert!(line("pivot") < line("/process/args"), "the payload comes last");
    t.assert_clean();
}

#[test]
fn a_plan_as_json() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    let text = ask(&t, &["plan", "--format", "json"], &bundle).run().ok();
    let plan: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(plan.to_string().contains("/mounts/0"), "{text}");
    // The same bundle gives the same plan.
    assert_eq!(ask(&t, &["plan", "--format", "json"], &bundle).run().ok(), text);
}

#[test]
fn a_plan_of_a_wrong_config_is_an_error() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/cwd", "relative");
    ask(&t, &["plan"], &bundle).run().fails_with(1, "/process/cwd");
}

#[test]
fn a_check_finds_every_fault() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    ask(&t, &["check"], &bundle).run().ok();
    bundle
        .set("/process/cwd", "relative")
        .set("/process/oomScoreAdj", 5000)
        .set("/linux/rootfsPropagation", "sideways");
    bundle.set("/linux/seccomp/defaultAction", "SCMP_ACT_NONSENSE").set("/process/typo", 1);
    let output = ask(&t, &["check"], &bundle).run();
    assert_eq!(output.code(), 1);
    let pointers = [
        "/process/cwd",
        "/process/oomScoreAdj",
        "/linux/rootfsPropagation",
        "/linux/seccomp",
        "/process/typo",
    ];
    for pointer in pointers {
        assert!(output.stdout().contains(pointer), "{pointer}: {}", output.report());
    }
    let output = ask(&t, &["check", "--format", "json"], &bundle).run();
    assert_eq!(output.code(), 1);
    let findings: Value = serde_json::from_str(&output.stdout()).unwrap();
    for pointer in pointers {
        let named = |finding: &&Value| finding["pointer"].as_str().unwrap().starts_with(pointer);
        assert!(findings.as_array().unwrap().iter().any(|finding| named(&finding)), "{pointer}: {findings}");
    }
    t.assert_clean();
}

#[test]
fn a_check_of_what_is_no_config() {
    corten_only!();
    let t = sandbox!();
    let bundle = t.bundle();
    let check = |bytes: &[u8]| {
        bundle.write_bytes(bytes);
        t.bare(["check", "--bundle", bundle.dir().to_str().unwrap()]).run().fails(1)
    };
    for bytes in [&b"{"[..], b"[]", b"{\"ociVersion\": 7}"] {
        check(bytes);
    }
}

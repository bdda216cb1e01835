//! AppArmor profiles and SELinux labels, where the machine has them; a clear refusal where it has not.

use std::fs;
use std::path::Path;

use conformance::{corten_only, kernel, sandbox, skip, tool};

fn has_apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

#[test]
fn without_a_security_module_a_label_is_refused() {
    corten_only!();
    let t = sandbox!();
    let rows = [
        ("/process/apparmorProfile", has_apparmor()),
        ("/process/selinuxLabel", has_selinux()),
        ("/linux/mountLabel", has_selinux()),
    ];
    for (pointer, _) in rows.into_iter().filter(|(_, there)| !there) {
        let mut bundle = t.bundle();
        bundle.set(pointer, "system_u:object_r:container_file_t:s0");
        let at = t.refused_at(&bundle);
        assert!(at == pointer || pointer == "/linux/mountLabel" && at.starts_with("/mounts/"), "{at}");
    }
}

#[test]
fn an_apparmor_profile_denies() {
    let t = sandbox!();
    let Some(parser) = tool("apparmor_parser").filter(|_| has_apparmor()) else {
        skip!("AppArmor is not enabled here, or apparmor_parser is not installed");
    };
    let profile = "corten-test";
    let text = format!(
        "profile {profile} flags=(attach_disconnected) {{\n  file,\n  capability,\n  signal,\n  ptrace,\n  mount,\n  deny /tmp/denied w,\n}}\n"
    );
    fs::write(t.path("profile"), text).unwrap();
    t.command([&parser]).args(["-r".as_ref(), t.path("profile").as_os_str()]).run().ok();
    let mut bundle = t.bundle();
    bundle.set("/process/apparmorProfile", profile).set("/root/readonly", false).args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    assert!(c.init().file("attr/current").starts_with(profile));
    let shown = c.exec(["sh", "-c", "cat /proc/self/attr/current; touch /tmp/fine && touch /tmp/denied"]);
    assert!(shown.stdout().starts_with("corten-test (enforce)"), "{}", shown.report());
    assert!(
        shown.stderr().contains("Permission denied") && bundle.inside("/tmp/fine").exists(),
        "{}",
        shown.report()
    );
    c.force_delete();
    bundle.set("/process/apparmorProfile", "no-such-profile");
    assert!(t.create_fails(&bundle).contains("no-such-profile"));
    t.command([&parser]).args(["-R".as_ref(), t.path("profile").as_os_str()]).run().ok();
}

#[test]
fn a_process_and_its_files_have_their_selinux_labels() {
    let t = sandbox!();
    if !has_selinux() {
        skip!("SELinux is not enabled here");
    }
    let (process, files) =
        ("system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2");
    let mut bundle = t.bundle();
    bundle.set("/process/selinuxLabel", process).set("/linux/mountLabel", files).args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    assert_eq!(c.init().file("attr/current").trim_end_matches('\0'), process);
    assert!(kernel::read(format!("/proc/{}/mounts", c.pid())).contains(files));
}

/// On a machine without the security module, the plan alone shows where its labels go.
#[test]
fn each_label_goes_to_its_file() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let (process, files) =
        ("system_u:system_r:container_t:s0:c1", "system_u:object_r:container_file_t:s0:c1");
    bundle.set("/process/selinuxLabel", process).set("/linux/mountLabel", files);
    bundle.set("/process/apparmorProfile", "a-profile").write();
    let plan = t.runtime(["plan", "--bundle", bundle.dir().to_str().unwrap()]).run().ok();
    let place = |words: &[&str]| {
        let found = plan.lines().position(|line| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("{words:?} is missing in\n{plan}"))
    };
    let keys =
        [place(&["attr/keycreate", process]), place(&["SessionKeyring"]), place(&["attr/keycreate", "\"\""])];
    assert!(keys.is_sorted(), "the keyring has the label, and no later key: {keys:?}\n{plan}");
    let exec = [
        place(&["attr/apparmor/exec", "fallback=\"attr/exec\"", "\"exec a-profile\""]),
        place(&["\"attr/exec\"", process]),
    ];
    assert!(place(&["PivotRoot"]) < exec[0] && exec[1] < place(&["CloseFds"]), "{plan}");
    for target in ["/dev", "/dev/pts", "/dev/shm"] {
        place(&["MountFs", &format!("target=\"{target}\""), &format!("context={files}")]);
    }
}

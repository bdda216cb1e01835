//! AppArmor profiles and SELinux labels, where the machine has them; a clear refusal where it has not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use conformance::{Bundle, Container, Sandbox, corten_only, is_peer, sandbox, skip, tool};
use serde_json::json;

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

/// A profile of AppArmor that is loaded as long as this lives.
pub(crate) struct Profile {
    pub(crate) name: String,
    parser: PathBuf,
    file: PathBuf,
}

impl Profile {
    /// Everything may be done but for writing these files; `None` where there is no AppArmor.
    pub(crate) fn denying(t: &Sandbox, files: &[&str]) -> Option<Self> {
        let parser = tool("apparmor_parser").filter(|_| has_apparmor())?;
        let (name, file) = (format!("corten-{}", t.id()), t.path("profile"));
        let rules = "  file,\n  capability,\n  signal,\n  ptrace,\n  mount,\n  umount,\n";
        let denied: String = files.iter().map(|file| format!("  deny {file} w,\n")).collect();
        fs::write(&file, format!("profile {name} flags=(attach_disconnected) {{\n{rules}{denied}}}\n"))
            .unwrap();
        t.command([&parser]).args(["-r".as_ref(), file.as_os_str()]).run().ok();
        Some(Self { name, parser, file })
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let done = Command::new(&self.parser).arg("-R").arg(&self.file).status();
        assert!(done.is_ok_and(|status| status.success()) || thread::panicking(), "{} stays", self.name);
    }
}

pub(crate) const NO_APPARMOR: &str = "AppArmor is not enabled here, or apparmor_parser is not installed";

#[test]
fn an_apparmor_profile_denies() {
    let t = sandbox!();
    let Some(profile) = Profile::denying(&t, &["/tmp/denied"]) else { skip!("{NO_APPARMOR}") };
    let mut bundle = t.bundle();
    bundle.set("/process/apparmorProfile", profile.name.as_str());
    bundle.set("/root/readonly", false).args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    let confined = format!("{} (enforce)", profile.name);
    assert_eq!(c.init().file("attr/current").trim(), confined);
    let shown = c.exec(["sh", "-c", "cat /proc/self/attr/current; touch /tmp/fine && touch /tmp/denied"]);
    assert!(shown.stdout().starts_with(&confined), "{}", shown.report());
    assert!(
        shown.stderr().contains("Permission denied") && bundle.inside("/tmp/fine").exists(),
        "{}",
        shown.report()
    );
    c.force_delete();
    bundle.set("/process/apparmorProfile", "no-such-profile");
    assert!(t.create_fails(&bundle).contains("no-such-profile"));
}

/// A container's process, its files, and files that are another container's.
pub(crate) const PROCESS: &str = "system_u:system_r:container_t:s0:c1,c2";
const FILES: &str = "system_u:object_r:container_file_t:s0:c1,c2";
const OTHERS: &str = "system_u:object_r:container_file_t:s0:c3";

/// Whether SELinux is enforced, with a policy that knows these labels.
pub(crate) fn enforces_selinux() -> bool {
    let knows = |label| fs::write("/sys/fs/selinux/context", label).is_ok();
    fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|text| text == "1")
        && knows(PROCESS)
        && knows(OTHERS)
}

pub(crate) const NO_SELINUX: &str =
    "SELinux is not enforced here, or its policy has no container_t (suites/machine: integration-selinux)";

/// A bundle whose process and mounts have labels.
fn labelled(t: &Sandbox) -> Bundle {
    let mut bundle = t.bundle();
    bundle.set("/process/selinuxLabel", PROCESS).set("/linux/mountLabel", FILES).args(["sleep", "1000"]);
    bundle
}

/// The label of a file, as it is seen from the container's root.
fn label_of(t: &Sandbox, c: &Container<'_>, path: &str) -> String {
    let path = format!("/proc/{}/root{path}", c.pid());
    t.command(["stat", "-c", "%C", &path]).run().ok().trim().to_owned()
}

/// The labels of a container's processes and mounts.
fn labels(t: &Sandbox, bundle: &Bundle) -> Vec<(&'static str, String)> {
    let c = t.launch(bundle);
    let mut found = vec![
        ("init", c.init().file("attr/current")),
        ("exec", c.exec(["cat", "/proc/self/attr/current"]).ok()),
        ("later keys", c.init().file("attr/keycreate")),
    ];
    let mounts = [
        "/dev",
        "/dev/null",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/sys/firmware",
        "/proc",
        "/sys",
        "/layers",
    ];
    found.extend(mounts.map(|path| (path, label_of(t, &c, path))));
    c.force_delete();
    found.iter().map(|(name, label)| (*name, label.trim_matches(['\0', ' ']).to_owned())).collect()
}

#[test]
fn selinux_labels_are_where_the_peers_have_them() {
    corten_only!();
    let t = sandbox!();
    if !enforces_selinux() {
        skip!("{NO_SELINUX}");
    }
    for dir in ["lower", "upper", "work"] {
        fs::create_dir(t.path(dir)).unwrap();
    }
    let [lower, upper, work] = ["lower", "upper", "work"].map(|dir| t.path(dir).display().to_string());
    let layers = [format!("lowerdir={lower}"), format!("upperdir={upper}"), format!("workdir={work}")];
    let mut bundle = labelled(&t);
    bundle.set("/root/readonly", false);
    bundle.mount("/layers", "overlay", "overlay", &layers.each_ref().map(String::as_str));
    let own = labels(&t, &bundle);
    let of = |name| own.iter().find(|(other, _)| *other == name).map_or("", |(_, label)| label);
    assert_eq!((of("init"), of("exec"), of("later keys")), (PROCESS, PROCESS, ""));
    for path in ["/dev", "/dev/null", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/firmware", "/layers"] {
        assert_eq!(of(path), FILES, "{path}");
    }
    for peer in ["runc", "crun"].into_iter().filter_map(tool) {
        let t = sandbox!().with_program(&peer);
        assert_eq!(labels(&t, &bundle), own, "{}", peer.display());
    }
}

/// A mount with a label in its options, as mount(8) takes it.
#[test]
fn a_mount_may_have_a_label_of_its_own() {
    let t = sandbox!();
    if !enforces_selinux() {
        skip!("{NO_SELINUX}");
    }
    let mut bundle = labelled(&t);
    if is_peer() {
        bundle.remove("/linux/mountLabel"); // the peers give the kernel both, which it refuses
    }
    bundle.set("/root/readonly", false);
    let own = "system_u:object_r:container_file_t:s0:c3,c4";
    bundle.mount("/own", "tmpfs", "tmpfs", &["nosuid", &format!("context=\"{own}\""), "size=1m"]);
    let c = t.launch(&bundle);
    assert_eq!(label_of(&t, &c, "/own"), own);
}

#[test]
fn selinux_denies_what_is_another_containers() {
    let t = sandbox!();
    if !enforces_selinux() {
        skip!("{NO_SELINUX}");
    }
    for user_namespace in [false, true] {
        let mut bundle = labelled(&t);
        if user_namespace {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            bundle.push("/linux/namespaces", json!({"type": "user"}));
            bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        for (name, label) in [("own", FILES), ("others", OTHERS)] {
            fs::write(bundle.inside(name), format!("{name}\n")).unwrap();
            t.command(["chcon".as_ref(), label.as_ref(), bundle.inside(name).as_os_str()]).run().ok();
        }
        let c = t.launch(&bundle);
        for _ in 0..2 {
            let read = c.exec([
                "sh",
                "-c",
                "cat /own; cat /others; cat /proc/kcore; ls /sys/firmware; touch /dev/shm/x && ls /dev/shm",
            ]);
            assert_eq!(read.stdout(), "own\nx\n", "{}", read.report());
            assert!(read.stderr().contains("can't open '/others': Permission denied"), "{}", read.report());
        }
        assert_eq!(label_of(&t, &c, "/dev/mqueue"), FILES);
        assert_eq!(label_of(&t, &c, "/dev/shm/x"), FILES);
    }
}

/// A process sees the keys alone that its policy lets it see.
#[test]
fn the_session_keyring_has_the_label_of_the_process() {
    let t = sandbox!();
    if !enforces_selinux() {
        skip!("{NO_SELINUX}");
    }
    let mut bundle = labelled(&t);
    bundle.remove("/linux/maskedPaths");
    let c = t.launch(&bundle);
    let keys = c.shell("cat /proc/keys");
    assert!(keys.contains(&format!("_ses.{}", c.id())), "{keys}");
    assert!(!keys.contains("_uid.0:"), "{keys}");
}

#[test]
fn exec_changes_to_the_label_that_it_is_given() {
    let t = sandbox!();
    if !enforces_selinux() {
        skip!("{NO_SELINUX}");
    }
    let c = t.launch(&labelled(&t));
    let other = "system_u:system_r:container_t:s0:c4";
    let shown = c.exec_with(["--process-label", other], ["cat", "/proc/self/attr/current"]).run().ok();
    assert_eq!(shown.trim_end_matches(['\0', '\n']), other);
    let none = c.exec_with(["--process-label", "system_u:system_r:none_t:s0"], ["true"]).run().fails(255);
    assert!(none.contains("none_t"), "{none}");
}

#[test]
fn a_label_that_the_policy_does_not_know_is_refused() {
    corten_only!();
    let t = sandbox!();
    if !enforces_selinux() {
        skip!("{NO_SELINUX}");
    }
    let unknown = "system_u:object_r:none_t:s0";
    let mut bundle = labelled(&t);
    bundle.set("/process/selinuxLabel", unknown);
    assert_eq!(t.refused_at(&bundle), "/process/selinuxLabel");
    let mut bundle = labelled(&t);
    bundle.set("/linux/mountLabel", unknown);
    assert_eq!(t.refused_at(&bundle), "/mounts/1");
    assert!(t.create_fails(&bundle).contains("has no such label"));
    bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
    assert_eq!(t.refused_at(&bundle), "/linux/maskedPaths");
    bundle.mount("/queue", "mqueue", "mqueue", &[]).remove("/linux/maskedPaths");
    assert_eq!(t.refused_at(&bundle), "/linux/mountLabel");
}

/// Under `noNewPrivileges` the policy has a right of its own for the change of a label; `confined_t` of the machine's does not have it.
#[test]
fn without_new_privileges_the_policy_decides_about_the_label() {
    let t = sandbox!();
    let confined = "system_u:system_r:confined_t:s0:c1,c2";
    if !enforces_selinux() || fs::write("/sys/fs/selinux/context", confined).is_err() {
        skip!("{NO_SELINUX}, or it has no confined_t");
    }
    let mut bundle = labelled(&t);
    bundle.set("/process/selinuxLabel", confined).set("/process/noNewPrivileges", false);
    let c = t.launch(&bundle);
    assert_eq!(c.init().file("attr/current").trim_end_matches('\0'), confined);
    bundle.set("/process/noNewPrivileges", true);
    let refused = t.create(&bundle).call("start").fails(1);
    assert!(refused.contains("operation not permitted"), "{refused}");
    assert!(is_peer() || refused.contains("nnp_transition"), "{refused}");
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

//! One snapshot for each part of a configuration: what it changes in the plan of a small container.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p runtime-core plan` rewrites them.

mod explain;
mod filters;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::cgroup::Hierarchy;

const FACTS: Facts = Facts {
    last_capability: 40,
    kcore: false,
    time_by_exec: true,
    may_mount: true,
    in_user_namespace: false,
    in_first_user_namespace: true,
};

/// A container that asks for nothing.
fn small() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/"
        },
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "mount"}]}
    })
}

/// Sets the value at a JSON pointer whose last part may be missing.
pub(super) fn set(config: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[key] = value;
}

/// A small container with these values.
fn with<const N: usize>(values: [(&str, Value); N]) -> Value {
    let mut config = small();
    for (pointer, value) in values {
        set(&mut config, pointer, value);
    }
    config
}

fn group(mount: &str, controllers: &[&str]) -> Group {
    let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
    Group { hierarchy: Hierarchy::new(controllers, mount.into()), path: "web".into(), made: 1 }
}

pub(super) fn options(groups: &[Group]) -> Options<'_> {
    Options {
        id: "web",
        bundle: Path::new("/bundle"),
        cgroup: Cgroup { files: 0, moved: false, groups },
        gate: true,
        command: true,
        no_pivot: false,
        no_new_keyring: false,
        extra_env: &[],
        hook_env: &[],
        notify_dir: None,
    }
}

pub(super) fn plan_with(config: Value, options: &Options<'_>) -> Result<Plan, Error> {
    let spec: Spec = serde_json::from_value(config).unwrap();
    let (checked, _) = Checked::new(&spec).unwrap_or_else(|findings| panic!("{findings:?}"));
    container(&checked, &FACTS, options)
}

fn plan(config: Value) -> Result<Plan, Error> {
    plan_with(config, &options(&[group("/sys/fs/cgroup", &[])]))
}

/// Compares with the recorded text; every plan must also survive its own encoding.
fn snapshot(name: &str, plan: &Plan) {
    let decoded: Vec<_> = wire_names(plan);
    assert_eq!(decoded.len(), plan.len());
    let again = Plan::of_program(plan.program().to_vec()).unwrap();
    assert_eq!(wire_names(&again), decoded);
    assert_eq!(again.origin(again.len() - 1), Some("/process/args"));
    assert_eq!(plan.to_json()["steps"].as_array().unwrap().len(), plan.len());

    let text = plan.to_string();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/plan/snapshots/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, was)) in text.lines().zip(recorded.lines()).enumerate() {
        assert_eq!(is, was, "line {} of {}", number + 1, path.display());
    }
    assert_eq!(text.lines().count(), recorded.lines().count(), "lines of {}", path.display());
}

fn wire_names(plan: &Plan) -> Vec<&'static str> {
    crate::wire::steps(plan.program()).unwrap().map(|step| step.unwrap().name()).collect()
}

fn has(plan: &Plan, name: &str) -> bool {
    wire_names(plan).contains(&name)
}

#[test]
fn small_container() {
    snapshot("small", &plan(small()).unwrap());
}

#[test]
fn ordinary_container() {
    // What `runc spec` writes, which engines start from.
    let mut config = with([
        ("/hostname", json!("web")),
        ("/process/terminal", json!(true)),
        ("/process/consoleSize", json!({"width": 80, "height": 25})),
        ("/process/noNewPrivileges", json!(true)),
        ("/root/readonly", json!(true)),
    ]);
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    set(
        &mut config,
        "/process/capabilities",
        json!({"bounding": capabilities, "effective": capabilities, "permitted": capabilities}),
    );
    set(&mut config, "/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]));
    set(
        &mut config,
        "/mounts",
        json!([
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        ]),
    );
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    set(&mut config, "/linux/namespaces", namespaces.iter().map(|kind| json!({"type": kind})).collect());
    set(
        &mut config,
        "/linux/maskedPaths",
        json!(["/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"]),
    );
    set(&mut config, "/linux/readonlyPaths", json!(["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"]));
    snapshot("ordinary", &plan(config).unwrap());
}

#[test]
fn joined_namespaces() {
    let config = with([(
        "/linux/namespaces",
        json!([
            {"type": "mount"},
            {"type": "uts"},
            {"type": "network", "path": "/run/netns/web"},
            {"type": "pid", "path": "/proc/7/ns/pid"},
            {"type": "user", "path": "/proc/7/ns/user"}
        ]),
    )]);
    snapshot("joined", &plan(config).unwrap());
}

fn mappings() -> Value {
    json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}])
}

#[test]
fn new_user_and_time_namespaces() {
    let config = with([
        ("/linux/namespaces", json!(["mount", "pid", "user", "time"].map(|kind| json!({"type": kind})))),
        ("/linux/uidMappings", mappings()),
        ("/linux/gidMappings", json!([{"containerID": 7, "hostID": 1, "size": 1}])),
        ("/process/user/gid", json!(7)),
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 5}, "boottime": {"secs": -1, "nanosecs": 9}})),
        ("/mounts", json!([{"destination": "/data", "source": "data", "options": ["bind", "ro"]}])),
    ]);
    snapshot("user-time", &plan(config.clone()).unwrap());
    // Without privileges init opens the sources of mounts, and an older kernel takes a clone to enter the time namespace.
    let spec: Spec = serde_json::from_value(config).unwrap();
    let (checked, _) = Checked::new(&spec).unwrap();
    let facts = Facts { may_mount: false, time_by_exec: false, ..FACTS };
    let group = [group("/sys/fs/cgroup", &[])];
    snapshot("user-time-unprivileged", &container(&checked, &facts, &options(&group)).unwrap());
}

#[test]
fn labels_of_security_modules() {
    let config = with([
        ("/process/apparmorProfile", json!("strict")),
        ("/process/selinuxLabel", json!("u:r:t:s0:c1,c2")),
        ("/linux/mountLabel", json!("u:r:f:s0:c1,c2")),
        (
            "/mounts",
            json!([
                {"destination": "/proc", "type": "proc"},
                {"destination": "/tmp", "type": "tmpfs", "options": ["size=1m"]},
                {"destination": "/own", "type": "tmpfs", "options": ["nosuid", "context=\"u:r:o:s0:c3,c4\",size=2m"]},
                {"destination": "/once", "type": "tmpfs", "options": ["iversion"]}
            ]),
        ),
    ]);
    let text = plan(config).unwrap().to_string();
    let lines = [
        "MountFs fstype=\"proc\" options=[] target=\"/proc\"",
        "options=[\"size=1m\",\"context=u:r:f:s0:c1,c2\"]",
        "options=[\"context=u:r:o:s0:c3,c4\",\"size=2m\"]",
        "data=\"context=\\\"u:r:f:s0:c1,c2\\\"\"",
        "WriteOwn proc=\"fd 2\" path=\"attr/keycreate\" value=\"u:r:t:s0:c1,c2\"  <- /process/selinuxLabel",
        "SessionKeyring",
        "path=\"attr/keycreate\" value=\"\"",
        "path=\"attr/apparmor/exec\" fallback=\"attr/exec\" value=\"exec strict\"  <- /process/apparmorProfile",
        "path=\"attr/exec\" value=\"u:r:t:s0:c1,c2\"",
        "CloseFds",
    ];
    let places = lines.map(|line| text.find(line).unwrap_or_else(|| panic!("{line}: {text}")));
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn mapped_ids_of_mounts() {
    let mount = |more: Value| {
        let mut mount = json!({"destination": "/data", "type": "bind", "source": "/data"});
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plan(with([("/mounts", json!([mount]))]))
    };
    let range = json!([{"containerID": 0, "hostID": 1000, "size": 5}]);
    let own = json!({"options": ["rbind", "ridmap"], "uidMappings": range, "gidMappings": range});
    let text = mount(own).unwrap().to_string();
    assert!(
        text.contains("tree of /data and all below ids {\"gids\":[[0,1000,5]],\"uids\":[[0,1000,5]]}"),
        "{text}"
    );
    for (more, pointer) in [
        (json!({"options": ["idmap"]}), "/mounts/0"),
        (json!({"options": ["idmap=uids=1"]}), "/mounts/0/options"),
        (json!({"options": ["idmap=uids=0-1-2"]}), "/mounts/0"),
        (json!({"type": "tmpfs", "options": ["idmap"]}), "/mounts/0/options"),
    ] {
        assert_eq!(mount(more.clone()).unwrap_err().pointer, pointer, "{more}");
    }
}

#[test]
fn a_runtime_in_a_user_namespace_makes_no_nodes() {
    let spec: Spec = serde_json::from_value(small()).unwrap();
    let (checked, _) = Checked::new(&spec).unwrap();
    let facts = Facts { in_user_namespace: true, in_first_user_namespace: false, ..FACTS };
    let plan = container(&checked, &facts, &options(&[])).unwrap();
    assert!(!has(&plan, "MakeNode") && has(&plan, "BindMount"));
    assert!(plan.to_string().contains("SetGroups groups=[] lenient"));
}

#[test]
fn the_mappings_of_a_joined_user_namespace_are_compared() {
    let config = with([
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "user", "path": "/proc/7/ns/user"}])),
        ("/linux/uidMappings", mappings()),
        ("/linux/gidMappings", mappings()),
    ]);
    let plan = plan(config).unwrap();
    assert!(matches!(plan.host().user_namespace, Some(UserNamespace::Joined(_))));
    let names = wire_names(&plan);
    let places =
        ["BecomeRoot", "Rendezvous", "Unshare"].map(|name| names.iter().position(|other| *other == name));
    assert!(places.is_sorted() && !places.contains(&None), "{names:?}");
}

#[test]
fn how_the_kernel_treats_the_process() {
    let config = with([
        (
            "/process/scheduler",
            json!({"policy": "SCHED_BATCH", "nice": -5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
        ),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 7})),
        ("/linux/personality", json!({"domain": "LINUX32", "flags": ["ADDR_NO_RANDOMIZE"]})),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]}),
        ),
    ]);
    let plan = plan(config).unwrap();
    let text = plan.to_string();
    for line in [
        "SetAffinity\n",
        "SetIoPriority priority=16391  <- /process/ioPriority\n",
        "SetScheduler policy=3 flags=\"0x1\" nice=-5 priority=0 runtime=0 deadline=0 period=0  <- /process/scheduler\n",
        "SetPersonality persona=262152  <- /linux/personality\n",
        "SetMempolicy mode=\"100002\" nodes=\"0,1\"  <- /linux/memoryPolicy\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let names = wire_names(&plan);
    let places = ["SetAffinity", "NewSession", "SetScheduler", "CapBound"]
        .map(|name| names.iter().position(|other| *other == name));
    assert!(places.is_sorted() && !places.contains(&None), "{names:?}");
}

#[test]
fn joined_mount_namespace() {
    let config = with([("/linux/namespaces", json!([{"type": "mount", "path": "/proc/7/ns/mnt"}]))]);
    let plan = plan(config).unwrap();
    let names = wire_names(&plan);
    let order = ["Setns", "EnterPath", "TakeRoot", "Chroot"];
    assert!(
        order.map(|name| names.iter().position(|other| *other == name).unwrap()).is_sorted(),
        "{names:?}"
    );
    for absent in ["EnterRootfs", "PivotRoot", "Propagation", "Unshare"] {
        assert!(!has(&plan, absent), "{absent}");
    }
}

#[test]
fn without_a_mount_namespace_nothing_changes_in_the_runtimes() {
    let plan = plan(with([("/linux/namespaces", json!([{"type": "pid"}]))])).unwrap();
    for present in ["EnterRootfs", "TakeRoot", "Chroot"] {
        assert!(has(&plan, present), "{present}");
    }
    for absent in ["EnterPath", "PivotRoot", "MoveRoot", "Propagation"] {
        assert!(!has(&plan, absent), "{absent}");
    }
}

#[test]
fn mounts_of_all_sorts() {
    let long = format!("lowerdir={}", "/layer:".repeat(60));
    let config = with([(
        "/mounts",
        json!([
            {"destination": "/a", "source": "data", "options": ["bind", "mode=755"]},
            {"destination": "/b", "type": "bind", "source": "/srv", "options": ["rbind", "ro", "rprivate"]},
            {"destination": "/c", "source": "/srv", "options": ["rbind", "rro", "rnoatime", "nosuid", "suid"]},
            {"destination": "/d", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "size=1m,mode=700", "sync"]},
            {"destination": "/d/e", "type": "tmpfs", "options": ["noatime", "nosymfollow", "shared"]},
            {"destination": "/f", "type": "ext4", "source": "/dev/vda", "options": ["ro", "noatime", "data=journal"]},
            {"destination": "/g", "type": "overlay", "source": "overlay", "options": [long, "upperdir=/u", "ro"]},
            {"destination": "/h", "type": "xfs", "source": "/dev/vdb", "options": ["iversion", "lazytime"]},
            {"destination": "/a", "source": "none", "options": ["remount", "bind", "ro"]},
            {"destination": "proc//cpuinfo", "source": "/var/lib/lxcfs/cpuinfo", "options": ["bind"]}
        ]),
    )]);
    snapshot("mounts", &plan(config).unwrap());
}

#[test]
fn devices() {
    let config = with([(
        "/linux/devices",
        json!([
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 432, "uid": 1, "gid": 2},
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 384},
            {"path": "/dev/pipe", "type": "p"},
            {"path": "/dev/loop0", "type": "b", "major": 7, "minor": 0}
        ]),
    )]);
    snapshot("devices", &plan(config).unwrap());

    let bound =
        with([("/mounts", json!([{"destination": "/dev/", "source": "/dev", "options": ["rbind"]}]))]);
    let plan = plan(bound).unwrap();
    assert!(!has(&plan, "MakeNode") && !has(&plan, "MakeSymlink"));
}

#[test]
fn cgroup_version_one() {
    let groups = [
        group("/sys/fs/cgroup/cpu,cpuacct", &["cpu", "cpuacct"]),
        group("/sys/fs/cgroup/systemd", &["name=systemd"]),
        group("/sys/fs/cgroup/unified", &[]),
    ];
    let mount = json!([{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}]);
    let mut options = options(&groups);
    options.cgroup.files = 3;
    let shared = with([("/mounts", mount.clone())]);
    snapshot("cgroup-v1", &plan_with(shared, &options).unwrap());

    let separate = with([
        ("/mounts", mount),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "cgroup"}, {"type": "ipc"}])),
    ]);
    snapshot("cgroup-v1-namespace", &plan_with(separate, &options).unwrap());
}

/// Where systemd moves init it waits before anything else, and takes its cgroup namespace after that.
#[test]
fn cgroup_of_systemd() {
    let group = [group("/sys/fs/cgroup", &[])];
    let mut options = options(&group);
    options.cgroup.moved = true;
    let config =
        with([("/linux/namespaces", json!([{"type": "mount"}, {"type": "cgroup"}, {"type": "ipc"}]))]);
    snapshot("cgroup-systemd", &plan_with(config, &options).unwrap());
}

#[test]
fn cgroup_version_two_without_namespace() {
    let config =
        with([("/mounts", json!([{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}]))]);
    snapshot("cgroup-v2", &plan(config).unwrap());
}

#[test]
fn hooks_of_all_kinds() {
    let hook = |name: &str| json!([{"path": format!("/bin/{name}"), "args": [name, "x"], "timeout": 3}]);
    let config = with([(
        "/hooks",
        json!({
            "prestart": hook("prestart"),
            "createRuntime": hook("createRuntime"),
            "createContainer": hook("createContainer"),
            "startContainer": [{"path": "/bin/start"}, {"path": "/bin/start", "env": ["A=1"]}],
            "poststart": hook("poststart"),
            "poststop": hook("poststop")
        }),
    )]);
    let mut options = options(&[]);
    let env = ["HOST=1".to_owned()];
    options.hook_env = &env;
    let plan = plan_with(config, &options).unwrap();
    snapshot("hooks", &plan);

    for (step, _) in plan.steps() {
        if let Step::RunHook { state, pid_at, .. } = step {
            let field = pid_at as usize..pid_at as usize + crate::wire::PID_WIDTH;
            let mut document = state.0.to_vec();
            assert_eq!(&document[field.clone()], [b' '; crate::wire::PID_WIDTH]);
            document[field].copy_from_slice(b"         7");
            let document: Value = serde_json::from_slice(&document).unwrap();
            assert_eq!(document["pid"], 7);
            assert_eq!(document["id"], "web");
        }
    }
}

#[test]
fn sysctls() {
    let namespaces = json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}]);
    let config = with([
        ("/linux/namespaces", namespaces),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel/shmmax": "65536"})),
    ]);
    snapshot("sysctl", &plan(config).unwrap());
}

#[test]
fn process() {
    let mut config = small();
    config["process"] = json!({
        "user": {"uid": 1000, "gid": 100, "umask": 63, "additionalGids": [5, 6]},
        "args": ["./serve", "-v"],
        "env": ["HOME=/srv", "A=1", "A=2"],
        "cwd": "/srv",
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"], "inheritable": ["CAP_CHOWN"],
            "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]},
        "rlimits": [
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NPROC", "soft": 10, "hard": u64::MAX}
        ],
        "oomScoreAdj": -500
    });
    let mut options = options(&[]);
    let extra = ["LISTEN_FDS=1".to_owned()];
    options.extra_env = &extra;
    options.notify_dir = Some(Path::new("/run/corten/web/notify"));
    options.no_new_keyring = true;
    options.gate = false;
    options.no_pivot = true;
    snapshot("process", &plan_with(config, &options).unwrap());
}

#[test]
fn propagation() {
    for word in ["shared", "rprivate", "unbindable"] {
        let config = with([("/linux/rootfsPropagation", json!(word))]);
        snapshot(&format!("propagation-{word}"), &plan(config).unwrap());
    }
    let config = with([("/linux/rootfsPropagation", json!("rshared"))]);
    let options = Options { no_pivot: true, ..options(&[]) };
    snapshot("propagation-no-pivot", &plan_with(config, &options).unwrap());
}

fn join() -> JoinOptions<'static> {
    JoinOptions {
        keep_groups: false,
        id: "web",
        root: (0, 0),
        personality: None,
        memory_policy: None,
        namespaces: namespaces::MOUNT | PID,
        chroot: false,
        born_in_cgroup: true,
        moved: false,
        cgroup_files: 0,
        no_new_keyring: false,
        extra_env: &[],
        seccomp: None,
    }
}

#[test]
fn exec() {
    let spec: Spec = serde_json::from_value(small()).unwrap();
    let process = spec.process.unwrap();
    snapshot("exec", &super::process(&process, &FACTS, &join()).unwrap());
    let options = JoinOptions {
        namespaces: USER | namespaces::MOUNT,
        born_in_cgroup: false,
        moved: false,
        cgroup_files: 2,
        ..join()
    };
    snapshot("exec-user-v1", &super::process(&process, &FACTS, &options).unwrap());
}

#[test]
fn added_file_systems_are_labelled() {
    let annotations = [("run.oci.mount_context_type".to_owned(), "rootcontext".to_owned())].into();
    let mounts: Vec<crate::config::Mount> = serde_json::from_value(json!([
        {"destination": "/a", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/b", "type": "bind", "source": "/data"}
    ]))
    .unwrap();
    let id_maps = IdMaps::default();
    let running = |mount_label| Running {
        bundle: Path::new("/bundle"),
        annotations: &annotations,
        mount_label,
        namespaces: namespaces::MOUNT,
        id_maps: &id_maps,
    };
    let text = |label| mounts_added(&mounts, &FACTS, &running(label)).unwrap().to_string();
    assert_eq!(
        text(Some("system_u:object_r:file_t:s0:c1,c2"))
            .matches("rootcontext=system_u:object_r:file_t:s0:c1,c2")
            .count(),
        1
    );
    assert!(!text(None).contains("context"));
}

#[test]
fn refusals() {
    let mount = |value: Value| with([("/mounts", json!([value]))]);
    let rows = [
        (
            mount(json!({"destination": "/proc/sys", "type": "tmpfs"})),
            "/mounts/0/destination",
            "inside /proc",
        ),
        (
            mount(json!({"destination": "/proc", "type": "tmpfs"})),
            "/mounts/0/destination",
            "not of type proc",
        ),
        (
            mount(json!({"destination": "/proc", "source": "/x", "options": ["bind"]})),
            "/mounts/0/destination",
            "not of type proc",
        ),
        (
            mount(json!({"destination": "/x", "source": "/x", "options": ["bind", "quota"]})),
            "/mounts/0/options",
            "quota",
        ),
        (with([("/process/env", json!([]))]), "/process/args/0", "executable file not found in $PATH"),
    ];
    for (config, pointer, words) in rows {
        let error = plan(config).unwrap_err();
        assert_eq!(error.pointer, pointer, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

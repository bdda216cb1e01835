//! The engines of this host, calling the runtime under test: each runs, enters and removes a container through it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conformance::{Command, Running, Sandbox, companion, sandbox, skip, tool, wait_until};
use nix::sys::signal::Signal;

const IMAGE: &str = "localhost/bb:latest";

/// A wrapper around the runtime that notes how it is called: the proof that the engine used it.
fn wrapper(t: &Sandbox) -> (PathBuf, PathBuf) {
    let dir = t.path("wrapper");
    fs::create_dir(&dir).unwrap();
    let path = dir.join(t.program().file_name().unwrap());
    let calls = t.path("calls");
    let script =
        format!("#!/bin/sh\necho \"$*\" >>'{}'\nexec '{}' \"$@\"\n", calls.display(), t.program().display());
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (path, calls)
}

/// A busybox image as a docker archive.
fn image(t: &Sandbox) -> PathBuf {
    let path = t.path("bb.tar");
    let make = companion(concat!(env!("CARGO_MANIFEST_DIR"), "/suites/engines/mkimage"));
    t.command([&make, &path, Path::new(IMAGE)]).run().ok();
    path
}

/// A containerd of this test's own; it ends with the test.
struct Containerd<'a> {
    t: &'a Sandbox,
    daemon: Running,
    socket: PathBuf,
}

impl<'a> Containerd<'a> {
    fn start(t: &'a Sandbox) -> Self {
        let socket = t.path("containerd.sock");
        let dir = t.dir().display();
        let config = format!(
            "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/run\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{dir}/opt\"\n",
            socket.display()
        );
        fs::write(t.path("containerd.toml"), config).unwrap();
        let daemon = t.command(["containerd", "-c"]).args([t.path("containerd.toml")]).spawn();
        let this = Self { t, daemon, socket };
        wait_until("containerd", || this.ctr(&["version"]).run().success());
        this
    }

    /// `ctr`, in a namespace that is this test's own.
    fn ctr(&self, args: &[&str]) -> Command {
        let namespace = self.t.dir().file_name().unwrap().to_str().unwrap();
        self.t.command(["ctr", "-a", self.socket.to_str().unwrap(), "-n", namespace]).args(args)
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        self.daemon.signal(Signal::SIGTERM);
        for _ in 0..100 {
            if self.daemon.is_over() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let namespace = self.t.dir().file_name().unwrap().to_str().unwrap();
        let _ = fs::remove_dir_all(Path::new("/run/containerd/runc").join(namespace));
    }
}

#[test]
fn containerd() {
    if tool("containerd").is_none() || tool("ctr").is_none() || tool("python3").is_none() {
        skip!("containerd is not installed");
    }
    let t = sandbox!();
    let (runtime, calls) = wrapper(&t);
    let engine = Containerd::start(&t);
    engine.ctr(&["images", "import", image(&t).to_str().unwrap()]).run().ok();
    let id = t.id();
    let run = |flags: &[&str], id: &str, args: &[&str]| {
        let runtime = runtime.to_str().unwrap();
        let cgroup = format!("/{id}");
        let command = engine.ctr(&["run", "--runc-binary", runtime, "--cgroup", &cgroup]);
        command.args(flags).args([IMAGE, id]).args(args).run()
    };
    let output = run(&["--rm", "--env", "A=1"], &id, &["sh", "-c", "echo $A $$ $(id -u); exit 3"]);
    assert_eq!((output.code(), output.stdout().as_str()), (3, "1 1 0\n"), "{}", output.report());

    run(&["--detach", "--memory-limit", "67108864"], &id, &["sleep", "1000"]).ok();
    let list = engine.ctr(&["tasks", "list"]).run().ok();
    assert!(list.contains("RUNNING"), "{list}");
    let exec = |args: &[&str]| engine.ctr(&["tasks", "exec", "--exec-id", "e1", &id]).args(args).run();
    assert_eq!(exec(&["sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]).ok(), "sleep 1000 ");
    assert_eq!(exec(&["sh", "-c", "exit 4"]).code(), 4);
    let output = exec(&["nosuch"]);
    assert!(output.stderr().contains("executable file not found in $PATH"), "{}", output.report());
    engine.ctr(&["tasks", "pause", &id]).run().ok();
    assert!(engine.ctr(&["tasks", "list"]).run().ok().contains("PAUSED"));
    engine.ctr(&["tasks", "resume", &id]).run().ok();
    let processes = engine.ctr(&["tasks", "ps", &id]).run().ok();
    assert_eq!(processes.lines().count(), 2, "{processes}");
    engine.ctr(&["tasks", "kill", "--signal", "SIGKILL", &id]).run().ok();
    wait_until("the end of the task", || engine.ctr(&["tasks", "list"]).run().ok().contains("STOPPED"));
    engine.ctr(&["tasks", "delete", &id]).run();
    engine.ctr(&["containers", "delete", &id]).run().ok();

    let output = run(&["--rm"], &id, &["nosuch"]);
    assert!(output.stderr().contains("executable file not found in $PATH"), "{}", output.report());
    engine.ctr(&["containers", "delete", &id]).run();

    let calls = fs::read_to_string(&calls).unwrap();
    for command in [" create ", " start ", " exec ", " pause ", " resume ", " ps ", " kill ", " delete "] {
        assert!(calls.contains(command), "no call of{command}in\n{calls}");
    }
    drop(engine);
    t.assert_clean();
}

#[test]
fn podman() {
    if tool("podman").is_none() || tool("conmon").is_none() || tool("python3").is_none() {
        skip!("podman is not installed");
    }
    let t = sandbox!();
    let (runtime, calls) = wrapper(&t);
    let dirs = ["root", "runroot", "tmp", "networks"].map(|name| t.path(name).to_str().unwrap().to_owned());
    let podman = |args: &[&str]| {
        let [root, runroot, tmp, networks] = &dirs;
        let storage =
            ["podman", "--root", root, "--runroot", runroot, "--tmpdir", tmp, "--storage-driver", "vfs"];
        let rest =
            ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--network-config-dir", networks];
        t.command(storage).args(rest).args(["--runtime", runtime.to_str().unwrap()]).args(args)
    };
    podman(&["load", "-i", image(&t).to_str().unwrap()]).run().ok();
    let limits = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096"];
    let free = ["--net", "none", "--log-driver", "k8s-file"];
    let run = |flags: &[&str], args: &[&str]| {
        podman(&["run"]).args(limits).args(free).args(flags).args([IMAGE]).args(args).run()
    };
    let output = run(&["--rm", "--env", "A=1"], &["sh", "-c", "echo $A $$ $(id -u); exit 3"]);
    assert_eq!((output.code(), output.stdout().as_str()), (3, "1 1 0\n"), "{}", output.report());
    assert_eq!(run(&["--rm"], &["nosuch"]).code(), 127);
    assert_eq!(run(&["--rm"], &["/etc"]).code(), 126);

    let id = run(&["--detach", "--memory", "64m"], &["sleep", "1000"]).ok().trim().to_owned();
    assert_eq!(podman(&["exec", &id, "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]).run().ok(), "sleep 1000 ");
    assert_eq!(podman(&["exec", &id, "sh", "-c", "exit 4"]).run().code(), 4);
    assert_eq!(podman(&["exec", &id, "nosuch"]).run().code(), 127);
    podman(&["pause", &id]).run().ok();
    podman(&["unpause", &id]).run().ok();
    podman(&["stop", "--time", "1", &id]).run().ok();
    podman(&["rm", "--force", &id]).run().ok();

    let calls = fs::read_to_string(&calls).unwrap();
    for command in ["create ", "start ", "exec ", "pause ", "resume ", "kill ", "delete "] {
        assert!(calls.contains(command), "no call of {command}in\n{calls}");
    }
    remove_what_podman_leaves();
    t.assert_clean();
}

/// Podman makes plain directories in place of cgroups of controllers that are not mounted.
fn remove_what_podman_leaves() {
    for entry in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let parent = entry.path().join("libpod_parent");
        for cgroup in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(cgroup.path());
        }
        let _ = fs::remove_dir(parent);
        if entry.path().read_dir().is_ok_and(|mut entries| entries.next().is_none()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

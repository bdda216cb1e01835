//! Descriptors and sockets that are handed over, and those that must not be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conformance::{Command, Container, Sandbox, corten_only, is_peer, kernel, sandbox, wait_until};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Opens /etc/hostname as 3, /etc/passwd as 4 and /etc/group as 5.
const THREE_FILES: &str = "exec 3</etc/hostname 4</etc/passwd 5</etc/group";

/// A sleeping container made by `run --detach` with flags, the command changed by `change`.
fn launch<'a>(t: &'a Sandbox, flags: &[&str], change: impl FnOnce(Command) -> Command) -> Container<'a> {
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).write();
    let id = t.id();
    let command = t.runtime(["run", "--detach"]).args(flags);
    let command = command.args(["--bundle", bundle.dir().to_str().unwrap(), &id]);
    let output = change(command).run();
    output.ok();
    let c = Container::new(t, id, output);
    wait_until("the payload", || c.init().file("cmdline").starts_with("sleep"));
    c
}

/// The descriptors of a process from 3 on.
fn extra(process: kernel::Process) -> Vec<(u32, String)> {
    let list = process.descriptors().into_iter().filter(|(fd, _)| *fd > 2);
    list.map(|(fd, path)| (fd, path.to_string_lossy().into_owned())).collect()
}

fn variable(process: kernel::Process, name: &str) -> Option<String> {
    let text = process.file("environ");
    text.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

fn files(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    list.iter().map(|(fd, path)| (*fd, (*path).to_owned())).collect()
}

#[test]
fn closed_standard_streams_are_the_null_device() {
    let t = sandbox!();
    let c = launch(&t, &[], |command| command.after("exec <&- >&- 2>&-"));
    let null = [0, 1, 2].map(|fd| (fd, PathBuf::from("/dev/null")));
    assert_eq!(c.init().descriptors(), null);
}

#[test]
fn nothing_of_the_caller_leaks() {
    let t = sandbox!();
    let everything = "exec 3</ 4</etc 5</sys/fs/cgroup 6</proc 7</etc/passwd 8>&1 9</";
    let c = launch(&t, &[], |command| command.after(everything));
    assert_eq!(extra(c.init()), []);
    let pid_file = t.path("pid");
    let exec = c.exec_with(["--detach", "--pid-file", pid_file.to_str().unwrap()], ["sleep", "1000"]);
    exec.after(everything).run().ok();
    let process = kernel::Process(kernel::read(&pid_file).parse().unwrap());
    wait_until("the process", || process.file("cmdline").starts_with("sleep"));
    assert_eq!(extra(process), []);
}

#[test]
fn create_waits_with_nothing_of_the_caller() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let id = t.id();
    let output = t.on_bundle(["create"], &bundle, &id).after(THREE_FILES).run();
    output.ok();
    let c = Container::new(&t, id, output);
    let host = extra(c.init()).into_iter().filter(|(_, path)| path.starts_with("/etc/"));
    assert_eq!(host.collect::<Vec<_>>(), []);
    let program = c.init().link("exe");
    assert!(program != t.program(), "the waiting process runs the runtime's own file");
}

#[test]
fn preserved_descriptors_keep_their_numbers() {
    let t = sandbox!();
    let c = launch(&t, &["--preserve-fds", "2"], |command| command.after(THREE_FILES));
    assert_eq!(extra(c.init()), files(&[(3, "/etc/hostname"), (4, "/etc/passwd")]));
    assert_eq!(variable(c.init(), "LISTEN_FDS"), None);
    let exec = c.exec_with(["--preserve-fds", "1"], ["sh", "-c", "cat <&3; ls /proc/$$/fd; true"]);
    let text = exec.after(THREE_FILES).run().ok();
    assert_eq!(text.trim_end(), format!("{}\n0\n1\n2\n3", kernel::read("/etc/hostname")));
}

#[test]
fn a_preserved_descriptor_must_be_open() {
    corten_only!(); // since runc 1.2
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    let output = t.on_bundle(["run", "--preserve-fds", "5"], &bundle, &t.id()).after(THREE_FILES).run();
    output.fails_with(1, "unable to stat preserved-fd 6 (of 5)");
    t.assert_clean();
}

#[test]
fn socket_activation_passes_descriptors_on() {
    let t = sandbox!();
    let activate = |command: Command| {
        command.after(&format!("{THREE_FILES}; export LISTEN_PID=$$")).env("LISTEN_FDS", "2")
    };
    let c = launch(&t, &[], activate);
    assert_eq!(extra(c.init()), files(&[(3, "/etc/hostname"), (4, "/etc/passwd")]));
    assert_eq!(variable(c.init(), "LISTEN_FDS").as_deref(), Some("2"));
    assert_eq!(variable(c.init(), "LISTEN_PID").as_deref(), Some("1"));
    drop(c);
    // Preserved descriptors follow.
    let c = launch(&t, &["--preserve-fds", "1"], activate);
    let all = [(3, "/etc/hostname"), (4, "/etc/passwd"), (5, "/etc/group")];
    assert_eq!(extra(c.init()), files(&all));
    assert_eq!(variable(c.init(), "LISTEN_FDS").as_deref(), Some("2"));
}

#[test]
fn socket_activation_of_another_process_is_ignored() {
    let t = sandbox!();
    let c = launch(&t, &[], |command| {
        command.after(&format!("{THREE_FILES}; export LISTEN_PID=1")).env("LISTEN_FDS", "2")
    });
    assert_eq!(extra(c.init()), []);
    assert_eq!(variable(c.init(), "LISTEN_FDS"), None);
    assert_eq!(variable(c.init(), "LISTEN_PID"), None);
}

#[test]
fn names_of_activated_sockets_are_passed_on() {
    corten_only!(); // no peer does
    let t = sandbox!();
    let activate = format!("{THREE_FILES}; export LISTEN_PID=$$");
    let c = launch(&t, &[], |command| {
        command.after(&activate).env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "http:https")
    });
    assert_eq!(variable(c.init(), "LISTEN_FDNAMES").as_deref(), Some("http:https"));
}

/// Receives datagrams until one contains `text`; gives all of them.
fn receive_until(socket: &UnixDatagram, text: &str) -> String {
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while !all.contains(text) {
        let length =
            socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{text} expected after {all:?}: {e}"));
        all += &String::from_utf8_lossy(&buffer[..length]);
        all += "\n";
    }
    all
}

fn notify_socket(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

#[test]
fn start_waits_for_readiness() {
    let t = sandbox!();
    let path = t.path("notify.sock");
    let host = notify_socket(&path);
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let id = t.id();
    let output = t.on_bundle(["create"], &bundle, &id).env("NOTIFY_SOCKET", &path).run();
    output.ok();
    let c = Container::new(&t, id, output);
    let mut start = c.command("start", [""; 0]).env("NOTIFY_SOCKET", &path).spawn();
    let init = c.init();
    wait_until("the payload", || init.file("cmdline").starts_with("sleep"));
    assert_eq!(variable(init, "NOTIFY_SOCKET").as_deref(), Some("/run/notify/notify.sock"));
    let mount = kernel::mount_at(&init.file("mountinfo"), "/run/notify");
    assert!(mount.has("ro"), "{mount:?}");

    let inside = format!("/proc/{}/root/run/notify/notify.sock", init.0);
    let payload = UnixDatagram::unbound().unwrap();
    payload.send_to(b"STATUS=not yet", &inside).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(!start.is_over(), "start returns before the payload is ready");
    payload.send_to(b"READY=1", &inside).unwrap();
    let said = receive_until(&host, &format!("MAINPID={}", init.0));
    assert!(said.contains("READY=1"), "{said}");
    assert!(!said.contains("STATUS"), "{said}");
    if !is_peer() {
        receive_until(&host, "BARRIER=1");
    }
    start.wait().ok();
    c.force_delete();
    t.assert_clean();
}

/// A process of the container may change names in that directory: nothing is done to the socket by its name there.
#[test]
fn the_notify_socket_comes_whole() {
    corten_only!();
    let t = sandbox!();
    let path = t.path("notify.sock");
    let _host = notify_socket(&path);
    let (mut bundle, id) = (t.bundle(), t.id());
    bundle.args(["true"]);
    let output = t.on_bundle(["create"], &bundle, &id).env("NOTIFY_SOCKET", &path).run();
    let c = Container::new(&t, id, output);
    let directory = t.state_root().join(c.id()).join("notify");
    let watch = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    let changes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVED_TO;
    watch.add_watch(&directory, changes).unwrap();
    c.command("start", [""; 0]).env("NOTIFY_SOCKET", &path).run();
    let seen: Vec<_> =
        watch.read_events().unwrap().into_iter().map(|event| (event.mask, event.name)).collect();
    assert_eq!(seen, [(AddWatchFlags::IN_MOVED_TO, Some("notify.sock".into()))]);
    assert_eq!(fs::metadata(directory.join("notify.sock")).unwrap().permissions().mode() & 0o777, 0o777);
    c.force_delete();
}

#[test]
fn a_payload_that_dies_ends_the_wait_for_readiness() {
    corten_only!(); // runc 1.1 takes the zombie of its own child for alive, and waits for ever
    let t = sandbox!();
    let path = t.path("notify.sock");
    let _host = notify_socket(&path);
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    let id = t.id();
    // Not more than this is promised: that the command ends.
    t.on_bundle(["run", "--detach"], &bundle, &id)
        .env("NOTIFY_SOCKET", &path)
        .limit(Duration::from_secs(10))
        .run();
    t.runtime(["delete", "--force", &id]).run().ok();
    t.assert_clean();
}

#[test]
fn a_pidfd_of_init_goes_to_its_socket() {
    corten_only!(); // since runc 1.2
    let t = sandbox!();
    let socket = conformance::Socket::bind(t.path("pidfd.sock"));
    let c = launch(&t, &["--pidfd-socket", socket.path()], |command| command);
    let (name, fds) = socket.receive();
    assert_eq!((name.as_slice(), fds.len()), (&b"standard"[..], 1));
    assert_eq!(pid_of(&fds[0]), c.pid().to_string());

    let socket = conformance::Socket::bind(t.path("exec.sock"));
    let pid_file = t.path("pid");
    let flags = ["--detach", "--pid-file", pid_file.to_str().unwrap(), "--pidfd-socket", socket.path()];
    c.exec_with(flags, ["sleep", "1000"]).run().ok();
    let (name, fds) = socket.receive();
    assert_eq!((name.as_slice(), fds.len()), (&b"setns"[..], 1));
    assert_eq!(pid_of(&fds[0]), fs::read_to_string(&pid_file).unwrap());
}

/// The process that a pidfd refers to.
fn pid_of(fd: &std::os::fd::OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    kernel::field(&text, "Pid")
}

//! Terminals: the console socket, and the pty of a command in the foreground.

use std::fs;
use std::os::unix::fs::MetadataExt;

use conformance::{
    Bundle, Container, Sandbox, Socket, Terminal, corten_only, is_peer, kernel, sandbox, wait_until,
};

/// A bundle whose shell talks on a terminal.
fn terminal_bundle(t: &Sandbox, script: &str) -> Bundle {
    let mut bundle = t.bundle();
    bundle.script(script).set("/process/terminal", true);
    bundle
}

/// Starts a bundle detached, its terminal going to a socket.
fn launch<'a>(t: &'a Sandbox, bundle: &Bundle, socket: &Socket) -> Container<'a> {
    let id = t.id();
    let output = t.on_bundle(["run", "--detach", "--console-socket", socket.path()], bundle, &id).run();
    output.ok();
    Container::new(t, id, output)
}

#[test]
fn a_console_socket_gets_the_master() {
    let t = sandbox!();
    let socket = Socket::bind(t.path("console.sock"));
    let script = "tty; ls -l /proc/self/fd; echo on >/dev/console; echo ctty >/dev/tty; read line; echo got $line; sleep 1000";
    let mut bundle = terminal_bundle(&t, script);
    bundle.set("/process/consoleSize", serde_json::json!({"height": 33, "width": 77}));
    let c = launch(&t, &bundle, &socket);
    let (name, mut fds) = socket.receive();
    assert!(!name.is_empty() && name.len() < 4096);
    assert_eq!(fds.len(), 1);
    let console = conformance::Console::new(fds.remove(0));
    console.expect("/dev/pts/0");
    console.expect("on\r\n");
    console.expect("ctty\r\n");
    assert_eq!(console.stty(&["size"]), "33 77");
    console.send("hello\n");
    console.expect("got hello");
    let init = c.init();
    let descriptors = init.descriptors();
    assert!(descriptors.iter().take(3).all(|(_, path)| path.ends_with("pts/0")), "{descriptors:?}");
    let mount = kernel::mount_at(&init.file("mountinfo"), "/dev/console");
    assert_eq!((mount.kind.as_str(), mount.root.as_str()), ("devpts", "/0"));
    c.force_delete();
    t.assert_clean();
}

#[test]
fn create_sends_the_master_before_start() {
    let t = sandbox!();
    let socket = Socket::bind(t.path("console.sock"));
    let bundle = terminal_bundle(&t, "echo hello");
    let id = t.id();
    let output = t.on_bundle(["create", "--console-socket", socket.path()], &bundle, &id).run();
    output.ok();
    let console = socket.console();
    let c = Container::new(&t, id, output);
    c.start();
    console.expect("hello");
}

#[test]
fn the_terminal_belongs_to_the_user() {
    let t = sandbox!();
    let socket = Socket::bind(t.path("console.sock"));
    let mut bundle = terminal_bundle(&t, "stat -L -c '%u %a' /proc/self/fd/0; sleep 1000");
    bundle.set("/process/user/uid", 1000);
    let _c = launch(&t, &bundle, &socket);
    socket.console().expect("1000 620");
}

#[test]
fn a_console_socket_with_a_long_path() {
    corten_only!();
    let t = sandbox!();
    let deep = t.path(&"directory/".repeat(15));
    fs::create_dir_all(&deep).unwrap();
    // The test cannot bind such a long path directly either.
    let short = t.path("d");
    std::os::unix::fs::symlink(&deep, &short).unwrap();
    let socket = Socket::bind(short.join("console.sock"));
    let bundle = terminal_bundle(&t, "echo hello; sleep 1000");
    let id = t.id();
    let path = deep.join("console.sock");
    let flags = ["run", "--detach", "--console-socket", path.to_str().unwrap()];
    let output = t.on_bundle(flags, &bundle, &id).run();
    output.ok();
    let _c = Container::new(&t, id, output);
    socket.console().expect("hello");
}

#[test]
fn a_socket_and_the_config_must_agree() {
    let t = sandbox!();
    let socket = Socket::bind(t.path("console.sock"));
    let with = terminal_bundle(&t, "true");
    let text = "cannot allocate tty if runc will detach without setting console socket";
    t.on_bundle(["create"], &with, &t.id()).run().fails_with(1, text);
    t.on_bundle(["run", "--detach"], &with, &t.id()).run().fails_with(1, text);
    let without = t.bundle();
    let text = "cannot use console socket if runc will not detach or allocate tty";
    t.on_bundle(["create", "--console-socket", socket.path()], &without, &t.id()).run().fails_with(1, text);
    t.assert_clean();
}

#[test]
fn a_console_socket_that_is_not_there() {
    let t = sandbox!();
    let bundle = terminal_bundle(&t, "true");
    t.on_bundle(["create", "--console-socket", "/nosuch.sock"], &bundle, &t.id()).run().fails(1);
    let file = t.path("file");
    fs::write(&file, "").unwrap();
    t.on_bundle(["create", "--console-socket", file.to_str().unwrap()], &bundle, &t.id()).run().fails(1);
    t.assert_clean();
}

#[test]
fn exec_gets_a_terminal_of_its_own() {
    let t = sandbox!();
    let socket = Socket::bind(t.path("console.sock"));
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let flags = ["--detach", "--tty", "--console-socket", socket.path()];
    c.exec_with(flags, ["sh", "-c", "tty; ls /dev/console; stty size; read x; echo got $x; sleep 1000"])
        .run()
        .ok();
    let console = socket.console();
    console.expect("/dev/pts/0");
    console.send("hello\n");
    console.expect("got hello");
    if !is_peer() {
        c.exec_with(["--detach", "--tty"], ["true"])
            .run()
            .fails_with(255, "cannot allocate tty if runc will detach");
    }
}

/// runc sets the first size when the payload runs already.
fn settle() -> &'static str {
    if is_peer() { "sleep 0.3; " } else { "" }
}

#[test]
fn the_foreground_copies_a_terminal() {
    let t = sandbox!();
    let terminal = Terminal::open();
    terminal.stty(&["rows", "30", "cols", "90"]);
    let before = terminal.stty(&["-g"]);
    let script = format!("{}stty size; tty; read x; echo got $x; exit 5", settle());
    let bundle = terminal_bundle(&t, &script);
    let run =
        t.on_bundle(["run"], &bundle, &t.id()).wrap(["setsid", "-c"]).terminal(terminal.slave()).spawn();
    terminal.console.expect("30 90");
    terminal.console.expect("/dev/pts/0");
    assert_ne!(terminal.stty(&["-g"]), before, "the caller's terminal is raw meanwhile");
    terminal.console.send("hello\r");
    terminal.console.expect("got hello");
    run.wait().fails(5);
    assert_eq!(terminal.stty(&["-g"]), before, "its modes are restored");
    t.assert_clean();
}

/// The first thing that the program does sees the terminal as it stays: its size, and no line ends made of newlines, which the
/// caller's terminal does.
#[test]
fn exec_finds_its_terminal_ready() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    for _ in 0..20 {
        let terminal = Terminal::open();
        terminal.stty(&["rows", "30", "cols", "90"]);
        let exec = c.exec_with(["--tty"], ["sh", "-c", "stty -a"]);
        exec.wrap(["setsid", "-c"]).terminal(terminal.slave()).run().ok();
        terminal.console.expect("rows 30; columns 90;");
        terminal.console.expect(" -onlcr");
    }
    c.force_delete();
    t.assert_clean();
}

/// Changes the size until the payload has said that it knows: a change before the runtime listens is lost.
fn resize(terminal: &Terminal) {
    wait_until("the new size", || {
        terminal.stty(&["rows", "20", "cols", "50"]);
        terminal.stty(&["rows", "40", "cols", "100"]);
        std::thread::sleep(std::time::Duration::from_millis(100));
        terminal.console.said().contains("40 100")
    });
}

#[test]
fn the_size_follows_the_callers_terminal() {
    let t = sandbox!();
    let terminal = Terminal::open();
    terminal.stty(&["rows", "30", "cols", "90"]);
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let bundle = terminal_bundle(&t, script);
    let id = t.id();
    let run = t.on_bundle(["run"], &bundle, &id).wrap(["setsid", "-c"]).terminal(terminal.slave()).spawn();
    terminal.console.expect("ready");
    resize(&terminal);
    t.runtime(["kill", &id, "KILL"]).run().ok();
    run.wait().fails(137);
}

#[test]
fn exec_in_the_foreground_copies_a_terminal() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let terminal = Terminal::open();
    terminal.stty(&["rows", "31", "cols", "91"]);
    let before = terminal.stty(&["-g"]);
    let script = "trap 'stty size' WINCH; trap 'exit 6' INT; stty size; while :; do sleep 0.05; done";
    let exec = c
        .exec_with(["--tty"], ["sh", "-c", script])
        .wrap(["setsid", "-c"])
        .terminal(terminal.slave())
        .spawn();
    terminal.console.expect("31 91");
    resize(&terminal);
    terminal.console.send("\x03");
    exec.wait().fails(6);
    assert_eq!(terminal.stty(&["-g"]), before);
}

#[test]
fn a_foreground_terminal_needs_one_on_the_outside() {
    let t = sandbox!();
    let bundle = terminal_bundle(&t, "true");
    t.on_bundle(["run"], &bundle, &t.id())
        .wrap(["setsid"])
        .run()
        .fails_with(1, "open /dev/tty: no such device or address");
    t.assert_clean();
}

/// 1 MiB that nobody reads must not keep the container from ending.
#[test]
fn output_that_nobody_reads() {
    let t = sandbox!();
    let socket = Socket::bind(t.path("console.sock"));
    let bundle = terminal_bundle(&t, "dd if=/dev/zero bs=1024 count=1024; sleep 1000");
    let c = launch(&t, &bundle, &socket);
    let _master = socket.receive_one();
    wait_until("a full terminal", || c.init().is_alive());
    c.force_delete();
    t.assert_clean();
}

#[test]
fn devpts_is_the_containers_own() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("ls /dev/pts; readlink /dev/ptmx; stat -c '%a %t:%T' /dev/pts/ptmx");
    assert_eq!(t.run(&bundle).ok(), "ptmx\npts/ptmx\n666 5:2\n");
    assert_eq!(fs::metadata("/dev/ptmx").unwrap().uid(), 0);
}

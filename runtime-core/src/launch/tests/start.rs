//! Waiting for the host side and for `start`, the second clone, the terminal.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen, recv, send, socket,
};

use super::*;

fn tag(child: &Child) -> (Tag, u32) {
    let report = child.channel.receive().unwrap().unwrap().report;
    (report.tag, report.value)
}

fn seqpacket() -> OwnedFd {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap()
}

/// A listening socket without a name in any directory.
struct Gate(OwnedFd, UnixAddr);

impl Gate {
    fn new(name: &str) -> Self {
        let address =
            UnixAddr::new_abstract(format!("corten-{name}-{}", std::process::id()).as_bytes()).unwrap();
        let gate = seqpacket();
        bind(gate.as_raw_fd(), &address).unwrap();
        listen(&gate, Backlog::new(1).unwrap()).unwrap();
        Self(gate, address)
    }

    fn connect(&self) -> OwnedFd {
        let start = seqpacket();
        connect(start.as_raw_fd(), &self.1).unwrap();
        start
    }
}

fn next(start: &OwnedFd) -> Option<Report> {
    let mut bytes = [0; Report::SIZE];
    match recv(start.as_raw_fd(), &mut bytes, MsgFlags::empty()).unwrap() {
        0 => None,
        _ => Report::decode(&bytes),
    }
}

fn go(start: &OwnedFd, order: Order) {
    send(start.as_raw_fd(), &order.encode(), MsgFlags::MSG_NOSIGNAL).unwrap();
}

#[test]
fn rendezvous() {
    let steps = [
        Step::Rendezvous { point: Point::Placed as u32 },
        Step::Rendezvous { point: Point::Mounted as u32 },
        Step::AwaitStart { gate: None },
    ];
    let (child, output) = start(&shell(&steps, "echo done"), 0, &[]).unwrap();
    for point in [Point::Placed, Point::Mounted] {
        assert_eq!(tag(&child), (Tag::Reached, point as u32));
        child.channel.send(Order::Proceed).unwrap();
    }
    assert_eq!(tag(&child).0, Tag::Ready);
    child.channel.send(Order::Start).unwrap();
    assert_eq!(end(&child, output).output, "done\n");
}

#[test]
fn host_side_gone() {
    let (child, _output) = start(&shell(&[Step::Rendezvous { point: 1 }], "echo done"), 0, &[]).unwrap();
    assert_eq!(tag(&child).0, Tag::Reached);
    drop(child.channel);
    let status = waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 1)));
}

#[test]
fn wrong_order() {
    let (child, output) = start(&shell(&[Step::Rendezvous { point: 1 }], "echo done"), 0, &[]).unwrap();
    child.channel.send(Order::Commit).unwrap();
    let fault = end(&child, output).fault();
    assert_eq!((fault.kind, fault.value), (Kind::Check, Check::Message as u32));
}

#[test]
fn gate() {
    let gate = Gate::new("gate");
    let steps = [
        Step::CloseFds { gate: Some(Fd(1)) },
        Step::AwaitStart { gate: Some(Fd(1)) },
        Step::Umask { mask: 0 },
    ];
    let null = File::open("/dev/null").unwrap();
    let extra = [null.as_fd(), gate.0.as_fd(), null.as_fd()];
    let (child, output) = start(&shell(&steps, "exit 5"), 0, &extra).unwrap();
    assert_eq!(tag(&child).0, Tag::Ready);
    let image = std::fs::metadata(format!("/proc/{}/exe", child.pid)).unwrap();
    assert_eq!((image.dev(), image.ino()), child.image);
    let fds = std::fs::read_dir(format!("/proc/{}/fd", child.pid)).unwrap().count();
    assert_eq!(fds, 3 + 2, "streams, channel and gate");
    child.channel.send(Order::Commit).unwrap();
    assert!(child.channel.receive().unwrap().is_none());

    // Neither a visitor who leaves nor one who says something else starts the container.
    drop(gate.connect());
    let wrong = gate.connect();
    go(&wrong, Order::Proceed);
    assert!(next(&wrong).is_none());
    let start = gate.connect();
    go(&start, Order::Start);
    assert_eq!(next(&start).unwrap().tag, Tag::Accepted);
    assert!(next(&start).is_none());
    assert_eq!(end(&child, output).code(), 5);
}

#[test]
fn gate_brings_the_fault_back() {
    let gate = Gate::new("fault");
    let (candidates, args) = (texts(&["/nowhere"]), texts(&["x"]));
    let exec =
        Step::Exec { candidates: List::Items(&candidates), args: List::Items(&args), env: List::Items(&[]) };
    let steps = program(&[Step::AwaitStart { gate: Some(Fd(0)) }, exec]);
    let (child, _output) = start(&steps, 0, &[gate.0.as_fd()]).unwrap();
    assert_eq!(tag(&child).0, Tag::Ready);
    child.channel.send(Order::Commit).unwrap();
    let start = gate.connect();
    go(&start, Order::Start);
    assert_eq!(next(&start).unwrap().tag, Tag::Accepted);
    let fault = next(&start).unwrap();
    assert_eq!((fault.tag, fault.step, fault.value), (Tag::Failed, 1, Errno::ENOENT as u32));
    waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
}

#[test]
fn signals_are_clean() {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    // This program ignores SIGPIPE, as every Rust program does, and clone3 resets handlers only.
    let steps = [Step::ResetSignals {}, Step::AwaitStart { gate: None }];
    let (child, output) = start(&shell(&steps, script), 0, &[]).unwrap();
    assert_eq!(tag(&child).0, Tag::Ready);
    child.channel.send(Order::Start).unwrap();
    let output = end(&child, output).output;
    let sets: Vec<&str> = output.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(sets, ["0000000000000000"; 2], "{output}");
}

#[test]
fn second_clone() {
    if !root() {
        return;
    }
    let steps = [
        Step::Undumpable {},
        Step::DieWithParent {},
        Step::Unshare { kinds: libc::CLONE_NEWPID as u32 },
        Step::Fork { cgroup: None },
    ];
    let (child, output) = start(&shell(&steps, "echo $$ $PPID; exit 3"), 0, &[]).unwrap();
    let message = child.channel.receive().unwrap().unwrap();
    assert_eq!(message.report.tag, Tag::Child);
    let pidfd = message.fd.unwrap();
    child.channel.send(Order::Proceed).unwrap();
    assert_eq!(end(&child, output).output, "1 0\n");
    let status = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
    let WaitStatus::Exited(pid, 3) = status else { panic!("{status:?}") };
    assert_eq!(pid.as_raw() as u32, message.report.value);
}

#[test]
fn terminal() {
    apart(|| {
        let console = Step::OpenConsole { columns: 120, rows: 40, uid: 12, bind: true };
        let pts = Step::MountFs {
            fstype: Str::from("devpts"),
            source: None,
            options: List::Items(&[
                Setting { key: Str::from("newinstance"), value: None },
                Setting { key: Str::from("ptmxmode"), value: Some(Str::from("0666")) },
            ]),
            attrs: Attrs::default(),
            keep_mode: false,
            target: Str::from("/dev/pts"),
            nofollow: false,
            copy_up: false,
            keep: None,
        };
        let steps = [Step::OpenRoot {}, pts, Step::NewSession {}, console];
        let namespaces = libc::CLONE_NEWNS as u64;
        let script = "stty size; tty; stat -c %u:%t:%T /dev/console; read line; echo [$line]";
        let (child, output) = start(&shell(&steps, script), namespaces, &[]).unwrap();
        let announced = child.channel.receive().unwrap().unwrap().report;
        assert_eq!((announced.tag, announced.step), (Tag::Attaching, 1));
        let message = child.channel.receive().unwrap().unwrap();
        assert_eq!(message.report.tag, Tag::Terminal);
        let mut master = File::from(message.fd.unwrap());
        master.write_all(b"hello\n").unwrap();
        let ended = end(&child, output);
        assert_eq!((ended.code(), ended.output.as_str()), (0, ""));
        let mut text = [0; 1024];
        let mut said = String::new();
        while let Ok(len @ 1..) = master.read(&mut text) {
            said.push_str(&String::from_utf8_lossy(&text[..len]));
        }
        let lines: Vec<&str> = said.lines().filter(|line| *line != "hello").collect();
        assert_eq!(lines, ["40 120", "/dev/pts/0", "12:88:0", "[hello]"]);
    });
}

#[test]
fn terminal_of_an_image_is_refused() {
    apart(|| {
        // The host's /dev/pts covered by a directory with a file called ptmx.
        let dir = std::env::temp_dir().join(format!("corten-ptmx-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("ptmx"), "").unwrap();
        let source = dir.to_str().unwrap();
        let bind = Step::BindMount {
            source: Str::from(source),
            inside: false,
            source_link: false,
            tree: None,
            recursive: false,
            attrs: Attrs::default(),
            target: Str::from("/dev/pts"),
            nofollow: true,
            ids: None,
            target_link: false,
            copy_link: false,
            keep: None,
        };
        let console = Step::OpenConsole { columns: 0, rows: 0, uid: 0, bind: false };
        let fault = run(&program(&[Step::OpenRoot {}, bind, console])).fault();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!((fault.step, fault.kind, fault.value), (2, Kind::Check, Check::NotPtmx as u32));
    });
}

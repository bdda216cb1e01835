//! Init as it really runs, with programs made by hand.

mod hooks;
mod limits;
mod robust;
mod rootfs;
mod seccomp;
mod start;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{geteuid, pipe2};

use super::Error;
use super::channel::Message;
use super::spawn::{Child, Request, spawn};
use crate::wire::*;

/// A program under construction.
struct Program(Vec<u8>);

impl Sink for Program {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

fn program(steps: &[Step<'_>]) -> Vec<u8> {
    let mut program = Program(Vec::new());
    PROGRAM_VERSION.encode(&mut program);
    for step in steps {
        step.encode(&mut program);
    }
    program.0
}

fn texts<'a>(texts: &[&'a str]) -> Vec<Str<'a>> {
    texts.iter().map(|text| Str::from(*text)).collect()
}

/// The step that executes a shell with this script.
fn with_shell<T>(script: &str, then: impl FnOnce(Step<'_>) -> T) -> T {
    let (candidates, args) = (texts(&["/bin/sh"]), texts(&["sh", "-c", script]));
    let env = texts(&["PATH=/usr/bin:/bin"]);
    then(Step::Exec {
        candidates: List::Items(&candidates),
        args: List::Items(&args),
        env: List::Items(&env),
    })
}

/// `steps`, then a shell with this script.
fn shell(steps: &[Step<'_>], script: &str) -> Vec<u8> {
    with_shell(script, |exec| program(&[steps, &[exec]].concat()))
}

/// A child, and the end of the pipe to which it writes.
fn start(program: &[u8], namespaces: u64, extra: &[BorrowedFd<'_>]) -> Result<(Child, File), Error> {
    let (output, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let null = File::open("/dev/null").unwrap();
    let payload = [null.as_fd(), writer.as_fd(), writer.as_fd()];
    let request = Request { program, payload: &payload, extra, namespaces, cgroup: None };
    Ok((spawn(&request)?, File::from(output)))
}

/// What became of a program.
#[derive(Debug)]
struct Ended {
    status: WaitStatus,
    reports: Vec<Report>,
    output: String,
}

impl Ended {
    fn code(&self) -> i32 {
        match self.status {
            WaitStatus::Exited(_, code) => code,
            _ => panic!("{self:?}"),
        }
    }

    /// The fault that init reported.
    fn fault(&self) -> Report {
        assert_eq!(self.code(), 1, "{self:?}");
        match self.reports[..] {
            [.., report] if report.tag == Tag::Failed => report,
            _ => panic!("{self:?}"),
        }
    }
}

fn end(child: &Child, mut output: File) -> Ended {
    let mut reports = Vec::new();
    while let Some(Message { report, .. }) = child.channel.receive().unwrap() {
        reports.push(report);
    }
    let mut text = Vec::new();
    output.read_to_end(&mut text).unwrap();
    let status = waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
    Ended { status, reports, output: String::from_utf8_lossy(&text).into_owned() }
}

fn run_with(program: &[u8], namespaces: u64, extra: &[BorrowedFd<'_>]) -> Ended {
    let (child, output) = start(program, namespaces, extra).unwrap();
    end(&child, output)
}

fn run(program: &[u8]) -> Ended {
    run_with(program, 0, &[])
}

/// True where the test may go on; says why not otherwise.
fn root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// Runs a test in a mount namespace of its own, from which nothing comes back to the host's.
fn apart(test: impl FnOnce() + Send) {
    if !root() {
        return;
    }
    let outcome = std::thread::scope(|scope| {
        let apart = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
            test();
        });
        apart.join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn executes_the_payload() {
    let script = "echo $PATH; cd /proc/self/fd; for fd in *; do [ -e $fd ] && echo $fd; done; exit 7";
    let ended = run(&shell(&[], script));
    assert_eq!((ended.code(), ended.reports.len()), (7, 0));
    // Descriptor 10 or so is the shell's own, of the directory that it reads.
    assert_eq!(ended.output, "/usr/bin:/bin\n0\n1\n2\n");
}

#[test]
fn hands_descriptors_over_in_any_order() {
    // Sources that are each other's places, and one that is there already.
    let (mut output, writer) =
        pipe2(OFlag::O_CLOEXEC).map(|(output, writer)| (File::from(output), File::from(writer))).unwrap();
    let files: Vec<File> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
    let mut payload: Vec<BorrowedFd<'_>> = files.iter().rev().map(AsFd::as_fd).collect();
    payload[1] = writer.as_fd();
    payload[2] = writer.as_fd();
    let script =
        "for fd in 0 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do readlink /proc/self/fd/$fd; done";
    let program = shell(&[], script);
    let request = Request { program: &program, payload: &payload, extra: &[], namespaces: 0, cgroup: None };
    let child = spawn(&request).unwrap();
    drop(writer);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "/dev/null\n".repeat(18));
    waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
}

#[test]
fn reports_what_fails() {
    let exec = |candidates: &[&str]| {
        let (candidates, args) = (texts(candidates), texts(&["x"]));
        let (candidates, args) = (List::Items(&candidates[..]), List::Items(&args[..]));
        let umask = Step::Umask { mask: 0o22 };
        let exec = run(&program(&[umask, Step::Exec { candidates, args, env: List::Items(&[]) }])).fault();
        let look_up = run(&program(&[umask, Step::Lookup { candidates }])).fault();
        assert_eq!((exec.step, look_up.step), (1, 1));
        let told = |report: Report| (report.kind, report.value, report.index);
        (told(look_up), told(exec))
    };
    let errno = |errno: Errno, index| (Kind::Errno, errno as u32, index);
    let absent = (errno(Errno::ENOENT, 0), errno(Errno::ENOENT, 0));
    assert_eq!(exec(&["/nowhere", "/etc/passwd/x"]), absent);
    assert_eq!(exec(&["/nowhere", "/etc/passwd"]), (errno(Errno::EACCES, 1), errno(Errno::EACCES, 1)));
    assert_eq!(exec(&["/nowhere", "/etc"]), (errno(Errno::EISDIR, 1), errno(Errno::EACCES, 1)));
    let device = (Kind::Check, Check::NotRegular as u32, 0);
    assert_eq!(exec(&["/dev/null"]), (device, errno(Errno::EACCES, 0)));
}

#[test]
fn last_step_must_execute() {
    let fault = run(&program(&[Step::Umask { mask: 0 }])).fault();
    assert_eq!((fault.step, fault.kind, fault.value), (1, Kind::Check, Check::Program as u32));
}

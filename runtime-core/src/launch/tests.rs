//! Init as it really runs, with small programs made by hand.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::pipe;

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
    VERSION.encode(&mut program);
    for step in steps {
        step.encode(&mut program);
    }
    program.0
}

fn texts<'a>(texts: &[&'a str]) -> Vec<Str<'a>> {
    texts.iter().map(|text| Str::from(*text)).collect()
}

/// A child, and the end of the pipe to which it writes.
fn start(program: &[u8], namespaces: u64, extra: &[BorrowedFd<'_>]) -> Result<(Child, File), Error> {
    let (output, writer) = pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let payload = [null.as_fd(), writer.as_fd(), writer.as_fd()];
    let request = Request { program, payload: &payload, extra, namespaces, cgroup: None };
    Ok((spawn(&request)?, File::from(output)))
}

fn ended(child: &Child) -> WaitStatus {
    waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap()
}

/// Runs a program to its end: how it ended, what init reported, what was written.
fn run(program: &[u8], namespaces: u64) -> (WaitStatus, Vec<Report>, String) {
    let (child, mut output) = start(program, namespaces, &[]).unwrap();
    let mut reports = Vec::new();
    while let Some(Message { report, .. }) = child.channel.receive().unwrap() {
        reports.push(report);
    }
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    (ended(&child), reports, text)
}

fn code(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

fn shell<'a>(script: &'a [Str<'a>], candidates: &'a [Str<'a>], env: &'a [Str<'a>]) -> Step<'a> {
    Step::Exec { candidates: List::Items(candidates), args: List::Items(script), env: List::Items(env) }
}

#[test]
fn executes_the_payload() {
    let (candidates, args) =
        (texts(&["/bin/sh"]), texts(&["sh", "-c", "echo $A; ls -l /proc/self/fd; exit 7"]));
    let env = texts(&["A=b"]);
    let (status, reports, output) = run(&program(&[shell(&args, &candidates, &env)]), 0);
    assert_eq!((code(status), reports), (7, vec![]));
    assert!(output.starts_with("b\n"), "{output}");
    assert!(!output.contains(" 4 -> "), "{output}");
}

#[test]
fn reports_what_fails() {
    let (candidates, args) = (texts(&["/nowhere", "/etc/passwd"]), texts(&["x"]));
    let steps = [Step::Umask { mask: 0o22 }, shell(&args, &candidates, &[])];
    let (status, reports, _) = run(&program(&steps), 0);
    assert_eq!(code(status), 1);
    let [report] = reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.tag, report.step, report.kind), (Tag::Failed, 1, Kind::Errno));
    assert_eq!((report.value, report.index), (Errno::EACCES as u32, 1));
}

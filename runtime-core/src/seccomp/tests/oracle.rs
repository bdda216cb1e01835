//! libseccomp as an oracle: a small C program around it, built by the test that asks first.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::{Arch, Instruction, action, bpf};
use super::model::action_of;
use crate::config::Seccomp;

pub(super) struct Oracle {
    program: PathBuf,
    process: Process,
    /// `SCMP_FLTATR_CTL_OPTIMIZE`: 1, as it is by default, for comparisons in a row; 2 for a tree.
    pub(super) optimize: u32,
    /// What the last program has taken it of a processor's time, reading the profile included.
    pub(super) took: Duration,
}

/// Why libseccomp makes no program of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// It says this.
    Errno(u32),
    /// It was stopped after two seconds.
    TakesForever,
}

struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(program: &Path) -> Process {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Process { child, to, from }
    }
}

impl Oracle {
    /// `None`, with the reason on standard error, where libseccomp or a C compiler is missing.
    pub(super) fn start(test: &str) -> Option<Oracle> {
        let flags = Command::new("pkg-config").args(["--cflags", "--libs", "libseccomp"]).output();
        let flags = flags.ok().filter(|flags| flags.status.success()).map(|flags| flags.stdout);
        let Some(flags) = flags.and_then(|flags| String::from_utf8(flags).ok()) else {
            eprintln!("skipped: pkg-config does not find libseccomp");
            return None;
        };
        let program = build(test, "libseccomp.c", &flags.split_whitespace().collect::<Vec<_>>())?;
        let process = Process::start(&program);
        Some(Oracle { program, process, optimize: 2, took: Duration::ZERO })
    }

    /// Nothing if the program has gone.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.process.from.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The calls of an architecture: number and name. None at all if libseccomp does not know it.
    pub(super) fn calls(&mut self, arch: Arch) -> Vec<(u32, String)> {
        let base = arch.syscall("read").unwrap() / 1000 * 1000;
        let mut calls = Vec::new();
        for (first, last) in [(base, base + 999), (0xf0000, 0xf000f)] {
            writeln!(self.process.to, "names {} {first} {last}", short(arch)).unwrap();
            loop {
                let line = self.line();
                let Some((number, name)) = line.split_once(' ') else { break };
                calls.push((number.parse().unwrap(), name.to_owned()));
            }
        }
        calls
    }

    /// The program that libseccomp makes of a profile, or why there is none.
    pub(super) fn compile(&mut self, profile: &Seccomp) -> Result<Vec<Instruction>, Refusal> {
        let default = action_of(&profile.default_action, profile.default_errno_ret);
        let mut results = vec![default, action::KILL_THREAD];
        let mut text = format!("begin {default} {}\n", self.optimize);
        for arch in &profile.architectures {
            text += &format!("arch {}\n", short(Arch::from_name(arch).unwrap()));
        }
        for rule in &profile.syscalls {
            let action = action_of(&rule.action, rule.errno_ret);
            if action == default {
                continue;
            }
            results.push(action);
            let args: Vec<String> = rule
                .args
                .iter()
                .map(|arg| {
                    let op = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
                        .iter()
                        .position(|op| arg.op[9..] == **op);
                    format!(" {} {} {} {}", arg.index, op.unwrap() + 1, arg.value, arg.value_two)
                })
                .collect();
            let repeated =
                rule.args.iter().any(|a| rule.args.iter().filter(|b| a.index == b.index).count() > 1);
            for name in &rule.names {
                if repeated {
                    args.iter().for_each(|arg| text += &format!("rule {action} {name} 1{arg}\n"));
                } else {
                    text += &format!("rule {action} {name} {}{}\n", args.len(), args.concat());
                }
            }
        }
        text += "end\n";
        self.process.to.write_all(text.as_bytes()).unwrap();
        let answer = self.line();
        let length = match answer.split_once(' ') {
            Some(("program", length)) => length,
            Some((_, errno)) => return Err(Refusal::Errno(errno.parse().unwrap())),
            None => {
                self.process.child.wait().unwrap();
                self.process = Process::start(&self.program);
                return Err(Refusal::TakesForever);
            }
        };
        let (length, nanoseconds) = length.split_once(' ').unwrap();
        self.took = Duration::from_nanos(nanoseconds.parse().unwrap());
        let length: usize = length.parse().unwrap();
        let mut program: Vec<Instruction> = (0..length).map(|_| self.instruction()).collect();
        if Arch::from_name(&profile.architectures[0]).unwrap().is_big_endian() {
            // It is in that byte order; but where long jumps come in, libseccomp swaps some results twice.
            for one in &mut program {
                (one.code, one.k) = (one.code.swap_bytes(), one.k.swap_bytes());
                if one.code == bpf::RETURN && !results.contains(&one.k) {
                    one.k = one.k.swap_bytes();
                }
            }
        }
        Ok(program)
    }

    fn instruction(&mut self) -> Instruction {
        let line = self.line();
        let mut fields = line.split(' ').map(|field| field.parse::<u32>().unwrap());
        let mut next = || fields.next().unwrap();
        Instruction { code: next() as u16, jt: next() as u8, jf: next() as u8, k: next() }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
        std::fs::remove_file(&self.program).unwrap();
    }
}

/// Compiles a C program of this directory; `None`, with the reason on standard error, where that cannot be.
pub(super) fn build(test: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let program = std::env::temp_dir().join(format!("corten-seccomp-{test}-{}-{count}", std::process::id()));
    let source = format!("{}/src/seccomp/tests/{source}", env!("CARGO_MANIFEST_DIR"));
    let built = Command::new("cc").arg("-o").arg(&program).arg(source).args(flags).status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: cc does not build a test program with {flags:?}");
        return None;
    }
    Some(program)
}

/// libseccomp's name of an architecture.
fn short(arch: Arch) -> String {
    arch.name().trim_start_matches("SCMP_ARCH_").to_lowercase()
}

//! Docker's default profile beside libseccomp's compilation of it, in one run:
//!
//!     cargo test --release -p runtime-core --lib seccomp::tests::bench -- --ignored --nocapture

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::{Arch, Instruction, compile, flag};
use super::oracle::{Oracle, build};
use super::profiles;

const ROUNDS: usize = 101;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Loading the program, a call that is always allowed, one whose argument is looked at.
fn in_the_kernel(bench: &Path, program: &[Instruction]) -> String {
    let mut child = Command::new(bench).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = format!("{} {}\n", flag::SPEC_ALLOW, program.len());
    for one in program {
        text += &format!("{} {} {} {}\n", one.code, one.jt, one.jf, one.k);
    }
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let [load, call, argument] = text.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{text}") };
    format!("{:>9.1} {call:>9} {argument:>9}", load.parse::<f64>().unwrap() / 1000.0)
}

#[test]
#[ignore = "measures; for the release profile"]
fn beside_libseccomp() {
    let Some(mut oracle) = Oracle::start("bench") else { return };
    let Some(bench) = build("bench", "bench.c", &["-O2"]) else { return };
    let profile = profiles::docker();
    let row = |name: &str, program: &[Instruction], compiled: Duration| {
        let kernel = in_the_kernel(&bench, program);
        println!("{name:22} {:>12} {:>10.1} {kernel}", program.len(), compiled.as_secs_f64() * 1e6);
    };
    println!("{:22} instructions compile/µs   load/µs   call/ns    arg./ns", "");
    row("no filter", &[], Duration::ZERO);
    let native = Arch::NATIVE.unwrap();
    let ours = || {
        let start = Instant::now();
        let filter = compile(&profile, native).unwrap();
        (start.elapsed(), filter)
    };
    let times = (0..ROUNDS).map(|_| ours().0).collect();
    row("corten", &ours().1.program, median(times));
    for (name, level) in [("libseccomp, default", 1), ("libseccomp, optimised", 2)] {
        oracle.optimize = level;
        let mut last = Vec::new();
        let times = (0..ROUNDS).map(|_| {
            last = oracle.compile(&profile).unwrap();
            oracle.took
        });
        let times = times.collect();
        row(name, &last, median(times));
    }
    std::fs::remove_file(bench).unwrap();
}

//! Filters in the kernel: what a process sees is what the emulator says.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use super::super::{Arch, Filter, action, compile};
use super::emulator::{Call, run};
use super::oracle::build;
use super::profiles;
use crate::config::Seccomp;

/// A process that loads a filter and makes calls under it.
struct Loader(PathBuf);

impl Loader {
    /// `None`, with the reason on standard error, where that cannot be.
    fn build(test: &str) -> Option<Loader> {
        if Arch::NATIVE != Some(Arch::X86_64) {
            eprintln!("skipped: the calls are written for x86_64");
            return None;
        }
        build(test, "loaded.c", &[]).map(Loader)
    }

    fn run(&self, filter: &Filter, calls: &[(Arch, u32, [u64; 3])]) -> Vec<String> {
        let mut child = Command::new(&self.0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut text = format!("{} {}\n", filter.flags, filter.program.len());
        for one in &filter.program {
            text += &format!("{} {} {} {}\n", one.code, one.jt, one.jf, one.k);
        }
        for (arch, number, [a, b, c]) in calls {
            text += &format!("{} {number} {a} {b} {c}\n", if *arch == Arch::X86 { 32 } else { 64 });
        }
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Makes a call in all its ABIs. The arguments are such that, where allowed, it fails and changes nothing.
    fn check(&self, profile: &Seccomp, name: &str) {
        let filter = compile(profile, Arch::X86_64).unwrap();
        let values = [0x1004, 0x1005, 0x1006, 0x1_0000_1004, 0x1_0000_1005, 0x1_0000_1006];
        let calls: Vec<(Arch, u32, [u64; 3])> = [Arch::X86_64, Arch::X86, Arch::X32]
            .iter()
            .flat_map(|arch| values.map(|value| (*arch, arch.syscall(name).unwrap(), [value; 3])))
            .collect();
        let results = self.run(&filter, &calls);
        assert_eq!(results.len(), calls.len());
        for ((arch, number, args), result) in calls.iter().zip(results) {
            // The kernel cuts the registers of a 32-bit call before the filter sees them.
            let [a, b, c] = args.map(|value| if *arch == Arch::X86 { value & 0xffff_ffff } else { value });
            let verdict = run(&filter.program, &Call::new(*arch, *number, [a, b, c, 0, 0, 0])).0;
            let allowed = [action::ALLOW, action::LOG].contains(&verdict);
            if name == "close" || !allowed {
                // A kernel built without x32 does not know its calls.
                let unknown = *arch == Arch::X32 && result == "returned -38";
                let badf = if unknown { "returned -38" } else { "returned -9" };
                assert_eq!(result, expected(verdict, badf), "{name} on {} under {profile:?}", arch.name());
            }
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn expected(verdict: u32, allowed: &str) -> String {
    match verdict & 0xffff_0000 {
        action::KILL_THREAD | action::KILL_PROCESS | action::TRAP => "signal 31".to_owned(),
        action::ERRNO => format!("returned {}", -i64::from(verdict & 0xffff)),
        // There is no tracer.
        action::TRACE => "returned -38".to_owned(),
        _ => allowed.to_owned(),
    }
}

#[test]
fn each_action_and_operator() {
    let Some(loader) = Loader::build("each_action_and_operator") else { return };
    let arches = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
    for (at, kind) in
        ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "LOG"].iter().enumerate()
    {
        for op in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
            let arg = json!({"index": at % 3, "value": 0x1_0000_1005_u64, "valueTwo": 0x1005, "op": format!("SCMP_CMP_{op}")});
            let rule = json!({"names": ["close"], "action": format!("SCMP_ACT_{kind}"), "args": [arg]});
            let profile =
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": arches, "syscalls": [rule]});
            loader.check(&serde_json::from_value(profile).unwrap(), "close");
        }
    }
}

#[test]
fn each_flag() {
    let Some(loader) = Loader::build("each_flag") else { return };
    for flags in [
        json!(null),
        json!([]),
        json!(["TSYNC"]),
        json!(["LOG"]),
        json!(["SPEC_ALLOW"]),
        json!(["TSYNC", "LOG", "SPEC_ALLOW"]),
    ] {
        let flags = flags.as_array().map(|flags| {
            flags
                .iter()
                .map(|flag| format!("SECCOMP_FILTER_FLAG_{}", flag.as_str().unwrap()))
                .collect::<Vec<_>>()
        });
        let rule = json!({"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33});
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": [rule]});
        loader.check(&serde_json::from_value(profile).unwrap(), "close");
    }
}

#[test]
fn the_profiles_of_the_engines() {
    let Some(loader) = Loader::build("the_profiles_of_the_engines") else { return };
    for profile in [profiles::docker(), profiles::podman(), profiles::containerd()] {
        for name in ["close", "keyctl", "personality", "clone3", "file_setattr"] {
            loader.check(&profile, name);
        }
    }
}

//! Profiles to test with, those of the engines and random ones; and calls to try them on.

use super::super::Arch;
use super::emulator::Call;
use crate::config::{Seccomp, Syscall, SyscallArg};

pub(super) fn docker() -> Seccomp {
    serde_json::from_str(include_str!("docker.json")).unwrap()
}

pub(super) fn podman() -> Seccomp {
    serde_json::from_str(include_str!("podman.json")).unwrap()
}

pub(super) fn containerd() -> Seccomp {
    serde_json::from_str(include_str!("containerd.json")).unwrap()
}

/// Numbers that look random and are the same in each run (xorshift).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// The last one is no default action.
const ACTIONS: [&str; 9] =
    ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"];
const OPERATORS: [&str; 7] = ["NE", "EQ", "MASKED_EQ", "LT", "LE", "GE", "GT"];
/// Values at which a comparison of two words can go wrong.
pub(super) const VALUES: [u64; 14] = [
    0,
    1,
    2,
    5,
    16,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0005,
    0x2_0000_0002,
    0x8000_0000_0000_0000,
    0xffff_ffff_0000_0000,
    u64::MAX,
];

/// Architectures that may stand in one filter: libseccomp wants them of one endianness.
pub(super) fn arches(random: &mut Random) -> Vec<Arch> {
    let first = *random.pick(Arch::all());
    let mut arches = vec![first];
    if random.below(3) == 0 {
        let alike: Vec<Arch> =
            Arch::all().iter().copied().filter(|a| a.is_big_endian() == first.is_big_endian()).collect();
        for _ in 0..random.below(4) {
            arches.push(*random.pick(&alike));
        }
    }
    if first == Arch::X32 || random.below(6) == 0 && !first.is_big_endian() {
        arches.insert(0, Arch::X86_64);
    }
    let mut seen = Vec::new();
    arches.retain(|arch| {
        !seen.contains(arch) && {
            seen.push(*arch);
            true
        }
    });
    arches
}

pub(super) fn random(random: &mut Random, arches: &[Arch], names: &[String]) -> Seccomp {
    // Few names, so that rules meet.
    let pool: Vec<&String> = (0..1 + random.below(8)).map(|_| random.pick(names)).collect();
    let (action, errno) = random_action(random, &ACTIONS[..8]);
    let mut profile = Seccomp {
        default_action: action,
        default_errno_ret: errno,
        architectures: arches.iter().map(|arch| arch.name().to_owned()).collect(),
        listener_path: Some("/agent".to_owned()),
        ..Seccomp::default()
    };
    let operators = if random.below(2) == 0 { &OPERATORS } else { &OPERATORS[..3] };
    let actions: Vec<_> = (0..1 + random.below(2)).map(|_| random_action(random, &ACTIONS)).collect();
    for _ in 0..1 + random.below(8) {
        let (action, errno) = random.pick(&actions).clone();
        let names = (0..1 + random.below(3)).map(|_| (*random.pick(&pool)).clone());
        let names = names.filter(|name| action != "SCMP_ACT_NOTIFY" || name != "write").collect();
        let args = (0..random.below(4)).map(|_| random_arg(random, operators)).collect();
        profile.syscalls.push(Syscall { names, action, errno_ret: errno, args });
    }
    profile
}

fn random_action(random: &mut Random, actions: &[&str]) -> (String, Option<u32>) {
    let action = *random.pick(actions);
    let errno =
        (["ERRNO", "TRACE"].contains(&action) && random.below(2) == 0).then(|| random.below(4096) as u32);
    (format!("SCMP_ACT_{action}"), errno)
}

fn random_arg(random: &mut Random, operators: &[&str]) -> SyscallArg {
    SyscallArg {
        index: random.below(6).min(random.below(6)) as u32,
        value: *random.pick(&VALUES),
        value_two: *random.pick(&VALUES),
        op: format!("SCMP_CMP_{}", random.pick(operators)),
    }
}

/// Calls that tell profiles apart: all numbers, and for those that a rule names all sorts of arguments.
pub(super) fn calls_of(profile: &Seccomp, arches: &[Arch], random: &mut Random) -> Vec<Call> {
    let mut calls = Vec::new();
    for arch in arches {
        let base = arch.syscall("read").unwrap() / 1000 * 1000;
        let boundaries = [
            0x3fff_ffff,
            0x4000_0000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fffe,
            u32::MAX,
            0xf0000,
            0xf0005,
            0xf0007,
        ];
        let numbers = (base..base + 600).chain(boundaries).chain([0, 1, 3999, 4999, 5999]);
        calls.extend(numbers.map(|number| Call::new(*arch, number, [0; 6])));
        let mut named: Vec<(u32, usize)> = Vec::new();
        for rule in &profile.syscalls {
            let samples = if rule.args.is_empty() { 2 } else { 24 };
            named.extend(
                rule.names.iter().filter_map(|name| arch.syscall(name)).map(|number| (number, samples)),
            );
        }
        named.extend(
            ["socketcall", "ipc"].iter().filter_map(|name| arch.syscall(name)).map(|number| (number, 24)),
        );
        for (number, samples) in named {
            for _ in 0..samples {
                let args = std::array::from_fn(|_| match random.below(4) {
                    0 => random.below(26) as u64,
                    _ => random.pick(&VALUES).wrapping_add(*random.pick(&[u64::MAX, 0, 0, 0, 1])),
                });
                calls.push(Call::new(*arch, number, args));
            }
        }
    }
    calls
}

//! Every profile three ways: our program, the plain model, and what runc loads: libseccomp's program behind a stub of its own.

use std::collections::{BTreeMap, HashMap};

use super::super::tables::SYSCALLS;
use super::super::verdicts::MULTIPLEXED;
use super::super::{Arch, Instruction, compile};
use super::emulator::{self, Call, run};
use super::model::{ENOSYS, Model};
use super::oracle::{Oracle, Refusal};
use super::profiles::{self, Random, calls_of};
use crate::config::Seccomp;

/// Where our verdict is not that of runc with libseccomp, and why.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Bits of a multiplexer's first argument that the kernel ignores are ignored: no way around a rule.
    IgnoredBits,
    /// libseccomp joins the conditions of all rules for a call in one tree, in which some are lost and others run together: its
    /// verdict is that of no rule that holds.
    JoinedConditions,
    /// Of several rules that hold it takes another one, most often where masks are compared: it orders by words, we by values.
    OtherRule,
    /// runc takes a call with the number 0 for none, and then answers no newer one.
    OnlyCallZero,
    /// For runc a call that is made through a multiplexer does not count as known, nor the multiplexer: it refuses both as newer.
    Multiplexer,
    /// For runc a private call of ARM makes all numbers below it known.
    PrivateCall,
    /// A number with the highest bit belongs to x86_64 for runc's stub, and to x32 for libseccomp and us.
    HighestBit,
}

#[derive(Debug, Default)]
struct Totals {
    profiles: usize,
    refused: BTreeMap<Refusal, usize>,
    verdicts: usize,
    /// Verdicts on calls newer than the profile.
    newer: usize,
    /// Verdicts on calls for which there is more than one condition.
    conditional: usize,
    /// Those of them where rules hold that have different actions.
    contested: usize,
    differences: BTreeMap<Difference, usize>,
}

fn compare(
    profile: &Seccomp,
    native: Arch,
    theirs: Option<&[Instruction]>,
    calls: &[Call],
    totals: &mut Totals,
) {
    let filter = compile(profile, native).unwrap();
    emulator::check(&filter.program);
    let model = Model::new(profile, native);
    totals.profiles += 1;
    for call in calls {
        let (ours, _) = run(&filter.program, call);
        let expected = model.verdict(call);
        assert_eq!(ours, expected, "{call:x?} under {}", serde_json::to_string(profile).unwrap());
        let Some(theirs) = theirs else { continue };
        let stub = Stub::new(profile, call);
        let theirs = if stub.is_newer(call) { ENOSYS } else { run(theirs, call).0 };
        totals.verdicts += 1;
        totals.newer += usize::from(ours == ENOSYS && theirs == ENOSYS);
        totals.conditional += usize::from(model.conditions_for(call) > 1);
        totals.contested += usize::from(model.holding(call).windows(2).any(|two| two[0] != two[1]));
        if ours != theirs {
            let reason = explain(profile, &model, &stub, call, ours, theirs);
            *totals.differences.entry(reason).or_default() += 1;
        }
    }
}

/// runc's answer to newer calls, before libseccomp's program runs (libcontainer/seccomp/patchbpf).
struct Stub {
    arch: Option<Arch>,
    /// The largest number that a rule names.
    largest: Option<u32>,
}

impl Stub {
    fn new(profile: &Seccomp, call: &Call) -> Stub {
        let x32 = call.number & 0x4000_0000 != 0;
        let arch = profile.architectures.iter().filter_map(|name| Arch::from_name(name)).find(|arch| {
            arch.token == call.token && (arch.token != Arch::X86_64.token || (*arch == Arch::X32) == x32)
        });
        let allows =
            ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&profile.default_action.as_str());
        let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
        let numbers = names.filter_map(|name| arch.filter(|_| !allows)?.syscall(name));
        Stub { arch, largest: numbers.max().filter(|number| *number != 0) }
    }

    fn is_newer(&self, call: &Call) -> bool {
        let multiplexes = |arch| [Arch::S390, Arch::S390X].contains(&arch) && call.number == 0;
        self.largest.is_some_and(|largest| call.number > largest || self.arch.is_some_and(multiplexes))
    }
}

fn explain(profile: &Seccomp, model: &Model, stub: &Stub, call: &Call, ours: u32, theirs: u32) -> Difference {
    let names = || profile.syscalls.iter().flat_map(|rule| &rule.names);
    let highest_bit = call.token == Arch::X86_64.token && call.number >> 30 == 2;
    if highest_bit && (theirs == ENOSYS || ours == ENOSYS) {
        return Difference::HighestBit;
    }
    let arch = model.arch_of(call).unwrap();
    let multiplexers = [arch.syscall("socketcall"), arch.syscall("ipc")];
    if (ours == ENOSYS) != (theirs == ENOSYS) {
        if ours == ENOSYS && stub.largest.is_none() && names().any(|name| arch.syscall(name) == Some(0)) {
            return Difference::OnlyCallZero;
        }
        let multiplexed = names().any(|name| MULTIPLEXED.iter().any(|(known, ..)| known == name));
        if multiplexed && multiplexers.iter().any(|number| *number > stub.largest) {
            return Difference::Multiplexer;
        }
        if arch == Arch::ARM && ours == ENOSYS && stub.largest >= Some(0xf0000) && call.number < 0xf0000 {
            return Difference::PrivateCall;
        }
    }
    let ignored = |bits: u64| call.args[0] & !bits != 0;
    let [socketcall, ipc] = multiplexers.map(|number| number == Some(call.number));
    if socketcall && ignored(0xffff_ffff) || ipc && ignored(0xffff) {
        return Difference::IgnoredBits;
    }
    if model.conditions_for(call) > 1 {
        let holding = model.holding(call);
        let justified = if holding.is_empty() { theirs == model.default } else { holding.contains(&theirs) };
        return if justified { Difference::OtherRule } else { Difference::JoinedConditions };
    }
    panic!("{call:x?}: {ours:#x}, theirs {theirs:#x}, under {}", serde_json::to_string(profile).unwrap());
}

/// The calls of each architecture that libseccomp knows.
fn their_calls(oracle: &mut Oracle) -> Vec<(Arch, HashMap<String, u32>)> {
    let calls = |arch: &Arch| {
        let calls = oracle.calls(*arch).into_iter().map(|(number, name)| (name, number));
        (*arch, calls.collect::<HashMap<_, _>>())
    };
    Arch::all().iter().map(calls).filter(|(_, calls)| !calls.is_empty()).collect()
}

#[test]
fn random_profiles() {
    let count = std::env::var("CORTEN_SECCOMP_PROFILES").map_or(500, |count| count.parse().unwrap());
    let mut oracle = Oracle::start("random");
    let theirs = oracle.as_mut().map(their_calls).unwrap_or_default();
    // libseccomp gives these two the same pseudo number.
    let confused = |name: &str| ["switch_endian", "sys_debug_setcontext"].contains(&name);
    let same = |name: &str| theirs.iter().all(|(arch, calls)| calls.get(name).copied() == arch.syscall(name));
    let names = SYSCALLS.iter().map(|call| call.name).filter(|name| same(name) && !confused(name));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let mut totals = Totals::default();
    for _ in 0..count {
        let arches = profiles::arches(&mut random);
        let profile = profiles::random(&mut random, &arches, &names);
        let calls = calls_of(&profile, &arches, &mut random);
        let known = arches.iter().all(|arch| theirs.iter().any(|(known, _)| known == arch));
        let program = oracle.as_mut().filter(|_| known).map(|oracle| oracle.compile(&profile));
        if let Some(Err(refusal)) = &program {
            *totals.refused.entry(*refusal).or_default() += 1;
        }
        compare(&profile, arches[0], program.and_then(Result::ok).as_deref(), &calls, &mut totals);
    }
    println!("{totals:?}");
    let count = |difference| totals.differences.get(&difference).copied().unwrap_or(0);
    let wrong = "libseccomp would have to be wrong too often";
    assert!(count(Difference::JoinedConditions) * 200 <= totals.conditional, "{wrong}: {totals:?}");
    assert!(count(Difference::OtherRule) * 50 <= totals.contested, "{wrong}: {totals:?}");
}

#[test]
fn profiles_of_the_engines() {
    let mut oracle = Oracle::start("engines");
    let known = oracle.as_mut().map(their_calls).unwrap_or_default();
    let mut random = Random(0x0dd_ba11);
    let mut totals = Totals::default();
    for engine in [profiles::docker(), profiles::podman(), profiles::containerd()] {
        let together = [Arch::X86_64, Arch::X86, Arch::X32];
        let sets = Arch::all().iter().map(std::slice::from_ref).chain([&together[..]]);
        for arches in sets {
            let mut profile = engine.clone();
            profile.architectures = arches.iter().map(|arch| arch.name().to_owned()).collect();
            let mut theirs = None;
            if let Some(oracle) = oracle.as_mut() {
                let tables: Vec<_> = known.iter().filter(|(arch, _)| arches.contains(arch)).collect();
                // A call that libseccomp does not know yet is not in its program.
                let same = |name: &String| {
                    tables.iter().all(|(arch, calls)| calls.get(name).copied() == arch.syscall(name))
                };
                profile.syscalls.iter_mut().for_each(|rule| rule.names.retain(same));
                theirs = (tables.len() == arches.len()).then(|| oracle.compile(&profile).unwrap());
            }
            let calls = calls_of(&profile, arches, &mut random);
            compare(&profile, arches[0], theirs.as_deref(), &calls, &mut totals);
        }
    }
    println!("{totals:?}");
    assert!(totals.differences.keys().all(|difference| *difference == Difference::HighestBit), "{totals:?}");
}

#[test]
fn table_of_libseccomp() {
    let Some(mut oracle) = Oracle::start("table") else { return };
    // The kernel's lists do not build these two into the ABIs named; libseccomp says that they do.
    let wrong_there = |arch: Arch, name: &str| match name {
        "_llseek" => arch == Arch::PARISC64,
        "set_mempolicy_home_node" => [Arch::MIPS64, Arch::MIPSEL64].contains(&arch),
        _ => false,
    };
    let mut compared = 0;
    for (arch, calls) in their_calls(&mut oracle) {
        for (name, number) in calls.iter().filter(|(name, _)| !wrong_there(arch, name)) {
            assert_eq!(arch.syscall(name), Some(*number), "{name} on {}", arch.name());
            compared += 1;
        }
    }
    println!("{compared} numbers compared");
    assert!(compared > 5000);
}

//! Every profile three ways: our program, the plain model, libseccomp's program.

use std::collections::{BTreeMap, HashMap};

use super::super::tables::SYSCALLS;
use super::super::{Arch, Instruction, compile};
use super::emulator::{self, Call, run};
use super::model::{self, Model};
use super::oracle::{Oracle, Refusal};
use super::profiles::{self, Random, calls_of};
use crate::config::Seccomp;

/// Where our verdict is not libseccomp's, and why.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// A call newer than the profile gets ENOSYS, as runc makes it.
    NewerCall,
    /// Bits of a multiplexer's first argument that the kernel ignores are ignored: no way around a rule.
    IgnoredBits,
    /// libseccomp joins the conditions of all rules for a call in one tree, in which some are lost and others
    /// run together. Ours and the model's verdict is what the rules say.
    JoinedConditions,
}

#[derive(Debug, Default)]
struct Totals {
    profiles: usize,
    refused: BTreeMap<Refusal, usize>,
    verdicts: usize,
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
        totals.verdicts += 1;
        let (theirs, _) = run(theirs, call);
        if ours != theirs {
            let reason = explain(profile, &model, call, ours, theirs);
            *totals.differences.entry(reason).or_default() += 1;
        }
    }
}

fn explain(profile: &Seccomp, model: &Model, call: &Call, ours: u32, theirs: u32) -> Difference {
    let default = model::action_of(&profile.default_action, profile.default_errno_ret);
    if ours == model::ENOSYS && theirs == default {
        return Difference::NewerCall;
    }
    let arch = model.arch_of(call).unwrap();
    let multiplexer = |name, bits: u64| arch.syscall(name) == Some(call.number) && call.args[0] & !bits != 0;
    if multiplexer("socketcall", 0xffff_ffff) || multiplexer("ipc", 0xffff) {
        return Difference::IgnoredBits;
    }
    if model.conditions_for(arch, call.number) > 1 {
        return Difference::JoinedConditions;
    }
    panic!(
        "{call:x?}: {ours:#x}, libseccomp's {theirs:#x}, under {}",
        serde_json::to_string(profile).unwrap()
    );
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
    let joined = totals.differences.get(&Difference::JoinedConditions).copied().unwrap_or(0);
    assert!(joined * 1000 <= totals.verdicts, "libseccomp would have to be wrong too often: {totals:?}");
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
    assert!(totals.differences.keys().all(|difference| *difference == Difference::NewerCall), "{totals:?}");
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

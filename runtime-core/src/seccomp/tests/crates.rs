//! Other people's tables and compiler, in so far as they reach.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::super::tables::SYSCALLS;
use super::super::{Arch, Instruction, action, compile};
use super::emulator::{Call, run};
use super::profiles::{Random, VALUES};
use crate::config::{Seccomp, Syscall, SyscallArg};

#[test]
fn table_of_syscalls() {
    macro_rules! compare {
        ($($arch:ident $module:ident),*) => {$(
            let calls = syscalls::$module::Sysno::iter().filter_map(|call| {
                let ours = Arch::$arch.syscall(call.name().trim_start_matches("r#"))?;
                assert_eq!(ours, call.id() as u32, "{} on {}", call.name(), Arch::$arch.name());
                Some(ours)
            });
            assert!(calls.count() > 280, "{}", Arch::$arch.name());
        )*};
    }
    compare!(
        X86_64 x86_64, X86 x86, AARCH64 aarch64, ARM arm, RISCV64 riscv64, LOONGARCH64 loongarch64, S390X s390x,
        PPC powerpc, PPC64 powerpc64, MIPS mips, MIPS64 mips64
    );
}

#[test]
fn table_of_syscall_numbers() {
    macro_rules! compare {
        ($($arch:ident $module:ident),*) => {$(
            let names = SYSCALLS.iter().filter_map(|call| {
                let number = Arch::$arch.syscall(call.name)?;
                let theirs = syscall_numbers::$module::sys_call_name(number.into())?;
                assert_eq!(Arch::$arch.syscall(theirs).unwrap_or(number), number, "{theirs} on {}", Arch::$arch.name());
                (theirs == call.name).then_some(theirs)
            });
            assert!(names.count() > 280, "{}", Arch::$arch.name());
        )*};
    }
    compare!(
        X86_64 x86_64, X86 x86, X32 x32, ARM arm, AARCH64 aarch64, LOONGARCH64 loongarch64, M68K m68k,
        MIPS mips, MIPS64 mips64, MIPS64N32 mipsn32, PPC powerpc, PPC64 powerpc64, RISCV64 riscv64,
        S390X s390x, SH sh
    );
}

/// The part of a profile that seccompiler knows: one architecture, two actions.
#[test]
fn seccompiler() {
    let mut random = Random(7);
    for _ in 0..300 {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        let mut profile = Seccomp { default_action: "SCMP_ACT_ALLOW".into(), ..Seccomp::default() };
        for _ in 0..1 + random.below(6) {
            let name = ["read", "write", "openat", "close", "ioctl"][random.below(5)];
            let conditions: Vec<(SyscallArg, SeccompCondition)> =
                (0..1 + random.below(3)).map(|index| condition(&mut random, index as u8)).collect();
            let (ours, theirs): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
            let number = Arch::X86_64.syscall(name).unwrap();
            rules.entry(number.into()).or_default().push(SeccompRule::new(theirs).unwrap());
            profile.syscalls.push(Syscall {
                names: vec![name.into()],
                action: "SCMP_ACT_ERRNO".into(),
                errno_ret: Some(9),
                args: ours,
            });
        }
        let ours = compile(&profile, Arch::X86_64).unwrap().program;
        let theirs =
            SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(9), TargetArch::x86_64)
                .unwrap();
        let theirs: BpfProgram = theirs.try_into().unwrap();
        let theirs: Vec<Instruction> = theirs
            .iter()
            .map(|one| Instruction { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
            .collect();
        for number in (0..300).chain((0..1000).map(|at| [0, 1, 3, 16, 257][at % 5])) {
            let args =
                std::array::from_fn(|_| random.pick(&VALUES).wrapping_add(*random.pick(&[u64::MAX, 0, 1])));
            let call = Call::new(Arch::X86_64, number, args);
            let verdict = run(&ours, &call).0;
            assert!([action::ALLOW, action::ERRNO | 9].contains(&verdict));
            assert_eq!(verdict, run(&theirs, &call).0, "{call:x?} under {profile:?}");
        }
    }
}

fn condition(random: &mut Random, index: u8) -> (SyscallArg, SeccompCondition) {
    let (value, mask) = (*random.pick(&VALUES), *random.pick(&VALUES));
    let (op, theirs) = match random.below(7) {
        0 => ("EQ", SeccompCmpOp::Eq),
        1 => ("NE", SeccompCmpOp::Ne),
        2 => ("LT", SeccompCmpOp::Lt),
        3 => ("LE", SeccompCmpOp::Le),
        4 => ("GT", SeccompCmpOp::Gt),
        5 => ("GE", SeccompCmpOp::Ge),
        _ => ("MASKED_EQ", SeccompCmpOp::MaskedEq(mask)),
    };
    let (first, second) = if op == "MASKED_EQ" { (mask, value) } else { (value, 0) };
    let ours =
        SyscallArg { index: index.into(), value: first, value_two: second, op: format!("SCMP_CMP_{op}") };
    (ours, SeccompCondition::new(index, SeccompCmpArgLen::Qword, theirs, value).unwrap())
}

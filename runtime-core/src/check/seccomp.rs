//! `/linux/seccomp`: names and numbers; what they compile to is another matter.

use std::fmt::Display;

use super::report::Report;
use crate::config::{Seccomp, Syscall};

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
];

const ARCHITECTURES: [&str; 23] = [
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
];

const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

/// The action that needs somebody to listen.
const NOTIFY: &str = "SCMP_ACT_NOTIFY";

pub(super) fn check(seccomp: &Seccomp, report: &mut Report) {
    const AT: &str = "/linux/seccomp";

    report.one_of(format_args!("{AT}/defaultAction"), &seccomp.default_action, &ACTIONS);
    errno(format_args!("{AT}/defaultErrnoRet"), seccomp.default_errno_ret, report);
    for (index, name) in seccomp.architectures.iter().enumerate() {
        report.one_of(format_args!("{AT}/architectures/{index}"), name, &ARCHITECTURES);
    }
    for (index, name) in seccomp.flags.iter().flatten().enumerate() {
        report.one_of(format_args!("{AT}/flags/{index}"), name, &FLAGS);
    }
    for (index, syscall) in seccomp.syscalls.iter().enumerate() {
        check_syscall(syscall, &format!("{AT}/syscalls/{index}"), report);
    }
    if let Some(path) = &seccomp.listener_path {
        report.host_path(format_args!("{AT}/listenerPath"), path);
    } else if seccomp.syscalls.iter().any(|syscall| syscall.action == NOTIFY) {
        report.error(format_args!("{AT}/listenerPath"), format!("{NOTIFY} needs a listener"));
    } else if seccomp.listener_metadata.is_some() {
        report.error(format_args!("{AT}/listenerMetadata"), "there is no listener to send it to");
    }
    if seccomp.default_action == NOTIFY {
        report.error(format_args!("{AT}/defaultAction"), "would stop the calls that hand the listener over");
    }
}

fn check_syscall(syscall: &Syscall, at: &str, report: &mut Report) {
    if syscall.names.is_empty() {
        report.error(format_args!("{at}/names"), "the rule names no system call");
    }
    for (index, name) in syscall.names.iter().enumerate() {
        if name.is_empty() {
            report.error(format_args!("{at}/names/{index}"), "the name is empty");
        }
    }
    report.one_of(format_args!("{at}/action"), &syscall.action, &ACTIONS);
    errno(format_args!("{at}/errnoRet"), syscall.errno_ret, report);
    for (index, arg) in syscall.args.iter().enumerate() {
        if arg.index > 5 {
            report.error(
                format_args!("{at}/args/{index}/index"),
                format!("{} is not between 0 and 5", arg.index),
            );
        }
        report.one_of(format_args!("{at}/args/{index}/op"), &arg.op, &OPERATORS);
    }
}

/// The kernel has 16 bits for the number that comes with an action.
fn errno(pointer: impl Display, number: Option<u32>, report: &mut Report) {
    if let Some(number) = number.filter(|number| *number > u32::from(u16::MAX)) {
        report.error(pointer, format!("{number} is more than 65535"));
    }
}

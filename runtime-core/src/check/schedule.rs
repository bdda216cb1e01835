//! How the kernel treats the process: processors, scheduler, I/O priority, execution domain, memory policy. The names are
//! tables with the kernel's numbers, of which plans are made too.

use super::cpu_list;
use super::report::Report;
use crate::config::{CpuAffinity, IoPriority, MemoryPolicy, Personality, Scheduler};

/// Policies of `/process/scheduler`.
pub(crate) const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// Flags of `/process/scheduler`.
pub(crate) const SCHEDULER_FLAGS: [(&str, u32); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Classes of `/process/ioPriority`.
pub(crate) const IO_CLASSES: [(&str, u32); 3] =
    [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// Domains of `/linux/personality`.
pub(crate) const DOMAINS: [(&str, u32); 2] = [("LINUX", 0x0), ("LINUX32", 0x8)];

/// Flags of `/linux/personality`, by their names in personality(2): the specification has named none yet.
pub(crate) const PERSONALITY_FLAGS: [(&str, u32); 11] = [
    ("UNAME26", 0x002_0000),
    ("ADDR_NO_RANDOMIZE", 0x004_0000),
    ("FDPIC_FUNCPTRS", 0x008_0000),
    ("MMAP_PAGE_ZERO", 0x010_0000),
    ("ADDR_COMPAT_LAYOUT", 0x020_0000),
    ("READ_IMPLIES_EXEC", 0x040_0000),
    ("ADDR_LIMIT_32BIT", 0x080_0000),
    ("SHORT_INODE", 0x100_0000),
    ("WHOLE_SECONDS", 0x200_0000),
    ("STICKY_TIMEOUTS", 0x400_0000),
    ("ADDR_LIMIT_3GB", 0x800_0000),
];

/// Modes of `/linux/memoryPolicy`.
pub(crate) const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// Flags of `/linux/memoryPolicy`.
pub(crate) const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

pub(super) fn scheduler(scheduler: &Scheduler, at: &str, report: &mut Report) {
    let policy = scheduler.policy.as_str();
    report.one_of(format_args!("{at}/policy"), policy, &names(POLICIES));
    for (index, flag) in scheduler.flags.iter().enumerate() {
        report.one_of(format_args!("{at}/flags/{index}"), flag, &names(SCHEDULER_FLAGS));
    }
    if let Some(nice) = scheduler.nice.filter(|nice| !(-20..=19).contains(nice)) {
        report.error(format_args!("{at}/nice"), format!("{nice} is not between -20 and 19"));
    }
    let realtime = matches!(policy, "SCHED_FIFO" | "SCHED_RR");
    match scheduler.priority.unwrap_or(0) {
        priority if realtime && !(1..=99).contains(&priority) => {
            report.error(format_args!("{at}/priority"), format!("{priority} is not between 1 and 99"));
        }
        priority if !realtime && priority != 0 => {
            report.error(format_args!("{at}/priority"), "only SCHED_FIFO and SCHED_RR have a priority");
        }
        _ => {}
    }
    for (field, value) in
        [("runtime", scheduler.runtime), ("deadline", scheduler.deadline), ("period", scheduler.period)]
    {
        if policy != "SCHED_DEADLINE" && value.unwrap_or(0) != 0 {
            report.error(format_args!("{at}/{field}"), "only SCHED_DEADLINE has it");
        }
    }
}

pub(super) fn io_priority(priority: &IoPriority, at: &str, report: &mut Report) {
    report.one_of(format_args!("{at}/class"), &priority.class, &names(IO_CLASSES));
    if let Some(level) = priority.priority.filter(|level| !(0..=7).contains(level)) {
        report.error(format_args!("{at}/priority"), format!("{level} is not between 0 and 7"));
    }
}

pub(super) fn cpu_affinity(affinity: &CpuAffinity, at: &str, report: &mut Report) {
    for (field, list) in [("initial", &affinity.initial), ("final", &affinity.last)] {
        if let Some(list) = list {
            cpu_list::check(format_args!("{at}/{field}"), list, report);
        }
    }
}

pub(super) fn memory_policy(policy: &MemoryPolicy, report: &mut Report) {
    report.one_of("/linux/memoryPolicy/mode", &policy.mode, &names(MEMORY_MODES));
    for (index, flag) in policy.flags.iter().enumerate() {
        report.one_of(format_args!("/linux/memoryPolicy/flags/{index}"), flag, &names(MEMORY_FLAGS));
    }
    if let Some(nodes) = &policy.nodes {
        cpu_list::check("/linux/memoryPolicy/nodes", nodes, report);
    }
}

pub(super) fn personality(personality: &Personality, report: &mut Report) {
    report.one_of("/linux/personality/domain", &personality.domain, &names(DOMAINS));
    for (index, flag) in personality.flags.iter().enumerate() {
        report.one_of(format_args!("/linux/personality/flags/{index}"), flag, &names(PERSONALITY_FLAGS));
    }
}

fn names<const N: usize>(table: [(&'static str, u32); N]) -> [&'static str; N] {
    table.map(|(name, _)| name)
}

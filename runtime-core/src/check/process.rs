//! `/process`, in a configuration or alone.

use super::report::{Report, quote};
use super::{capabilities, cpu_list, ids, rlimits};
use crate::config::{CpuAffinity, IoPriority, Process, Scheduler, User};

/// Most supplementary groups that the kernel takes.
const MAX_GROUPS: usize = 65536;

pub(super) fn check(process: &Process, at: &str, report: &mut Report) {
    program(process, at, report);
    environment(&process.env, at, report);
    user(&process.user, at, report);
    if let Some(capabilities) = &process.capabilities {
        capabilities::check(capabilities, &format!("{at}/capabilities"), report);
    }
    rlimits::check(&process.rlimits, &format!("{at}/rlimits"), report);
    if let Some(value) = process.oom_score_adj.filter(|value| !(-1000..=1000).contains(value)) {
        report.error(format_args!("{at}/oomScoreAdj"), format!("{value} is not between -1000 and 1000"));
    }
    if let Some(scheduling) = &process.scheduler {
        scheduler(scheduling, &format!("{at}/scheduler"), report);
    }
    if let Some(priority) = &process.io_priority {
        io_priority(priority, &format!("{at}/ioPriority"), report);
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        cpu_affinity(affinity, &format!("{at}/execCPUAffinity"), report);
    }
}

fn program(process: &Process, at: &str, report: &mut Report) {
    if process.args.is_empty() {
        report.error(format_args!("{at}/args"), "args must not be empty");
    }
    if process.command_line.is_some() {
        report.warning(format_args!("{at}/commandLine"), "has no effect on Linux").hint("use args");
    }
    if process.cwd.is_empty() {
        report.error(format_args!("{at}/cwd"), "Cwd property must not be empty");
    } else if !process.cwd.starts_with('/') {
        report.error(format_args!("{at}/cwd"), "Cwd must be an absolute path");
    }
    if let Some(size) = process.console_size.as_ref().filter(|_| process.terminal) {
        for (field, value) in [("height", size.height), ("width", size.width)] {
            if value > u64::from(u16::MAX) {
                report.error(format_args!("{at}/consoleSize/{field}"), format!("{value} is more than 65535"));
            }
        }
    }
}

/// Every entry has a name and a `=`; what the name is made of is the program's business.
fn environment(env: &[String], at: &str, report: &mut Report) {
    for (index, entry) in env.iter().enumerate() {
        match entry.find('=') {
            Some(0) => {
                report.error(format_args!("{at}/env/{index}"), "the variable has no name");
            }
            None => {
                report
                    .error(format_args!("{at}/env/{index}"), format!("{} has no `=`", quote(entry)))
                    .hint("write NAME=value, or NAME= for an empty value");
            }
            Some(_) => {}
        }
    }
}

fn user(user: &User, at: &str, report: &mut Report) {
    ids::check(format_args!("{at}/user/uid"), user.uid, report);
    ids::check(format_args!("{at}/user/gid"), user.gid, report);
    for (index, gid) in user.additional_gids.iter().enumerate() {
        ids::check(format_args!("{at}/user/additionalGids/{index}"), *gid, report);
    }
    if user.additional_gids.len() > MAX_GROUPS {
        report.error(format_args!("{at}/user/additionalGids"), format!("more than {MAX_GROUPS} groups"));
    }
    if let Some(umask) = user.umask.filter(|umask| *umask > 0o777) {
        report
            .error(format_args!("{at}/user/umask"), format!("{umask} is not a file mode creation mask"))
            .hint("at most 511, which is 777 in octal");
    }
    if user.username.is_some() {
        report.warning(format_args!("{at}/user/username"), "has no effect on Linux").hint("use uid and gid");
    }
}

fn scheduler(scheduler: &Scheduler, at: &str, report: &mut Report) {
    const POLICIES: [&str; 7] =
        ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"];
    const FLAGS: [&str; 7] = [
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    ];
    let policy = scheduler.policy.as_str();
    report.one_of(format_args!("{at}/policy"), policy, &POLICIES);
    for (index, flag) in scheduler.flags.iter().enumerate() {
        report.one_of(format_args!("{at}/flags/{index}"), flag, &FLAGS);
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

fn io_priority(priority: &IoPriority, at: &str, report: &mut Report) {
    report.one_of(
        format_args!("{at}/class"),
        &priority.class,
        &["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"],
    );
    if let Some(level) = priority.priority.filter(|level| !(0..=7).contains(level)) {
        report.error(format_args!("{at}/priority"), format!("{level} is not between 0 and 7"));
    }
}

fn cpu_affinity(affinity: &CpuAffinity, at: &str, report: &mut Report) {
    for (field, list) in [("initial", &affinity.initial), ("final", &affinity.last)] {
        if let Some(list) = list {
            cpu_list::check(format_args!("{at}/{field}"), list, report);
        }
    }
}

//! `/process`, in a configuration or alone.

use super::report::{Report, quote};
use super::{capabilities, ids, rlimits, schedule};
use crate::config::{Process, User};

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
        schedule::scheduler(scheduling, &format!("{at}/scheduler"), report);
    }
    if let Some(priority) = &process.io_priority {
        schedule::io_priority(priority, &format!("{at}/ioPriority"), report);
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        schedule::cpu_affinity(affinity, &format!("{at}/execCPUAffinity"), report);
    }
}

fn program(process: &Process, at: &str, report: &mut Report) {
    match process.args.first() {
        Some(program) => report.length(format_args!("{at}/args/0"), program),
        None => {
            report.error(format_args!("{at}/args"), "args must not be empty");
        }
    }
    report.length(format_args!("{at}/cwd"), &process.cwd);
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

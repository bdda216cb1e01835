//! How the kernel treats the process: processors, scheduler, I/O priority, execution domain, memory policy.

use super::Error;
use super::builder::Builder;
use crate::check::cpu_list;
use crate::check::schedule::{
    DOMAINS, IO_CLASSES, MEMORY_FLAGS, MEMORY_MODES, PERSONALITY_FLAGS, POLICIES, SCHEDULER_FLAGS,
};
use crate::config::{CpuAffinity, IoPriority, MemoryPolicy, Personality, Scheduler};
use crate::wire::{Bytes, Step};

/// What the caller of the runtime has set for itself does not bind the container: it gets all processors of its cgroup.
pub(super) fn reset_affinity(builder: &mut Builder) {
    builder.add("", Step::SetAffinity { cpus: None });
}

/// The processors of a process that enters a container, on its way there.
pub(super) fn initial_affinity(builder: &mut Builder, affinity: Option<&CpuAffinity>) {
    if let Some(list) = affinity.and_then(|affinity| affinity.initial.as_deref()) {
        let cpus = cpu_list::bits(list);
        builder.add("/execCPUAffinity/initial", Step::SetAffinity { cpus: Some(Bytes(&cpus)) });
    }
}

/// The same once it is in the container's cgroup.
pub(super) fn final_affinity(builder: &mut Builder, affinity: Option<&CpuAffinity>) {
    match affinity {
        None => reset_affinity(builder),
        Some(affinity) => {
            if let Some(list) = &affinity.last {
                let cpus = cpu_list::bits(list);
                builder.add("/execCPUAffinity/final", Step::SetAffinity { cpus: Some(Bytes(&cpus)) });
            }
        }
    }
}

pub(super) fn scheduler(builder: &mut Builder, scheduler: &Scheduler, at: &str) -> Result<(), Error> {
    let step = Step::SetScheduler {
        policy: one_of(&POLICIES, &scheduler.policy, &format!("{at}/policy"))?,
        flags: all_of(&SCHEDULER_FLAGS, &scheduler.flags, &format!("{at}/flags"))?.into(),
        nice: scheduler.nice.unwrap_or_default() as u32,
        priority: scheduler.priority.unwrap_or_default() as u32,
        runtime: scheduler.runtime.unwrap_or_default(),
        deadline: scheduler.deadline.unwrap_or_default(),
        period: scheduler.period.unwrap_or_default(),
    };
    builder.add(at.to_owned(), step);
    Ok(())
}

pub(super) fn io_priority(builder: &mut Builder, wanted: &IoPriority, at: &str) -> Result<(), Error> {
    let class = one_of(&IO_CLASSES, &wanted.class, &format!("{at}/class"))?;
    let level = wanted.priority.unwrap_or_default() as u32;
    builder.add(at.to_owned(), Step::SetIoPriority { priority: class << 13 | level });
    Ok(())
}

pub(super) fn personality(builder: &mut Builder, wanted: &Personality) -> Result<(), Error> {
    const AT: &str = "/linux/personality";
    let domain = one_of(&DOMAINS, &wanted.domain, "/linux/personality/domain")?;
    let flags = all_of(&PERSONALITY_FLAGS, &wanted.flags, "/linux/personality/flags")?;
    builder.add(AT, Step::SetPersonality { persona: domain | flags });
    Ok(())
}

pub(super) fn memory_policy(builder: &mut Builder, policy: &MemoryPolicy) -> Result<(), Error> {
    const AT: &str = "/linux/memoryPolicy";
    let mode = one_of(&MEMORY_MODES, &policy.mode, "/linux/memoryPolicy/mode")?;
    let flags = all_of(&MEMORY_FLAGS, &policy.flags, "/linux/memoryPolicy/flags")?;
    let nodes = policy.nodes.as_deref().map(cpu_list::bits).unwrap_or_default();
    builder.add(AT, Step::SetMempolicy { mode: mode | flags, nodes: Bytes(&nodes) });
    Ok(())
}

fn one_of(table: &[(&str, u32)], name: &str, at: &str) -> Result<u32, Error> {
    let known = table.iter().find(|(known, _)| *known == name);
    known.map(|(_, number)| *number).ok_or_else(|| Error::unknown(at, name))
}

fn all_of(table: &[(&str, u32)], names: &[String], at: &str) -> Result<u32, Error> {
    let mut numbers =
        names.iter().enumerate().map(|(index, name)| one_of(table, name, &format!("{at}/{index}")));
    numbers.try_fold(0, |flags, flag| Ok(flags | flag?))
}

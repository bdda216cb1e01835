//! Processors and memory nodes.

use serde::Serialize;

use super::{Place, file};
use crate::cgroup::Error;

/// Where the container may run, and the switches of cgroup v1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cpuset {
    /// Its processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// Whether no other group shares them.
    pub cpu_exclusive: u64,
    /// Its memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// Whether the kernel's memory stays on these nodes too.
    pub mem_hardwall: u64,
    /// Whether no other group shares the nodes.
    pub mem_exclusive: u64,
    /// Whether memory moves when the nodes change.
    pub memory_migrate: u64,
    /// Whether cached pages are spread over the nodes.
    pub memory_spread_page: u64,
    /// Whether the kernel's caches are spread over the nodes.
    pub memory_spread_slab: u64,
    /// How hard memory is to get on the nodes.
    pub memory_pressure: u64,
    /// Whether the scheduler spreads load over the processors.
    pub sched_load_balance: u64,
    /// How far the scheduler looks for an idle processor; -1 is its own choice.
    pub sched_relax_domain_level: i64,
}

pub(super) fn of(place: &Place<'_>) -> Result<Cpuset, Error> {
    let list = |dir, name| Ok::<_, Error>(numbers(&file::text(dir, name)?.unwrap_or_default()));
    let dir = match place {
        Place::V1(dir) => dir,
        Place::V2(dir) => {
            return Ok(Cpuset {
                cpus: list(dir, "cpuset.cpus.effective")?,
                mems: list(dir, "cpuset.mems.effective")?,
                ..Cpuset::default()
            });
        }
    };
    let switch = |name| file::number(dir, name);
    let level = file::text(dir, "cpuset.sched_relax_domain_level")?;
    Ok(Cpuset {
        cpus: list(dir, "cpuset.cpus")?,
        cpu_exclusive: switch("cpuset.cpu_exclusive")?,
        mems: list(dir, "cpuset.mems")?,
        mem_hardwall: switch("cpuset.mem_hardwall")?,
        mem_exclusive: switch("cpuset.mem_exclusive")?,
        memory_migrate: switch("cpuset.memory_migrate")?,
        memory_spread_page: switch("cpuset.memory_spread_page")?,
        memory_spread_slab: switch("cpuset.memory_spread_slab")?,
        memory_pressure: switch("cpuset.memory_pressure")?,
        sched_load_balance: switch("cpuset.sched_load_balance")?,
        sched_relax_domain_level: level.and_then(|level| level.trim().parse().ok()).unwrap_or_default(),
    })
}

/// The numbers of a list such as `0-3,7`.
fn numbers(list: &str) -> Vec<u16> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn lists() {
        assert_eq!(numbers("0-3,7\n"), [0, 1, 2, 3, 7]);
        assert!(numbers("\n").is_empty());
    }
}

//! Processor time: cpuacct and cpu of version 1, cpu of version 2.

use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

use super::{Place, Pressure, file, is_zero};
use crate::cgroup::Error;

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    pub usage: CpuUsage,
    /// How its quota has held it back.
    pub throttling: Throttling,
    /// Waiting for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Processor time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// On each processor (cgroup v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// The kernel's part of it on each processor (cgroup v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// The programs' part of it on each processor (cgroup v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// The kernel's part.
    pub kernel: u64,
    /// The programs' part.
    pub user: u64,
}

/// Periods of the quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that have passed with something to run.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Those in which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// Nanoseconds spent waiting for the next period.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

pub(super) fn usage(place: &Place<'_>) -> Result<CpuUsage, Error> {
    let dir = match place {
        Place::V1(dir) => dir,
        Place::V2(dir) => {
            let stat = file::table(dir, "cpu.stat")?;
            let nanoseconds = |name| file::figure(&stat, name).saturating_mul(1000);
            return Ok(CpuUsage {
                total: nanoseconds("usage_usec"),
                kernel: nanoseconds("system_usec"),
                user: nanoseconds("user_usec"),
                ..CpuUsage::default()
            });
        }
    };
    let stat = file::table(dir, "cpuacct.stat")?;
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    let tick = 1_000_000_000 / ticks.filter(|ticks| *ticks > 0).unwrap_or(100);
    let (user, kernel) = each(&file::text(dir, "cpuacct.usage_all")?.unwrap_or_default());
    let percpu = file::text(dir, "cpuacct.usage_percpu")?.unwrap_or_default();
    Ok(CpuUsage {
        total: file::number(dir, "cpuacct.usage")?,
        percpu: percpu.split_whitespace().filter_map(file::parse).collect(),
        percpu_kernel: kernel,
        percpu_user: user,
        kernel: file::figure(&stat, "system").saturating_mul(tick),
        user: file::figure(&stat, "user").saturating_mul(tick),
    })
}

/// The columns of `cpuacct.usage_all`, below its header `cpu user system`.
fn each(content: &str) -> (Vec<u64>, Vec<u64>) {
    let row = |line: &str| {
        let mut words = line.split(' ').skip(1).map(file::parse);
        Some((words.next()??, words.next()??))
    };
    content.lines().skip(1).filter_map(row).unzip()
}

pub(super) fn throttling(place: &Place<'_>) -> Result<Throttling, Error> {
    let (Place::V1(dir) | Place::V2(dir)) = place;
    let stat = file::table(dir, "cpu.stat")?;
    let time = match place {
        Place::V1(_) => file::figure(&stat, "throttled_time"),
        Place::V2(_) => file::figure(&stat, "throttled_usec").saturating_mul(1000),
    };
    Ok(Throttling {
        periods: file::figure(&stat, "nr_periods"),
        throttled_periods: file::figure(&stat, "nr_throttled"),
        throttled_time: time,
    })
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn columns() {
        assert_eq!(each("cpu user system\n0 1 2\n1 3 4\n"), (vec![1, 3], vec![2, 4]));
        assert_eq!(each(""), (vec![], vec![]));
    }
}

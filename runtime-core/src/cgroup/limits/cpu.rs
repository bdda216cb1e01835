//! `/linux/resources/cpu`: the controllers cpu and cpuset.

use super::Setting;
use crate::cgroup::Error;
use crate::config::Cpu;

const SHARES: &str = "/linux/resources/cpu/shares";
const QUOTA: &str = "/linux/resources/cpu/quota";
const PERIOD: &str = "/linux/resources/cpu/period";
const BURST: &str = "/linux/resources/cpu/burst";
const IDLE: &str = "/linux/resources/cpu/idle";
const REALTIME_RUNTIME: &str = "/linux/resources/cpu/realtimeRuntime";
const REALTIME_PERIOD: &str = "/linux/resources/cpu/realtimePeriod";

/// What the kernel takes as shares in version 1; beyond, it changes the value without a word.
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;

pub(super) fn v1(cpu: &Cpu) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::from_iter(awake(cpu));
    if let Some(shares) = given(cpu.shares) {
        if !(MIN_SHARES..=MAX_SHARES).contains(&shares) {
            let reason = format!("{shares} is not between {MIN_SHARES} and {MAX_SHARES}");
            return Err(Error::Value { pointer: SHARES.into(), reason });
        }
        settings.push(Setting::new(SHARES, "cpu.shares", shares));
    }
    if let Some(period) = given(cpu.period) {
        settings.push(Setting::new(PERIOD, "cpu.cfs_period_us", period));
    }
    if let Some(quota) = given(cpu.quota) {
        settings.push(Setting::new(QUOTA, "cpu.cfs_quota_us", quota));
    }
    if let Some(burst) = cpu.burst {
        settings.push(Setting::new(BURST, "cpu.cfs_burst_us", burst));
    }
    settings.extend(idle(cpu));
    if let Some(period) = given(cpu.realtime_period) {
        settings.push(Setting::new(REALTIME_PERIOD, "cpu.rt_period_us", period));
    }
    if let Some(runtime) = given(cpu.realtime_runtime) {
        settings.push(Setting::new(REALTIME_RUNTIME, "cpu.rt_runtime_us", runtime));
    }
    Ok(settings)
}

pub(super) fn v2(cpu: &Cpu) -> Result<Vec<Setting>, Error> {
    let (runtime, period) = (given(cpu.realtime_runtime), given(cpu.realtime_period));
    if runtime.is_some() || period.is_some() {
        let pointer = if runtime.is_some() { REALTIME_RUNTIME } else { REALTIME_PERIOD }.to_owned();
        let reason = "cgroup v2 does not limit realtime scheduling; leave it out".to_owned();
        return Err(Error::Value { pointer, reason });
    }
    let mut settings = Vec::from_iter(awake(cpu));
    if let Some(shares) = given(cpu.shares) {
        settings.push(Setting::new(SHARES, "cpu.weight", weight(shares)));
    }
    settings.extend(idle(cpu));
    let quota = given(cpu.quota).map(|quota| if quota < 0 { "max".to_owned() } else { quota.to_string() });
    match (quota, given(cpu.period)) {
        (Some(quota), Some(period)) => {
            settings.push(Setting::new(QUOTA, "cpu.max", format!("{quota} {period}")));
        }
        (Some(quota), None) => settings.push(Setting::new(QUOTA, "cpu.max", quota)),
        (None, Some(period)) => settings.push(Setting::new(PERIOD, "cpu.max", format!("max {period}"))),
        (None, None) => {}
    }
    if let Some(burst) = cpu.burst {
        settings.push(Setting::new(BURST, "cpu.max.burst", burst));
    }
    Ok(settings)
}

/// The weight of an idle cgroup is fixed: what ends that comes before the weight. Kernels before 5.15 know none that is idle.
fn awake(cpu: &Cpu) -> Option<Setting> {
    cpu.idle.filter(|idle| *idle == 0).map(|idle| Setting::new(IDLE, "cpu.idle", idle).optional(true))
}

/// What makes a cgroup idle comes after the weight.
fn idle(cpu: &Cpu) -> Option<Setting> {
    cpu.idle.filter(|idle| *idle != 0).map(|idle| Setting::new(IDLE, "cpu.idle", idle))
}

/// The same in both versions.
pub(super) fn cpuset(cpu: &Cpu) -> impl Iterator<Item = Setting> {
    let cpus = cpu.cpus.as_ref().map(|cpus| Setting::new("/linux/resources/cpu/cpus", "cpuset.cpus", cpus));
    let mems = cpu.mems.as_ref().map(|mems| Setting::new("/linux/resources/cpu/mems", "cpuset.mems", mems));
    cpus.into_iter().chain(mems)
}

/// Shares as the weight of version 2, on the curve that runtimes have agreed on: the ends meet
/// (2 is 1, 262144 is 10000) and so do the defaults (1024 is 100).
pub(in crate::cgroup) fn weight(shares: u64) -> u64 {
    if shares <= MIN_SHARES {
        return 1;
    }
    if shares >= MAX_SHARES {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u64
}

/// As everywhere in this ecosystem 0 counts as absent.
fn given<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn weight_meets_the_ends_and_the_default() {
        for (shares, expected) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_143, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert!((2..=262_144).zip(3..).all(|(low, high)| weight(low) <= weight(high)));
    }

    #[test]
    fn quota_period_and_burst() {
        let cpu = |quota, period, burst| Cpu { quota, period, burst, ..Cpu::default() };
        let cases: [(Cpu, &[&str], &[&str]); 6] = [
            (cpu(None, None, None), &[], &[]),
            (cpu(Some(0), Some(0), None), &[], &[]),
            (cpu(Some(5), None, None), &["cpu.cfs_quota_us=5"], &["cpu.max=5"]),
            (
                cpu(Some(-1), Some(9), None),
                &["cpu.cfs_period_us=9", "cpu.cfs_quota_us=-1"],
                &["cpu.max=max 9"],
            ),
            (cpu(None, Some(9), None), &["cpu.cfs_period_us=9"], &["cpu.max=max 9"]),
            (cpu(None, None, Some(0)), &["cpu.cfs_burst_us=0"], &["cpu.max.burst=0"]),
        ];
        for (cpu, first, second) in cases {
            assert_eq!(shown(&v1(&cpu).unwrap()), first, "{cpu:?}");
            assert_eq!(shown(&v2(&cpu).unwrap()), second, "{cpu:?}");
        }
    }

    #[test]
    fn realtime_is_of_version_1_alone() {
        let cpu = Cpu { realtime_runtime: Some(5), realtime_period: Some(9), ..Cpu::default() };
        assert_eq!(shown(&v1(&cpu).unwrap()), ["cpu.rt_period_us=9", "cpu.rt_runtime_us=5"]);
        assert_eq!(v2(&cpu).unwrap_err().pointer(), Some(REALTIME_RUNTIME));
        let none = Cpu { realtime_runtime: Some(0), realtime_period: Some(0), ..Cpu::default() };
        assert!(v2(&none).unwrap().is_empty());
    }

    #[test]
    fn shares_idle_and_cpuset() {
        let cpu = Cpu { shares: Some(1024), idle: Some(1), mems: Some("0".into()), ..Cpu::default() };
        assert_eq!(shown(&v1(&cpu).unwrap()), ["cpu.shares=1024", "cpu.idle=1"]);
        assert_eq!(shown(&v2(&cpu).unwrap()), ["cpu.weight=100", "cpu.idle=1"]);
        let cpu = Cpu { idle: Some(0), ..cpu };
        assert_eq!(shown(&v1(&cpu).unwrap()), ["cpu.idle=0?", "cpu.shares=1024"]);
        assert_eq!(shown(&v2(&cpu).unwrap()), ["cpu.idle=0?", "cpu.weight=100"]);
        assert_eq!(shown(&cpuset(&cpu).collect::<Vec<_>>()), ["cpuset.mems=0"]);
        let wrong = v1(&Cpu { shares: Some(1), ..Cpu::default() }).unwrap_err();
        assert_eq!(wrong.pointer(), Some(SHARES));
    }
}

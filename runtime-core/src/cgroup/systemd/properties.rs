//! Limits as properties of a unit, so that systemd knows them and does not take them back when it next sets its own. Each
//! is written to its file too.

use super::message::{Property, Value};
use crate::cgroup::limits;
use crate::config::Resources;

/// No limit.
const INFINITY: u64 = u64::MAX;

/// What the kernel takes where a quota comes without its period.
const USUAL_PERIOD: u64 = 100_000;

/// What systemd's files say otherwise than was asked for once it has written them: all but a quota, which it rounds and would round again.
pub(super) fn beyond(resources: &Resources) -> Resources {
    let mut rest = resources.clone();
    if let Some(cpu) = rest.cpu.as_mut().filter(|cpu| given(cpu.quota).is_some_and(|quota| quota > 0)) {
        (cpu.quota, cpu.period) = (None, None);
    }
    rest.unified.retain(|file, value| file != "cpu.max" || value.trim().starts_with("max"));
    rest
}

/// Whether a cgroup is to be idle and to have a weight. What `unified` says is written last.
fn idle_has_weight(resources: &Resources) -> bool {
    let cpu = resources.cpu.as_ref();
    let unified = |file: &str| resources.unified.get(file).map(|value| value.trim());
    let idle = unified("cpu.idle").map_or(cpu.and_then(|cpu| cpu.idle) == Some(1), |value| value == "1");
    idle && (cpu.and_then(|cpu| given(cpu.shares)).is_some() || unified("cpu.weight").is_some())
}

/// The limits that can be had: an idle cgroup has no weight, and the kernel refuses one that comes after.
pub(super) fn possible(resources: &Resources) -> Resources {
    let mut resources = resources.clone();
    if idle_has_weight(&resources) {
        log::warn!(
            "unable to apply both a CPU weight (or shares) and cpu.idle: an idle cgroup has no weight of its own"
        );
        if let Some(cpu) = &mut resources.cpu {
            cpu.shares = None;
        }
        resources.unified.remove("cpu.weight");
    }
    resources
}

/// The changes as systemd makes them: those that can be had, and a weight ends that a cgroup is idle.
pub(super) fn settled(changes: &Resources) -> Resources {
    let mut changes = possible(changes);
    let idle = changes.cpu.as_ref().is_some_and(|cpu| cpu.idle.is_some());
    let weight = changes.cpu.as_ref().is_some_and(|cpu| given(cpu.shares).is_some());
    let by_unified = |file: &str| changes.unified.contains_key(file);
    if (weight || by_unified("cpu.weight")) && !idle && !by_unified("cpu.idle") {
        changes.cpu.get_or_insert_default().idle = Some(0);
    }
    changes
}

/// The properties for these limits in the version of cgroups that systemd works with.
pub(super) fn of(resources: &Resources, v1: bool) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut add = |name: &str, value: Value| properties.push((name.to_owned(), value));
    if let Some(memory) = &resources.memory {
        let limit = given(memory.limit);
        let bytes = |limit: i64| Value::Uint64(u64::try_from(limit).unwrap_or(INFINITY));
        if let Some(limit) = limit {
            add(if v1 { "MemoryLimit" } else { "MemoryMax" }, bytes(limit));
        }
        if !v1 {
            if let Some(low) = given(memory.reservation) {
                add("MemoryLow", bytes(low));
            }
            match (limit, given(memory.swap)) {
                (_, Some(-1)) | (Some(-1), None) => add("MemorySwapMax", bytes(-1)),
                (Some(limit), Some(swap)) => add("MemorySwapMax", bytes(swap - limit)),
                _ => {}
            }
        }
    }
    if let Some(cpu) = &resources.cpu {
        if let Some(shares) = given(cpu.shares) {
            match v1 {
                true => add("CPUShares", Value::Uint64(shares)),
                false => add("CPUWeight", Value::Uint64(limits::cpu_weight(shares))),
            }
        }
        quota(given(cpu.quota), given(cpu.period), &mut add);
        if !v1 {
            set("AllowedCPUs", cpu.cpus.as_deref(), &mut add);
            set("AllowedMemoryNodes", cpu.mems.as_deref(), &mut add);
        }
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        add("TasksMax", Value::Uint64(u64::try_from(limit).map_or(INFINITY, |limit| limit.max(1))));
    }
    if let Some(weight) = resources.block_io.as_ref().and_then(|io| given(io.weight)) {
        match v1 {
            true => add("BlockIOWeight", Value::Uint64(weight.into())),
            false => add("IOWeight", Value::Uint64(limits::io_weight(weight))),
        }
    }
    for (file, value) in &resources.unified {
        unified(file, value.trim(), &mut add);
    }
    properties
}

/// Time per second in steps of 10 ms, rounded up, as systemd rounds down.
fn quota(quota: Option<i64>, period: Option<u64>, add: &mut impl FnMut(&str, Value)) {
    const STEP: u64 = 10_000;
    if let Some(period) = period {
        add("CPUQuotaPeriodUSec", Value::Uint64(period));
    }
    let Some(quota) = quota else { return };
    let per_second = u64::try_from(quota).map_or(INFINITY, |quota| {
        let per_second = quota.saturating_mul(1_000_000) / period.unwrap_or(USUAL_PERIOD);
        per_second.checked_next_multiple_of(STEP).unwrap_or(INFINITY)
    });
    add("CPUQuotaPerSecUSec", Value::Uint64(per_second));
}

/// A list such as `0-3,7` as bits, eight to a byte.
fn set(name: &str, list: Option<&str>, add: &mut impl FnMut(&str, Value)) {
    /// systemd takes no more; the kernel says better what is wrong with them.
    const MOST: u16 = 8192;
    let Some(list) = list else { return };
    let mut bits: Vec<u8> = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        // What the kernel alone understands, a stride for one, only the file has.
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return };
        if last >= MOST {
            return;
        }
        for number in first..=last {
            let (byte, bit) = (usize::from(number / 8), number % 8);
            bits.resize(bits.len().max(byte + 1), 0);
            if let Some(byte) = bits.get_mut(byte) {
                *byte |= 1 << bit;
            }
        }
    }
    add(name, Value::bytes(bits));
}

/// A file of version 2 that systemd knows.
fn unified(file: &str, value: &str, add: &mut impl FnMut(&str, Value)) {
    let number = || if value == "max" { Some(INFINITY) } else { value.parse().ok() };
    let name = match file {
        "memory.min" => "MemoryMin",
        "memory.low" => "MemoryLow",
        "memory.high" => "MemoryHigh",
        "memory.max" => "MemoryMax",
        "memory.swap.max" => "MemorySwapMax",
        "memory.zswap.max" => "MemoryZSwapMax",
        "cpu.weight" => "CPUWeight",
        "pids.max" => "TasksMax",
        "memory.oom.group" => {
            return add("OOMPolicy", Value::string(if value == "1" { "kill" } else { "continue" }));
        }
        "cpu.max" => {
            let (limit, period) = value.split_once(' ').unwrap_or((value, "100000"));
            let limit = if limit == "max" { Some(-1) } else { limit.parse().ok() };
            return quota(limit, period.trim().parse().ok(), add);
        }
        "cpuset.cpus" => return set("AllowedCPUs", Some(value), add),
        "cpuset.mems" => return set("AllowedMemoryNodes", Some(value), add),
        _ => return,
    };
    if let Some(number) = number() {
        add(name, Value::Uint64(number));
    }
}

fn given<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The properties as `NAME=VALUE`.
    fn shown(json: &str, v1: bool) -> Vec<String> {
        let resources = serde_json::from_str(json).unwrap();
        let text = |value: &Value| match value {
            Value::Uint64(INFINITY) => "infinity".to_owned(),
            Value::Uint64(number) => number.to_string(),
            Value::String(text) => text.clone(),
            Value::Array(_, bytes) => format!("{bytes:?}").replace("Byte", ""),
            other => panic!("{other:?}"),
        };
        of(&resources, v1).iter().map(|(name, value)| format!("{name}={}", text(value))).collect()
    }

    #[test]
    fn limits() {
        let all = r#"{"memory": {"limit": 100, "swap": 150, "reservation": 50},
                      "cpu": {"shares": 1024, "quota": 5000, "period": 20000, "cpus": "0-1,9", "mems": "0"},
                      "pids": {"limit": 0}, "blockIO": {"weight": 10}}"#;
        assert_eq!(
            shown(all, false),
            [
                "MemoryMax=100",
                "MemoryLow=50",
                "MemorySwapMax=50",
                "CPUWeight=100",
                "CPUQuotaPeriodUSec=20000",
                "CPUQuotaPerSecUSec=250000",
                "AllowedCPUs=[(3), (2)]",
                "AllowedMemoryNodes=[(1)]",
                "TasksMax=1",
                "IOWeight=1"
            ]
        );
        assert_eq!(
            shown(all, true),
            [
                "MemoryLimit=100",
                "CPUShares=1024",
                "CPUQuotaPeriodUSec=20000",
                "CPUQuotaPerSecUSec=250000",
                "TasksMax=1",
                "BlockIOWeight=10"
            ]
        );
        let none = r#"{"memory": {"limit": -1}, "cpu": {"quota": -1, "idle": 1}, "pids": {"limit": -1}}"#;
        assert_eq!(
            shown(none, false),
            [
                "MemoryMax=infinity",
                "MemorySwapMax=infinity",
                "CPUQuotaPerSecUSec=infinity",
                "TasksMax=infinity"
            ]
        );
        assert_eq!(shown(r#"{"cpu": {"quota": 1500}}"#, false), ["CPUQuotaPerSecUSec=20000"]);
    }

    #[test]
    fn an_idle_cgroup_has_no_weight() {
        for (resources, left) in [
            (r#"{"cpu": {"idle": 1, "shares": 5, "quota": 9}}"#, Some(r#"{"cpu": {"idle": 1, "quota": 9}}"#)),
            (r#"{"cpu": {"idle": 1}}"#, None),
            (r#"{"cpu": {"idle": 0, "shares": 5}}"#, None),
            (
                r#"{"unified": {"cpu.idle": "1", "cpu.weight": "8", "cpu.max": "max"}}"#,
                Some(r#"{"unified": {"cpu.idle": "1", "cpu.max": "max"}}"#),
            ),
            (r#"{"unified": {"cpu.idle": "0", "cpu.weight": "8"}}"#, None),
            (
                r#"{"cpu": {"idle": 1}, "unified": {"cpu.weight": "8"}}"#,
                Some(r#"{"cpu": {"idle": 1}, "unified": {}}"#),
            ),
            (r#"{"cpu": {"idle": 1, "shares": 5}, "unified": {"cpu.idle": "0"}}"#, None),
        ] {
            let read = |text| serde_json::from_str::<Resources>(text).unwrap();
            assert_eq!(possible(&read(resources)), read(left.unwrap_or(resources)), "{resources}");
        }
    }

    #[test]
    fn a_weight_ends_idleness() {
        for (changes, settled_ones) in [
            (r#"{"cpu": {"shares": 5}}"#, r#"{"cpu": {"shares": 5, "idle": 0}}"#),
            (
                r#"{"unified": {"cpu.weight": "8"}}"#,
                r#"{"cpu": {"idle": 0}, "unified": {"cpu.weight": "8"}}"#,
            ),
            (r#"{"cpu": {"shares": 5, "idle": 1}}"#, r#"{"cpu": {"idle": 1}}"#),
            (r#"{"unified": {"cpu.idle": "1", "cpu.weight": "8"}}"#, r#"{"unified": {"cpu.idle": "1"}}"#),
            (r#"{"cpu": {"quota": 5}}"#, r#"{"cpu": {"quota": 5}}"#),
        ] {
            let read = |text| serde_json::from_str::<Resources>(text).unwrap();
            assert_eq!(settled(&read(changes)), read(settled_ones), "{changes}");
        }
    }

    #[test]
    fn a_quota_is_left_as_systemd_rounds_it() {
        for (given, left) in [
            (r#"{"cpu": {"quota": 500000, "period": 900000}}"#, r#"{"cpu": {}}"#),
            (r#"{"cpu": {"quota": -1, "period": 900000}}"#, r#"{"cpu": {"quota": -1, "period": 900000}}"#),
            (r#"{"cpu": {"period": 50000}}"#, r#"{"cpu": {"period": 50000}}"#),
            (r#"{"unified": {"cpu.max": "5 50", "pids.max": "1"}}"#, r#"{"unified": {"pids.max": "1"}}"#),
            (r#"{"unified": {"cpu.max": "max 50"}}"#, r#"{"unified": {"cpu.max": "max 50"}}"#),
        ] {
            let parse = |text| serde_json::from_str::<Resources>(text).unwrap();
            assert_eq!(beyond(&parse(given)), parse(left), "{given}");
        }
    }

    #[test]
    fn files_that_systemd_knows() {
        let files = r#"{"unified": {"memory.high": "5", "memory.max": "max", "cpu.max": "max 5000", "cpuset.cpus": "1",
                        "memory.oom.group": "1", "hugetlb.2MB.max": "0", "pids.max": "x"}}"#;
        assert_eq!(
            shown(files, false),
            [
                "CPUQuotaPeriodUSec=5000",
                "CPUQuotaPerSecUSec=infinity",
                "AllowedCPUs=[(2)]",
                "MemoryHigh=5",
                "MemoryMax=infinity",
                "OOMPolicy=kill"
            ]
        );
    }
}

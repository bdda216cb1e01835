//! `/linux/resources`, in a configuration or alone.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::cpu_list;
use super::linux::{MAX_MAJOR, MAX_MINOR, is_interface};
use super::report::{Report, quote};
use crate::config::{BlockIo, Cpu, DeviceRule, HugepageLimit, Memory, Network, Resources, ThrottleDevice};
use crate::pointer;

/// Files of cgroup v2 that move, stop or end processes.
const COMMANDS: [&str; 5] = ["cgroup.freeze", "cgroup.kill", "cgroup.procs", "cgroup.threads", "cgroup.type"];

pub(super) fn check(resources: &Resources, at: &str, report: &mut Report) {
    for (index, rule) in resources.devices.iter().enumerate() {
        device_rule(rule, &format!("{at}/devices/{index}"), report);
    }
    if let Some(memory) = &resources.memory {
        check_memory(memory, &format!("{at}/memory"), report);
    }
    if let Some(cpu) = &resources.cpu {
        check_cpu(cpu, &format!("{at}/cpu"), report);
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        at_least_unlimited(format_args!("{at}/pids/limit"), limit, report);
    }
    if let Some(block_io) = &resources.block_io {
        check_block_io(block_io, &format!("{at}/blockIO"), report);
    }
    hugepages(&resources.hugepage_limits, &format!("{at}/hugepageLimits"), report);
    if let Some(network) = &resources.network {
        check_network(network, &format!("{at}/network"), report);
    }
    for device in resources.rdma.keys() {
        if device.is_empty() || device.contains(char::is_whitespace) {
            report.error(
                format_args!("{at}/rdma/{}", pointer::escape(device)),
                format!("{} is not the name of a device", quote(device)),
            );
        }
    }
    for file in resources.unified.keys() {
        let pointer = format!("{at}/unified/{}", pointer::escape(file));
        if file.contains('/') || !file.trim_matches('.').contains('.') {
            report
                .error(pointer, format!("{} is not a file of a controller", quote(file)))
                .hint("a file looks like memory.high");
        } else if COMMANDS.contains(&file.as_str()) {
            report.error(pointer, format!("{} limits nothing", quote(file)));
        }
    }
}

/// Limits know -1 for "none", and nothing below it.
fn at_least_unlimited(pointer: impl Display, limit: i64, report: &mut Report) {
    if limit < -1 {
        report.error(pointer, format!("{limit} is not a limit")).hint("-1 means unlimited");
    }
}

fn device_rule(rule: &DeviceRule, at: &str, report: &mut Report) {
    if let Some(typ) = &rule.typ {
        report.one_of(format_args!("{at}/type"), typ, &["a", "b", "c"]);
    }
    for (field, number, max) in [("major", rule.major, MAX_MAJOR), ("minor", rule.minor, MAX_MINOR)] {
        if let Some(number) = number.filter(|number| !(-1..=max).contains(number)) {
            report
                .error(format_args!("{at}/{field}"), format!("{number} is not between 0 and {max}"))
                .hint("-1 means any");
        }
    }
    if let Some(access) = &rule.access {
        device_access(access, format_args!("{at}/access"), report);
    }
}

fn device_access(access: &str, pointer: impl Display, report: &mut Report) {
    if access.contains(|letter| !"rwma".contains(letter)) || access.chars().all(|letter| letter == 'a') {
        report.error(pointer, format!("{} is not made of r, w and m", quote(access)));
    } else if access.contains('a') {
        // Some write it for "all"; peers pass over it.
        report
            .warning(pointer, format!("the letter a in {} has no effect", quote(access)))
            .hint("all access is rwm");
    }
}

fn check_memory(memory: &Memory, at: &str, report: &mut Report) {
    for (field, limit) in [
        ("limit", memory.limit),
        ("reservation", memory.reservation),
        ("swap", memory.swap),
        ("kernel", memory.kernel),
        ("kernelTCP", memory.kernel_tcp),
    ] {
        if let Some(limit) = limit {
            at_least_unlimited(format_args!("{at}/{field}"), limit, report);
        }
    }
    if let (Some(limit), Some(swap)) = (memory.limit, memory.swap) {
        if swap > 0 && limit > swap {
            report
                .error(format_args!("{at}/swap"), format!("{swap} is less than the memory limit {limit}"))
                .hint("swap is the limit of memory and swap together");
        }
    }
    // -1, written as an unsigned number, is how some engines say "unset".
    if let Some(value) = memory.swappiness.filter(|value| *value > 100 && *value != u64::MAX) {
        report.error(format_args!("{at}/swappiness"), format!("{value} is not between 0 and 100"));
    }
    if memory.kernel.is_some_and(|limit| limit > 0) {
        report.warning(format_args!("{at}/kernel"), "has no effect: the kernel has no such limit any more");
    }
    if memory.use_hierarchy == Some(false) {
        report.warning(
            format_args!("{at}/useHierarchy"),
            "has no effect: usage always counts in parent cgroups",
        );
    }
}

fn check_cpu(cpu: &Cpu, at: &str, report: &mut Report) {
    if let Some(quota) = cpu.quota.filter(|quota| !matches!(quota, -1 | 0 | 1000..)) {
        report
            .error(
                format_args!("{at}/quota"),
                format!("{quota} microseconds are less than the kernel's 1000"),
            )
            .hint("-1 means unlimited");
    }
    if let Some(period) = cpu.period.filter(|period| !matches!(period, 0 | 1000..=1_000_000)) {
        report.error(
            format_args!("{at}/period"),
            format!("{period} microseconds are not between 1000 and 1000000"),
        );
    }
    if let (Some(quota), Some(burst)) = (cpu.quota.and_then(|quota| u64::try_from(quota).ok()), cpu.burst) {
        if quota > 0 && burst > quota {
            report.error(format_args!("{at}/burst"), format!("{burst} is more than the quota {quota}"));
        }
    }
    if let Some(runtime) = cpu.realtime_runtime {
        at_least_unlimited(format_args!("{at}/realtimeRuntime"), runtime, report);
    }
    if let Some(idle) = cpu.idle.filter(|idle| !matches!(idle, 0 | 1)) {
        report.error(format_args!("{at}/idle"), format!("{idle} is neither 0 nor 1"));
    }
    for (field, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
        if let Some(list) = list {
            cpu_list::check(format_args!("{at}/{field}"), list, report);
        }
    }
}

fn check_block_io(block_io: &BlockIo, at: &str, report: &mut Report) {
    weight(format_args!("{at}/weight"), block_io.weight, report);
    weight(format_args!("{at}/leafWeight"), block_io.leaf_weight, report);
    for (index, device) in block_io.weight_device.iter().enumerate() {
        let at = format!("{at}/weightDevice/{index}");
        device_number(device.major, device.minor, &at, report);
        weight(format_args!("{at}/weight"), device.weight, report);
        weight(format_args!("{at}/leafWeight"), device.leaf_weight, report);
    }
    for (field, devices) in [
        ("throttleReadBpsDevice", &block_io.throttle_read_bps_device),
        ("throttleWriteBpsDevice", &block_io.throttle_write_bps_device),
        ("throttleReadIOPSDevice", &block_io.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", &block_io.throttle_write_iops_device),
    ] {
        for (index, ThrottleDevice { major, minor, .. }) in devices.iter().enumerate() {
            device_number(*major, *minor, &format!("{at}/{field}/{index}"), report);
        }
    }
}

fn weight(pointer: impl Display, weight: Option<u16>, report: &mut Report) {
    if let Some(weight) = weight.filter(|weight| !matches!(weight, 0 | 10..=1000)) {
        report.error(pointer, format!("{weight} is not between 10 and 1000"));
    }
}

fn device_number(major: i64, minor: i64, at: &str, report: &mut Report) {
    for (field, number, max) in [("major", major, MAX_MAJOR), ("minor", minor, MAX_MINOR)] {
        if !(0..=max).contains(&number) {
            report.error(format_args!("{at}/{field}"), format!("{number} is not between 0 and {max}"));
        }
    }
}

fn hugepages(limits: &[HugepageLimit], at: &str, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, limit) in limits.iter().enumerate() {
        if !is_page_size(&limit.page_size) {
            report
                .error(
                    format_args!("{at}/{index}/pageSize"),
                    format!("{} is not a page size", quote(&limit.page_size)),
                )
                .hint("a page size looks like 64KB, 2MB or 1GB");
        }
        if !seen.insert(&limit.page_size) {
            report.error(
                format_args!("{at}/{index}/pageSize"),
                format!("{} is limited twice", quote(&limit.page_size)),
            );
        }
    }
}

/// A number without leading zeros and one of KB, MB, GB.
fn is_page_size(size: &str) -> bool {
    ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).is_some_and(|number| {
        !number.is_empty() && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn check_network(network: &Network, at: &str, report: &mut Report) {
    for (index, priority) in network.priorities.iter().enumerate() {
        if !is_interface(&priority.name) {
            report.error(
                format_args!("{at}/priorities/{index}/name"),
                format!("{} is not the name of a network device", quote(&priority.name)),
            );
        }
    }
}

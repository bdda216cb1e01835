//! `/linux/resources/memory`. As everywhere in this ecosystem 0 counts as absent and -1 as unlimited.

use super::Setting;
use crate::cgroup::Error;
use crate::config::Memory;

const LIMIT: &str = "/linux/resources/memory/limit";
const RESERVATION: &str = "/linux/resources/memory/reservation";
const SWAP: &str = "/linux/resources/memory/swap";

pub(super) fn v1(memory: &Memory) -> Result<Vec<Setting>, Error> {
    warn_of_kernel_memory(memory);
    let mut settings = Vec::new();
    if let Some(limit) = given(memory.limit) {
        settings.push(Setting::new(LIMIT, "memory.limit_in_bytes", limit));
    }
    if let Some(swap) = both(memory)? {
        // Without swap accounting nothing limits it.
        settings.push(Setting::new(SWAP, "memory.memsw.limit_in_bytes", swap).optional(swap == -1));
    }
    if let Some(reservation) = given(memory.reservation) {
        settings.push(Setting::new(RESERVATION, "memory.soft_limit_in_bytes", reservation));
    }
    if let Some(tcp) = given(memory.kernel_tcp) {
        let pointer = "/linux/resources/memory/kernelTCP";
        settings.push(Setting::new(pointer, "memory.kmem.tcp.limit_in_bytes", tcp));
    }
    if let Some(disable) = memory.disable_oom_killer {
        let pointer = "/linux/resources/memory/disableOOMKiller";
        settings.push(Setting::new(pointer, "memory.oom_control", u8::from(disable)));
    }
    if let Some(swappiness) = memory.swappiness {
        let pointer = "/linux/resources/memory/swappiness";
        settings.push(Setting::new(pointer, "memory.swappiness", swappiness));
    }
    Ok(settings)
}

pub(super) fn v2(memory: &Memory) -> Result<Vec<Setting>, Error> {
    warn_of_kernel_memory(memory);
    let only_v1 = [
        ("kernelTCP", memory.kernel_tcp.is_some()),
        ("disableOOMKiller", memory.disable_oom_killer == Some(true)),
        ("swappiness", memory.swappiness.is_some()),
    ];
    for (name, _) in only_v1.into_iter().filter(|(_, given)| *given) {
        log::warn!("/linux/resources/memory/{name} has no effect on cgroup v2");
    }

    let mut settings = Vec::new();
    // Without swap accounting there is no swap to limit.
    match (both(memory)?, given(memory.limit)) {
        (None, _) => {}
        (Some(-1), _) => settings.push(Setting::new(SWAP, "memory.swap.max", "max").optional(true)),
        (Some(swap), Some(limit)) if limit > 0 => {
            let swap = swap - limit;
            settings.push(Setting::new(SWAP, "memory.swap.max", swap).optional(swap == 0));
        }
        (Some(swap), _) => {
            return Err(invalid(format!("{swap} includes memory, so it needs a memory limit beside it")));
        }
    }
    if let Some(limit) = given(memory.limit) {
        settings.push(Setting::new(LIMIT, "memory.max", or_max(limit)));
    }
    if let Some(reservation) = given(memory.reservation) {
        settings.push(Setting::new(RESERVATION, "memory.low", or_max(reservation)));
    }
    Ok(settings)
}

/// Refuses limits below the memory in use.
pub(in crate::cgroup) fn check_usage(memory: &Memory, usage: i64) -> Result<(), Error> {
    let (swap, limit) = (given(memory.swap), given(memory.limit));
    for (pointer, what, limit) in [(SWAP, "memory+swap", swap), (LIMIT, "memory", limit)] {
        if let Some(limit) = limit.filter(|limit| (0..usage).contains(limit)) {
            let reason = format!("rejecting {what} limit {limit}: it is less than the {usage} bytes in use");
            return Err(Error::Value { pointer: pointer.into(), reason });
        }
    }
    Ok(())
}

/// The limit of memory and swap together; lifting the one lifts the other.
fn both(memory: &Memory) -> Result<Option<i64>, Error> {
    match (given(memory.limit), given(memory.swap)) {
        (Some(-1), None) => Ok(Some(-1)),
        (Some(limit), Some(swap)) if swap != -1 && swap < limit => {
            Err(invalid(format!("{swap} is less than the memory limit {limit}, which it includes")))
        }
        (_, swap) => Ok(swap),
    }
}

fn given(value: Option<i64>) -> Option<i64> {
    value.filter(|value| *value != 0)
}

fn or_max(value: i64) -> String {
    if value == -1 { "max".into() } else { value.to_string() }
}

fn invalid(reason: String) -> Error {
    Error::Value { pointer: SWAP.into(), reason }
}

fn warn_of_kernel_memory(memory: &Memory) {
    if given(memory.kernel).is_some() {
        log::warn!("/linux/resources/memory/kernel has no effect: the kernel has dropped this limit");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn memory(limit: i64, swap: i64, reservation: i64) -> Memory {
        Memory { limit: Some(limit), swap: Some(swap), reservation: Some(reservation), ..Memory::default() }
    }

    #[test]
    fn limits_in_both_versions() {
        let cases: [(Memory, &[&str], &[&str]); 6] = [
            (Memory::default(), &[], &[]),
            (memory(0, 0, 0), &[], &[]),
            (
                memory(100, 0, 50),
                &["memory.limit_in_bytes=100", "memory.soft_limit_in_bytes=50"],
                &["memory.max=100", "memory.low=50"],
            ),
            (
                memory(100, 100, 0),
                &["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=100"],
                &["memory.swap.max=0?", "memory.max=100"],
            ),
            (
                memory(100, 150, 0),
                &["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=150"],
                &["memory.swap.max=50", "memory.max=100"],
            ),
            (
                memory(-1, 0, -1),
                &[
                    "memory.limit_in_bytes=-1",
                    "memory.memsw.limit_in_bytes=-1?",
                    "memory.soft_limit_in_bytes=-1",
                ],
                &["memory.swap.max=max?", "memory.max=max", "memory.low=max"],
            ),
        ];
        for (memory, first, second) in cases {
            assert_eq!(shown(&v1(&memory).unwrap()), first, "{memory:?}");
            assert_eq!(shown(&v2(&memory).unwrap()), second, "{memory:?}");
        }
    }

    #[test]
    fn swap_that_makes_no_sense() {
        assert_eq!(v1(&memory(100, 50, 0)).unwrap_err().pointer(), Some(SWAP));
        assert_eq!(v2(&memory(100, 50, 0)).unwrap_err().pointer(), Some(SWAP));
        assert_eq!(v2(&memory(0, 50, 0)).unwrap_err().pointer(), Some(SWAP));
        assert_eq!(v2(&memory(-1, 50, 0)).unwrap_err().pointer(), Some(SWAP));
    }

    #[test]
    fn limits_below_the_usage() {
        assert!(check_usage(&memory(100, 100, 0), 100).is_ok());
        assert!(check_usage(&memory(-1, -1, 0), 100).is_ok());
        assert!(check_usage(&Memory::default(), 100).is_ok());
        assert_eq!(check_usage(&memory(99, 100, 0), 100).unwrap_err().pointer(), Some(LIMIT));
        assert_eq!(check_usage(&memory(0, 99, 0), 100).unwrap_err().pointer(), Some(SWAP));
    }

    #[test]
    fn what_only_version_1_has() {
        let memory = Memory {
            kernel_tcp: Some(9),
            disable_oom_killer: Some(true),
            swappiness: Some(0),
            kernel: Some(5),
            ..Memory::default()
        };
        let expected = ["memory.kmem.tcp.limit_in_bytes=9", "memory.oom_control=1", "memory.swappiness=0"];
        assert_eq!(shown(&v1(&memory).unwrap()), expected);
        assert!(v2(&memory).unwrap().is_empty());
    }
}

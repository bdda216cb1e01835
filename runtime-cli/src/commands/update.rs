//! `corten update`: other limits for a container.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use runtime_core::Changes;
use runtime_core::bundle::parse_resources;
use runtime_core::config::{BlockIo, Cpu, IntelRdt, Memory, Pids, Resources};

use super::{container, read_input};
use crate::failure::{Failure, Outcome};
use crate::flags::table::{
    BLKIO_WEIGHT, CPU_BURST, CPU_IDLE, CPU_PERIOD, CPU_QUOTA, CPU_RT_PERIOD, CPU_RT_RUNTIME, CPU_SHARE,
    CPUSET_CPUS, CPUSET_MEMS, KERNEL_MEMORY, KERNEL_MEMORY_TCP, L3_CACHE_SCHEMA, MEM_BW_SCHEMA, MEMORY,
    MEMORY_RESERVATION, MEMORY_SWAP, PIDS_LIMIT, RESOURCES,
};
use crate::flags::{Flag, Matches};
use crate::globals::Globals;
use crate::size::parse_size;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let container = container(globals, flags)?;
    let resources = match flags.path(&RESOURCES) {
        Some(path) => of_file(path)?,
        None => of_flags(flags)?,
    };
    container.update(&Changes { resources, intel_rdt: intel_rdt(flags)? })?;
    Ok(0)
}

/// The limits in a file, or on standard input.
fn of_file(path: &Path) -> Result<Resources, Failure> {
    parse_resources(&read_input(path)?)
        .map_err(|error| Failure::new(error.to_string()).pointer(error.pointer()).context(path.display()))
}

fn of_flags(flags: &Matches) -> Result<Resources, Failure> {
    for flag in [KERNEL_MEMORY, KERNEL_MEMORY_TCP] {
        if size(flags, &flag)?.is_some() {
            ::log::warn!("--{} is ignored: limits of kernel memory are obsolete", flag.name);
        }
    }
    Ok(Resources {
        memory: Some(Memory {
            limit: size(flags, &MEMORY)?,
            reservation: size(flags, &MEMORY_RESERVATION)?,
            swap: size(flags, &MEMORY_SWAP)?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: number(flags, &CPU_SHARE)?,
            quota: number(flags, &CPU_QUOTA)?,
            burst: number(flags, &CPU_BURST)?,
            period: number(flags, &CPU_PERIOD)?,
            realtime_runtime: number(flags, &CPU_RT_RUNTIME)?,
            realtime_period: number(flags, &CPU_RT_PERIOD)?,
            cpus: flags.text(&CPUSET_CPUS)?.map(str::to_owned),
            mems: flags.text(&CPUSET_MEMS)?.map(str::to_owned),
            idle: number(flags, &CPU_IDLE)?,
        }),
        pids: Some(Pids { limit: number(flags, &PIDS_LIMIT)? }),
        block_io: Some(BlockIo { weight: number(flags, &BLKIO_WEIGHT)?, ..BlockIo::default() }),
        ..Resources::default()
    })
}

/// Shares of caches and memory bandwidth, which are in no file of limits.
fn intel_rdt(flags: &Matches) -> Result<IntelRdt, Failure> {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(IntelRdt {
        l3_cache_schema: flags.text(&L3_CACHE_SCHEMA)?.and_then(given),
        mem_bw_schema: flags.text(&MEM_BW_SCHEMA)?.and_then(given),
        ..IntelRdt::default()
    })
}

fn number<T: FromStr<Err: Display>>(flags: &Matches, flag: &Flag) -> Result<Option<T>, Failure> {
    let parse = |text: &str| text.parse().map_err(|error| invalid(flag, format!("{error}: '{text}'")));
    flags.text(flag)?.map(parse).transpose()
}

/// Bytes, where -1 means without limit.
fn size(flags: &Matches, flag: &Flag) -> Result<Option<i64>, Failure> {
    let parse = |text: &str| match text {
        "-1" => Ok(-1),
        _ => parse_size(text).ok_or_else(|| invalid(flag, format!("invalid size: '{text}'"))),
    };
    flags.text(flag)?.map(parse).transpose()
}

fn invalid(flag: &Flag, reason: String) -> Failure {
    Failure::new(format!("invalid value for {}: {reason}", flag.name))
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::*;
    use crate::flags::{Action, command_line};

    fn changes(line: &str) -> Result<Resources, Failure> {
        let line = format!("update {line} id");
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let Ok(Action::Run(_, flags)) = command_line(OsStr::new("corten"), &words).1 else {
            panic!("{line}")
        };
        of_flags(&flags)
    }

    #[test]
    fn flags_are_limits() {
        let all = "--blkio-weight 100 --cpu-period 1 --cpu-quota -1 --cpu-burst 3 --cpu-share 4 --cpu-rt-period 5 \
                   --cpu-rt-runtime 6 --cpu-idle 1 --cpuset-cpus 0-1 --cpuset-mems 0 --memory 64m \
                   --memory-reservation 1k --memory-swap -1 --pids-limit -1";
        let document = br#"{"blockIO": {"weight": 100}, "pids": {"limit": -1},
            "memory": {"limit": 67108864, "reservation": 1024, "swap": -1},
            "cpu": {"period": 1, "quota": -1, "burst": 3, "shares": 4, "realtimePeriod": 5, "realtimeRuntime": 6,
                    "idle": 1, "cpus": "0-1", "mems": "0"}}"#;
        assert_eq!(changes(all).unwrap(), parse_resources(document).unwrap());
        assert_eq!(changes("--kernel-memory 1 --kernel-memory-tcp 1").unwrap(), changes("").unwrap());
    }

    #[test]
    fn bad_values_are_named() {
        for (line, text) in [
            ("--memory x", "invalid value for memory: invalid size: 'x'"),
            ("--memory-swap -2", "invalid value for memory-swap: invalid size: '-2'"),
            ("--cpu-share -1", "invalid value for cpu-share: invalid digit found in string: '-1'"),
            ("--blkio-weight 70000", "invalid value for blkio-weight: number too large"),
            ("--pids-limit many", "invalid value for pids-limit"),
        ] {
            let failure = changes(line).unwrap_err();
            assert!(failure.message.starts_with(text), "{line}: {failure}");
        }
    }
}

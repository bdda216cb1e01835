//! Memory.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Place, Pressure, file, is_zero};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Cached pages of files.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// All memory.
    pub usage: MemoryEntry,
    /// Memory and swap together.
    pub swap: MemoryEntry,
    /// The kernel's part.
    pub kernel: MemoryEntry,
    /// Buffers of TCP (cgroup v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat` as the kernel has it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Waiting for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// The limit; the highest number is none.
    pub limit: u64,
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was ever in use.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

pub(super) fn of(place: &Place<'_>) -> Result<Memory, Error> {
    match place {
        Place::V1(dir) => v1(dir),
        Place::V2(dir) => v2(dir),
    }
}

fn v1(dir: &Dir) -> Result<Memory, Error> {
    let entry = |kind: &str| {
        let number = |name: &str| file::number(dir, &format!("memory.{kind}{name}"));
        Ok::<_, Error>(MemoryEntry {
            limit: number("limit_in_bytes")?,
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes")?,
            failcnt: number("failcnt")?,
        })
    };
    let raw = file::table(dir, "memory.stat")?;
    Ok(Memory {
        cache: file::figure(&raw, "cache"),
        usage: entry("")?,
        swap: entry("memsw.")?,
        kernel: entry("kmem.")?,
        kernel_tcp: entry("kmem.tcp.")?,
        raw,
        psi: None,
    })
}

fn v2(dir: &Dir) -> Result<Memory, Error> {
    let entry = |kind: &str| {
        let number = |name: &str| file::number(dir, &format!("memory.{kind}{name}"));
        Ok::<_, Error>(MemoryEntry {
            limit: number("max")?,
            usage: number("current")?,
            max: number("peak")?,
            failcnt: file::figure(&file::table(dir, &format!("memory.{kind}events"))?, "max"),
        })
    };
    let raw = file::table(dir, "memory.stat")?;
    let usage = entry("")?;
    let swap = entry("swap.")?;
    Ok(Memory {
        cache: file::figure(&raw, "file"),
        // Counted together, as readers of the document know it from version 1; the peaks are of different moments.
        swap: MemoryEntry {
            limit: usage.limit.saturating_add(swap.limit),
            usage: usage.usage.saturating_add(swap.usage),
            ..swap
        },
        kernel: MemoryEntry { usage: file::figure(&raw, "kernel"), ..MemoryEntry::default() },
        kernel_tcp: MemoryEntry::default(),
        usage,
        raw,
        psi: None,
    })
}

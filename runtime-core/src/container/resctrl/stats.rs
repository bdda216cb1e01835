//! What resctrl says of a container's class: what it may use, and what it has used.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Resctrl;

/// A container's share of caches and memory bandwidth; nothing where it has no class, or the processor no such thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IntelRdtStats {
    /// What the third-level cache can be divided into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<L3CacheInfo>,
    /// The default class's lines of the third-level cache.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema_root: String,
    /// The container's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema: String,
    /// What memory bandwidth can be divided into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<MemBwInfo>,
    /// The default class's line of the memory bandwidth.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema_root: String,
    /// The container's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema: String,
    /// All lines of the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schemata: String,
    /// The memory bandwidth used, for each third-level cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mbm_stats: Vec<MemoryBandwidth>,
    /// The cache used, for each third-level cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmt_stats: Vec<CacheOccupancy>,
}

/// What the third-level cache can be divided into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct L3CacheInfo {
    /// All its parts, as a mask.
    pub cbm_mask: String,
    /// The fewest parts of a class.
    pub min_cbm_bits: u64,
    /// How many classes there can be.
    pub num_closids: u64,
}

/// What memory bandwidth can be divided into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemBwInfo {
    /// The step, in percent.
    pub bandwidth_gran: u64,
    /// Whether a delay is in proportion to its value.
    pub delay_linear: u64,
    /// The least, in percent.
    pub min_bandwidth: u64,
    /// How many classes there can be.
    pub num_closids: u64,
}

/// Memory bandwidth used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryBandwidth {
    /// From and to all memory.
    pub mbm_total_bytes: u64,
    /// From and to the memory of the same node.
    pub mbm_local_bytes: u64,
}

/// Cache used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheOccupancy {
    /// Bytes.
    pub llc_occupancy: u64,
}

impl Resctrl {
    /// The figures. A file that this processor does not have leaves its figure out.
    pub(in crate::container) fn stats(&self) -> IntelRdtStats {
        let root = self.root();
        let info = root.join("info");
        let (general, own) = (read(&root.join("schemata")), read(&self.class.join("schemata")));
        let number = |path: PathBuf| read(&path).parse().unwrap_or_default();
        let l3 = info.join("L3");
        let mb = info.join("MB");
        let domains = domains(&self.monitor.as_ref().unwrap_or(&self.class).join("mon_data"));
        let has = |file: &str| domains.iter().any(|domain| domain.join(file).exists());
        let bandwidth = |domain: &PathBuf| MemoryBandwidth {
            mbm_total_bytes: number(domain.join("mbm_total_bytes")),
            mbm_local_bytes: number(domain.join("mbm_local_bytes")),
        };
        let occupancy =
            |domain: &PathBuf| CacheOccupancy { llc_occupancy: number(domain.join("llc_occupancy")) };
        IntelRdtStats {
            l3_cache_info: l3.exists().then(|| L3CacheInfo {
                cbm_mask: read(&l3.join("cbm_mask")),
                min_cbm_bits: number(l3.join("min_cbm_bits")),
                num_closids: number(l3.join("num_closids")),
            }),
            l3_cache_schema_root: lines_of("L3", &general),
            l3_cache_schema: lines_of("L3", &own),
            mem_bw_info: mb.exists().then(|| MemBwInfo {
                bandwidth_gran: number(mb.join("bandwidth_gran")),
                delay_linear: number(mb.join("delay_linear")),
                min_bandwidth: number(mb.join("min_bandwidth")),
                num_closids: number(mb.join("num_closids")),
            }),
            mem_bw_schema_root: lines_of("MB", &general),
            mem_bw_schema: lines_of("MB", &own),
            schemata: lines_of("", &own),
            mbm_stats: domains.iter().filter(|_| has("mbm_total_bytes")).map(bandwidth).collect(),
            cmt_stats: domains.iter().filter(|_| has("llc_occupancy")).map(occupancy).collect(),
        }
    }
}

/// A file without the space around it; nothing where there is none.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The lines of a resource: `L3` has those of `L3CODE` and `L3DATA` too.
fn lines_of(resource: &str, schemata: &str) -> String {
    let lines = schemata.lines().map(str::trim).filter(|line| line.starts_with(resource));
    lines.collect::<Vec<_>>().join("\n")
}

/// The directories of the third-level caches, by their numbers.
fn domains(mon_data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(mon_data).into_iter().flatten().flatten();
    let mut domains: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_l3(path)).collect();
    domains.sort();
    domains
}

fn is_l3(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("mon_L3_"))
}

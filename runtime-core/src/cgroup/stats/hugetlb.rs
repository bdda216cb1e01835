//! Huge pages.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use super::{Place, file, is_zero};
use crate::cgroup::Error;

/// Huge pages of one size, in bytes; reserved ones where the kernel counts those.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hugetlb {
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was ever in use (cgroup v1).
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

pub(super) fn of(place: &Place<'_>) -> Result<BTreeMap<String, Hugetlb>, Error> {
    let mut sizes = BTreeMap::new();
    for size in sizes_of_host() {
        for kind in ["rsvd.", ""] {
            let prefix = format!("hugetlb.{size}.{kind}");
            if let Some(figures) = read(place, &prefix)? {
                sizes.insert(size, figures);
                break;
            }
        }
    }
    Ok(sizes)
}

fn read(place: &Place<'_>, prefix: &str) -> Result<Option<Hugetlb>, Error> {
    let (dir, usage) = match place {
        Place::V1(dir) => (dir, "usage_in_bytes"),
        Place::V2(dir) => (dir, "current"),
    };
    let Some(usage) = file::text(dir, &format!("{prefix}{usage}"))? else { return Ok(None) };
    let usage = file::parse(usage.trim()).unwrap_or_default();
    let number = |name: &str| file::number(dir, &format!("{prefix}{name}"));
    Ok(Some(match place {
        Place::V1(_) => Hugetlb { usage, max: number("max_usage_in_bytes")?, failcnt: number("failcnt")? },
        Place::V2(_) => {
            // Failures are counted for used and reserved pages together.
            let events = file::table(dir, &format!("{}events", prefix.trim_end_matches("rsvd.")))?;
            Hugetlb { usage, max: 0, failcnt: file::figure(&events, "max") }
        }
    }))
}

/// The sizes of huge pages that this host has, as cgroup files are named by them.
fn sizes_of_host() -> Vec<String> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    entries.filter_map(|entry| name_of(entry.file_name().to_str()?)).collect()
}

/// `hugepages-2048kB` is `2MB`.
fn name_of(directory: &str) -> Option<String> {
    let kib: u64 = directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kib {
        0..1024 => format!("{kib}KB"),
        1024..1_048_576 => format!("{}MB", kib >> 10),
        _ => format!("{}GB", kib >> 20),
    })
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn names_of_sizes() {
        for (directory, name) in [
            ("hugepages-64kB", Some("64KB")),
            ("hugepages-2048kB", Some("2MB")),
            ("hugepages-1048576kB", Some("1GB")),
            ("other", None),
        ] {
            assert_eq!(name_of(directory).as_deref(), name);
        }
    }
}

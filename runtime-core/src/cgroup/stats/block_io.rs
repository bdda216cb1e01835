//! Block devices: blkio of version 1, io of version 2.

use serde::Serialize;

use super::file::{self, Table};
use super::{Place, Pressure, is_zero};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Figures of block devices, those of sub-cgroups included. Which there are depends on the I/O scheduler.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockIo {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockEntry>,
    /// Requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockEntry>,
    /// Requests that are waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_queue_recursive: Vec<BlockEntry>,
    /// Nanoseconds that devices have worked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlockEntry>,
    /// Nanoseconds that requests have waited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlockEntry>,
    /// Requests that were merged with others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlockEntry>,
    /// Milliseconds of access to devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlockEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlockEntry>,
    /// Waiting for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One figure of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlockEntry {
    /// Major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// Minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write` and the like; empty where they are not told apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The figure.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

pub(super) fn of(place: &Place<'_>) -> Result<BlockIo, Error> {
    match place {
        Place::V1(dir) => v1(dir),
        Place::V2(dir) => Ok(v2(&file::nested(dir, "io.stat")?)),
    }
}

/// The figures of the first scheduler that has any: BFQ, CFQ, and the throttling layer, which sees every request.
fn v1(dir: &Dir) -> Result<BlockIo, Error> {
    for prefix in ["blkio.bfq.", "blkio.", "blkio.throttle."] {
        let read = |name: &str| {
            let content = file::text(dir, &format!("{prefix}{name}_recursive"))?.unwrap_or_default();
            Ok::<_, Error>(content.lines().filter_map(entry).collect::<Vec<_>>())
        };
        let bytes = read("io_service_bytes")?;
        if !bytes.is_empty() {
            return Ok(BlockIo {
                io_service_bytes_recursive: bytes,
                io_serviced_recursive: read("io_serviced")?,
                io_queue_recursive: read("io_queued")?,
                io_service_time_recursive: read("io_service_time")?,
                io_wait_time_recursive: read("io_wait_time")?,
                io_merged_recursive: read("io_merged")?,
                io_time_recursive: read("time")?,
                sectors_recursive: read("sectors")?,
                psi: None,
            });
        }
    }
    Ok(BlockIo::default())
}

/// `8:0 Read 4096` or `8:0 4096`; the totals of all devices have no number in front.
fn entry(line: &str) -> Option<BlockEntry> {
    let (device, rest) = line.split_once(' ')?;
    let (major, minor) = numbers(device)?;
    let (op, value) = rest.rsplit_once(' ').unwrap_or(("", rest));
    Some(BlockEntry { major, minor, op: op.to_owned(), value: file::parse(value)? })
}

fn v2(stat: &[(String, Table)]) -> BlockIo {
    let entries = |names: [(&str, &str); 3]| {
        let of_device = |(device, figures): &(String, Table)| {
            let numbers = numbers(device);
            let entry = |(name, op): (&str, &str)| {
                let ((major, minor), value) = (numbers?, *figures.get(name)?);
                Some(BlockEntry { major, minor, op: op.to_owned(), value })
            };
            names.into_iter().filter_map(entry).collect::<Vec<_>>()
        };
        stat.iter().flat_map(of_device).collect()
    };
    BlockIo {
        io_service_bytes_recursive: entries([("rbytes", "Read"), ("wbytes", "Write"), ("dbytes", "Discard")]),
        io_serviced_recursive: entries([("rios", "Read"), ("wios", "Write"), ("dios", "Discard")]),
        ..BlockIo::default()
    }
}

fn numbers(device: &str) -> Option<(u64, u64)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(major: u64, minor: u64, op: &str, value: u64) -> BlockEntry {
        BlockEntry { major, minor, op: op.to_owned(), value }
    }

    #[test]
    fn lines_of_version_1() {
        assert_eq!(entry("8:1 Read 5"), Some(made(8, 1, "Read", 5)));
        assert_eq!(entry("8:1 5"), Some(made(8, 1, "", 5)));
        assert_eq!(entry("Total 5"), None);
        assert_eq!(entry(""), None);
    }

    #[test]
    fn lines_of_version_2() {
        let figures = Table::from([("rbytes".to_owned(), 1), ("wios".to_owned(), 2)]);
        let io = v2(&[("8:0".to_owned(), figures)]);
        assert_eq!(io.io_service_bytes_recursive, [made(8, 0, "Read", 1)]);
        assert_eq!(io.io_serviced_recursive, [made(8, 0, "Write", 2)]);
    }
}

//! The small controllers, whose files are the same in both versions: pids, rdma, misc.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{file, is_zero};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Processes and threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// How many there may be; 0 is any number.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// One device for remote direct memory access; a limit of the highest number is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rdma {
    /// Handles in use.
    pub hca_handles: u64,
    /// The most handles there may be.
    pub hca_handles_limit: u64,
    /// Objects in use.
    pub hca_objects: u64,
    /// The most objects there may be.
    pub hca_objects_limit: u64,
}

/// One resource of the controller misc.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Misc {
    /// In use.
    pub usage: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

pub(super) fn pids(dir: &Dir) -> Result<Pids, Error> {
    let limit = file::number(dir, "pids.max")?;
    let limit = if limit == u64::MAX { 0 } else { limit };
    Ok(Pids { current: file::number(dir, "pids.current")?, limit })
}

pub(super) fn rdma(dir: &Dir) -> Result<BTreeMap<String, Rdma>, Error> {
    let mut devices: BTreeMap<String, Rdma> = BTreeMap::new();
    for (name, figures) in file::nested(dir, "rdma.current")? {
        let device = devices.entry(name).or_default();
        device.hca_handles = file::figure(&figures, "hca_handle");
        device.hca_objects = file::figure(&figures, "hca_object");
    }
    for (name, limits) in file::nested(dir, "rdma.max")? {
        let device = devices.entry(name).or_default();
        device.hca_handles_limit = file::figure(&limits, "hca_handle");
        device.hca_objects_limit = file::figure(&limits, "hca_object");
    }
    Ok(devices)
}

pub(super) fn misc(dir: &Dir) -> Result<BTreeMap<String, Misc>, Error> {
    let events = file::table(dir, "misc.events")?;
    let resource = |(name, usage): (String, u64)| {
        let failcnt = file::figure(&events, &format!("{name}.max"));
        (name, Misc { usage, failcnt })
    };
    Ok(file::table(dir, "misc.current")?.into_iter().map(resource).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_resources() {
        let path = std::env::temp_dir().join(format!("corten-stats-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        for (name, text) in [
            ("rdma.current", "mlx4_0 hca_handle=2 hca_object=1999\n"),
            ("rdma.max", "mlx4_0 hca_handle=3 hca_object=max\n"),
            ("misc.current", "sev 5\n"),
            ("misc.events", "sev.max 7\n"),
        ] {
            std::fs::write(path.join(name), text).unwrap();
        }
        let dir = Dir::any(&path);
        let (rdma, misc) = (rdma(&dir).unwrap(), misc(&dir).unwrap());
        std::fs::remove_dir_all(&path).unwrap();
        let expected =
            Rdma { hca_handles: 2, hca_handles_limit: 3, hca_objects: 1999, hca_objects_limit: u64::MAX };
        assert_eq!(rdma, [("mlx4_0".to_owned(), expected)].into());
        assert_eq!(misc, [("sev".to_owned(), Misc { usage: 5, failcnt: 7 })].into());
    }
}

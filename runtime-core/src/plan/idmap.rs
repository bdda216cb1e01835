//! Id-mapped mounts: which ids of the file system are shown as which.

use std::path::PathBuf;

use super::mounts::Entry;
use super::{Error, IdMaps};
use crate::config::IdMapping;

/// The ids of an id-mapped mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountIds {
    /// The mounts below it are mapped too.
    pub recursive: bool,
    /// Ids of the file system, and what they stand for on the host.
    pub maps: MountMaps,
}

/// Where the mapping of a mount's ids comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountMaps {
    /// The configuration.
    Given(IdMaps),
    /// The user namespace that the container joins, by its file.
    Joined(PathBuf),
    /// The user namespace of a running container, which the host side holds open.
    Running,
}

/// The ids of the container's user namespace.
pub(super) struct UserIds<'a> {
    /// As far as the configuration gives them.
    pub(super) maps: &'a IdMaps,
    /// The namespace that has them, where the configuration made none.
    pub(super) joined: Option<MountMaps>,
}

impl MountIds {
    /// What a mount asks for: mappings of its own, else those that stand in its option, else those of the container's user
    /// namespace.
    pub(super) fn of(entry: &Entry<'_>, namespace: &UserIds<'_>) -> Result<Option<Self>, Error> {
        let (mount, container) = (entry.mount, namespace.maps);
        let own = IdMaps { uids: mount.uid_mappings.clone(), gids: mount.gid_mappings.clone() };
        let (recursive, text) = match entry.options.idmap {
            None if own.is_empty() => return Ok(None),
            None => (false, None),
            Some((recursive, text)) => (recursive, text),
        };
        let (at, pointer) = (entry.at.as_str(), format!("{}/options", entry.at));
        let maps = match text {
            _ if !own.is_empty() => own,
            Some(text) => parse(text, container).map_err(|why| {
                let error = Error::at(pointer, format!("{text:?} is no id mapping: {why}"));
                error.hint("write uids=FROM-TO-SIZE#FROM-TO-SIZE;gids=FROM-TO-SIZE, or @FROM-TO-SIZE for ids of the container")
            })?,
            None => match &namespace.joined {
                Some(maps) => return Ok(Some(Self { recursive, maps: maps.clone() })),
                None => container.clone(),
            },
        };
        match (maps.uids.is_empty(), maps.gids.is_empty()) {
            (false, false) => Ok(Some(Self { recursive, maps: MountMaps::Given(maps) })),
            _ => {
                let error = Error::at(at, "an id-mapped mount needs mappings of user and group ids");
                Err(error.hint("give them in the mount's uidMappings and gidMappings"))
            }
        }
    }
}

/// Reads `uids=…;gids=…`; the one that is missing is the container's.
fn parse(text: &str, container: &IdMaps) -> Result<IdMaps, String> {
    let mut maps = container.clone();
    for part in text.split(';') {
        match part.split_once('=') {
            Some(("uids", list)) => maps.uids = ranges(list, &container.uids)?,
            Some(("gids", list)) => maps.gids = ranges(list, &container.gids)?,
            _ => return Err(format!("{part:?} is neither uids= nor gids=")),
        }
    }
    Ok(maps)
}

fn ranges(list: &str, container: &[IdMapping]) -> Result<Vec<IdMapping>, String> {
    let mut ranges = Vec::new();
    for text in list.split('#') {
        let (relative, numbers) = text.strip_prefix('@').map_or((false, text), |numbers| (true, numbers));
        let mut parts = numbers.split('-').map(str::parse);
        let (Some(Ok(container_id)), Some(Ok(host_id)), Some(Ok(size)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("{text:?} is not FROM-TO-SIZE"));
        };
        let range = IdMapping { container_id, host_id, size };
        if size == 0 || container_id.checked_add(size).is_none() || host_id.checked_add(size).is_none() {
            return Err(format!("{text:?} is empty, or goes beyond the largest id"));
        }
        if relative {
            on_the_host(range, container, &mut ranges)
                .ok_or_else(|| format!("{text:?} has ids that the container's user namespace does not"))?;
        } else {
            ranges.push(range);
        }
    }
    Ok(ranges)
}

/// Translates a range whose targets are ids of the container, in as many parts as it lies in ranges of the container's.
fn on_the_host(range: IdMapping, container: &[IdMapping], parts: &mut Vec<IdMapping>) -> Option<()> {
    let mut done = 0;
    while done < range.size {
        let id = range.host_id.checked_add(done)?;
        let found = container
            .iter()
            .find(|known| id.checked_sub(known.container_id).is_some_and(|at| at < known.size));
        let known = found?;
        let at = id - known.container_id;
        let size = (known.size - at).min(range.size - done);
        let (container_id, host_id) = (range.container_id.checked_add(done)?, known.host_id.checked_add(at)?);
        parts.push(IdMapping { container_id, host_id, size });
        done += size;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(ranges: &[(u32, u32, u32)]) -> Vec<IdMapping> {
        let map = |&(container_id, host_id, size): &_| IdMapping { container_id, host_id, size };
        ranges.iter().map(map).collect()
    }

    #[test]
    fn options_of_mounts() {
        let container =
            IdMaps { uids: maps(&[(0, 0, 1), (1, 2, 9), (10, 500, 90)]), gids: maps(&[(0, 7, 1)]) };
        let parse = |text| parse(text, &container);
        assert_eq!(
            parse("uids=0-1-10#10-11-10;gids=0-100-10").unwrap().uids,
            maps(&[(0, 1, 10), (10, 11, 10)])
        );
        assert_eq!(
            parse("uids=@1-3-5").unwrap(),
            IdMaps { uids: maps(&[(1, 4, 5)]), gids: maps(&[(0, 7, 1)]) }
        );
        assert_eq!(parse("uids=@1000-8-4").unwrap().uids, maps(&[(1000, 9, 2), (1002, 500, 2)]));
        for bad in [
            "",
            "uids",
            "x=0-0-1",
            "uids=0-1",
            "uids=0-1-0",
            "uids=0-1-1-1",
            "uids=@0-99-2",
            "gids=0-4294967295-1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

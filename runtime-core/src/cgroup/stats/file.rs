//! The forms in which cgroup files hold figures. A file that is not there, or cannot be read here, holds none.

use std::collections::BTreeMap;

use nix::errno::Errno;

use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Figures by their names.
pub(super) type Table = BTreeMap<String, u64>;

/// The content of a file.
pub(super) fn text(dir: &Dir, file: &str) -> Result<Option<String>, Error> {
    match dir.read(file) {
        Ok(content) => Ok(Some(content)),
        Err(Error::Io { errno: Errno::ENODEV, .. }) => Err(Error::Gone { path: dir.path().into() }),
        // The pressure files of a kernel started without them can be opened but not read.
        Err(Error::Io { errno: Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EINVAL, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file with one number.
pub(super) fn number(dir: &Dir, file: &str) -> Result<u64, Error> {
    Ok(text(dir, file)?.and_then(|content| parse(content.trim())).unwrap_or_default())
}

/// A number, or `max`; less than nothing is nothing.
pub(super) fn parse(word: &str) -> Option<u64> {
    if word == "max" { Some(u64::MAX) } else { word.parse().ok() }
}

/// A file with lines of a name and a number.
pub(super) fn table(dir: &Dir, file: &str) -> Result<Table, Error> {
    let content = text(dir, file)?.unwrap_or_default();
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), parse(value.trim())?))
    };
    Ok(content.lines().filter_map(line).collect())
}

/// A figure of a table, 0 where it is not there.
pub(super) fn figure(table: &Table, name: &str) -> u64 {
    table.get(name).copied().unwrap_or_default()
}

/// A file with lines of a key and `name=value` pairs.
pub(super) fn nested(dir: &Dir, file: &str) -> Result<Vec<(String, Table)>, Error> {
    let content = text(dir, file)?.unwrap_or_default();
    let line = |line: &str| {
        let (key, pairs) = line.split_once(' ')?;
        let pair = |pair: &str| {
            pair.split_once('=').and_then(|(name, value)| Some((name.to_owned(), parse(value)?)))
        };
        Some((key.to_owned(), pairs.split_whitespace().filter_map(pair).collect()))
    };
    Ok(content.lines().filter_map(line).collect())
}

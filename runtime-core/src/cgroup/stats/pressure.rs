//! Pressure: how long processes have waited for something.

use serde::Serialize;

use super::file;
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Waiting for one resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one process waited.
    pub some: Stall,
    /// All processes waited.
    pub full: Stall,
}

/// Shares of time in percent, and the whole time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stall {
    /// Of the last ten seconds.
    pub avg10: f64,
    /// Of the last minute.
    pub avg60: f64,
    /// Of the last five minutes.
    pub avg300: f64,
    /// Microseconds since the cgroup was made.
    pub total: u64,
}

/// The pressure of a resource, if the kernel counts it in this place.
pub(super) fn of(unified: Option<&Dir>, resource: &str) -> Result<Option<Pressure>, Error> {
    let Some(dir) = unified else { return Ok(None) };
    Ok(file::text(dir, &format!("{resource}.pressure"))?.as_deref().map(parse))
}

fn parse(content: &str) -> Pressure {
    let stall = |kind: &str| {
        let line = content.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == kind);
        let pairs = line.map(|(_, pairs)| pairs).unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
        };
        let share = |name: &str| value(name).parse().unwrap_or_default();
        Stall {
            avg10: share("avg10"),
            avg60: share("avg60"),
            avg300: share("avg300"),
            total: value("total").parse().unwrap_or_default(),
        }
    };
    Pressure { some: stall("some"), full: stall("full") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines() {
        let pressure = parse(
            "some avg10=1.50 avg60=0.10 avg300=0.00 total=123\nfull avg10=0.25 avg60=0 avg300=0 total=7\n",
        );
        assert_eq!((pressure.some.avg10, pressure.some.total), (1.5, 123));
        assert_eq!((pressure.full.avg10, pressure.full.total), (0.25, 7));
        assert_eq!(parse("some avg10=1.00 avg60=0 avg300=0 total=1\n").full, Stall::default());
    }
}

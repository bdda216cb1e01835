//! `corten events`: statistics of a container at intervals, and its memory running out.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use runtime_core::{Container, Error, OomEvents, Stats};
use serde::Serialize;

use super::container;
use crate::duration::parse_duration;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::{INTERVAL, STATS};
use crate::globals::Globals;
use crate::output;

/// What happens without `--interval`.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);

/// One line of the output.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Stats>,
}

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let interval = interval(flags)?;
    let container = container(globals, flags)?;
    let end = container.living().map_err(|error| explain(error, &container))?;
    if flags.is_set(&STATS) {
        let stats = container.stats().map_err(|error| explain(error, &container))?;
        return print(&container, Some(&stats));
    }
    follow(&container, &end, interval)
}

fn interval(flags: &Matches) -> Result<Duration, Failure> {
    let Some(text) = flags.text(&INTERVAL)? else { return Ok(USUAL_INTERVAL) };
    match parse_duration(text) {
        Some(Duration::ZERO) => Err(Failure::new("duration interval must be greater than 0")),
        Some(interval) => Ok(interval),
        None => Err(Failure::new(format!(
            "invalid value \"{text}\" for flag -interval: use a number and a unit, such as 500ms or 5s"
        ))),
    }
}

/// Prints events until the container ends.
fn follow(container: &Container, end: &OwnedFd, interval: Duration) -> Outcome {
    let mut oom = container.oom_events().unwrap_or_else(|error| {
        ::log::warn!("no out-of-memory events: {error}");
        None
    });
    let mut next = Instant::now() + interval;
    loop {
        let ended = wait(end, oom.as_ref(), next)?;
        if let Some(oom) = &mut oom {
            for _ in 0..oom.take().map_err(Error::from)? {
                print(container, None)?;
            }
        }
        if ended {
            return Ok(0);
        }
        if Instant::now() >= next {
            match container.stats() {
                Ok(stats) => print(container, Some(&stats))?,
                // It ends at this moment.
                Err(
                    Error::NotRunning
                    | Error::NotFound
                    | Error::Cgroup(runtime_core::cgroup::Error::Gone { .. }),
                ) => {
                    return Ok(0);
                }
                Err(error) => return Err(error.into()),
            };
            next += interval;
        }
    }
}

/// Waits until there is something to do; true once the container has ended.
fn wait(end: &OwnedFd, oom: Option<&OomEvents>, until: Instant) -> Result<bool, Failure> {
    // Rounded up, so that the last wait is not a busy one.
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut files = vec![PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    files.extend(oom.map(|oom| PollFd::new(oom.as_fd(), PollFlags::POLLIN)));
    match poll(&mut files, timeout) {
        Ok(_) => Ok(files.first().and_then(PollFd::any) == Some(true)),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(std::io::Error::from(errno).into()),
    }
}

/// Prints statistics, or that memory has run out.
fn print(container: &Container, stats: Option<&Stats>) -> Outcome {
    let kind = if stats.is_some() { "stats" } else { "oom" };
    output::print(&(output::json(&Event { kind, id: container.id().as_str(), data: stats })? + "\n"))
}

fn explain(error: Error, container: &Container) -> Failure {
    match error {
        Error::NotRunning => Failure::new(format!("container with id {} is not running", container.id())),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_those_of_runc() {
        let stats = Stats::default();
        let line = output::json(&Event { kind: "stats", id: "c1", data: Some(&stats) }).unwrap();
        let expected = concat!(
            r#"{"type":"stats","id":"c1","data":{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"#,
            r#""cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"#,
            r#""memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"#,
            r#""sched_relax_domain_level":0},"#,
            r#""memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"#,
            r#""kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"pids":{},"#,
            r#""blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}}"#
        );
        assert_eq!(line, expected);
        assert_eq!(
            output::json(&Event { kind: "oom", id: "c1", data: None }).unwrap(),
            r#"{"type":"oom","id":"c1"}"#
        );
    }
}

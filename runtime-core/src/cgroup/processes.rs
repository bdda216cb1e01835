//! The processes of a cgroup: who they are, and their end.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Error;
use super::dir::Dir;
use super::freezer::{Freezer, PAUSE};
use super::layout::read_proc;
use super::saved::{Group, Saved};
use super::walk::walk;

/// How often to look for processes to kill where they cannot be frozen first.
const KILL_ROUNDS: usize = 100;

/// The processes of a container, wherever in its cgroup they are.
pub(super) fn of(saved: &Saved) -> Result<Vec<i32>, Error> {
    match saved.main().map(Group::find).transpose()?.flatten() {
        Some(dir) => below(&dir),
        None => Ok(Vec::new()),
    }
}

/// The processes of a cgroup and of all below it.
pub(super) fn below(dir: &Dir) -> Result<Vec<i32>, Error> {
    let mut pids = own(dir)?;
    let enter = |dir: &Dir| {
        pids.extend(own(dir)?);
        Ok(())
    };
    walk(dir, enter, |_, _| Ok(()))?;
    Ok(pids)
}

/// The processes of a cgroup alone.
fn own(dir: &Dir) -> Result<Vec<i32>, Error> {
    // Processes of another pid namespace have the number 0.
    let numbers = |list: String| {
        list.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid > 0).collect::<Vec<_>>()
    };
    match dir.read("cgroup.procs") {
        Ok(list) => Ok(numbers(list)),
        // A threaded cgroup: a thread with the number of its process stands for it.
        Err(Error::Io { errno: Errno::EOPNOTSUPP, .. }) => {
            let mut threads = numbers(dir.read("cgroup.threads")?);
            threads.retain(|id| is_process(*id));
            Ok(threads)
        }
        Err(error) if error.is_gone() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether a thread is the one that its process is named by.
fn is_process(thread: i32) -> bool {
    let status = read_proc(&format!("{thread}/status")).unwrap_or_default();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    process.and_then(|process| process.trim().parse().ok()) == Some(thread)
}

/// Sends SIGKILL to all processes, frozen ones too.
pub(super) fn kill_all(own: &Saved) -> Result<(), Error> {
    if let Some(dir) = own.unified().map(Group::find).transpose()?.flatten() {
        match dir.write("cgroup.kill", "1") {
            // A threaded cgroup, which has threads but no processes.
            Err(Error::Io { errno: Errno::EOPNOTSUPP, .. }) => {}
            // Under the freezer of version 1 a signal waits.
            Ok(()) if own.v1("freezer").is_some() => {
                return Freezer::of(own)?.as_ref().map_or(Ok(()), Freezer::thaw);
            }
            killed => return killed,
        }
    }
    // Not before: of what is gone by now no freezer is found either.
    let freezer = Freezer::of(own)?;
    for _ in 0..KILL_ROUNDS {
        let frozen = freezer.as_ref().map(Freezer::freeze);
        let killed = kill_each(own);
        freezer.as_ref().map_or(Ok(()), Freezer::thaw)?;
        // Nothing is born in a frozen cgroup: one round gets all.
        if killed? == 0 || matches!(frozen, Some(Ok(()))) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Sends SIGKILL to each process, and says to how many.
fn kill_each(saved: &Saved) -> Result<usize, Error> {
    let pids = of(saved)?;
    Ok(pids.into_iter().filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).count())
}

//! Writing limits into the kernel's files.

use nix::errno::Errno;

use super::{Missing, Setting};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Writes settings into the directories that `dir` gives for them. What the kernel finds invalid may only be waiting
/// for another value (memory for swap, a quota for its period): it is written once more at the end.
pub(in crate::cgroup) fn apply<'a>(
    settings: &[Setting],
    dir: impl Fn(&Setting) -> Result<&'a Dir, Error>,
) -> Result<(), Error> {
    let mut again = Vec::new();
    for setting in settings {
        match write(dir(setting)?, setting) {
            Err(error) if error.errno() == Some(Errno::EINVAL) => again.push(setting),
            answer => answer?,
        }
    }
    again.into_iter().try_for_each(|setting| write(dir(setting)?, setting))
}

/// The same in a cgroup that is in use. Gives what was in force before; after an error that is in force again.
pub(in crate::cgroup) fn replace<'a>(
    settings: &[Setting],
    dir: impl Fn(&Setting) -> Result<&'a Dir, Error>,
) -> Result<Vec<Setting>, Error> {
    let mut former = Vec::new();
    for setting in settings {
        former.extend(read(dir(setting)?, setting)?);
    }
    match apply(settings, &dir) {
        Ok(()) => Ok(former),
        Err(error) => {
            restore(former, dir);
            Err(error)
        }
    }
}

/// Writes what was in force before, the last first; what cannot be is only mentioned.
pub(in crate::cgroup) fn restore<'a>(
    mut former: Vec<Setting>,
    dir: impl Fn(&Setting) -> Result<&'a Dir, Error>,
) {
    former.reverse();
    // What waits for another value comes true in the second round.
    for _ in 0..2 {
        former.retain(|setting| dir(setting).and_then(|dir| write(dir, setting)).is_err());
    }
    for setting in &former {
        log::warn!("{} could not be restored to {:?}", setting.file, setting.value);
    }
}

fn write(dir: &Dir, setting: &Setting) -> Result<(), Error> {
    // An empty list has to be written too, and a write of nothing does not reach the kernel.
    let value = if setting.value.is_empty() { "\n" } else { setting.value.as_str() };
    for line in value.split_inclusive('\n') {
        match (dir.write(&setting.file, line), &setting.missing) {
            (Err(Error::Io { errno: Errno::ENOENT, .. }), Missing::Fine) => return Ok(()),
            (Err(Error::Io { errno: Errno::ENOENT, .. }), Missing::Other(other)) => return write(dir, other),
            (Err(Error::Io { errno, path, .. }), _) => {
                let (pointer, value) = (setting.pointer.clone().into_owned(), line.trim_end().to_owned());
                return Err(Error::Limit { pointer, path, value, errno });
            }
            (answer, _) => answer?,
        }
    }
    Ok(())
}

/// The setting that is in force now; none where the file cannot be read, as those that only take commands.
fn read(dir: &Dir, setting: &Setting) -> Result<Option<Setting>, Error> {
    match (dir.read(&setting.file), &setting.missing) {
        (Ok(content), _) => {
            let value = former(&setting.file, &content, &setting.value);
            Ok(Some(Setting { value, missing: Missing::Refused, ..setting.clone() }))
        }
        (Err(Error::Io { errno: Errno::ENOENT, .. }), Missing::Other(other)) => read(dir, other),
        (Err(Error::Io { errno: Errno::ENODEV, .. }), _) => Err(Error::Gone { path: dir.path().into() }),
        (Err(_), _) => Ok(None),
    }
}

/// What has to be written for a file to show `content` again after `value` has been written. Files with a line for each
/// device take one line at a time.
fn former(file: &str, content: &str, value: &str) -> String {
    let keys = value.lines().filter_map(|line| line.split_once(' ')).map(|(key, _)| key);
    let line_of = |key: &str| {
        let mut lines = content.lines();
        let line = lines.find(|line| line.split_once(' ').is_some_and(|(other, _)| other == key));
        line.map(str::to_owned).unwrap_or_else(|| format!("{key} {}", unset(file)))
    };
    if file == "memory.oom_control" {
        return line_of("oom_kill_disable").replace("oom_kill_disable ", "");
    }
    let weights = file.contains(".weight") && content.starts_with("default ");
    match keys.map(line_of).collect::<Vec<_>>() {
        _ if file == "cpu.max" => content.trim_end().to_owned(),
        lines if lines.is_empty() && weights => content.lines().next().unwrap_or_default().to_owned(),
        lines if lines.is_empty() => content.trim_end().to_owned(),
        lines => lines.join("\n"),
    }
}

/// What takes the limit of one device away.
fn unset(file: &str) -> &'static str {
    match file {
        "io.max" => "rbps=max wbps=max riops=max wiops=max",
        "rdma.max" => "hca_handle=max hca_object=max",
        _ if file.contains("weight") => "default",
        _ if file.starts_with("blkio.throttle.") => "0",
        _ => "max",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before() {
        for (file, content, value, expected) in [
            ("memory.max", "max\n", "5", "max"),
            ("cpuset.cpus", "\n", "0", ""),
            ("cpu.max", "max 100000\n", "max 5000", "max 100000"),
            ("cpu.max", "3000 100000\n", "max", "3000 100000"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "1", "0"),
            (
                "io.max",
                "8:0 rbps=5 wbps=max riops=max wiops=max\n",
                "8:0 wbps=7",
                "8:0 rbps=5 wbps=max riops=max wiops=max",
            ),
            ("io.max", "", "8:0 wbps=7", "8:0 rbps=max wbps=max riops=max wiops=max"),
            ("blkio.throttle.read_bps_device", "8:16 3\n", "8:0 7", "8:0 0"),
            ("blkio.throttle.read_bps_device", "8:0 3\n", "8:0 7", "8:0 3"),
            ("io.weight", "default 100\n8:0 5\n", "default 7", "default 100"),
            ("io.bfq.weight", "default 100\n8:0 5\n", "200", "default 100"),
            ("io.weight", "default 100\n", "8:0 7", "8:0 default"),
            ("blkio.bfq.weight", "100\n", "7", "100"),
            (
                "rdma.max",
                "a hca_handle=1 hca_object=max\n",
                "a hca_object=2",
                "a hca_handle=1 hca_object=max",
            ),
            ("misc.max", "a max\nb 3\n", "a 1\nb 2", "a max\nb 3"),
            ("net_prio.ifpriomap", "lo 3\neth0 0\n", "lo 5", "lo 3"),
        ] {
            assert_eq!(former(file, content, value), expected, "{file} {value}");
        }
    }
}

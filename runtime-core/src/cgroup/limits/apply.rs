//! Writing limits into the kernel's files.

use nix::errno::Errno;

use super::{Missing, Setting};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Writes settings into the directories that `dir` gives for them. What the kernel finds invalid may only be waiting
/// for another value (memory for swap, a quota for its period): it is written once more at the end.
pub(in crate::cgroup) fn apply<'a>(
    settings: &[Setting],
    mut dir: impl FnMut(&Setting) -> Result<&'a Dir, Error>,
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

fn write(dir: &Dir, setting: &Setting) -> Result<(), Error> {
    // An empty list has to be written too, and a write of nothing does not reach the kernel.
    let value = if setting.value.is_empty() { "\n" } else { setting.value.as_str() };
    for line in value.split_inclusive('\n') {
        match (dir.write(&setting.file, line), &setting.missing) {
            (Err(Error::Io { errno: Errno::ENOENT, .. }), Missing::Fine) => return Ok(()),
            (Err(Error::Io { errno: Errno::ENOENT, .. }), Missing::Other(other)) => return write(dir, other),
            (Err(Error::Io { errno, path, .. }), _) => {
                let pointer = setting.pointer.clone().into_owned();
                return Err(Error::Limit { pointer, path, value: line.to_owned(), errno });
            }
            (answer, _) => answer?,
        }
    }
    Ok(())
}

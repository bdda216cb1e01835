//! Telling when the kernel runs out of a container's memory: by inotify on version 2, by an eventfd on version 1.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::read;

use super::Error;
use super::dir::{Dir, read_all};
use super::saved::Saved;
use crate::procfs;

/// A container's memory running out. Its descriptor becomes readable when there may be something to [`take`](Self::take).
#[derive(Debug)]
pub struct OomEvents {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The kernel adds to the eventfd each time memory runs out, and once more when the cgroup goes.
    V1 { events: EventFd, control: OwnedFd },
    /// `memory.events` counts the processes that were killed.
    V2 { watch: Inotify, dir: Dir, known: u64 },
}

impl OomEvents {
    /// The events of a cgroup; none where it is without the memory controller.
    pub(super) fn of(saved: &Saved) -> Result<Option<Self>, Error> {
        let source = match (saved.v1("memory"), saved.unified()) {
            (Some(group), _) => Some(v1(&group.existing()?)?),
            (None, Some(group)) => v2(group.existing()?)?,
            (None, None) => None,
        };
        Ok(source.map(|source| Self { source }))
    }

    /// How often memory has run out since the last call. Does not wait.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn take(&mut self) -> Result<u64, Error> {
        match &mut self.source {
            Source::V1 { events, control } => {
                let mut count = [0; 8];
                match read(&*events, &mut count) {
                    // The last one says that the cgroup is gone.
                    Ok(_) if read_all(control).is_err() => Ok(u64::from_ne_bytes(count).saturating_sub(1)),
                    Ok(_) => Ok(u64::from_ne_bytes(count)),
                    Err(Errno::EAGAIN) => Ok(0),
                    Err(errno) => Err(failed("read")(errno)),
                }
            }
            Source::V2 { watch, dir, known } => {
                match watch.read_events() {
                    Ok(_) | Err(Errno::EAGAIN) => {}
                    Err(errno) => return Err(failed("read")(errno)),
                }
                let now = match dir.read(EVENTS) {
                    Ok(content) => kills(&content),
                    Err(Error::Io { errno: Errno::ENODEV | Errno::ENOENT, .. }) => *known,
                    Err(error) => return Err(error),
                };
                Ok(now.saturating_sub(std::mem::replace(known, now)))
            }
        }
    }
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1 { events, .. } => events.as_fd(),
            Source::V2 { watch, .. } => watch.as_fd(),
        }
    }
}

const EVENTS: &str = "memory.events";

fn v1(dir: &Dir) -> Result<Source, Error> {
    let control = dir.open("memory.oom_control", OFlag::O_RDONLY)?;
    let events =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(failed("make"))?;
    let request = format!("{} {}", events.as_fd().as_raw_fd(), control.as_raw_fd());
    dir.write("cgroup.event_control", &request)?;
    Ok(Source::V1 { events, control })
}

fn v2(dir: Dir) -> Result<Option<Source>, Error> {
    let file = match dir.open(EVENTS, OFlag::O_RDONLY) {
        Err(Error::Io { errno: Errno::ENOENT, .. }) => return Ok(None),
        file => file?,
    };
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed("make"))?;
    // By descriptor: the file that was opened is the one that is watched.
    let path = procfs::short_path(&file, &dir.path().join(EVENTS));
    watch.add_watch(&path, AddWatchFlags::IN_MODIFY).map_err(failed("add"))?;
    let known = kills(&dir.read(EVENTS)?);
    Ok(Some(Source::V2 { watch, dir, known }))
}

fn kills(events: &str) -> u64 {
    let value = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn failed(action: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Io { action, path: "a watch for out-of-memory events".into(), errno }
}

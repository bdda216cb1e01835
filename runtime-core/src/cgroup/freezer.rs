//! Stopping and waking all processes of a cgroup, and waiting for what the kernel says of it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::pread;

use super::Error;
use super::dir::Dir;
use super::layout::Hierarchy;
use super::path::join;
use super::saved::{Brief, Saved};

/// How long processes may take to stop. One that waits for a dead disk never does.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait between looks where the kernel gives no sign.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// The state of a freezer of version 1.
const STATE: &str = "freezer.state";

/// What there is to know of a cgroup of the unified hierarchy; it can be waited for.
const EVENTS: &str = "cgroup.events";

/// The freezer that a cgroup has.
#[derive(Debug)]
pub(super) enum Freezer {
    /// The controller of version 1.
    V1(Dir),
    /// The one that every cgroup of the unified hierarchy has.
    V2(Dir),
}

impl Freezer {
    /// The freezer of a container; `None` where the cgroup is gone, or has none.
    pub(super) fn of(saved: &Saved) -> Result<Option<Self>, Error> {
        match (saved.v1("freezer"), saved.unified()) {
            (Some(group), _) => Ok(group.find()?.map(Self::V1)),
            (None, Some(group)) => Ok(group.find()?.map(Self::V2)),
            (None, None) => Ok(None),
        }
    }

    /// Stops all processes, or none if they do not all stop in time.
    pub(super) fn freeze(&self) -> Result<(), Error> {
        self.change(true).inspect_err(|_| match self.request(false) {
            Err(error) if !error.is_gone() => log::warn!("a cgroup stays frozen: {error}"),
            _ => {}
        })
    }

    /// Wakes all processes.
    pub(super) fn thaw(&self) -> Result<(), Error> {
        self.change(false)
    }

    fn request(&self, frozen: bool) -> Result<(), Error> {
        match self {
            Self::V1(dir) => dir.write(STATE, if frozen { "FROZEN" } else { "THAWED" }),
            Self::V2(dir) => dir.write("cgroup.freeze", if frozen { "1" } else { "0" }),
        }
    }

    /// Why processes have not stopped, or not woken, in time.
    fn timeout(&self, dir: &Dir, frozen: bool) -> Error {
        let path = dir.path().into();
        match frozen {
            true => Error::Timeout { path, state: "frozen", after: TIMEOUT },
            false if self.is_frozen_above().unwrap_or_default() => Error::FrozenAbove { path },
            false => Error::Timeout { path, state: "thawed", after: TIMEOUT },
        }
    }

    fn is_frozen_above(&self) -> Result<bool, Error> {
        match self {
            Self::V1(dir) => Ok(dir.read("freezer.parent_freezing")?.trim() == "1"),
            Self::V2(dir) => is_frozen_v2(&dir.parent()?),
        }
    }

    fn change(&self, frozen: bool) -> Result<(), Error> {
        match self {
            Self::V1(dir) => {
                let wanted = if frozen { "FROZEN" } else { "THAWED" };
                let deadline = Instant::now() + TIMEOUT;
                loop {
                    // Asked again each time: a task that was forked meanwhile is stopped by that.
                    self.request(frozen)?;
                    if dir.read_short(STATE)?.trim() == wanted {
                        return Ok(());
                    }
                    if Instant::now() >= deadline {
                        return Err(self.timeout(dir, frozen));
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            Self::V2(dir) => {
                let events = Events::open(dir)?;
                self.request(frozen)?;
                if events.wait("frozen", frozen, Instant::now() + TIMEOUT)? {
                    return Ok(());
                }
                Err(self.timeout(dir, frozen))
            }
        }
    }
}

pub(super) fn is_frozen_v1(dir: &Dir) -> Result<bool, Error> {
    Ok(says_frozen(STATE, &dir.read_short(STATE)?))
}

pub(super) fn is_frozen_v2(dir: &Dir) -> Result<bool, Error> {
    Ok(says_frozen(EVENTS, &dir.read_short(EVENTS)?))
}

/// Whether the processes of a container are stopped or about to be, by its cgroup or one above. One that is gone has none.
pub fn is_frozen(saved: &Saved) -> Result<bool, Error> {
    let (group, file) = match (saved.v1("freezer"), saved.unified()) {
        (Some(group), _) => (group, STATE),
        (None, Some(group)) => (group, EVENTS),
        (None, None) => return Ok(false),
    };
    // A copy opens the hierarchy for itself, if it is not open already.
    look(&group.hierarchy.clone(), &group.path, file)
}

/// Whether containers are frozen, asked of many: the hierarchy that says so is opened once.
#[derive(Debug, Default)]
pub(crate) struct Freezers(Option<Hierarchy>);

impl Freezers {
    /// What [`is_frozen`] says.
    pub(crate) fn is_frozen(&mut self, cgroup: &Brief<'_>) -> Result<bool, Error> {
        let (group, file) = match (cgroup.v1("freezer"), cgroup.unified()) {
            (Some(group), _) => (group, STATE),
            (None, Some(group)) => (group, EVENTS),
            (None, None) => return Ok(false),
        };
        let hierarchy = match self.0.take() {
            Some(open) if group.is_in(&open) => open,
            _ => group.hierarchy(),
        };
        look(self.0.insert(hierarchy), group.path, file)
    }
}

/// Whether the file of a cgroup says so.
fn look(hierarchy: &Hierarchy, path: &str, file: &str) -> Result<bool, Error> {
    match hierarchy.root().and_then(|root| root.read_short(&join(path, file))) {
        // Made by somebody with another view of the cgroup file systems, from which alone this could be told.
        Err(error) if error.is_gone() || matches!(error, Error::NotCgroup { .. }) => Ok(false),
        content => Ok(says_frozen(file, &content?)),
    }
}

/// Whether the content of one of the two files says so.
fn says_frozen(file: &str, content: &str) -> bool {
    if file == STATE { content.trim() != "THAWED" } else { is_set(content, "frozen") }
}

/// Whether a value of `cgroup.events` is 1.
fn is_set(events: &str, key: &str) -> bool {
    events.lines().any(|line| line.strip_prefix(key) == Some(" 1"))
}

/// The file `cgroup.events` of a cgroup of the unified hierarchy, which can be waited for.
#[derive(Debug)]
pub(super) struct Events {
    file: OwnedFd,
    path: PathBuf,
}

impl Events {
    pub(super) fn open(dir: &Dir) -> Result<Self, Error> {
        Ok(Self { file: dir.open(EVENTS, OFlag::O_RDONLY)?, path: dir.path().join(EVENTS) })
    }

    /// Whether a value is set, or is not. In a cgroup that is gone nothing is.
    fn is(&self, key: &str, set: bool) -> Result<bool, Error> {
        let mut buffer = [0; 256];
        let count = match pread(&self.file, &mut buffer, 0) {
            Err(Errno::ENODEV) => 0,
            answer => answer.map_err(|errno| failed("read", &self.path, errno))?,
        };
        let content = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
        Ok(is_set(&content, key) == set)
    }

    /// Waits until a value is set, or is not; whether that came true in time.
    pub(super) fn wait(&self, key: &str, set: bool, deadline: Instant) -> Result<bool, Error> {
        loop {
            if self.is(key, set)? {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            // Rounded up, so that the last wait is not a busy one.
            let timeout = PollTimeout::try_from(left + PAUSE).unwrap_or(PollTimeout::MAX);
            let mut files = [PollFd::new(self.file.as_fd(), PollFlags::POLLPRI)];
            match poll(&mut files, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("wait for", &self.path, errno)),
            }
        }
    }
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> Error {
    Error::Io { action, path: path.into(), errno }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What was logged by all tests.
    struct Lines(Mutex<String>);

    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            *self.0.lock().unwrap() += &format!("{}\n", record.args());
        }

        fn flush(&self) {}
    }

    static LINES: Lines = Lines(Mutex::new(String::new()));

    /// systemd removes a cgroup as soon as it is empty, also while somebody stops what was in it.
    #[test]
    fn nothing_stays_frozen_in_a_cgroup_that_is_gone() {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
        let path = std::env::temp_dir().join(format!("corten-freezer-{}", std::process::id()));
        for version in [Freezer::V1, Freezer::V2] {
            std::fs::create_dir(&path).unwrap();
            let freezer = version(Dir::any(&path));
            std::fs::remove_dir(&path).unwrap();
            assert!(freezer.freeze().unwrap_err().is_gone());
        }
        let lines = LINES.0.lock().unwrap();
        assert!(!lines.contains("stays frozen"), "{lines}");
    }
}

//! `NOTIFY_SOCKET`: readiness of the payload, passed on to the service manager.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, renameat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::pipe2;

use crate::error::Error;
use crate::state::Entry;
use crate::sys;

/// The directory of the payload's socket, in the container's state directory.
pub(super) const NOTIFY: &str = "notify";

/// The socket in it.
const SOCKET: &str = "notify.sock";

/// Where the socket is made.
const UNFINISHED: &str = "notify.new";

/// How long the service manager may take to have read everything.
const BARRIER: Duration = Duration::from_secs(30);

/// The socket to which the payload reports, and the service manager's.
pub(super) struct Notify {
    socket: UnixDatagram,
    host: PathBuf,
}

/// Makes the directory that is bound into the container, at `create`.
pub(super) fn prepare(entry: &Entry) -> Result<PathBuf, Error> {
    let path = entry.path().join(NOTIFY);
    // Searchable for all, since the payload may be any user; the state directory above it is not.
    let mode = Mode::from_bits_truncate(0o755);
    mkdirat(entry.dir(), NOTIFY, mode).map_err(Error::system("mkdir", &path))?;
    Ok(path)
}

impl Notify {
    /// Listens for the payload, which is about to be started.
    pub(super) fn bind(entry: &Entry, host: &Path) -> Result<Self, Error> {
        let (dir, name) = (entry.dir(), format!("{NOTIFY}/{SOCKET}"));
        let path = entry.path().join(&name);
        let failed = |error: std::io::Error| {
            Error::system("bind", &path)(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
        };
        entry.unlink(UNFINISHED);
        let socket = UnixDatagram::bind(entry.short_path(UNFINISHED)).map_err(failed)?;
        // Any user of the container may report. Its processes can change names in the directory that they share.
        let mode = Mode::from_bits_truncate(0o777);
        fchmodat(dir, UNFINISHED, mode, FchmodatFlags::FollowSymlink)
            .map_err(Error::system("chmod", &path))?;
        renameat(dir, UNFINISHED, dir, name.as_str()).map_err(Error::system("rename", &path))?;
        Ok(Self { socket, host: host.to_owned() })
    }

    /// Waits until the payload says that it is ready, and tells the service manager; a payload that ends ends the wait.
    pub(super) fn wait_ready(&self, init: i32, pidfd: impl AsFd) -> Result<(), Error> {
        let failed = Error::system("notify", &self.host);
        match self.ready(pidfd.as_fd()) {
            Ok(true) => self.tell(init).map_err(failed),
            Ok(false) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// True when the payload is ready, false when it has ended.
    fn ready(&self, pidfd: BorrowedFd<'_>) -> Result<bool, Errno> {
        let mut message = [0; 4096];
        loop {
            let mut fds =
                [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(pidfd, PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            }
            if fds[0].any() == Some(true) {
                let read = match self.socket.recv(&mut message) {
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
                };
                let said = message.get(..read).unwrap_or_default();
                if said.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"READY=")) {
                    return Ok(true);
                }
            } else if fds[1].any() == Some(true) {
                return Ok(false);
            }
        }
    }

    /// Passes the readiness on, with a pipe whose end tells when everything has been read.
    fn tell(&self, init: i32) -> Result<(), Errno> {
        let socket = UnixDatagram::unbound().map_err(|_| Errno::EMFILE)?;
        let to = match self.host.to_str().and_then(|path| path.strip_prefix('@')) {
            Some(name) => UnixAddr::new_abstract(name.as_bytes())?,
            None => UnixAddr::new(&self.host)?,
        };
        let send = |text: &str, control: &[ControlMessage<'_>]| {
            let parts = [IoSlice::new(text.as_bytes())];
            let flags = MsgFlags::MSG_NOSIGNAL;
            sys::again(|| sendmsg(socket.as_raw_fd(), &parts, control, flags, Some(&to))).map(drop)
        };
        send(&format!("READY=1\nMAINPID={init}"), &[])?;
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        send("BARRIER=1", &[ControlMessage::ScmRights(&[write.as_raw_fd()])])?;
        drop(write);
        let timeout = PollTimeout::try_from(BARRIER).unwrap_or(PollTimeout::MAX);
        if !sys::ended(&read, timeout)? {
            log::warn!("the service manager has not read the notification within {} s", BARRIER.as_secs());
        }
        Ok(())
    }
}

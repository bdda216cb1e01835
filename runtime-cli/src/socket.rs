//! Sends a descriptor to an engine: the master end of a pseudoterminal, or a pidfd.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::stat::Mode;

use crate::failure::Failure;

/// Longest path that fits into a socket address.
const LONGEST: usize = 107;

/// A connection to an engine that waits for a descriptor.
pub(crate) struct Receiver {
    stream: UnixStream,
    path: PathBuf,
}

impl Receiver {
    /// Connects to the socket at `path`.
    pub(crate) fn connect(path: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::file("connect to", path, error);
        let stream = if path.as_os_str().len() <= LONGEST {
            UnixStream::connect(path).map_err(failed)?
        } else {
            connect_in_directory(path)?
        };
        Ok(Self { stream, path: path.to_owned() })
    }

    /// Sends one descriptor and a name for it, which must not be empty.
    pub(crate) fn send(&self, descriptor: impl AsFd, name: &str) -> Result<(), Failure> {
        let descriptors = [descriptor.as_fd().as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let name = [IoSlice::new(name.as_bytes())];
        sendmsg::<()>(self.stream.as_raw_fd(), &name, &rights, MsgFlags::MSG_NOSIGNAL, None)
            .map(drop)
            .map_err(|errno| Failure::file("send to", &self.path, errno))
    }
}

/// Connects to a socket whose path is too long for an address, by its directory's descriptor.
fn connect_in_directory(path: &Path) -> Result<UnixStream, Failure> {
    let failed = |error| Failure::file("connect to", path, error);
    let (parent, name) = path.parent().zip(path.file_name()).unwrap_or((Path::new("."), path.as_os_str()));
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = open(parent, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mut short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    short.push(name);
    if short.as_os_str().as_bytes().len() > LONGEST {
        return Err(Failure::new(format!("{}: the name of the socket is too long", path.display())));
    }
    UnixStream::connect(short).map_err(failed)
}

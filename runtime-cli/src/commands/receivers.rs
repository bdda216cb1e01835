//! Who gets to know what about a new process: the engine's sockets and its pid file.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::{CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET};
use crate::pid_file;
use crate::socket::Receiver;

/// The name under which a terminal is sent: that of the multiplexer it comes from.
const TERMINAL: &str = "/dev/pts/ptmx";

/// What the flags ask to be told.
pub(super) struct Receivers {
    console: Option<Receiver>,
    pidfd: Option<Receiver>,
    pid_file: Option<PathBuf>,
}

/// What there is to tell about a process.
pub(super) struct Newborn<'a> {
    /// The pidfd's name in the message.
    pub(super) kind: &'static str,
    pub(super) pid: i32,
    pub(super) pidfd: BorrowedFd<'a>,
}

impl Receivers {
    /// Connects to the sockets, before there is a process that would have to be undone.
    pub(super) fn connect(flags: &Matches, terminal: bool, detach: bool) -> Result<Self, Failure> {
        let console = flags.path(&CONSOLE_SOCKET);
        if detach && terminal && console.is_none() {
            return Err(Failure::new(
                "cannot allocate tty if runc will detach without setting console socket",
            ));
        }
        if console.is_some() && !(detach && terminal) {
            return Err(Failure::new("cannot use console socket if runc will not detach or allocate tty"));
        }
        Ok(Self {
            console: console.map(Receiver::connect).transpose()?,
            pidfd: flags.path(&PIDFD_SOCKET).map(Receiver::connect).transpose()?,
            pid_file: flags.path(&PID_FILE).map(ToOwned::to_owned),
        })
    }

    /// Whether somebody is to be told of the process before its program runs.
    pub(super) fn wait(&self) -> bool {
        self.pidfd.is_some() || self.pid_file.is_some()
    }

    /// Sends the terminal away, if somebody waits for it.
    pub(super) fn send_terminal(&self, take: impl FnOnce() -> Option<OwnedFd>) -> Result<(), Failure> {
        let Some(console) = &self.console else { return Ok(()) };
        let terminal = take().ok_or_else(|| Failure::new("the process has no terminal"))?;
        console.send(terminal, TERMINAL)
    }

    /// Tells about the process.
    pub(super) fn tell(&self, newborn: &Newborn<'_>) -> Result<(), Failure> {
        if let Some(receiver) = &self.pidfd {
            receiver.send(newborn.pidfd, newborn.kind)?;
        }
        self.pid_file.as_ref().map_or(Ok(()), |path| pid_file::write(path, newborn.pid))
    }
}

//! What the caller hands over beside the standard streams: the sockets of `LISTEN_FDS`, and what
//! `--preserve-fds` adds. (The standard streams themselves are there: `sys::start` opens /dev/null in
//! the place of a closed one.)

use std::env;
use std::os::fd::{BorrowedFd, RawFd};
use std::process;

use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::PRESERVE_FDS;
use crate::sys;

/// First descriptor after the standard streams.
const FIRST: RawFd = 3;
/// More sockets than anybody activates.
const MOST: u16 = 1024;

/// The descriptors that were open at the start, from 3 on without a gap.
pub(crate) struct Descriptors {
    end: RawFd,
}

/// The descriptors and variables of socket activation and `--preserve-fds`, for one process.
#[derive(Default)]
pub(crate) struct Inherited {
    /// The payload's 3, 4 and so on.
    pub(crate) descriptors: Vec<BorrowedFd<'static>>,
    /// What the payload learns about them.
    pub(crate) env: Vec<String>,
}

impl Descriptors {
    /// Looks what there is, before anything else is opened, and keeps all of it from leaking into other programs.
    pub(crate) fn take() -> Self {
        if let Err(errno) = sys::close_on_exec_from(FIRST.unsigned_abs()) {
            // A kernel older than any that is supported, which the library says.
            ::log::debug!("close_range: {errno}");
        }
        let end = (FIRST..).find(|fd| !sys::is_open(*fd)).unwrap_or(FIRST);
        Self { end }
    }

    /// What goes to a new container.
    pub(crate) fn with_activation(&self, flags: &Matches) -> Result<Inherited, Failure> {
        let count = activated()?;
        let mut inherited = self.hand_over(count, flags)?;
        if count > 0 {
            inherited.env = vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()];
            inherited
                .env
                .extend(env::var("LISTEN_FDNAMES").ok().map(|names| format!("LISTEN_FDNAMES={names}")));
        }
        Ok(inherited)
    }

    /// What goes to a process that is executed in a container.
    pub(crate) fn preserved(&self, flags: &Matches) -> Result<Inherited, Failure> {
        self.hand_over(0, flags)
    }

    fn hand_over(&self, activated: u16, flags: &Matches) -> Result<Inherited, Failure> {
        let preserved: u16 = flags.number(&PRESERVE_FDS)?.unwrap_or(0);
        let first = FIRST + RawFd::from(activated);
        if first > self.end {
            return Err(Failure::new(format!(
                "LISTEN_FDS is {activated}, but descriptor {} is not open",
                self.end
            )));
        }
        let end = first + RawFd::from(preserved);
        if end > self.end {
            let fd = self.end;
            return Err(Failure::new(format!(
                "unable to stat preserved-fd {fd} (of {preserved}): descriptor {fd} is not open"
            )));
        }
        Ok(Inherited { descriptors: (FIRST..end).map(sys::inherited).collect(), env: Vec::new() })
    }
}

/// The number of sockets that a service manager has opened for this process (sd_listen_fds(3)).
fn activated() -> Result<u16, Failure> {
    let Some(count) = env::var_os("LISTEN_FDS").filter(|count| !count.is_empty() && count != "0") else {
        return Ok(0);
    };
    let for_us = |pid: String| pid == process::id().to_string();
    if !env::var("LISTEN_PID").map_or(true, for_us) {
        return Ok(0);
    }
    let number =
        count.to_str().and_then(|count| count.parse().ok()).filter(|count| (1..=MOST).contains(count));
    let text = count.to_string_lossy();
    number.ok_or_else(|| Failure::new(format!("LISTEN_FDS is \"{text}\", not a number from 1 to {MOST}")))
}

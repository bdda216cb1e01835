//! The caller's terminal, in raw mode while a process with a terminal of its own is in the foreground.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::isatty;

use super::pump::{End, Pump, never_block};
use crate::failure::Failure;
use crate::sys::{self, standard_streams};

/// The caller's terminal; its modes are restored when this goes.
pub(super) struct Terminal {
    host: OwnedFd,
    saved: Option<Termios>,
    master: Option<OwnedFd>,
}

impl Terminal {
    /// The first standard stream that is a terminal, else the controlling one.
    pub(super) fn of_caller() -> Result<Self, Failure> {
        let failed = |error| Failure::file("open", Path::new("/dev/tty"), error);
        let host = match standard_terminal() {
            Some(stream) => stream,
            None => File::options().read(true).write(true).open("/dev/tty").map(OwnedFd::from),
        };
        let host = host.map_err(failed)?;
        Ok(Self { host, saved: None, master: None })
    }

    /// Puts the caller's terminal into raw mode and copies between the standard streams and the process's terminal.
    pub(super) fn attach(mut self, master: OwnedFd) -> io::Result<(Pump, Vec<Pump>, Option<Self>)> {
        keep_newlines(&master)?;
        never_block(&master)?;
        let saved = tcgetattr(&self.host)?;
        let mut raw = saved.clone();
        cfmakeraw(&mut raw);
        // The caller's terminal goes on making newlines into line ends; the process's terminal does not.
        raw.output_flags |= OutputFlags::OPOST;
        tcsetattr(&self.host, SetArg::TCSANOW, &raw)?;
        self.saved = Some(saved);
        let [stdin, stdout, _] = standard_streams().map(End::Callers);
        let input = Pump::new(stdin, End::Own(master.try_clone()?));
        let output = Pump::new(End::Own(master.try_clone()?), stdout);
        self.master = Some(master);
        self.copy_size();
        Ok((input, vec![output], Some(self)))
    }

    /// Gives the process's terminal the size of the caller's.
    pub(super) fn copy_size(&self) {
        let Some(master) = &self.master else { return };
        if let Err(errno) = sys::window_size(&self.host).and_then(|size| sys::set_window_size(master, &size))
        {
            ::log::debug!("copy the size of the terminal: {errno}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            // The terminal may have gone; nothing is left to be done then.
            let _ = tcsetattr(&self.host, SetArg::TCSANOW, saved);
        }
    }
}

fn standard_terminal() -> Option<io::Result<OwnedFd>> {
    let mut streams = standard_streams().into_iter().rev();
    let terminal = streams.find(|stream| isatty(stream).unwrap_or(false));
    terminal.map(|stream| stream.try_clone_to_owned())
}

/// Keeps the process's terminal from making newlines into line ends, which the caller's does already.
fn keep_newlines(master: &OwnedFd) -> io::Result<()> {
    let mut modes = tcgetattr(master)?;
    modes.output_flags &= !OutputFlags::ONLCR;
    Ok(tcsetattr(master, SetArg::TCSANOW, &modes)?)
}

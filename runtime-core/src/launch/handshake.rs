//! The host side's half of init's set-up: answers at each rendezvous until init is ready.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::channel::Message;
use super::{Child, hooks};
use crate::container::{Exit, reap};
use crate::error::Error;
use crate::plan::{Plan, StepError};
use crate::wire::{Order, Point, Tag};

/// What asks for the host side's part.
pub(crate) enum Call {
    /// Init waits at a rendezvous.
    At(Point),
    /// A second clone has taken init's place: the child's pid and pidfd are now its.
    Cloned,
}

/// Why init did not get ready.
pub(crate) enum Stop {
    /// A step failed.
    Step(StepError),
    /// Init ended without a word.
    Died(Exit),
    /// The host side's part failed.
    Host(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Host(error)
    }
}

/// Takes part in init's set-up until it is ready; `serve` does what the host side has to do.
///
/// `output` is the end of a pipe to which hooks in the container's namespaces write; its first bytes go into the message of one
/// that fails. Returns the master of the payload's terminal, if it has one.
pub(crate) fn until_ready(
    child: &mut Child,
    plan: &Plan,
    output: Option<File>,
    mut serve: impl FnMut(Call, &Child) -> Result<(), Error>,
) -> Result<Option<OwnedFd>, Stop> {
    let failed = |errno| Stop::Host(Error::system("talk to", "container init")(errno));
    let mut output = output.map(|stream| (stream, Vec::new()));
    let mut terminal = None;
    loop {
        if let Some((stream, kept)) = &mut output {
            listen(child, stream, kept).map_err(failed)?;
        }
        let Some(Message { report, fd }) = child.channel.receive().map_err(failed)? else {
            return Err(Stop::Died(reap(child.pidfd.as_fd())?));
        };
        match (report.tag, fd) {
            (Tag::Ready, _) => return Ok(terminal),
            (Tag::Terminal, Some(master)) => terminal = Some(master),
            (Tag::Reached, _) => {
                let point = Point::from_number(report.value).ok_or_else(|| failed(Errno::EBADMSG))?;
                serve(Call::At(point), child)?;
                child.channel.send(Order::Proceed).map_err(failed)?;
            }
            (Tag::Child, Some(pidfd)) => {
                let first = std::mem::replace(&mut child.pidfd, pidfd);
                child.pid = report.value as i32;
                reap(first.as_fd())?;
                serve(Call::Cloned, child)?;
                child.channel.send(Order::Proceed).map_err(failed)?;
            }
            (Tag::Failed, _) => {
                let mut error = plan.explain(&report);
                if let Some((_, kept)) = output.filter(|(_, kept)| !kept.is_empty()) {
                    error.message.push_str(&format!(", output: {}", String::from_utf8_lossy(&kept).trim()));
                }
                return Err(Stop::Step(error));
            }
            (Tag::Accepted | Tag::Terminal | Tag::Child, _) => return Err(failed(Errno::EBADMSG)),
        }
    }
}

/// Reads what hooks say until init has a message.
fn listen(child: &Child, stream: &File, kept: &mut Vec<u8>) -> Result<(), Errno> {
    let mut open = true;
    loop {
        let mut fds = [
            PollFd::new(child.channel.as_fd(), PollFlags::POLLIN),
            PollFd::new(stream.as_fd(), PollFlags::POLLIN),
        ];
        let polled = if open { &mut fds[..] } else { &mut fds[..1] };
        match poll(polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let called = fds[0].any() == Some(true);
        open = open && hooks::drain(stream, kept);
        if called {
            return Ok(());
        }
    }
}

/// Lets the process be executed; the channel closes when it is.
pub(crate) fn execute(child: &Child, plan: &Plan) -> Result<(), Stop> {
    let failed = |errno| Stop::Host(Error::system("talk to", "container init")(errno));
    child.channel.send(Order::Start).map_err(failed)?;
    match child.channel.receive().map_err(failed)? {
        None => Ok(()),
        Some(message) => Err(Stop::Step(plan.explain(&message.report))),
    }
}

//! The host side's half of init's set-up: answers at each rendezvous until init is ready.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::channel::{Channel, Message};
use super::{Child, hooks};
use crate::config::Hook;
use crate::container::{Exit, reap};
use crate::error::Error;
use crate::plan::{Plan, StepError};
use crate::sys;
use crate::wire::{Order, Point, Tag};

/// Seconds that the agent of a seccomp profile may take.
pub(crate) const PATIENCE: u16 = 10;

/// How long to wait for what may be the agent's to decide, among them hooks; those without a limit are waited for without one.
pub(crate) fn patience(notifies: bool, hooks: &[Hook]) -> PollTimeout {
    let limits = hooks.iter().map(|hook| u64::try_from(hook.timeout?).ok());
    match limits.sum::<Option<u64>>().filter(|_| notifies) {
        Some(seconds) => {
            let seconds = seconds.saturating_add(PATIENCE.into());
            PollTimeout::try_from(Duration::from_secs(seconds)).unwrap_or(PollTimeout::MAX)
        }
        None => PollTimeout::NONE,
    }
}

/// What asks for the host side's part.
pub(crate) enum Call {
    /// Init waits at a rendezvous.
    At(Point),
    /// A second clone has taken init's place: the child's pid and pidfd are now its.
    Cloned,
    /// Init is in the container's network namespace, for which this is a netlink socket.
    Networked(OwnedFd),
    /// The ids of this tree are to be mapped, by the plan's mapping with this number.
    Opened(usize, OwnedFd),
    /// A mount is about to come by this step, or has come; its number.
    Attaches { step: u32, mount: u32 },
    /// The seccomp filter is loaded; this is its listener.
    Listens(OwnedFd),
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
/// Init gets the `early` order as soon as it has nothing more to wait for, so that it goes on when it is ready; without one it waits then.
///
/// `output` is the end of a pipe to which hooks in the container's namespaces write; its first bytes go into the message of one
/// that fails. Returns the master of the payload's terminal, if it has one.
pub(crate) fn until_ready(
    child: &mut Child,
    plan: &Plan,
    output: Option<File>,
    early: Option<Order>,
    mut serve: impl FnMut(Call, &Child) -> Result<(), Error>,
) -> Result<Option<OwnedFd>, Stop> {
    let failed = |errno| Stop::Host(Error::system("talk to", "container init")(errno));
    let mut output = output.map(|stream| (stream, Vec::new()));
    let mut terminal = None;
    let mut patience = PollTimeout::NONE;
    let mut early = Early { order: early, waits: plan.waits(), gone: false };
    early.unless_awaited(child).map_err(failed)?;
    loop {
        if !listen(&child.channel, output.as_mut(), patience).map_err(failed)? {
            return Err(Stop::Host(Error::AgentSilent));
        }
        let answer = match child.channel.receive() {
            // It has ended with an order unread, which is told before what it said last.
            Err(Errno::ECONNRESET) => {
                early.gone = true;
                child.channel.receive()
            }
            answer => answer,
        };
        let Message { report, fd } = match answer {
            Ok(Some(message)) => message,
            Ok(None) => return Err(Stop::Died(reap(child.pidfd.as_fd())?)),
            Err(errno) => return Err(failed(errno)),
        };
        match (report.tag, fd) {
            // Ready, but it did not take the order any more.
            (Tag::Ready, _) if early.gone => return Err(Stop::Died(reap(child.pidfd.as_fd())?)),
            (Tag::Ready, _) => {
                early.give(child).map_err(failed)?;
                return Ok(terminal);
            }
            (Tag::Terminal, Some(master)) => terminal = Some(master),
            (Tag::Reached, _) => {
                let point = Point::from_number(report.value).ok_or_else(|| failed(Errno::EBADMSG))?;
                serve(Call::At(point), child)?;
                early.after(proceed(child), child).map_err(failed)?;
            }
            (Tag::Child, Some(pidfd)) => {
                let proceeded = replace(child, report.value as i32, pidfd, &mut serve)?;
                early.after(proceeded, child).map_err(failed)?;
            }
            (Tag::Netlink, Some(socket)) => {
                serve(Call::Networked(socket), child)?;
                early.after(proceed(child), child).map_err(failed)?;
            }
            (Tag::Tree, Some(tree)) => {
                serve(Call::Opened(report.value as usize, tree), child)?;
                early.after(proceed(child), child).map_err(failed)?;
            }
            (Tag::Attaching, _) => serve(Call::Attaches { step: report.step, mount: report.value }, child)?,
            (Tag::Listener, _) => {
                let listener = sys::pidfd_getfd(&child.pidfd, report.value).map_err(failed)?;
                serve(Call::Listens(listener), child)?;
                early.after(proceed(child), child).map_err(failed)?;
                // From here on somebody else decides whether init goes on.
                patience = self::patience(true, &[]);
            }
            (Tag::Tolerated, _) => {
                let error = plan.explain(&report);
                let hint = error.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
                log::warn!("{}{hint}", error.message);
            }
            (Tag::Failed, _) => {
                let said = output.map(|(_, kept)| kept).unwrap_or_default();
                return Err(Stop::Step(with_output(plan.explain(&report), &said)));
            }
            (Tag::Accepted | Tag::Terminal | Tag::Child | Tag::Netlink | Tag::Tree, _) => {
                return Err(failed(Errno::EBADMSG));
            }
        }
    }
}

/// The payload's process takes init's place, which is about to end: nobody has to wait for that before the other goes on.
fn replace(
    child: &mut Child,
    pid: i32,
    pidfd: OwnedFd,
    serve: &mut impl FnMut(Call, &Child) -> Result<(), Error>,
) -> Result<Result<(), Errno>, Error> {
    let first = std::mem::replace(&mut child.pidfd, pidfd);
    child.pid = pid;
    let served = serve(Call::Cloned, child).map(|()| proceed(child));
    reap(first.as_fd())?;
    served
}

/// A failure with what a hook has said of it.
fn with_output(mut error: StepError, said: &[u8]) -> StepError {
    if !said.is_empty() {
        error.message.push_str(&format!(", output: {}", String::from_utf8_lossy(said).trim()));
    }
    error
}

/// An order for the time when init is ready, until it has been given.
struct Early {
    order: Option<Order>,
    /// How often init waits before.
    waits: usize,
    /// Init has ended without having taken all its orders; what it said before is read next.
    gone: bool,
}

impl Early {
    /// One wait less, once init has been told to go on.
    fn after(&mut self, proceeded: Result<(), Errno>, child: &Child) -> Result<(), Errno> {
        self.waits = self.waits.saturating_sub(1);
        self.heard(proceeded)?;
        self.unless_awaited(child)
    }

    fn unless_awaited(&mut self, child: &Child) -> Result<(), Errno> {
        if self.waits == 0 { self.give(child) } else { Ok(()) }
    }

    fn give(&mut self, child: &Child) -> Result<(), Errno> {
        self.order.take().map_or(Ok(()), |order| self.heard(child.channel.send(order)))
    }

    fn heard(&mut self, sent: Result<(), Errno>) -> Result<(), Errno> {
        match sent {
            Err(errno) if Channel::has_gone(errno) => {
                self.gone = true;
                Ok(())
            }
            sent => sent,
        }
    }
}

/// Lets init go on.
fn proceed(child: &Child) -> Result<(), Errno> {
    child.channel.send(Order::Proceed)
}

/// Reads what hooks say until init has a message; false where it has none in time.
fn listen(
    channel: &Channel,
    mut output: Option<&mut (File, Vec<u8>)>,
    patience: PollTimeout,
) -> Result<bool, Errno> {
    if output.is_none() && patience.is_none() {
        // Whoever reads the message waits for it.
        return Ok(true);
    }
    loop {
        let mut fds = vec![PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        fds.extend(output.as_ref().map(|output| PollFd::new(output.0.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, patience) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let called = fds.first().and_then(PollFd::any) == Some(true);
        output = output.and_then(|output| hooks::drain(&output.0, &mut output.1).then_some(output));
        if called {
            return Ok(true);
        }
    }
}

/// Lets the process behind a pidfd be executed; the channel closes when it is. An agent may let it wait longer than that.
pub(crate) fn execute(
    channel: &Channel,
    pidfd: BorrowedFd<'_>,
    plan: &Plan,
    patience: PollTimeout,
) -> Result<(), Stop> {
    match channel.send(Order::Start) {
        Ok(()) => until_executed(channel, pidfd, plan, patience),
        Err(errno) if Channel::has_gone(errno) => Err(Stop::Died(reap(pidfd)?)),
        Err(errno) => Err(Stop::Host(Error::system("talk to", "container init")(errno))),
    }
}

/// Waits until a process that is ready, and has its order, is executed.
pub(crate) fn until_executed(
    channel: &Channel,
    pidfd: BorrowedFd<'_>,
    plan: &Plan,
    patience: PollTimeout,
) -> Result<(), Stop> {
    let answer = listen(channel, None, patience).and_then(|spoke| match spoke {
        true => channel.receive(),
        false => {
            log::warn!("{}", Error::AgentSilent);
            Ok(None)
        }
    });
    match answer {
        Ok(None) => Ok(()),
        Ok(Some(message)) => Err(Stop::Step(plan.explain(&message.report))),
        // It has ended and the order was not taken.
        Err(Errno::ECONNRESET) => Err(Stop::Died(reap(pidfd)?)),
        Err(errno) => Err(Stop::Host(Error::system("talk to", "container init")(errno))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process::Command;

    use nix::sys::socket::{MsgFlags, send};

    use super::*;
    use crate::launch::image::Way;
    use crate::wire::{Kind, Report};

    /// Orders that it left unread are told of first, by whatever call comes next.
    #[test]
    fn what_init_said_last_is_heard() {
        let last = |tag, unread| {
            let (channel, theirs) = Channel::new().unwrap();
            for _ in 0..unread {
                channel.send(Order::Start).unwrap();
            }
            let report = Report { tag, step: 0, kind: Kind::Errno, call: 0, index: 0, value: 22 };
            send(theirs.as_raw_fd(), &report.encode(), MsgFlags::empty()).unwrap();
            drop(theirs);
            let mut gone = Command::new("/bin/true").spawn().unwrap();
            let pid = gone.id() as i32;
            let pidfd = sys::pidfd_open(pid).unwrap();
            let mut child = Child { pid, pidfd, channel, in_cgroup: false, image: (0, 0), way: Way::ALL[0] };
            let stop = until_ready(&mut child, &Plan::default(), None, Some(Order::Commit), |_, _| Ok(()));
            let _ = gone.wait();
            stop
        };
        for unread in [1, 2] {
            assert!(matches!(last(Tag::Failed, unread), Err(Stop::Step(_))), "{unread} unread");
        }
        // By the first call, or by the second where the order met the reset.
        assert!(matches!(last(Tag::Ready, 1), Err(Stop::Died(_))));
    }
}

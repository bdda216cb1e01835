//! A process in the foreground: its streams are copied, signals go on to it, and the command lasts as long as it does.

mod pipes;
mod pump;
mod signals;
mod terminal;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use runtime_core::Exit;

use crate::failure::Failure;
use pipes::Pipes;
use pump::Pump;
use signals::{Signal, Signals};
use terminal::Terminal;

/// Enough to copy what two full pipes hold; somebody whom the process has left behind may go on writing for ever.
const LAST_ROUNDS: usize = 2048;

/// What is ready before the process exists.
pub(crate) struct Foreground {
    signals: Signals,
    ends: Ends,
}

/// What the process talks to.
enum Ends {
    Pipes(Pipes),
    Terminal(Terminal),
}

/// The process that a session is about.
pub(crate) struct Payload<'a> {
    pub(crate) pid: i32,
    pub(crate) pidfd: BorrowedFd<'a>,
    /// Sends it a signal.
    pub(crate) forward: &'a dyn Fn(i32),
    /// Whether other children that have ended are adopted orphans, which nobody else waits for.
    pub(crate) may_reap: &'a dyn Fn() -> bool,
}

/// The copying of a process's streams, and the way of signals to it.
pub(crate) struct Session {
    signals: Signals,
    input: Option<Pump>,
    outputs: Vec<Pump>,
    terminal: Option<Terminal>,
}

impl Foreground {
    /// Prepares for a process with a terminal of its own, or with pipes that belong to `owner`, a user and a group.
    pub(crate) fn new(terminal: bool, owner: (u32, u32)) -> Result<Self, Failure> {
        let ends =
            if terminal { Ends::Terminal(Terminal::of_caller()?) } else { Ends::Pipes(Pipes::new(owner)?) };
        Ok(Self { signals: Signals::block()?, ends })
    }

    /// The process's standard streams; a terminal takes their place by itself.
    pub(crate) fn stdio(&self) -> Option<[BorrowedFd<'_>; 3]> {
        match &self.ends {
            Ends::Pipes(pipes) => Some(pipes.inner()),
            Ends::Terminal(_) => None,
        }
    }

    /// Begins to copy, now that the process exists; with the master of its terminal, if it has one.
    pub(crate) fn attach(self, master: Option<OwnedFd>) -> Result<Session, Failure> {
        let Self { signals, ends } = self;
        let attached = match (ends, master) {
            (Ends::Pipes(pipes), _) => pipes.pumps().map(|(input, outputs)| (input, outputs, None)),
            (Ends::Terminal(terminal), Some(master)) => terminal.attach(master),
            (Ends::Terminal(_), None) => return Err(Failure::new("the process has no terminal")),
        };
        let (input, outputs, terminal) =
            attached.map_err(|error| Failure::from(error).context("copy streams"))?;
        Ok(Session { signals, input: Some(input), outputs, terminal })
    }
}

impl Session {
    /// Copies and forwards until the process has ended and all that it wrote has been passed on.
    pub(crate) fn supervise(mut self, payload: &Payload<'_>) -> Result<(), Failure> {
        self.copy(payload).map_err(|errno| Failure::from(io::Error::from(errno)).context("poll"))
    }

    fn copy(&mut self, payload: &Payload<'_>) -> nix::Result<()> {
        let (mut ended, mut rounds_since) = (false, 0);
        while !ended || (!self.outputs.is_empty() && rounds_since < LAST_ROUNDS) {
            rounds_since += usize::from(ended);
            let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            if !ended {
                fds.push(PollFd::new(payload.pidfd, PollFlags::POLLIN));
            }
            let pumps = self.input.iter().chain(&self.outputs);
            fds.extend(pumps.map(Pump::interest));
            // What has been written before the end is there already: nothing more is waited for.
            let drained = ended && self.outputs.iter().all(Pump::is_empty);
            let timeout = if drained { PollTimeout::ZERO } else { PollTimeout::NONE };
            match poll(&mut fds, timeout) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            }
            let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect::<Vec<_>>().into_iter();
            let signalled = ready.next().unwrap_or(false);
            let was_ended = ended;
            ended = ended || ready.next().unwrap_or(false);
            if let Some(input) = &mut self.input {
                let ready = ready.next().unwrap_or(false);
                if ended || (ready && !input.step()) {
                    self.input = None;
                }
            }
            self.outputs.retain_mut(|pump| !ready.next().unwrap_or(false) || pump.step());
            if signalled && self.handle_signals(payload) && was_ended {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Deals with all pending signals; true if one of them asks the command to end.
    fn handle_signals(&self, payload: &Payload<'_>) -> bool {
        let mut end = false;
        while let Some(signal) = self.signals.next() {
            match (signal, &self.terminal) {
                (Signal::Child, _) if (payload.may_reap)() => signals::reap_all_but(payload.pid),
                (Signal::Child, _) => {}
                (Signal::Resize, Some(terminal)) => terminal.copy_size(),
                (Signal::Resize, None) => {}
                (Signal::Other(number), _) => {
                    end = true;
                    (payload.forward)(number);
                }
            }
        }
        end
    }
}

/// Adopts the orphans of processes below this one, which then end as its children.
pub(crate) fn become_subreaper() -> Result<(), Failure> {
    prctl::set_child_subreaper(true)
        .map_err(|errno| Failure::from(io::Error::from(errno)).context("become a subreaper"))
}

/// The exit status that stands for the end of a process, as a shell has it.
pub(crate) fn exit_status(exit: Exit) -> Result<u8, Failure> {
    let status = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Unknown => return Err(Failure::new("the process has ended, but how is not known")),
    };
    u8::try_from(status).map_err(|_| Failure::new(format!("exit status {status} is out of range")))
}

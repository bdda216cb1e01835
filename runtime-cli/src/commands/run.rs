//! `corten run`: creates a container, starts it and, in the foreground, waits for its end.

use std::os::fd::AsFd;
use std::thread;

use nix::sys::signal::Signal;
use runtime_core::{Container, StartOptions};

use super::new_container::{NewContainer, undo};
use super::start::notify_socket;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::{DETACH, KEEP, NO_SUBREAPER};
use crate::foreground::{Foreground, Payload, Session, become_subreaper, exit_status};
use crate::globals::Globals;
use crate::log;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let run = if flags.is_set(&DETACH) { detached } else { foreground };
    run(globals, flags).map_err(|failure| failure.context("runc run failed"))
}

fn detached(globals: &Globals, flags: &Matches) -> Outcome {
    let new = NewContainer::new(globals, flags, true)?;
    let mut container = new.create(None, true)?;
    container.start(&start_options()).inspect_err(|_| undo(&container))?;
    Ok(0)
}

fn foreground(globals: &Globals, flags: &Matches) -> Outcome {
    let new = NewContainer::new(globals, flags, false)?;
    if !flags.is_set(&NO_SUBREAPER) {
        become_subreaper()?;
    }
    let foreground = Foreground::new(new.has_terminal(), new.root())?;
    let mut container = new.create(foreground.stdio(), true)?;
    let status = attend(&new, &mut container, foreground).inspect_err(|_| undo(&container))?;
    if !flags.is_set(&KEEP) {
        if let Err(error) = container.delete() {
            ::log::warn!("delete {}: {error}", container.id());
        }
    }
    Ok(status)
}

/// Starts the container and stays with it to its end.
fn attend(new: &NewContainer<'_>, container: &mut Container, foreground: Foreground) -> Outcome {
    let session = foreground.attach(container.take_terminal())?;
    log::release();
    start(new, container, session)?;
    exit_status(container.wait()?)
}

/// Starts the container and copies its streams until it has ended.
fn start(new: &NewContainer<'_>, container: &mut Container, session: Session) -> Result<(), Failure> {
    let process = container.pid().zip(container.pidfd());
    let (pid, pidfd) = process.ok_or_else(|| Failure::new("the container has no process"))?;
    let pidfd = pidfd.try_clone_to_owned()?;
    let forward = |signal| new.forward(pid, signal);
    if !new.starts_slowly() {
        container.start(&start_options())?;
        let may_reap = || true;
        let payload = Payload { pid, pidfd: pidfd.as_fd(), forward: &forward, may_reap: &may_reap };
        return session.supervise(&payload);
    }
    // Streams are copied and signals forwarded meanwhile.
    thread::scope(|scope| {
        // What cannot be started would otherwise be waited for.
        let starter = scope
            .spawn(|| container.start(&start_options()).inspect_err(|_| forward(Signal::SIGKILL as i32)));
        session.supervise(&Payload {
            pid,
            pidfd: pidfd.as_fd(),
            forward: &forward,
            // Until then hooks are children too, whose end the library wants to see.
            may_reap: &|| starter.is_finished(),
        })?;
        starter.join().map_err(|_| Failure::new("the start of the container was cut off"))??;
        Ok(())
    })
}

fn start_options() -> StartOptions {
    StartOptions { notify_socket: notify_socket() }
}

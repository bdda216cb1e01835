//! `corten exec`: runs another process in a container.

use runtime_core::{ExecOptions, Prepared, Process};

use super::container;
use super::process;
use super::receivers::{Newborn, Receivers};
use crate::descriptors::Inherited;
use crate::failure::{EXEC_FAILED, Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::{CGROUP, DETACH, IGNORE_PAUSED};
use crate::foreground::{Foreground, Payload, exit_status};
use crate::globals::Globals;
use crate::log;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    exec(globals, flags).map_err(|failure| failure.context("exec failed").status(EXEC_FAILED))
}

fn exec(globals: &Globals, flags: &Matches) -> Outcome {
    process::check_arguments(flags)?;
    let container = container(globals, flags)?;
    let detach = flags.is_set(&DETACH);
    let process = process::read(flags, container.process()?)?;
    let Inherited { descriptors, env } = globals.descriptors.preserved(flags)?;
    let receivers = Receivers::connect(flags, process.terminal, detach)?;
    let options = ExecOptions {
        inherit: descriptors,
        extra_env: env,
        cgroups: flags.texts(&CGROUP)?.into_iter().map(str::to_owned).collect(),
        ignore_paused: flags.is_set(&IGNORE_PAUSED),
        at_once: !process.terminal && !receivers.wait(),
        ..ExecOptions::default()
    };
    if detach {
        let mut prepared = container.prepare(&process, &options)?;
        receivers.send_terminal(|| prepared.take_terminal())?;
        start(prepared, &receivers)?;
        return Ok(0);
    }
    let foreground = Foreground::new(process.terminal, container.root())?;
    let options = ExecOptions { stdio: foreground.stdio(), ..options };
    let mut prepared = container.prepare(&process, &options)?;
    // Before its program writes to the terminal, or asks for its size.
    let session = foreground.attach(prepared.take_terminal())?;
    let mut process = start(prepared, &receivers)?;
    log::release();
    let forward = |signal| {
        if let Err(error) = process.kill(signal) {
            ::log::debug!("forward signal {signal}: {error}");
        }
    };
    let (pid, pidfd) = (process.pid(), process.pidfd());
    session.supervise(&Payload { pid, pidfd, forward: &forward, may_reap: &|| false })?;
    exit_status(process.wait()?)
}

/// Starts the process and tells about it; if that fails, it is killed.
fn start(prepared: Prepared, receivers: &Receivers) -> Result<Process, Failure> {
    let process = prepared.start()?;
    let told = receivers.tell(&Newborn { kind: "setns", pid: process.pid(), pidfd: process.pidfd() });
    if told.is_err() {
        if let Err(error) = process.kill(libc::SIGKILL) {
            ::log::debug!("kill {}: {error}", process.pid());
        }
    }
    told.map(|()| process)
}

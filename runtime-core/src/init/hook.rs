//! Hooks that run in the container's namespaces.

use core::ffi::CStr;

use super::abi::*;
use super::exec::environment;
use super::fault::{Fault, Result};
use super::sys::{self, Fd, Forked, Pointers};
use super::wire::{Bytes, Check, Kind, List, PID_WIDTH, Str};

/// A hook, ready to run.
pub(crate) struct Hook<'a> {
    pub(crate) path: Str<'a>,
    pub(crate) args: List<'a, Str<'a>>,
    pub(crate) env: List<'a, Str<'a>>,
    pub(crate) home: Option<&'a CStr>,
    pub(crate) timeout: u32,
    pub(crate) state: Bytes<'a>,
    pub(crate) pid_at: u32,
    pub(crate) output: Option<i32>,
    pub(crate) filter: Option<Filter<'a>>,
}

/// A filter of system calls.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'a> {
    pub(crate) program: Bytes<'a>,
    pub(crate) flags: u32,
}

/// Which side of the hook's start runs.
pub(crate) enum Outcome {
    /// The hook is done, with success.
    Done,
    /// This is the hook's own process, and its program could not be executed.
    NotExecuted(Fault),
}

/// Runs a hook as a child with a process group of its own, and waits for it.
pub(crate) fn run(hook: &Hook<'_>, base: i32) -> Result<Outcome> {
    let state = state_file(hook.state, hook.pid_at)?;
    let args = Pointers::new(hook.args.iter().map(|arg| arg.c_str()), hook.args.len())?;
    let env = environment(hook.env, hook.home)?;
    match sys::fork(false, None)? {
        Forked::Child => Ok(Outcome::NotExecuted(match prepare(hook, base, &state) {
            Ok(()) => sys::execve(hook.path.c_str(), &args, &env),
            Err(fault) => fault,
        })),
        Forked::Parent { pid, pidfd } => wait(hook, pid, &pidfd).map(|()| Outcome::Done),
    }
}

/// Makes the hook's process what a hook expects.
fn prepare(hook: &Hook<'_>, base: i32, state: &Fd) -> Result<()> {
    sys::prctl(Control::SetPdeathsig, SIGKILL, 0, 0, 0)?;
    sys::setpgid(0, 0)?;
    sys::dup3(state.raw(), 0, 0)?;
    if let Some(output) = hook.output {
        sys::dup3(output, 1, 0)?;
        sys::dup3(output, 2, 0)?;
    }
    // Everything from `base` on is closed by the exec.
    if base > 3 {
        sys::close_range(3, base as u32 - 1, 0)?;
    }
    sys::umask(0o022)?;
    sys::signal_mask(0)?;
    match hook.filter {
        // A right that init has for this alone does not outlast the exec.
        Some(filter) => sys::load_filter(filter.program.0, filter.flags).map(drop),
        None => Ok(()),
    }
}

fn wait(hook: &Hook<'_>, pid: u32, pidfd: &Fd) -> Result<()> {
    let failed = |kind, value| Fault::new(kind, 0, value);
    let in_time = sys::wait_readable(pidfd.raw(), hook.timeout)?;
    if !in_time {
        // The group, if the hook has made it yet, and the hook itself in any case.
        let _ = sys::kill((pid as i32).saturating_neg(), SIGKILL);
        let _ = sys::kill(pid as i32, SIGKILL);
    }
    match sys::wait_child(pidfd.raw())? {
        _ if !in_time => Err(failed(Kind::Timeout, hook.timeout)),
        Ending::Exited(0) => Ok(()),
        Ending::Exited(status) => Err(failed(Kind::Exit, status)),
        Ending::Killed(signal) => Err(failed(Kind::Signal, signal)),
    }
}

/// Writes `number` into `field`, blanks after it.
fn write_decimal(mut number: u32, field: &mut [u8]) {
    field.fill(b' ');
    let mut digits = 1;
    let mut rest = number;
    while rest > 9 {
        rest /= 10;
        digits += 1;
    }
    for place in field.iter_mut().take(digits).rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Writes the state document for a hook into a memfd, with this process's pid in its field.
fn state_file(state: Bytes<'_>, pid_at: u32) -> Result<Fd> {
    let Bytes(state) = state;
    let at = pid_at as usize;
    if at.checked_add(PID_WIDTH).is_none_or(|end| end > state.len()) {
        return Err(Fault::check(Check::Program));
    }
    let file = sys::memfd_create(c"state", MFD_CLOEXEC)?;
    let mut pid = [0; PID_WIDTH];
    write_decimal(sys::getpid(), &mut pid);
    // At explicit offsets, so that the hook reads from the start.
    for (mut bytes, mut offset) in [(state, 0), (&pid[..], at)] {
        while let [_, ..] = bytes {
            let written = sys::pwrite(file.raw(), bytes, offset)?;
            bytes = bytes.get(written..).unwrap_or_default();
            offset += written;
        }
    }
    Ok(file)
}

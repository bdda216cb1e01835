//! Hooks that run in the runtime's namespaces. Init starts them like a payload: nothing of this process but three descriptors
//! gets into them, and they end with it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, pipe2};

use super::descriptors::Sources;
use super::handshake::{self, Stop};
use super::{Payload, launch};
use crate::config::Hook;
use crate::container::{Exit, end, reap};
use crate::error::{Error, errno_text};
use crate::plan::{self, HookState};
use crate::wire::Order;

/// How much of what a hook writes to standard error is kept for the message.
const KEPT: usize = 2048;

/// Runs a hook to its end, in a process group of its own, with the state on standard input and the bundle as its directory.
///
/// `default_env` is the environment of a hook that gives none. With `init`, a pidfd, the hook ends when that does.
///
/// # Errors
/// [`Error::Hook`] when it cannot be executed, fails, or takes longer than its timeout; its process group is killed then.
pub(crate) fn run(
    kind: &'static str,
    index: usize,
    hook: &Hook,
    default_env: &[String],
    state: &HookState<'_>,
    init: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    let failed = |reason: String| Error::Hook { kind, index, path: hook.path.clone(), reason };
    let document = document(state).map_err(|error| failed(format!("state document: {error}")))?;
    execute(hook, default_env, state.bundle(), document.as_fd(), init)?.map_err(failed)
}

/// Runs a program as a hook is run, in `/` and with the end of init as its own; why it failed, if it did.
pub(crate) fn run_program(program: &Hook, init: BorrowedFd<'_>) -> Result<Result<(), String>, Error> {
    let null = match open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(null) => null,
        Err(errno) => return Ok(Err(errno_text(errno))),
    };
    execute(program, &[], Path::new("/"), null.as_fd(), Some(init))
}

fn execute(
    hook: &Hook,
    default_env: &[String],
    dir: &Path,
    stdin: BorrowedFd<'_>,
    init: Option<BorrowedFd<'_>>,
) -> Result<Result<(), String>, Error> {
    let plan = plan::hook(hook, default_env, dir);
    let (null, stderr, theirs) = match streams() {
        Ok(streams) => streams,
        Err(errno) => return Ok(Err(errno_text(errno))),
    };
    let payload = Payload { stdio: Some([stdin, null.as_fd(), theirs.as_fd()]), inherit: &[] };
    let mut child = launch(&plan, &Sources::default(), &payload)?;
    drop(theirs);
    let executed = handshake::until_ready(&mut child, &plan, None, Some(Order::Start), |_, _| Ok(()))
        .and_then(|_| {
            handshake::until_executed(&child.channel, child.pidfd.as_fd(), &plan, PollTimeout::NONE)
        });
    match executed {
        Ok(()) => {}
        Err(Stop::Step(error)) => {
            end(&child);
            return Ok(Err(error.errno.map_or(error.message, |errno| errno_text(Errno::from_raw(errno)))));
        }
        Err(Stop::Died(exit)) => return Ok(Err(format!("ended before it was executed: {exit:?}"))),
        Err(Stop::Host(error)) => {
            end(&child);
            return Err(error);
        }
    }
    let deadline = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    // A time that no clock can tell is none.
    let deadline = deadline.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let (end, said) = match watch(child.pidfd.as_fd(), stderr, deadline, init) {
        Ok(watched) => watched,
        Err(errno) => {
            end(&child);
            return Ok(Err(errno_text(errno)));
        }
    };
    if end != End::Own {
        // The leader is not reaped yet, so the group is still its own.
        let _ = killpg(Pid::from_raw(child.pid), Signal::SIGKILL);
    }
    let outcome = match (end, reap(child.pidfd.as_fd())?) {
        (End::Timeout, _) => format!("timed out after {} s", hook.timeout.unwrap_or_default()),
        (End::Init, _) => "the container's process has ended meanwhile".to_owned(),
        // With an unknown end somebody else reaps everything in this process: the hook has run, how it ended is not told.
        (End::Own, Exit::Code(0) | Exit::Unknown) => return Ok(Ok(())),
        (End::Own, Exit::Code(code)) => format!("exit status {code}"),
        (End::Own, Exit::Signal(signal)) => format!("killed by signal {signal}"),
    };
    let said = String::from_utf8_lossy(&said);
    Ok(Err(if said.trim().is_empty() { outcome } else { format!("{outcome}, stderr: {}", said.trim()) }))
}

/// Standard output, which nobody reads, and a pipe for standard error.
fn streams() -> Result<(OwnedFd, File, OwnedFd), Errno> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let (stderr, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((null, File::from(stderr), theirs))
}

/// The state in a file, which a hook may leave unread without blocking anybody.
fn document(state: &HookState<'_>) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("state", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&serde_json::to_vec(state)?)?;
    file.rewind()?;
    Ok(file)
}

/// Why a hook is no longer waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It has ended.
    Own,
    /// Its time is up.
    Timeout,
    /// The container's process has ended.
    Init,
}

/// Reads what the hook says until it has ended or is to be ended.
fn watch(
    hook: BorrowedFd<'_>,
    stderr: File,
    deadline: Option<Instant>,
    init: Option<BorrowedFd<'_>>,
) -> Result<(End, Vec<u8>), Errno> {
    let mut kept = Vec::new();
    let mut stderr = Some(stderr);
    loop {
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => return Ok((End::Timeout, kept)),
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        };
        // Whatever is not there is not waited for.
        let watched = [Some(hook), init, stderr.as_ref().map(AsFd::as_fd)];
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let mut ready = fds.iter().map(|fd| fd.any() == Some(true));
        let own = ready.next() == Some(true);
        let gone = init.is_some() && ready.next() == Some(true);
        stderr = stderr.filter(|stderr| drain(stderr, &mut kept));
        if own || gone {
            return Ok((if own { End::Own } else { End::Init }, kept));
        }
    }
}

/// Takes what there is, at most 64 KiB so that a flood cannot hide the deadline, and keeps the first of it; false at the end of
/// the stream.
pub(super) fn drain(mut stream: &File, kept: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    for _ in 0..16 {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => {
                let wanted = read.min(KEPT.saturating_sub(kept.len()));
                kept.extend_from_slice(buffer.get(..wanted).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
    true
}

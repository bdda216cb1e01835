//! Hooks that run in the runtime's namespaces.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::config::Hook;
use crate::container::HookState;
use crate::error::{Error, errno_text, io_text};
use crate::sys;

/// How much of what a hook writes to standard error is kept for the message.
const KEPT: usize = 2048;

/// Runs a hook to its end, in a process group of its own, with the state on standard input and the bundle as its directory.
///
/// `default_env` is the environment of a hook that gives none.
///
/// # Errors
/// [`Error::Hook`] when it cannot be executed, fails, or takes longer than its timeout; its process group is killed then.
pub(crate) fn run(
    kind: &'static str,
    index: usize,
    hook: &Hook,
    default_env: &[String],
    state: &HookState<'_>,
) -> Result<(), Error> {
    let failed = |reason: String| Error::Hook { kind, index, path: hook.path.clone(), reason };
    let mut command = Command::new(&hook.path);
    let (name, args) =
        hook.args.split_first().map_or((hook.path.as_str(), &[][..]), |(name, args)| (name, args));
    command.arg0(name).args(args).env_clear().current_dir(state.bundle).process_group(0);
    for variable in hook.env.as_deref().unwrap_or(default_env) {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    let document = document(state).map_err(|error| failed(format!("state document: {error}")))?;
    let spawned = command.stdin(document).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| failed(io_text(&error)))?;
    let deadline = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    let deadline = deadline.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (ended, written) = watch(&mut child, deadline).map_err(|errno| failed(errno_text(errno)))?;
    if !ended {
        // The leader is not reaped yet, so the group is still its own.
        let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    }
    let outcome = match child.wait() {
        _ if !ended => format!("timed out after {} s", hook.timeout.unwrap_or_default()),
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => match status.signal() {
            Some(signal) => format!("killed by signal {signal}"),
            None => format!("exit status {}", status.code().unwrap_or_default()),
        },
        // The embedding program ignores SIGCHLD or reaps everything: the hook has ended, how is not known.
        Err(error) if error.raw_os_error() == Some(Errno::ECHILD as i32) => return Ok(()),
        Err(error) => io_text(&error),
    };
    let said = String::from_utf8_lossy(&written);
    Err(failed(if said.trim().is_empty() { outcome } else { format!("{outcome}, stderr: {}", said.trim()) }))
}

/// The state in a file, which a hook may leave unread without blocking anybody.
fn document(state: &HookState<'_>) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("state", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&serde_json::to_vec(state)?)?;
    file.rewind()?;
    Ok(file)
}

/// Reads what the hook says until it has ended or its time is up; true in the first case.
fn watch(child: &mut Child, deadline: Option<Instant>) -> Result<(bool, Vec<u8>), Errno> {
    let pidfd = sys::pidfd_open(child.id() as i32)?;
    let mut kept = Vec::new();
    let Some(stderr) = child.stderr.take() else { return Ok((false, kept)) };
    let stderr = File::from(OwnedFd::from(stderr));
    fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut open = true;
    loop {
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => return Ok((false, kept)),
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut fds =
            [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
        let polled = if open { &mut fds[..] } else { &mut fds[..1] };
        match poll(polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let ended = fds[0].any() == Some(true);
        open = open && drain(&stderr, &mut kept);
        if ended {
            return Ok((true, kept));
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

//! The seccomp agent: whoever answers for the system calls that a profile gives to `SCMP_ACT_NOTIFY`
//! (specification: config-linux.md, "Container Process State").

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;
use serde::Serialize;

use super::OCI_VERSION;
use crate::config::Seccomp;
use crate::error::{Error, errno_text};
use crate::launch::handshake::PATIENCE;
use crate::plan::HookState;
use crate::sys::again;

/// What the agent is told of a process.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'static str,
    /// What the descriptors are that come with it.
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: &'a HookState<'a>,
}

/// Gives the descriptor of a filter's listener to the agent.
pub(super) fn hand_over(
    profile: &Seccomp,
    listener: &OwnedFd,
    pid: i32,
    state: &HookState<'_>,
) -> Result<(), Error> {
    let path = Path::new(profile.listener_path.as_deref().unwrap_or_default());
    let metadata = profile.listener_metadata.as_deref();
    let told = ProcessState { oci_version: OCI_VERSION, fds: ["seccompFd"], pid, metadata, state };
    let failed = |errno: Errno| {
        let reason = match errno {
            Errno::EAGAIN => format!("does not answer within {PATIENCE} s"),
            errno => errno_text(errno),
        };
        Error::Agent { path: path.to_owned(), reason, errno }
    };
    let document = serde_json::to_vec(&told).map_err(|_| failed(Errno::EINVAL))?;
    send(path, &document, listener).map_err(failed)
}

fn send(path: &Path, document: &[u8], listener: &OwnedFd) -> Result<(), Errno> {
    let agent = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Holds for the connection too, which waits where nobody accepts any.
    setsockopt(&agent, sockopt::SendTimeout, &TimeVal::new(PATIENCE.into(), 0))?;
    let address = UnixAddr::new(path)?;
    again(|| connect(agent.as_raw_fd(), &address))?;
    let rights = [listener.as_raw_fd()];
    let mut control = &[ControlMessage::ScmRights(&rights)][..];
    let mut rest = document;
    while !rest.is_empty() {
        let parts = [IoSlice::new(rest)];
        let sent = again(|| sendmsg::<()>(agent.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None))?;
        rest = rest.get(sent..).unwrap_or_default();
        control = &[];
    }
    Ok(())
}

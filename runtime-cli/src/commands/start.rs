//! `corten start`: lets a created container's process run.

use std::env;
use std::path::PathBuf;

use runtime_core::StartOptions;

use super::container;
use crate::failure::Outcome;
use crate::flags::Matches;
use crate::globals::Globals;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    container(globals, flags)?.start(&StartOptions { notify_socket: notify_socket() })?;
    Ok(0)
}

/// The service manager's socket, if one wants to hear of the payload's readiness.
pub(super) fn notify_socket() -> Option<PathBuf> {
    env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

//! `corten pause` and `corten resume`.

use runtime_core::Error;

use super::container;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::globals::Globals;

pub(crate) fn pause(globals: &Globals, flags: &Matches) -> Outcome {
    container(globals, flags)?.pause().map_err(|error| explain(error, "pause"))?;
    Ok(0)
}

pub(crate) fn resume(globals: &Globals, flags: &Matches) -> Outcome {
    container(globals, flags)?.resume().map_err(|error| explain(error, "resume"))?;
    Ok(0)
}

fn explain(error: Error, operation: &str) -> Failure {
    if matches!(error.errno(), Some(libc::EACCES | libc::EPERM)) {
        ::log::warn!("runc {operation} failure might be caused by lack of full access to cgroups");
    }
    error.into()
}

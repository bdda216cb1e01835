//! `corten delete`: removes a container and all that it holds.

use super::{container, id};
use crate::failure::Outcome;
use crate::flags::Matches;
use crate::flags::table::FORCE;
use crate::globals::Globals;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    if flags.is_set(&FORCE) {
        globals.runtime().delete_forced(&id(flags)?)?;
    } else {
        container(globals, flags)?.delete()?;
    }
    Ok(0)
}

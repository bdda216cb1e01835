//! `corten delete`: removes a container and all that it holds.

use super::id;
use crate::failure::Outcome;
use crate::flags::Matches;
use crate::flags::table::FORCE;
use crate::globals::Globals;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let (runtime, id) = (globals.runtime(), id(flags)?);
    if flags.is_set(&FORCE) {
        runtime.delete_forced(&id)?
    } else {
        runtime.delete(&id)?
    }
    Ok(0)
}

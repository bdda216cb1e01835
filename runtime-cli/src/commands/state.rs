//! `corten state`: one container's state.

use super::container;
use crate::failure::Outcome;
use crate::flags::Matches;
use crate::globals::Globals;
use crate::output;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let state = container(globals, flags)?.state()?;
    output::print(&output::indented_json(&state, "  ")?)
}

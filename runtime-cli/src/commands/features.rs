//! `corten features`: what this runtime supports.

use crate::failure::Outcome;
use crate::flags::Matches;
use crate::globals::Globals;
use crate::output;

pub(crate) fn run(_: &Globals, _: &Matches) -> Outcome {
    output::print(&(output::indented_json(&runtime_core::features(), "    ")? + "\n"))
}

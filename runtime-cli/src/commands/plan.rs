//! `corten plan`: the program that a bundle compiles to.

use runtime_core::{Error, Id};

use super::{bundle, new_container, strict};
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::TEXT_OR_JSON;
use crate::globals::Globals;
use crate::output;

/// The plan names the container where its id shows, and nobody has chosen one yet.
const ID: &str = "ID";

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let bundle = bundle(flags).map_err(Error::from)?;
    strict::enforce(&bundle, flags)?;
    let options = new_container::options(globals, flags, &bundle.spec);
    let plan = globals.runtime().plan(&Id::new(ID)?, &bundle, &options)?;
    match flags.text(&TEXT_OR_JSON)?.unwrap_or("text") {
        "text" => output::print(&plan.to_string()),
        "json" => output::print(&(output::indented_json(&plan.to_json(), "  ")? + "\n")),
        _ => Err(Failure::new("invalid format option")),
    }
}

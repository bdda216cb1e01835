//! `corten list`: the containers of a state root.

use std::collections::BTreeMap;
use std::fmt::Write;

use nix::errno::Errno;
use nix::unistd::{Uid, User};
use runtime_core::{Container, Error, Listed, State};

use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::{QUIET, TABLE_OR_JSON};
use crate::globals::Globals;
use crate::output;

const HEADER: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
/// Narrowest column of the table, and the space between two columns.
const NARROWEST: usize = 12;
const PADDING: usize = 3;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let format = flags.text(&TABLE_OR_JSON)?.unwrap_or("table");
    let containers = containers(globals)?;
    if flags.is_set(&QUIET) {
        let ids = containers.iter().map(|container| container.id().as_str());
        return output::print(&ids.fold(String::new(), |text, id| text + id + "\n"));
    }
    let states = states(&containers);
    match format {
        "table" => output::print(&table(&states)),
        "json" if states.is_empty() => output::print("null\n"),
        "json" => output::print(&(output::json(&states)? + "\n")),
        _ => Err(Failure::new("invalid format option")),
    }
}

/// All containers that can be read; of the others is complained.
fn containers(globals: &Globals) -> Result<Vec<Container>, Failure> {
    let listed = match globals.runtime().list() {
        Err(error) if error.errno() == Some(Errno::ENOENT as i32) && !globals.root.is_given() => Vec::new(),
        listed => listed?,
    };
    let readable = |(id, container): Listed| container.map_err(|error| complain(&id, &error)).ok();
    Ok(listed.into_iter().filter_map(readable).collect())
}

fn states(containers: &[Container]) -> Vec<State> {
    let mut owners = BTreeMap::new();
    let mut states = Vec::new();
    for container in containers {
        match state(container, &mut owners) {
            Ok(state) => states.push(state),
            // Deleted meanwhile.
            Err(Error::NotFound) => {}
            Err(error) => complain(container.id().as_str(), &error),
        }
    }
    states
}

fn complain(id: &str, error: &Error) {
    output::complain(&format!("load container {id}: {error}"));
}

/// The state with the owner's name, which `owners` remembers.
fn state(container: &Container, owners: &mut BTreeMap<u32, String>) -> Result<State, Error> {
    let owner = container.owner()?;
    let name = || {
        let user = User::from_uid(Uid::from_raw(owner)).ok().flatten();
        user.map_or_else(|| format!("#{owner}"), |user| user.name)
    };
    let owner = owners.entry(owner).or_insert_with(name).clone();
    Ok(State { owner, ..container.state()? })
}

fn table(states: &[State]) -> String {
    let row = |state: &State| {
        let State { id, pid, status, bundle, created, owner, .. } = state;
        [
            id.clone(),
            pid.to_string(),
            status.to_string(),
            bundle.display().to_string(),
            created.clone(),
            owner.clone(),
        ]
    };
    let rows: Vec<_> = [HEADER.map(str::to_owned)].into_iter().chain(states.iter().map(row)).collect();
    let mut widths = [NARROWEST; HEADER.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().saturating_add(PADDING).max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_those_of_runc() {
        let header = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n";
        assert_eq!(table(&[]), header);
    }
}

//! `corten list`: the containers of a state root.

use std::borrow::Cow;
use std::collections::BTreeMap;

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
        let ids = containers.fold(String::new(), |text, container| text + container.id().as_str() + "\n");
        return output::print(&ids);
    }
    match format {
        "table" => output::print(&table(&states(containers, Container::outline))),
        "json" => match states(containers, Container::state) {
            states if states.is_empty() => output::print("null\n"),
            states => output::print(&(output::json(&states)? + "\n")),
        },
        _ => Err(Failure::new("invalid format option")),
    }
}

/// All containers that can be read; of the others is complained.
fn containers(globals: &Globals) -> Result<impl Iterator<Item = Container>, Failure> {
    let listed = match globals.runtime().list() {
        Err(error) if error.errno() == Some(Errno::ENOENT as i32) && !globals.root.is_given() => None,
        listed => Some(listed?),
    };
    let readable = |(id, container): Listed| container.map_err(|error| complain(&id, &error)).ok();
    Ok(listed.into_iter().flatten().filter_map(readable))
}

/// The states of containers with their owners' names, of which each is looked up once.
fn states(
    containers: impl Iterator<Item = Container>,
    state: fn(&Container) -> Result<State, Error>,
) -> Vec<State> {
    let mut owners = BTreeMap::new();
    let mut states = Vec::new();
    for container in containers {
        let found = container.owner().and_then(|owner| Ok((owner, state(&container)?)));
        match found {
            Ok((id, state)) => {
                let owner = owners.entry(id).or_insert_with(|| user_name(id)).clone();
                states.push(State { owner, ..state });
            }
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

/// The name of a user, or its number.
fn user_name(id: u32) -> String {
    let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
    user.map_or_else(|| format!("#{id}"), |user| user.name)
}

fn table<'a>(states: &'a [State]) -> String {
    let row = |state: &'a State| {
        let State { id, pid, status, bundle, created, owner, .. } = state;
        let (pid, bundle) = (Cow::Owned(pid.to_string()), bundle.to_string_lossy());
        [id.into(), pid, status.as_str().into(), bundle, created.into(), owner.into()]
    };
    let rows: Vec<[Cow<'_, str>; HEADER.len()]> =
        std::iter::once(HEADER.map(Cow::Borrowed)).chain(states.iter().map(row)).collect();
    let mut widths = [NARROWEST; HEADER.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().saturating_add(PADDING).max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text += cell;
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        text.truncate(text.trim_end_matches(' ').len());
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

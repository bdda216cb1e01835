//! `corten list`: the containers of a state root.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::unistd::{Uid, User};
use runtime_core::{Error, Listed, State, States};

use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::{QUIET, TABLE_OR_JSON};
use crate::globals::Globals;
use crate::output;

const COLUMNS: usize = 6;
const HEADER: [&str; COLUMNS] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
/// Narrowest column of the table, and the space between two columns.
const NARROWEST: usize = 12;
const PADDING: usize = 3;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let format = flags.text(&TABLE_OR_JSON)?.unwrap_or("table");
    let runtime = globals.runtime();
    if flags.is_set(&QUIET) {
        let ids = readable(globals, runtime.list())?;
        return output::print(
            &ids.fold(String::new(), |text, container| text + container.id().as_str() + "\n"),
        );
    }
    match format {
        "table" => {
            let mut table = Table::new();
            let states = runtime.states().map(States::without_annotations);
            each_state(readable(globals, states)?, |state, owner| {
                table.add(state, owner);
                Ok(())
            })?;
            output::print(&table.text())
        }
        "json" => {
            let mut list = String::new();
            each_state(readable(globals, runtime.states())?, |state, owner| {
                list.push(if list.is_empty() { '[' } else { ',' });
                state.owner = owner.to_owned();
                list.push_str(&output::json(state)?);
                Ok(())
            })?;
            output::print(&if list.is_empty() { "null\n".to_owned() } else { list + "]\n" })
        }
        _ => Err(Failure::new("invalid format option")),
    }
}

/// All containers that can be read; of the others is complained.
fn readable<T, I: Iterator<Item = Listed<T>>>(
    globals: &Globals,
    listed: Result<I, Error>,
) -> Result<impl Iterator<Item = T>, Failure> {
    let listed = match listed {
        Err(error) if error.errno() == Some(Errno::ENOENT as i32) && !globals.root.is_given() => None,
        listed => Some(listed?),
    };
    let readable = |(id, found): Listed<T>| {
        found.map_err(|error| output::complain(&format!("load container {id}: {error}"))).ok()
    };
    Ok(listed.into_iter().flatten().filter_map(readable))
}

/// Shows states with their owners' names, of which each is looked up once.
fn each_state(
    states: impl Iterator<Item = (State, u32)>,
    mut show: impl FnMut(&mut State, &str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut owners = BTreeMap::new();
    for (mut state, owner) in states {
        show(&mut state, owners.entry(owner).or_insert_with(|| user_name(owner)))?;
    }
    Ok(())
}

/// The name of a user, or its number.
fn user_name(id: u32) -> String {
    let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
    user.map_or_else(|| format!("#{id}"), |user| user.name)
}

/// Rows of text, each column as wide as its widest cell.
struct Table {
    cells: String,
    /// Where each cell ends, and of how many characters it is.
    ends: Vec<(usize, usize)>,
    widths: [usize; COLUMNS],
}

impl Table {
    /// The header.
    fn new() -> Self {
        let mut table = Self { cells: String::new(), ends: Vec::new(), widths: [NARROWEST; COLUMNS] };
        table.row(HEADER);
        table
    }

    fn add(&mut self, state: &State, owner: &str) {
        let State { id, pid, status, bundle, created, .. } = state;
        self.row([id, &pid.to_string(), status.as_str(), &bundle.to_string_lossy(), created, owner]);
    }

    fn row(&mut self, cells: [&str; COLUMNS]) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            let chars = cell.chars().count();
            *width = chars.saturating_add(PADDING).max(*width);
            self.cells += cell;
            self.ends.push((self.cells.len(), chars));
        }
    }

    fn text(&self) -> String {
        let blanks = " ".repeat(self.widths.into_iter().max().unwrap_or_default());
        let mut text = String::new();
        let mut start = 0;
        for row in self.ends.chunks(COLUMNS) {
            for (&(end, chars), width) in row.iter().zip(self.widths) {
                text += self.cells.get(start..end).unwrap_or_default();
                text += blanks.get(chars..width).unwrap_or_default();
                start = end;
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_those_of_runc() {
        let header = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n";
        assert_eq!(Table::new().text(), header);
    }
}

//! `corten ps`: the processes of a container.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use super::container;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::TABLE_OR_JSON;
use crate::globals::Globals;
use crate::output;
use crate::procfs;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let pids = container(globals, flags)?.processes()?;
    match flags.text(&TABLE_OR_JSON)?.unwrap_or("table") {
        "json" if pids.is_empty() => output::print("null\n"),
        "json" => output::print(&(output::json(&pids)? + "\n")),
        "table" => output::print(&match ps(flags)? {
            Some(text) => rows_of(&pids, &text)?,
            None => own_rows(&pids),
        }),
        _ => Err(Failure::new("invalid format option")),
    }
}

/// What the host's ps(1) says; nothing where there is none, or no `/proc` for it, and no option asks for it.
fn ps(flags: &Matches) -> Result<Option<String>, Failure> {
    let options = flags.arguments().get(1..).unwrap_or_default();
    if options.is_empty() && !procfs::is_mounted() {
        return Ok(None);
    }
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.arg("-ef");
    }
    let output = command.args(options).stdin(Stdio::null()).output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound && options.is_empty() => return Ok(None),
        output => output.map_err(|error| Failure::from(error).context("run ps"))?,
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(Some(text));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("ps: {}: {}{}", output.status, said.trim_end(), text.trim_end())))
}

/// The header and the rows of processes that are in the container.
fn rows_of(pids: &[i32], text: &str) -> Result<String, Failure> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|title| title == "PID");
    let column = column.ok_or_else(|| Failure::new("couldn't find PID field in ps output"))?;
    let mut rows = format!("{header}\n");
    for line in lines {
        let Some(pid) = line.split_whitespace().nth(column) else { continue };
        let pid =
            pid.parse().map_err(|_| Failure::new(format!("unable to parse pid: \"{pid}\" of ps output")))?;
        if pids.contains(&pid) {
            rows += &format!("{line}\n");
        }
    }
    Ok(rows)
}

/// The few columns that procfs has ready. A process that has ended has no row.
fn own_rows(pids: &[i32]) -> String {
    let row = |pid: &i32| {
        let status = procfs::read(&format!("{pid}/status")).ok()?;
        let status = String::from_utf8_lossy(&status);
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()
        };
        let arguments = procfs::read(&format!("{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).trim_end_matches('\0').replace('\0', " ");
        // A zombie has no arguments any more.
        let command = if arguments.is_empty() { format!("[{}]", field("Name")?) } else { arguments };
        let command = command.escape_debug();
        Some(format!("{:<8} {pid:>7} {:>7} {command}\n", field("Uid")?, field("PPid")?))
    };
    let header = format!("{:<8} {:>7} {:>7} CMD\n", "UID", "PID", "PPID");
    header + &pids.iter().filter_map(row).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::rows_of;

    #[test]
    fn rows_of_other_processes_are_left_out() {
        let text =
            "UID          PID    PPID CMD\nroot           1       0 init\nroot          12       1 sh -c 1\n";
        let rows = rows_of(&[12, 13], text).unwrap();
        assert_eq!(rows, "UID          PID    PPID CMD\nroot          12       1 sh -c 1\n");
        assert!(rows_of(&[1], "USER COMMAND\nroot init\n").is_err());
        assert!(rows_of(&[1], "PID\nmany\n").is_err());
        assert!(rows_of(&[1], "").is_err());
    }
}

//! The help of the program and of each command, out of the table.

use std::fmt::{self, Display, Formatter};

use super::table::{COMMANDS, GLOBAL, HELP};
use super::{Command, Flag, Takes};

/// Displays the help of a command, or of the program.
pub(crate) struct Help(pub(crate) Option<&'static Command>);

impl Display for Help {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => program(f),
            Some(command) => self::command(f, command),
        }
    }
}

fn program(f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(
        "NAME:\n   corten - runs containers as the Open Container Initiative describes them\n\n\
         USAGE:\n   corten [global options] command [command options] [arguments...]\n\n\
         COMMANDS:\n",
    )?;
    let commands = COMMANDS.iter().map(|command| (command.name.to_owned(), command.summary.to_owned()));
    columns(f, commands.chain([("help, h".to_owned(), "show this help, or that of a command".to_owned())]))?;
    f.write_str("\nGLOBAL OPTIONS:\n")?;
    columns(f, GLOBAL.iter().filter(|flag| !flag.hidden).map(row))
}

fn command(f: &mut Formatter<'_>, command: &Command) -> fmt::Result {
    let Command { name, summary, usage, flags, .. } = command;
    writeln!(f, "NAME:\n   corten {name} - {summary}\n")?;
    let usage = format!("corten {name} [command options] {usage}");
    writeln!(f, "USAGE:\n   {}\n", usage.trim_end())?;
    f.write_str("OPTIONS:\n")?;
    columns(f, flags.iter().chain([&HELP]).filter(|flag| !flag.hidden).map(row))
}

fn row(flag: &Flag) -> (String, String) {
    let (value, repeat) = match flag.takes {
        Takes::Nothing => (String::new(), ""),
        Takes::Value(name) => (format!(" {name}"), ""),
        Takes::Values(name) => (format!(" {name}"), " (can be repeated)"),
    };
    let short = flag.short.map(|short| format!(", -{short}{value}")).unwrap_or_default();
    let default =
        if flag.default.is_empty() { String::new() } else { format!(" (default: {})", flag.default) };
    (format!("--{}{value}{short}", flag.name), format!("{}{repeat}{default}", flag.help))
}

fn columns(f: &mut Formatter<'_>, rows: impl Iterator<Item = (String, String)>) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().try_for_each(|(left, right)| writeln!(f, "   {left:width$}  {right}"))
}

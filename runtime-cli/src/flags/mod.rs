//! Commands and flags: defined once in `table`, read by `parse`, described by `help`.

mod help;
mod parse;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use crate::failure::Outcome;
use crate::globals::Globals;

pub(crate) use help::Help;
pub(crate) use parse::{Action, Matches, Usage, command_line, parse_bool};

/// A flag of a command, or a global one.
pub(crate) struct Flag {
    /// Its long name, without dashes.
    pub(crate) name: &'static str,
    /// A name of one letter.
    pub(crate) short: Option<&'static str>,
    /// What follows it.
    pub(crate) takes: Takes,
    /// One line for the help.
    pub(crate) help: &'static str,
    /// What holds if it is not given, for the help.
    pub(crate) default: &'static str,
    /// Whether the help leaves it out.
    pub(crate) hidden: bool,
}

/// What a flag is followed by.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    /// Nothing (though `=true` and `=false` are accepted).
    Nothing,
    /// A value, of which the last counts; with its name for the help.
    Value(&'static str),
    /// A value, all of which count.
    Values(&'static str),
}

/// A command.
pub(crate) struct Command {
    /// Its name.
    pub(crate) name: &'static str,
    /// One line for the help.
    pub(crate) summary: &'static str,
    /// Its arguments, for the help.
    pub(crate) usage: &'static str,
    /// How many arguments it takes.
    pub(crate) arguments: Arguments,
    /// Whether everything after the first argument is an argument, even if it begins with a dash.
    pub(crate) trailing: bool,
    /// Its flags.
    pub(crate) flags: &'static [Flag],
    /// What it does.
    pub(crate) run: fn(&Globals, &Matches) -> Outcome,
}

/// How many arguments a command takes.
#[derive(Clone, Copy)]
pub(crate) enum Arguments {
    /// Neither more nor less than this.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
    /// From the first number to the second.
    Between(usize, usize),
}

impl Flag {
    const fn new(name: &'static str, takes: Takes, help: &'static str) -> Self {
        Self { name, short: None, takes, help, default: "", hidden: false }
    }

    const fn switch(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Takes::Nothing, help)
    }

    const fn value(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self::new(name, Takes::Value(value), help)
    }

    const fn values(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self::new(name, Takes::Values(value), help)
    }

    const fn short(mut self, letter: &'static str) -> Self {
        self.short = Some(letter);
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// Finds a command by its name.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    table::COMMANDS.iter().find(|command| command.name == name)
}

//! Reads a command line by the rules of Go's flag package, which engines count on: a long flag may have one
//! dash or two, its value follows after `=` or as the next word, and one-letter flags are never bundled.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use super::table::{GLOBAL, HELP, VERSION};
use super::{Arguments, Command, Flag, Takes, find};
use crate::failure::Failure;

/// What the command line asks for.
pub(crate) enum Action {
    /// The help of the program or of one command.
    Help(Option<&'static Command>),
    /// The version.
    Version,
    /// A command.
    Run(&'static Command, Matches),
}

/// What is wrong with a command line.
pub(crate) enum Usage {
    /// There is no such command.
    Command(String),
    /// A flag is unknown, lacks its value or has a bad one.
    Flag(String, Option<&'static Command>),
    /// There are too few or too many arguments.
    Arguments(String, &'static Command),
}

/// The flags and arguments that were given.
#[derive(Default)]
pub(crate) struct Matches {
    flags: Vec<(&'static str, OsString)>,
    arguments: Vec<OsString>,
}

/// Reads a command line: the global flags, then what to do. Global flags before a mistake are still known,
/// since they say where to report it.
pub(crate) fn command_line(program: &OsStr, words: &[OsString]) -> (Matches, Result<Action, Usage>) {
    let mut globals = Matches::default();
    let result = globals.read(GLOBAL, words, Arrangement::FlagsFirst).map_err(|text| Usage::Flag(text, None));
    let action = result.and_then(|()| action(program, &mut globals));
    (globals, action)
}

fn action(program: &OsStr, globals: &mut Matches) -> Result<Action, Usage> {
    let words = std::mem::take(&mut globals.arguments);
    if globals.is_set(&VERSION) {
        return Ok(Action::Version);
    }
    let mut words = words.as_slice();
    let wants_help = globals.is_set(&HELP) || words.is_empty() || is_help(words);
    if is_help(words) {
        words = words.get(1..).unwrap_or_default();
    }
    let Some((name, rest)) = words.split_first() else {
        return Ok(Action::Help(None));
    };
    let name = name.to_string_lossy();
    let command = find(&name).ok_or_else(|| Usage::Command(name.into_owned()))?;
    if wants_help {
        return Ok(Action::Help(Some(command)));
    }
    let arrangement = if command.trailing { Arrangement::FlagsFirst } else { Arrangement::Anywhere };
    let mut matches = Matches::default();
    matches.read(command.flags, rest, arrangement).map_err(|text| Usage::Flag(text, Some(command)))?;
    if matches.is_set(&HELP) {
        return Ok(Action::Help(Some(command)));
    }
    command.arguments.check(matches.arguments.len()).map_err(|wanted| {
        let text =
            format!("{}: \"{}\" requires {wanted} argument(s)", program.to_string_lossy(), command.name);
        Usage::Arguments(text, command)
    })?;
    Ok(Action::Run(command, matches))
}

fn is_help(words: &[OsString]) -> bool {
    words.first().is_some_and(|word| word == "help" || word == "h")
}

/// Where flags may stand.
#[derive(PartialEq)]
enum Arrangement {
    /// Before the first argument.
    FlagsFirst,
    /// Before and after arguments.
    Anywhere,
}

impl Arguments {
    fn check(self, count: usize) -> Result<(), String> {
        match self {
            Self::Exactly(n) if count != n => Err(format!("exactly {n}")),
            Self::AtLeast(n) | Self::Between(n, _) if count < n => Err(format!("a minimum of {n}")),
            Self::Between(_, n) if count > n => Err(format!("a maximum of {n}")),
            _ => Ok(()),
        }
    }
}

impl Matches {
    fn read(
        &mut self,
        known: &'static [Flag],
        words: &[OsString],
        arrangement: Arrangement,
    ) -> Result<(), String> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some((name, attached)) = split_flag(word) else {
                if word != "--" {
                    self.arguments.push(word.clone());
                }
                if word == "--" || arrangement == Arrangement::FlagsFirst {
                    break;
                }
                continue;
            };
            let flag = known.iter().chain([&HELP]).find(|flag| flag.is_named(name));
            let flag =
                flag.ok_or_else(|| format!("flag provided but not defined: -{}", name.to_string_lossy()))?;
            let value = match (flag.takes, attached) {
                (Takes::Nothing, None) => OsString::from("true"),
                (Takes::Nothing, Some(value)) => switch_value(flag, value)?,
                (_, Some(value)) => value.to_owned(),
                (_, None) => words
                    .next()
                    .cloned()
                    .ok_or_else(|| format!("flag needs an argument: --{}", name.to_string_lossy()))?,
            };
            self.flags.push((flag.name, value));
        }
        self.arguments.extend(words.cloned());
        Ok(())
    }

    /// Whether a switch is on.
    pub(crate) fn is_set(&self, flag: &Flag) -> bool {
        self.switch(flag).unwrap_or(false)
    }

    /// What a switch was set to, if it was.
    pub(crate) fn switch(&self, flag: &Flag) -> Option<bool> {
        self.last(flag).map(|value| value == "true")
    }

    /// The value of a flag, as a path; an empty one counts as absent.
    pub(crate) fn path(&self, flag: &Flag) -> Option<&Path> {
        self.last(flag).map(Path::new)
    }

    /// The value of a flag, as text; an empty one counts as absent.
    pub(crate) fn text(&self, flag: &Flag) -> Result<Option<&str>, Failure> {
        self.last(flag).map(|value| as_text(flag, value)).transpose()
    }

    /// All values of a flag that may be repeated.
    pub(crate) fn texts(&self, flag: &Flag) -> Result<Vec<&str>, Failure> {
        self.all(flag).map(|value| as_text(flag, value)).collect()
    }

    /// The value of a flag, as a number.
    pub(crate) fn number<T: FromStr>(&self, flag: &Flag) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(flag)? else { return Ok(None) };
        let number = text.parse().map_err(|_| invalid_value(flag, OsStr::new(text), "not a number in range"));
        Ok(Some(number?))
    }

    /// An argument, as text.
    pub(crate) fn argument(&self, index: usize) -> Result<&str, Failure> {
        let argument = self.arguments.get(index).map(OsString::as_os_str).unwrap_or_default();
        argument
            .to_str()
            .ok_or_else(|| Failure::new(format!("argument \"{}\" is not UTF-8", argument.to_string_lossy())))
    }

    /// All arguments.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    fn last(&self, flag: &Flag) -> Option<&OsStr> {
        self.all(flag).last().filter(|value| !value.is_empty())
    }

    fn all(&self, flag: &Flag) -> impl Iterator<Item = &OsStr> {
        self.flags.iter().filter(|(name, _)| *name == flag.name).map(|(_, value)| value.as_os_str())
    }
}

impl Flag {
    fn is_named(&self, name: &OsStr) -> bool {
        name == self.name || self.short.is_some_and(|short| name == short)
    }
}

/// Reads a truth value in any of the spellings of Go.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The name of a flag and the value after `=`; nothing for `-`, `--` and what has no dash.
fn split_flag(word: &OsStr) -> Option<(&OsStr, Option<&OsStr>)> {
    let bytes = word.as_bytes().strip_prefix(b"-")?;
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if bytes.is_empty() {
        return None;
    }
    let mut parts = bytes.splitn(2, |byte| *byte == b'=').map(OsStr::from_bytes);
    Some((parts.next()?, parts.next()))
}

fn switch_value(flag: &Flag, value: &OsStr) -> Result<OsString, String> {
    let on = value.to_str().and_then(parse_bool);
    let on = on.ok_or_else(|| invalid_value(flag, value, "not a truth value").message)?;
    Ok(OsString::from(if on { "true" } else { "false" }))
}

fn as_text<'a>(flag: &Flag, value: &'a OsStr) -> Result<&'a str, Failure> {
    value.to_str().ok_or_else(|| invalid_value(flag, value, "not UTF-8"))
}

fn invalid_value(flag: &Flag, value: &OsStr, why: &str) -> Failure {
    Failure::new(format!("invalid value \"{}\" for flag -{}: {why}", value.to_string_lossy(), flag.name))
}

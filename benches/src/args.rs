//! The command line.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::view::View;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
Times an OCI runtime beside others, and beside the floor: a program that does the least kernel work.

usage: run [OPTION]... [NAME=PATH]...

  NAME=PATH        the programs to time; without any: those of corten, crun, crun-static, runc and youki in PATH
  --view v1|v2     one view of cgroups only; v2 on a host of version 1 is a private mount namespace
  --long           100 rounds of the cases that targets rest on, and the largest crowds: 25 minutes at most.
                   Without it the whole takes about ten
  --rounds N       how often each is timed, in turn (25); a case whose rounds take long has a part of that
  --rest MS        the pause before each command in the second pace (30)
  --cases A,B      these cases only, the largest too; `--cases help` lists them
  --seccomp FILE   the `linux.seccomp` object of a config, for the case run-seccomp
  --place NAME     what the report calls this machine
  --also FILE      a results.json of another machine, to be shown in the same report; may be repeated
  --from FILE      measure nothing: write the report of this results.json once more
  --out DIR        where RESULTS.md, results.json and results.svg go; else
  --whole DIR      where those of a whole run go, and
  --part DIR       those of a part of it: with --view, --cases or NAME=PATH
";

/// What the command line asks for.
pub(crate) struct Args {
    pub(crate) view: Option<View>,
    /// Measure the cases that take long, too.
    pub(crate) long: bool,
    pub(crate) rounds: usize,
    pub(crate) rest: Duration,
    pub(crate) cases: Vec<String>,
    pub(crate) seccomp: Option<PathBuf>,
    pub(crate) place: Option<String>,
    pub(crate) also: Vec<PathBuf>,
    pub(crate) from: Option<PathBuf>,
    out: Option<PathBuf>,
    whole: Option<PathBuf>,
    part: Option<PathBuf>,
    pub(crate) subjects: Vec<(String, PathBuf)>,
    /// Set in the process that measures one view: the directory it works in.
    pub(crate) measure: Option<PathBuf>,
    pub(crate) help: bool,
}

impl Args {
    /// Reads the arguments, without the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut args = Self {
            view: None,
            long: false,
            rounds: 25,
            rest: Duration::from_millis(30),
            cases: Vec::new(),
            seccomp: None,
            place: None,
            also: Vec::new(),
            from: None,
            out: None,
            whole: None,
            part: None,
            subjects: Vec::new(),
            measure: None,
            help: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let word = utf8(word)?;
            let mut value = || {
                let value = words.next().ok_or_else(|| Error::Usage(format!("{word} wants a value")))?;
                utf8(value)
            };
            match word.as_str() {
                "--view" => args.view = Some(parsed(&value()?)?),
                "--long" => {
                    args.long = true;
                    args.rounds = 100;
                }
                "--rounds" => args.rounds = parsed::<usize>(&value()?)?.max(1),
                "--rest" => args.rest = Duration::from_millis(parsed(&value()?)?),
                "--cases" => args.cases = value()?.split(',').map(str::to_owned).collect(),
                "--seccomp" => args.seccomp = Some(value()?.into()),
                "--place" => args.place = Some(value()?),
                "--also" => args.also.push(value()?.into()),
                "--from" => args.from = Some(value()?.into()),
                "--out" => args.out = Some(value()?.into()),
                "--whole" => args.whole = Some(value()?.into()),
                "--part" => args.part = Some(value()?.into()),
                "--measure" => args.measure = Some(value()?.into()),
                "--help" | "-h" => args.help = true,
                option if option.starts_with('-') => {
                    return Err(Error::Usage(format!("unknown option {option}")));
                }
                pair => args.subjects.push(subject(pair)?),
            }
        }
        Ok(args)
    }

    /// Where the report goes: what was measured in part must not take the place of published results.
    pub(crate) fn out(&self) -> &Path {
        let whole = self.view.is_none() && self.cases.is_empty() && self.subjects.is_empty();
        let usual = if whole { &self.whole } else { &self.part };
        self.out.as_deref().or(usual.as_deref()).unwrap_or(Path::new("."))
    }
}

fn utf8(word: OsString) -> Result<String> {
    word.into_string().map_err(|word| Error::Usage(format!("{word:?} is not UTF-8")))
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|e| Error::Usage(format!("{text:?}: {e}")))
}

fn subject(pair: &str) -> Result<(String, PathBuf)> {
    match pair.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err(Error::Usage(format!("{pair:?} is not NAME=PATH"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_run_goes_where_results_are_published() {
        let out = |more: &str| {
            let words = format!("--whole published --part here {more}");
            let args = Args::parse(words.split_whitespace().map(OsString::from)).unwrap();
            args.out().to_str().unwrap().to_owned()
        };
        assert_eq!(["", "--long --rounds 5", "--place there"].map(out), ["published"; 3]);
        assert_eq!(["--view v2", "--cases run", "corten=/bin/corten"].map(out), ["here"; 3]);
        assert_eq!(["--out there", "--out there --view v2"].map(out), ["there"; 2]);
    }
}

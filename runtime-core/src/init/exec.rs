//! Finding and executing the payload's program.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result};
use super::nr;
use super::sys::{self, Pointers};
use super::wire::{Check, List, Str};

/// The first candidate that can be executed.
pub(crate) fn lookup(candidates: List<'_, Str<'_>>) -> Result<usize> {
    let mut blame = Blame::default();
    for (index, path) in candidates.iter().enumerate() {
        match test(path.c_str()) {
            Ok(()) => return Ok(index),
            Err(fault) => blame.add(fault.at(index)),
        }
    }
    Err(blame.fault())
}

fn test(path: &CStr) -> Result<()> {
    match sys::statx(AT_FDCWD, path)?.kind() {
        S_IFREG => sys::faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS).map(drop),
        S_IFDIR => Err(Fault::errno(nr::EXECVE, EISDIR)),
        _ => Err(Fault::check(Check::NotRegular)),
    }
}

/// Executes the first candidate from `chosen` on that is there; answers only its failure.
pub(crate) fn exec(
    candidates: List<'_, Str<'_>>,
    chosen: usize,
    args: List<'_, Str<'_>>,
    env: List<'_, Str<'_>>,
    home: Option<&CStr>,
) -> Result<Fault> {
    let args = Pointers::new(args.iter().map(|arg| arg.c_str()), args.len())?;
    let env = environment(env, home)?;
    let mut blame = Blame::default();
    for (index, path) in candidates.iter().enumerate().skip(chosen) {
        let fault = sys::execve(path.c_str(), &args, &env).at(index);
        blame.add(fault);
        if !(fault.is(ENOENT) || fault.is(ENOTDIR) || fault.is(EACCES)) {
            break;
        }
    }
    Ok(blame.fault())
}

/// The environment with the home directory's entry, where it was looked up.
pub(crate) fn environment<'a>(env: List<'a, Str<'a>>, home: Option<&'a CStr>) -> Result<Pointers<'a>> {
    let count = env.len() + usize::from(home.is_some());
    Pointers::new(env.iter().map(|entry| entry.c_str()).chain(home), count)
}

/// Which candidate's fault is told: the first that is more than absence, else the first.
#[derive(Default)]
struct Blame(Option<Fault>);

impl Blame {
    fn add(&mut self, fault: Fault) {
        let absent = |fault: &Fault| fault.is(ENOENT) || fault.is(ENOTDIR);
        if self.0.as_ref().is_none_or(|first| absent(first) && !absent(&fault)) {
            self.0 = Some(fault);
        }
    }

    fn fault(self) -> Fault {
        self.0.unwrap_or(Fault::errno(nr::EXECVE, ENOENT))
    }
}

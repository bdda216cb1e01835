//! The library in a process of its own, which is told what to do and takes the time itself.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{At, Error, Result};
use crate::stats::Cost;

/// A running `library` with one container; it ends when dropped.
pub(crate) struct Session(Mutex<Ends>);

struct Ends {
    child: Child,
    /// Taken to end it.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Session {
    /// Starts the program for a container.
    pub(crate) fn start(program: &Path, state: &Path, bundle: &Path, id: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([state, bundle, id.as_ref()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().at(program)?;
        let ends = child.stdin.take().zip(child.stdout.take());
        let (to, from) = ends.ok_or_else(|| Error::Failed("no pipes to the library".into()))?;
        Ok(Self(Mutex::new(Ends { child, to: Some(to), from: BufReader::new(from) })))
    }

    /// Has an operation done.
    pub(crate) fn ask(&self, operation: &str) -> Result<Cost> {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(to) = &mut ends.to {
            writeln!(to, "{operation}").at("the library")?;
        }
        let mut answer = String::new();
        ends.from.read_line(&mut answer).at("the library")?;
        parse(&answer).ok_or_else(|| Error::Failed(answer.trim_end().to_owned()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let ends = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        ends.to = None;
        // It ends with its input; an error would mean that it has been reaped.
        let _ = ends.child.wait();
    }
}

/// Two numbers of nanoseconds: the time and the processor time.
fn parse(answer: &str) -> Option<Cost> {
    let (wall, cpu) = answer.trim_end().split_once(' ')?;
    let duration = |text: &str| text.parse().ok().map(Duration::from_nanos);
    Some(Cost { wall: duration(wall)?, cpu: duration(cpu)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let cost = parse("1500 20\n").unwrap();
        assert_eq!((cost.wall, cost.cpu), (Duration::from_nanos(1500), Duration::from_nanos(20)));
        assert!(parse("error: no 1").is_none());
        assert!(parse("").is_none());
    }
}

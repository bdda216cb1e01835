//! Why a command failed, and with which exit status.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use runtime_core::{Error, ErrorKind};
use serde::Serialize;

/// What a command comes to: an exit status, or a failure.
pub(crate) type Outcome = Result<u8, Failure>;

/// Exit status of most failures.
pub(crate) const FAILED: u8 = 1;
/// Exit status if there is no such command.
pub(crate) const NO_COMMAND: u8 = 3;
/// Exit status of `exec` if the fault is not the process's.
pub(crate) const EXEC_FAILED: u8 = 255;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For people, and for engines that look for certain words.
    pub(crate) message: String,
    /// The exit status.
    pub(crate) status: u8,
    /// For programs.
    pub(crate) detail: Option<Detail>,
}

/// A failure as programs want it.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    /// Its kind, out of a fixed list.
    pub(crate) kind: &'static str,
    /// JSON pointer of the configuration's value that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// Step of the plan that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<&'static str>,
    /// What the kernel answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) errno: Option<i32>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with the usual exit status.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: FAILED, detail: None }
    }

    /// A failed operation on a file, in the words of the system: `open /dev/tty: no such device or address`.
    pub(crate) fn file(doing: &str, path: &Path, error: impl Into<io::Error>) -> Self {
        Self::from(error.into()).context(format_args!("{doing} {}", path.display()))
    }

    /// The same failure, told as part of a larger operation.
    pub(crate) fn context(mut self, context: impl Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The same failure, with the place in a configuration where it was found.
    pub(crate) fn pointer(mut self, pointer: Option<&str>) -> Self {
        let (step, errno, hint) = (None, None, None);
        let pointer = pointer.map(str::to_owned);
        self.detail = Some(Detail { kind: ErrorKind::Config.as_str(), pointer, step, errno, hint });
        self
    }

    /// The same failure with another exit status.
    pub(crate) fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let detail = Detail {
            kind: error.kind().as_str(),
            pointer: error.pointer(),
            step: error.step(),
            errno: error.errno(),
            hint: error.hint(),
        };
        Self { detail: Some(detail), ..Self::new(error.to_string()) }
    }
}

/// Engines look for the kernel's words in lower case.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let Some(errno) = error.raw_os_error() else { return Self::new(error.to_string()) };
        let text = Errno::from_raw(errno).desc();
        let (first, rest) = text.split_at_checked(1).unwrap_or_default();
        Self::new(first.to_lowercase() + rest)
    }
}

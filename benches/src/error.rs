//! What can go wrong, in words.

use std::io;
use std::path::Path;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line is not right.
    #[error("{0} (see --help)")]
    Usage(String),
    /// A call of this program failed.
    #[error("{what}: {source}")]
    Io {
        /// The path, or what was tried.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The user has stopped the benchmark.
    #[error("stopped")]
    Stopped,
    /// A measured program failed: its own last words.
    #[error("{0}")]
    Failed(String),
    /// The case cannot be had here.
    #[error("{0}")]
    Unfit(String),
    /// The case means nothing for this program.
    #[error("it has no such command")]
    Inapplicable,
}

/// The result of this program's functions.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Says what an input or output error was about.
pub(crate) trait At<T> {
    /// Adds a path.
    fn at(self, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| Error::Io { what: path.as_ref().display().to_string(), source: e.into() })
    }
}

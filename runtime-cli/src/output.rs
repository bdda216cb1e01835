//! Standard output, and the forms of JSON that engines expect on it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::failure::{Failure, Outcome};
use crate::sys;

/// Prints text; with this a command is done.
pub(crate) fn print(text: &str) -> Outcome {
    let written = sys::standard_output().write_all(text.as_bytes());
    written.map(|()| 0).map_err(|error| Failure::from(error).context("write to standard output"))
}

/// Says something on standard error that is no log message.
pub(crate) fn complain(text: &str) {
    // There is nowhere left to report that standard error cannot be written.
    let _ = writeln!(io::stderr(), "{text}");
}

/// JSON on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))
}

/// JSON over several lines, each level indented by `indent`.
pub(crate) fn indented_json(value: &impl Serialize, indent: &str) -> Result<String, Failure> {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    value
        .serialize(&mut Serializer::with_formatter(&mut text, formatter))
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

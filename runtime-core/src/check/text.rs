//! No string may hold a NUL byte: the kernel would see another value than the one that was judged.

use std::cell::Cell;
use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, Formatter};

use super::report::Report;
use crate::bundle::find_nul;

/// Looks through every string of a part of the configuration.
pub(super) fn check(part: &impl Serialize, at: &str, report: &mut Report) {
    // In JSON a NUL byte has one spelling. Where it stands is looked for when it has been seen.
    let seen = Cell::new(false);
    let walked = part.serialize(&mut Serializer::with_formatter(io::sink(), Watch(&seen)));
    if walked.is_err() || !seen.get() {
        return;
    }
    let Ok(value) = serde_json::to_value(part) else { return };
    if let Some(pointer) = find_nul(&value, at.to_owned()) {
        report.error(pointer, "the string contains a NUL byte");
    }
}

/// Notes that a NUL byte was to be written.
struct Watch<'a>(&'a Cell<bool>);

impl Formatter for Watch<'_> {
    fn write_char_escape<W: io::Write + ?Sized>(&mut self, _: &mut W, escape: CharEscape) -> io::Result<()> {
        if matches!(escape, CharEscape::AsciiControl(0)) {
            self.0.set(true);
        }
        Ok(())
    }
}

//! No string may hold a NUL byte: the kernel would see another value than the one that was judged.

use serde::Serialize;

use super::report::Report;
use crate::bundle::find_nul;

/// Looks through every string of a part of the configuration.
pub(super) fn check(part: &impl Serialize, at: &str, report: &mut Report) {
    // In JSON a NUL byte has one spelling, which makes a search of the text the fast way.
    let Ok(text) = serde_json::to_string(part) else { return };
    if !text.contains("\\u0000") {
        return;
    }
    let Ok(value) = serde_json::to_value(part) else { return };
    if let Some(pointer) = find_nul(&value, at.to_owned()) {
        report.error(pointer, "the string contains a NUL byte");
    }
}

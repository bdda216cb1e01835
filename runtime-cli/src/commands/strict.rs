//! `--strict`: what is otherwise ignored, as the specification wants, is an error.

use std::fs;
use std::path::Path;

use runtime_core::Bundle;
use runtime_core::bundle::unknown_fields;
use runtime_core::check;

use super::config_file;
use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::STRICT;

/// What is said of a field that the specification does not have, at least not in this case of its letters.
pub(super) const UNKNOWN: &str = "not a field of the specification";

/// Refuses a bundle with fields that are unknown or without effect if `--strict` is given, else mentions the
/// unknown ones.
pub(super) fn enforce(bundle: &Bundle, flags: &Matches) -> Result<(), Failure> {
    let strict = flags.is_set(&STRICT);
    if !strict && !::log::log_enabled!(::log::Level::Debug) {
        return Ok(());
    }
    for pointer in unknown(&config_file(flags))? {
        if strict {
            return Err(
                Failure::new(format!("{pointer}: {UNKNOWN}, refused by --strict")).pointer(Some(&pointer))
            );
        }
        ::log::debug!("{pointer}: {UNKNOWN}");
    }
    match check::check(&bundle.spec).first() {
        Some(finding) if strict => Err(Failure::new(finding.to_string()).pointer(Some(&finding.pointer))),
        _ => Ok(()),
    }
}

/// The fields of a configuration that the specification does not have.
pub(super) fn unknown(config: &Path) -> Result<Vec<String>, Failure> {
    let bytes = fs::read(config).map_err(|error| Failure::file("read", config, error))?;
    unknown_fields(&bytes).map_err(|error| Failure::new(error.to_string()))
}

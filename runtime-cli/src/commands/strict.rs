//! `--strict`: what is otherwise ignored, as the specification wants, is an error.

use std::fs;

use runtime_core::Bundle;
use runtime_core::bundle::{CONFIG, unknown_fields};
use runtime_core::check;

use crate::failure::Failure;

/// Refuses a bundle with fields that are unknown or without effect if `strict`, else mentions the unknown ones.
pub(super) fn enforce(bundle: &Bundle, strict: bool) -> Result<(), Failure> {
    if !strict && !::log::log_enabled!(::log::Level::Debug) {
        return Ok(());
    }
    for pointer in unknown(bundle)? {
        if strict {
            return Err(Failure::new(format!("{pointer}: unknown field, refused by --strict"))
                .pointer(Some(&pointer)));
        }
        ::log::debug!("{pointer}: unknown field, ignored");
    }
    match check::check(&bundle.spec).first() {
        Some(finding) if strict => Err(Failure::new(finding.to_string()).pointer(Some(&finding.pointer))),
        _ => Ok(()),
    }
}

/// The fields of a bundle's configuration that the specification does not have.
pub(super) fn unknown(bundle: &Bundle) -> Result<Vec<String>, Failure> {
    let path = bundle.dir.join(CONFIG);
    let bytes = fs::read(&path).map_err(|error| Failure::file("read", &path, error))?;
    unknown_fields(&bytes).map_err(|error| Failure::new(error.to_string()))
}

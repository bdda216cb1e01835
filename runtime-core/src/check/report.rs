//! Collects findings, and the judgements that many parts share.

use std::fmt::Display;

use super::{Finding, Severity};

/// The longest path that a system call takes.
const LONGEST_PATH: usize = 4095;

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// The value makes no sense.
    pub(super) fn error(&mut self, pointer: impl Display, message: impl Into<String>) -> &mut Self {
        self.add(Severity::Error, pointer.to_string(), message.into())
    }

    /// The value has no effect, or a surprising one.
    pub(super) fn warning(&mut self, pointer: impl Display, message: impl Into<String>) -> &mut Self {
        self.add(Severity::Warning, pointer.to_string(), message.into())
    }

    /// Says what to do about the last finding.
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        if let Some(finding) = self.findings.last_mut() {
            finding.hint = Some(hint.into());
        }
    }

    /// Judges the length of a path.
    pub(super) fn length(&mut self, pointer: impl Display, path: &str) {
        if path.len() > LONGEST_PATH {
            self.error(pointer, format!("a path of {} bytes; the kernel takes {LONGEST_PATH}", path.len()));
        }
    }

    /// Judges a path that is resolved inside the container.
    pub(super) fn inside_path(&mut self, pointer: impl Display, path: &str) {
        if !path.starts_with('/') {
            self.error(pointer, format!("{} is not an absolute path", quote(path)));
        } else if has_parent(path) {
            self.error(pointer, format!("{} has a part `..`", quote(path))).hint("write the path without it");
        } else {
            self.length(pointer, path);
        }
    }

    /// Judges a path on the host that must not depend on where the runtime stands.
    pub(super) fn host_path(&mut self, pointer: impl Display, path: &str) {
        if !path.starts_with('/') {
            self.error(pointer, format!("{} is not an absolute path", quote(path)));
        } else {
            self.length(pointer, path);
        }
    }

    /// Judges a name that must be one of a list.
    pub(super) fn one_of(&mut self, pointer: impl Display, name: &str, names: &[&str]) {
        if !names.contains(&name) {
            self.error(pointer, format!("{} is not known", quote(name)))
                .hint(format!("one of {}", names.join(", ")));
        }
    }

    fn add(&mut self, severity: Severity, pointer: String, message: String) -> &mut Self {
        self.findings.push(Finding { pointer, severity, message, hint: None });
        self
    }
}

/// Whether a path steps up anywhere.
pub(super) fn has_parent(path: &str) -> bool {
    path.as_bytes().windows(2).any(|pair| pair == b"..") && path.split('/').any(|part| part == "..")
}

/// A value for use in a message: escaped, and not longer than a line.
pub(super) fn quote(value: &str) -> String {
    const MAX: usize = 80;
    match value.char_indices().nth(MAX) {
        Some((end, _)) => format!("{:?}...", value.get(..end).unwrap_or_default()),
        None => format!("{value:?}"),
    }
}

//! `corten check`: every fault of a bundle's configuration at once.

use runtime_core::Error;
use runtime_core::bundle::BundleError;
use runtime_core::check::{self, Finding, Severity};
use serde::Serialize;

use super::{bundle, config_file, strict};
use crate::failure::{FAILED, Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::{STRICT, TEXT_OR_JSON};
use crate::globals::Globals;
use crate::output;

/// A finding as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    pointer: &'a str,
    severity: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

pub(crate) fn run(_: &Globals, flags: &Matches) -> Outcome {
    let findings = findings(flags)?;
    match flags.text(&TEXT_OR_JSON)?.unwrap_or("text") {
        "text" => output::print(&text(&findings))?,
        "json" => {
            let lines: Vec<Line<'_>> = findings.iter().map(Line::from).collect();
            output::print(&(output::indented_json(&lines, "  ")? + "\n"))?
        }
        _ => return Err(Failure::new("invalid format option")),
    };
    let refused = |finding: &Finding| finding.is_fatal() || flags.is_set(&STRICT);
    Ok(if findings.iter().any(refused) { FAILED } else { 0 })
}

fn findings(flags: &Matches) -> Result<Vec<Finding>, Failure> {
    let bundle = match bundle(flags) {
        Ok(bundle) => bundle,
        Err(BundleError::Parse { source, .. }) => {
            let pointer = source.pointer().unwrap_or_default().to_owned();
            let message = source.to_string();
            // The text begins with the pointer, which is printed anyway.
            let bare = message.strip_prefix(&format!("{pointer}: ")).unwrap_or(&message).to_owned();
            return Ok(vec![Finding { pointer, severity: Severity::Error, message: bare, hint: None }]);
        }
        Err(error) => return Err(Error::from(error).into()),
    };
    let unknown = strict::unknown(&config_file(flags))?.into_iter().map(|pointer| Finding {
        pointer,
        severity: Severity::Warning,
        message: strict::UNKNOWN.to_owned(),
        hint: Some(
            "see the specification for the fields there are, and the case of their letters".to_owned(),
        ),
    });
    Ok(check::check(&bundle.spec).into_iter().chain(unknown).collect())
}

fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no faults\n".to_owned();
    }
    let lines = findings.iter().map(|finding| format!("{}: {finding}\n", severity(finding.severity)));
    lines.collect()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

impl<'a> From<&'a Finding> for Line<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            pointer: &finding.pointer,
            severity: severity(finding.severity),
            message: &finding.message,
            hint: finding.hint.as_deref(),
        }
    }
}

//! The names of units: from `slice:prefix:name` to a scope, and from a slice to its path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cgroup::Error;

/// The longest name of a unit.
const LONGEST: usize = 255;

/// The scope of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name, `docker-ID.scope` for one.
    pub name: String,
    /// The slice that it is in; `-.slice` is the root.
    pub slice: String,
    /// The address of the bus on which its systemd is.
    pub bus: String,
    /// Properties that annotations ask for, as they were written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// The slice and the name of the scope that `linux.cgroupsPath` names.
pub(super) fn parse(value: Option<&str>, id: &str, default_slice: &str) -> Result<(String, String), Error> {
    let refused = |reason| Error::Path { value: value.unwrap_or_default().to_owned(), reason };
    let Some(text) = value.filter(|value| !value.is_empty()) else {
        return Ok((default_slice.to_owned(), format!("corten-{}.scope", escaped(id))));
    };
    let parts: Vec<&str> = text.split(':').collect();
    let [slice, prefix, name] = parts.as_slice() else {
        return Err(refused("is not of the form slice:prefix:name, which the systemd driver wants"));
    };
    let slice = match *slice {
        "" => default_slice,
        "-" => "-.slice",
        slice => slice,
    };
    if slice_path(slice).is_none() {
        return Err(refused("does not begin with the name of a slice, such as system.slice"));
    }
    if name.ends_with(".slice") {
        return Err(refused("names a slice, which has no processes of its own"));
    }
    let name = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    if name.starts_with('.') || name.len() > LONGEST || !name.chars().all(is_valid) {
        return Err(refused("does not make the name of a unit: use letters, digits and :-_.\\@"));
    }
    Ok((slice.to_owned(), name))
}

/// The path of a slice below the cgroup of its systemd: `a-b.slice` is in `a.slice`.
pub(super) fn slice_path(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(String::new());
    }
    if slice.len() > LONGEST || !name.chars().all(is_valid) {
        return None;
    }
    let mut path = String::new();
    let mut whole = String::new();
    for part in name.split('-') {
        if part.is_empty() {
            return None;
        }
        if !whole.is_empty() {
            whole.push('-');
            path.push('/');
        }
        whole.push_str(part);
        path.push_str(&format!("{whole}.slice"));
    }
    Some(path)
}

fn is_valid(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter)
}

/// An id with what is not allowed in the name of a unit as systemd escapes it.
fn escaped(id: &str) -> String {
    let escape = |letter: char| {
        if is_valid(letter) { letter.to_string() } else { format!("\\x{:02x}", u32::from(letter)) }
    };
    id.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        for (value, slice, name) in [
            (None, "system.slice", "corten-a\\x2bb.scope"),
            (Some(""), "system.slice", "corten-a\\x2bb.scope"),
            (Some("system.slice:docker:x"), "system.slice", "docker-x.scope"),
            (Some("a-b.slice::x"), "a-b.slice", "x.scope"),
            (Some(":p:x"), "system.slice", "p-x.scope"),
            (Some("-:p:x"), "-.slice", "p-x.scope"),
            (Some("-.slice:p:x"), "-.slice", "p-x.scope"),
        ] {
            let expected = (slice.to_owned(), name.to_owned());
            assert_eq!(parse(value, "a+b", "system.slice").unwrap(), expected, "{value:?}");
        }
        let long = format!("a.slice:p:{}", "x".repeat(300));
        for value in [
            "/a/b",
            "a:b",
            "a.slice:b:c:d",
            "a:b:c",
            "a.slice:b:c/d",
            "a/b.slice:c:d",
            "a.slice:b:c.slice",
            "-a.slice:b:c",
            "a--b.slice:b:c",
            "a.slice::",
            &long,
        ] {
            let error = parse(Some(value), "id", "system.slice").expect_err(value);
            assert_eq!(error.pointer(), Some("/linux/cgroupsPath"));
        }
    }

    #[test]
    fn slices() {
        for (slice, path) in [
            ("-.slice", Some("")),
            ("system.slice", Some("system.slice")),
            ("a-b-c.slice", Some("a.slice/a-b.slice/a-b-c.slice")),
            ("a", None),
            (".slice", None),
            ("a-.slice", None),
            ("../a.slice", None),
        ] {
            assert_eq!(slice_path(slice).as_deref(), path, "{slice}");
        }
    }
}

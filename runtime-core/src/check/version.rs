//! `/ociVersion`: versions of the specification, in the form of SemVer 2.0.0.

/// The major version of a version number, or nothing if it is not one.
pub(super) fn major(version: &str) -> Option<u64> {
    let (version, build) = split(version, '+');
    let (core, release) = split(version, '-');
    if !identifiers(build, |_| true) || !identifiers(release, |id| !is_padded(id)) {
        return None;
    }
    let numbers: Vec<&str> = core.split('.').collect();
    let [major, minor, patch] = numbers.as_slice() else { return None };
    let numeric = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) && !is_padded(id);
    if !numeric(minor) || !numeric(patch) || !numeric(major) {
        return None;
    }
    major.parse().ok()
}

fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((head, tail)) => (head, Some(tail)),
        None => (text, None),
    }
}

/// Whether a suffix, if there is one, is made of dot-separated identifiers.
fn identifiers(suffix: Option<&str>, accept: impl Fn(&str) -> bool) -> bool {
    suffix.is_none_or(|suffix| {
        suffix.split('.').all(|id| {
            !id.is_empty()
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && accept(id)
        })
    })
}

/// A number with a leading zero.
fn is_padded(id: &str) -> bool {
    id.len() > 1 && id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions() {
        for (version, expected) in [
            ("1.0.0", Some(1)),
            ("1.2.1", Some(1)),
            ("1.3.0-rc.1+dev", Some(1)),
            ("1.0.0+001", Some(1)),
            ("0.5.0-dev", Some(0)),
            ("2.0.0", Some(2)),
            ("", None),
            ("1", None),
            ("1.0", None),
            ("1.0.0.0", None),
            ("v1.0.0", None),
            ("01.0.0", None),
            ("1.0.0-", None),
            ("1.0.0-01", None),
            ("1.0.0-a..b", None),
            ("1.0.0 ", None),
            ("99999999999999999999.0.0", None),
        ] {
            assert_eq!(major(version), expected, "{version:?}");
        }
    }
}

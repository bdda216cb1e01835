//! Paths as text. Nothing here looks at a file: links are resolved by init, inside the root.

/// The path from the root, without empty parts, `.` and `..`.
pub(super) fn clean(path: &str) -> String {
    if is_plain(path) {
        return path.to_owned();
    }
    let mut clean = String::with_capacity(path.len() + 1);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
            part => {
                clean.push('/');
                clean.push_str(part);
            }
        }
    }
    if clean.is_empty() { "/".to_owned() } else { clean }
}

/// True for most of those paths that are clean, as most are.
fn is_plain(path: &str) -> bool {
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.len() > 1 && path.starts_with('/') && !path.ends_with('/') && !path.as_bytes().windows(2).any(odd)
}

/// Whether a clean path lies below a clean directory.
pub(super) fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

/// A clean path as seen from a clean directory that is not the root, if it lies there.
pub(super) fn within<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    match path.strip_prefix(directory).filter(|_| directory != "/")? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::{below, clean, within};

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("a//b/./c/", "/a/b/c"),
            ("/a/../b", "/b"),
            ("/../../a", "/a"),
            ("/a/", "/a"),
            ("/.a/b..", "/.a/b.."),
        ] {
            assert_eq!(clean(path), expected);
            assert_eq!(clean(&clean(path)), expected);
        }
    }

    #[test]
    fn within_is_by_parts() {
        assert_eq!(within("/a/b/c", "/a/b"), Some("/c"));
        assert_eq!(within("/a/b", "/a/b"), Some("/"));
        assert_eq!(within("/a/bc", "/a/b"), None);
        assert_eq!(within("/a", "/a/b"), None);
        assert_eq!(within("/a", "/"), None);
    }

    #[test]
    fn below_is_by_parts() {
        assert!(below("/proc/stat", "/proc"));
        assert!(!below("/proc", "/proc"));
        assert!(!below("/process", "/proc"));
    }
}

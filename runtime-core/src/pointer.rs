//! JSON pointers (RFC 6901): how every message names the value it is about.

use std::borrow::Cow;

/// Writes a key so that it can stand in a pointer.
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        Cow::Owned(key.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(key)
    }
}

/// The pointer to where deserialising stopped.
pub(crate) fn of_error(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;

    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// The pointer to a field that nothing reads.
pub(crate) fn of_ignored(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;

    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}/{index}", of_ignored(parent)),
        Path::Map { parent, key } => format!("{}/{}", of_ignored(parent), escape(key)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            of_ignored(parent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn keys_are_escaped() {
        assert_eq!(escape("net.ipv4"), "net.ipv4");
        assert_eq!(escape("a/b~c"), "a~1b~0c");
    }
}

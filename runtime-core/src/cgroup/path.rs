//! From `linux.cgroupsPath` to a path in a hierarchy, and what is there already.

use super::dir::Dir;
use super::layout::{Hierarchy, Layout, own_unified};
use super::{Driver, Error, Group, Saved};

/// What will be made for a container, before anything is: the intent that `create` saves first.
pub fn plan(layout: &Layout, cgroups_path: Option<&str>, id: &str) -> Result<Saved, Error> {
    let value = cgroups_path.unwrap_or(id);
    if value.contains(['\0', '\n']) {
        return Err(Error::Path {
            value: value.into(),
            reason: "has a character that a cgroup's name cannot have",
        });
    }
    let name = clean(value);
    if name.is_empty() {
        return Err(Error::Path { value: value.into(), reason: "is the root; name a cgroup below it" });
    }

    let mut groups = Vec::with_capacity(layout.hierarchies.len());
    for (hierarchy, own) in &layout.hierarchies {
        let root = hierarchy.root()?;
        let path = if value.starts_with('/') {
            name.clone()
        } else {
            join(&base(hierarchy, own.as_deref(), &root)?, &name)
        };
        let made = missing(&root, &path)?;
        groups.push(Group { hierarchy: hierarchy.clone(), path, made });
    }
    Ok(Saved { driver: Driver::Cgroupfs, groups, taken: false, owner: None, unit: None })
}

/// Where relative paths start: at the runtime's own cgroup; on version 2 beside it, since a cgroup
/// with processes cannot hand controllers to its children.
fn base(hierarchy: &Hierarchy, own: Option<&str>, root: &Dir) -> Result<String, Error> {
    let own = &own.map_or_else(own_unified, |own| Ok(own.to_owned()))?;
    if own.is_empty() || own.ends_with(" (deleted)") {
        return Err(Error::NoOwnCgroup { mount: hierarchy.mount.clone() });
    }
    let own = clean(own);
    // In a container without a cgroup namespace the mount may begin at the own cgroup.
    if own.is_empty() || root.find(&own)?.is_none() {
        return Ok(String::new());
    }
    if !hierarchy.is_unified() {
        return Ok(own);
    }
    Ok(own.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned())
}

/// How many of the last components of `path` do not exist.
pub(super) fn missing(root: &Dir, path: &str) -> Result<usize, Error> {
    let mut count = 0;
    let mut rest = Some(path);
    while let Some(prefix) = rest {
        if root.find(prefix)?.is_some() {
            break;
        }
        count += 1;
        rest = prefix.rsplit_once('/').map(|(parent, _)| parent);
    }
    Ok(count)
}

/// The path with `.`, `..` and empty components taken out, never above its beginning; not absolute.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// One path below another; each may be empty.
pub(super) fn join(parent: &str, name: &str) -> String {
    let between = if parent.is_empty() || name.is_empty() { "" } else { "/" };
    [parent, between, name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_climb() {
        for (path, expected) in [
            ("/a/b", "a/b"),
            ("a//b/.", "a/b"),
            ("../../etc", "etc"),
            ("/a/../../b", "b"),
            ("/a/b/..", "a"),
            ("/..", ""),
            ("", ""),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        assert_eq!(join("a", "b"), "a/b");
        assert_eq!(join("", "b"), "b");
        assert_eq!(join("a", ""), "a");
    }

    #[test]
    fn the_root_and_odd_names_are_refused() {
        let layout = Layout { hierarchies: Vec::new() };
        for path in ["/", "/..", "..", "a\0b", "a\nb"] {
            let error = plan(&layout, Some(path), "id").expect_err(path);
            assert_eq!(error.pointer(), Some("/linux/cgroupsPath"), "{path:?}");
        }
    }
}

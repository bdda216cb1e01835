//! The state root: the directory with one entry for each container.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::failure::{Detail, Failure};
use crate::procfs;

const DEFAULT: &str = "/run/corten";
const NAME: &str = "corten";

/// The state root.
pub(crate) enum Root {
    /// The one asked for.
    Given(PathBuf),
    /// That of the machine.
    System,
    /// That of an unprivileged user, in `$XDG_RUNTIME_DIR`.
    User(PathBuf),
}

impl Root {
    /// The root that `--root` asks for, else the default one.
    pub(crate) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = given {
            return absolute(path).map(Self::Given);
        }
        let runtime_dir = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty() && is_rootless());
        Ok(runtime_dir.map_or(Self::System, |dir| Self::User(Path::new(&dir).join(NAME))))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::User(path) => path,
            Self::System => Path::new(DEFAULT),
        }
    }

    /// Whether `--root` asked for it.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// Says to an unprivileged user who may not use the machine's root where else there could be one.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let denied = |detail: &Detail| detail.errno == Some(Errno::EACCES as i32) && detail.hint.is_none();
        let concerned = matches!(self, Self::System) && is_rootless() && failure.message.contains(DEFAULT);
        match failure.detail {
            Some(detail) if concerned && denied(&detail) => {
                let hint =
                    Some("XDG_RUNTIME_DIR is not set: set it, or name a directory with --root".to_owned());
                Failure { detail: Some(Detail { hint, ..detail }), ..failure }
            }
            _ => failure,
        }
    }

    /// Makes what a new container needs beyond that which the library makes: in `$XDG_RUNTIME_DIR` the sticky bit keeps
    /// periodic cleaners away.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        let Self::User(path) = self else { return Ok(()) };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o1700)))
            .map_err(|error| Failure::file("mkdir", path, error))
    }
}

/// The path from `/` on, without `.` and `..`.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let full = std::path::absolute(path).map_err(|error| Failure::file("resolve", path, error))?;
    let mut clean = PathBuf::from("/");
    for component in full.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => _ = clean.pop(),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    if clean == Path::new("/") {
        return Err(Failure::new("Option --root argument should not be set to /"));
    }
    Ok(clean)
}

/// Whether the caller counts as an unprivileged user: one who is not root, or who is root of a user namespace only.
pub(crate) fn is_rootless() -> bool {
    !geteuid().is_root() || (in_user_namespace() && env::var_os("USER").is_none_or(|user| user != "root"))
}

fn in_user_namespace() -> bool {
    let map = procfs::read("self/uid_map").unwrap_or_default();
    let everything = ["0", "0", "4294967295"];
    !map.is_empty() && !String::from_utf8_lossy(&map).split_whitespace().eq(everything)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_absolute_and_clean() {
        assert_eq!(absolute(Path::new("/a/./b/../c//d/")).unwrap(), Path::new("/a/c/d"));
        let here = env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("state")).unwrap(), here.join("state"));
        for path in ["/", "/..", "/a/..", "//."] {
            assert!(absolute(Path::new(path)).is_err(), "{path}");
        }
    }
}

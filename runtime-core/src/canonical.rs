//! Paths without symbolic links and `..` in them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

use crate::sys;

/// Opens a file or directory as a place (`O_PATH`), with its canonical path.
pub(crate) fn open(path: &Path, flags: OFlag) -> io::Result<(PathBuf, OwnedFd)> {
    let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
    // Most are canonical as they are given: the kernel says so with one call, where the C library looks at each part of them.
    let is_clean = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if is_clean && path.is_absolute() {
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        if let Ok(file) = sys::again(|| openat2(AT_FDCWD, path, how)) {
            return Ok((path.components().collect(), file));
        }
    }
    let path = path.canonicalize()?;
    let file = sys::again(|| openat(AT_FDCWD, &path, flags, Mode::empty()))?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_way_to_a_directory_is_its_own_path() {
        let top = std::env::temp_dir().canonicalize().unwrap();
        let top = top.join(format!("corten-canonical-{}", std::process::id()));
        let real = top.join("a/b");
        fs::create_dir_all(&real).unwrap();
        fs::write(top.join("file"), "").unwrap();
        symlink("a", top.join("link")).unwrap();
        for way in ["a/b", "a//b/", "./a/./b/.", "link/b", "a/../link/b"] {
            let (path, dir) = open(&top.join(way), OFlag::O_DIRECTORY).unwrap();
            assert_eq!(path.as_os_str(), real.as_os_str(), "{way}");
            let opened = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir)));
            assert_eq!(opened.unwrap(), real, "{way}");
        }
        assert_eq!(open(Path::new("."), OFlag::empty()).unwrap().0, std::env::current_dir().unwrap());
        for (way, kind) in [
            ("nothing", io::ErrorKind::NotFound),
            ("file", io::ErrorKind::NotADirectory),
            ("file/b", io::ErrorKind::NotADirectory),
        ] {
            assert_eq!(open(&top.join(way), OFlag::O_DIRECTORY).unwrap_err().kind(), kind, "{way}");
        }
        assert!(open(&top.join("file"), OFlag::empty()).is_ok());
        fs::remove_dir_all(&top).unwrap();
    }
}

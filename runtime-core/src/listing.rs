//! What is in a directory, and its removal. It is read into a buffer on the stack: the C library would map memory for it and unmap it again.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::libc::DT_DIR;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::sys;

/// An entry begins with its inode and a place in the directory (eight bytes each), its length (two) and its type (one).
const LENGTH: usize = 16;
const TYPE: usize = 18;
const NAME: usize = 19;

/// Shows the entries of an open directory, from where it stands on: each one's name, and whether it says that it is a directory. Entries may
/// be removed meanwhile.
pub(crate) fn each(dir: impl AsFd, mut see: impl FnMut(&CStr, bool)) -> nix::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let count = sys::getdents(&dir, &mut buffer)?;
        let mut rest = buffer.get(..count).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while let Some((entry, next)) = first(rest) {
            let name = entry.get(NAME..).and_then(|name| CStr::from_bytes_until_nul(name).ok());
            if let Some(name) = name.filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
                see(name, entry.get(TYPE) == Some(&DT_DIR));
            }
            rest = next;
        }
    }
}

/// Removes everything below a directory but one name, never through a symbolic link.
pub(crate) fn clear(dir: BorrowedFd<'_>, path: &Path, keep: Option<&str>) {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let remove = |name: &CStr| match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => {
            if let Ok(below) = openat(dir, name, flags, Mode::empty()) {
                clear(below.as_fd(), &path.join(name.to_string_lossy().as_ref()), None);
            }
            unlinkat(dir, name, UnlinkatFlags::RemoveDir)
        }
        removed => removed,
    };
    // One of its own: how far the other has been read is shared with whoever else has it.
    let listed = openat(dir, ".", flags, Mode::empty()).and_then(|own| {
        each(own, |name, _| {
            if keep.is_some_and(|keep| name.to_bytes() == keep.as_bytes()) {
                return;
            }
            if let Err(errno) = remove(name) {
                log::debug!("remove {}/{}: {errno}", path.display(), name.to_string_lossy());
            }
        })
    });
    if let Err(errno) = listed {
        log::debug!("read {}: {errno}", path.display());
    }
}

/// The first entry of several, and those after it.
fn first(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = entries.get(LENGTH..TYPE)?.try_into().map(u16::from_ne_bytes).ok()?;
    entries.split_at_checked(usize::from(length).max(NAME))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn everything_is_shown_once() {
        let path = std::env::temp_dir().join(format!("corten-listing-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let names: BTreeSet<String> =
            (0..300).map(|number| format!("{number:.>width$}", width = 3 + number % 250)).collect();
        for (index, name) in names.iter().enumerate() {
            match index % 2 {
                0 => fs::create_dir(path.join(name)).unwrap(),
                _ => fs::write(path.join(name), "").unwrap(),
            }
        }
        let mut seen = Vec::new();
        each(File::open(&path).unwrap(), |name, is_dir| {
            let name = name.to_str().unwrap().to_owned();
            assert_eq!(is_dir, path.join(&name).is_dir(), "{name}");
            seen.push(name);
        })
        .unwrap();
        assert_eq!(seen.len(), names.len());
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), names);
        fs::remove_dir_all(&path).unwrap();
        assert!(each(File::open("/dev/null").unwrap(), |_, _| ()).is_err());
    }
}

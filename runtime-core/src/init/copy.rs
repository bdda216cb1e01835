//! Copying a directory's content into another one that nobody else sees yet.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::nr;
use super::sys::{self, Fd};

/// Directories in each other that are copied; each takes some room on the stack.
const DEEPEST: u32 = 64;

/// Copies all that is in `from` into `to`, with types, owners and permissions.
pub(crate) fn contents(from: &Fd, to: &Fd) -> Result<()> {
    directory(from, to, 0)
}

fn directory(from: &Fd, to: &Fd, depth: u32) -> Result<()> {
    if depth == DEEPEST {
        return Err(Fault::errno(nr::OPENAT, ENAMETOOLONG));
    }
    let list = sys::openat(from.raw(), c".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)?;
    let mut buffer = [0; 2048];
    loop {
        let read = sys::getdents64(list.raw(), &mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let mut entries = buffer.get(..read).unwrap_or_default();
        while let Some((name, rest)) = entry(entries) {
            entries = rest;
            if name != c"." && name != c".." {
                copy(&list, to, name, depth)?;
            }
        }
    }
}

/// The name of the first `struct linux_dirent64`, and what comes after that.
fn entry(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    let len = u16::from_le_bytes(entries.get(16..18)?.try_into().ok()?);
    let (first, rest) = entries.split_at_checked(len.into())?;
    Some((CStr::from_bytes_until_nul(first.get(19..)?).ok()?, rest))
}

fn copy(from: &Fd, to: &Fd, name: &CStr, depth: u32) -> Result<()> {
    let found = sys::openat(from.raw(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0)?;
    let stat = sys::statx(found.raw(), c"")?;
    match stat.kind() {
        S_IFDIR => {
            sys::mkdirat(to.raw(), name, 0o700)?;
            let made = sys::openat(to.raw(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)?;
            directory(&found, &made, depth + 1)?;
        }
        S_IFREG => file(from, to, name)?,
        S_IFLNK => link(from, to, name)?,
        _ => {
            let device = stat.device();
            // In a user namespace there are no device nodes.
            if unless(sys::mknodat(to.raw(), name, stat.kind() | 0o600, device), &[EPERM])?.is_none() {
                return Ok(());
            }
        }
    }
    // An owner who is not mapped stays behind.
    let owned = sys::fchownat(to.raw(), name, stat.uid, stat.gid, AT_SYMLINK_NOFOLLOW);
    unless(owned, &[EINVAL, EPERM])?;
    if stat.kind() != S_IFLNK {
        sys::fchmodat(to.raw(), name, u32::from(stat.mode) & 0o7777)?;
    }
    Ok(())
}

fn file(from: &Fd, to: &Fd, name: &CStr) -> Result<()> {
    // Not to be blocked by what somebody may have put in the file's place.
    let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    let old = sys::openat(from.raw(), name, flags, 0)?;
    let new = sys::openat(to.raw(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)?;
    while sys::sendfile(new.raw(), old.raw(), 1 << 30)? != 0 {}
    Ok(())
}

fn link(from: &Fd, to: &Fd, name: &CStr) -> Result<()> {
    // The last byte stays NUL.
    let mut target = [0; 4096];
    let len = sys::readlinkat(from.raw(), name, target.get_mut(..4095).unwrap_or_default())?.len();
    let target = CStr::from_bytes_until_nul(target.get(..=len).unwrap_or_default()).unwrap_or_default();
    sys::symlinkat(target, to.raw(), name).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::IntoRawFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use nix::sys::stat::Mode;

    use super::*;

    fn open(path: &Path) -> Fd {
        Fd::own(fs::File::open(path).unwrap().into_raw_fd())
    }

    #[test]
    fn everything_is_copied_as_it_is() {
        let dir = std::env::temp_dir().join(format!("corten-copy-{}", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("a/b/text"), vec![7; 100_000]).unwrap();
        fs::set_permissions(from.join("a/b/text"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o1777)).unwrap();
        symlink("/no/where", from.join("a/link")).unwrap();
        nix::unistd::mkfifo(&from.join("fifo"), Mode::from_bits_truncate(0o622)).unwrap();
        for number in 0..200 {
            fs::write(from.join(format!("a/file-with-a-long-name-{number}")), "").unwrap();
        }
        contents(&open(&from), &open(&to)).unwrap();
        assert_eq!(fs::read(to.join("a/b/text")).unwrap(), vec![7; 100_000]);
        assert_eq!(fs::metadata(to.join("a/b/text")).unwrap().mode() & 0o7777, 0o4711);
        assert_eq!(fs::metadata(to.join("a")).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_link(to.join("a/link")).unwrap(), Path::new("/no/where"));
        assert!(fs::metadata(to.join("fifo")).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(to.join("a")).unwrap().count(), 202);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_depth_is_bounded() {
        let dir = std::env::temp_dir().join(format!("corten-copy-deep-{}", std::process::id()));
        fs::create_dir_all(dir.join("from").join("d/".repeat(80))).unwrap();
        fs::create_dir_all(dir.join("to")).unwrap();
        assert!(contents(&open(&dir.join("from")), &open(&dir.join("to"))).unwrap_err().is(ENAMETOOLONG));
        fs::remove_dir_all(dir).unwrap();
    }
}

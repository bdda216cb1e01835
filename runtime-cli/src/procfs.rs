//! Files of the library's procfs, which need not be what lies at `/proc`.

use std::fs::File;
use std::io::{self, Read};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat, stat};

/// A file, whole.
pub(crate) fn read(path: &str) -> io::Result<Vec<u8>> {
    let root = runtime_core::host_procfs().map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    let file = openat(root, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether it is what other programs find at `/proc`.
pub(crate) fn is_mounted() -> bool {
    let own = runtime_core::host_procfs().ok().and_then(|root| fstat(root).ok());
    own.zip(stat("/proc").ok())
        .is_some_and(|(own, found)| (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
}

//! The directory of the root file system.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc::S_ISVTX;
use nix::sys::stat::stat;

use crate::bundle::Bundle;
use crate::canonical;
use crate::config::Spec;
use crate::error::{Error, errno_of, errno_text};
use crate::state::RootMount;
use crate::sys;

/// The directory of the root file system.
pub(super) struct Rootfs {
    pub(super) path: PathBuf,
    pub(super) dir: OwnedFd,
}

impl Rootfs {
    /// Opens it once, for everything that is done to it (rule D27).
    pub(super) fn open(bundle: &Bundle, state_root: &Path) -> Result<Self, Error> {
        let given = bundle.spec.root.as_ref().map_or("", |root| root.path.as_str());
        let given = bundle.dir.join(given);
        let refused = |reason: String| Error::Rootfs { path: given.clone(), reason };
        let opened = canonical::open(&given, OFlag::O_DIRECTORY);
        let (path, dir) = opened.map_err(|error| refused(errno_text(errno_of(&error))))?;
        if path == Path::new("/") {
            return Err(refused("is the host's own root".to_owned()));
        }
        if state_root.starts_with(&path) {
            return Err(refused(format!("holds the state root {}", state_root.display())));
        }
        Ok(Self { path, dir })
    }

    /// Whose mount namespace will hold it.
    pub(super) fn mount(&self, spec: &Spec) -> Result<RootMount, Error> {
        let namespace = spec.linux.as_ref().and_then(|linux| linux.namespace("mount"));
        Ok(match namespace.map(|namespace| namespace.path.is_some()) {
            Some(false) => RootMount::Own,
            Some(true) => RootMount::Joined,
            None => RootMount::Over(
                sys::mount_id(&self.dir).map_err(Error::system("look at", "the root filesystem"))?,
            ),
        })
    }

    /// Says where others may put something else in its place, or in that of the state root.
    pub(super) fn warn_of_exposure(&self, state_root: &Path) {
        for parent in [&self.path, state_root].into_iter().filter_map(|path| exposed_parent(path)) {
            log::warn!(
                "every user may rename what is in {}: its mode lacks the sticky bit",
                parent.display()
            );
        }
    }
}

/// The first directory above a path in which every user may put something else in its place.
fn exposed_parent(path: &Path) -> Option<&Path> {
    const OTHERS_WRITE: u32 = 0o0002;
    let exposed = |parent: &&Path| {
        let mode = stat(*parent).map_or(0, |stat| stat.st_mode);
        mode & OTHERS_WRITE != 0 && mode & S_ISVTX == 0
    };
    path.ancestors().skip(1).find(exposed)
}

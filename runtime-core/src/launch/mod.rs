//! The host side of bringing init up: its image, its birth, its channel.

mod channel;
mod image;
mod spawn;
#[cfg(test)]
mod tests;

use nix::errno::Errno;

/// Why init could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The kernel refused something on the way.
    #[error("{doing}: {}", errno.desc())]
    System {
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl Error {
    const MAKE_IMAGE: &str = "make the image of init";
    const EXECUTE: &str = "execute init";

    /// True where another kind of image may be allowed.
    fn denies_image(&self) -> bool {
        let Self::System { doing, errno } = self;
        [Self::MAKE_IMAGE, Self::EXECUTE].contains(doing) && [Errno::EACCES, Errno::EPERM].contains(errno)
    }

    fn system(doing: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System { doing, errno }
    }
}

//! The file that init is executed from: init itself with its program behind it, which nobody can change any more.

use std::env;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open, openat};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Error;
use crate::init::abi::MOUNT_ATTR_RDONLY;
use crate::init::mount;
use crate::procfs;
use crate::sys;
use crate::wire::{Attrs, TRAILER_MAGIC, TRAILER_SIZE};

/// Init, as the build script compiled it. A value of its own and no reference to one, so that the linker knows its name.
static INIT: [u8; include_bytes!(concat!(env!("OUT_DIR"), "/init")).len()] =
    *include_bytes!(concat!(env!("OUT_DIR"), "/init"));
const _: () = assert!(INIT.len() < 64 * 1024, "init is to stay small");

/// How an image comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A sealed memfd.
    Memfd,
    /// A nameless file of a read-only tmpfs of its own, for hosts that let no memfd be executed.
    Tmpfs,
    /// A nameless file in a directory for temporary ones, where there is no privilege to mount.
    Unnamed,
}

impl Way {
    /// Whether no later image can have the device and inode of this one: a file system gives the inode of a nameless file to others.
    pub(crate) fn is_unique(self) -> bool {
        self == Self::Memfd
    }

    /// The ways, in the order in which they are tried.
    pub(crate) const ALL: [Self; 3] = [Self::Memfd, Self::Tmpfs, Self::Unnamed];
}

/// Init, its program and the trailer.
type Content<'a> = [&'a [u8]; 3];

/// Init with its program, ready to be executed.
#[derive(Debug)]
pub(crate) struct Image {
    file: OwnedFd,
    identity: (u64, u64),
}

impl Image {
    /// An image with this program.
    pub(crate) fn new(program: &[u8], way: Way) -> Result<Self, Error> {
        let content = [INIT.as_slice(), program, &trailer(program)?];
        let file = match way {
            Way::Memfd => memfd(content),
            Way::Tmpfs => on_tmpfs(content),
            Way::Unnamed => unnamed(content),
        };
        let file = file.map_err(Error::system(Error::MAKE_IMAGE))?;
        let stat = fstat(&file).map_err(Error::system("look at the image of init"))?;
        Ok(Self { file, identity: (stat.st_dev, stat.st_ino) })
    }

    /// Its device and inode, by which a process is known that still runs it.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What follows the program in an image, and says where it is.
fn trailer(program: &[u8]) -> Result<[u8; TRAILER_SIZE], Error> {
    if u32::try_from(program.len()).is_err() {
        return Err(Error::System { doing: Error::MAKE_IMAGE, errno: Errno::E2BIG });
    }
    let mut trailer = [0; TRAILER_SIZE];
    let words = [TRAILER_MAGIC, INIT.len() as u64, program.len() as u64];
    for (place, byte) in trailer.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
        *place = byte;
    }
    Ok(trailer)
}

/// The program in an image.
pub(crate) fn program(mut image: File) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    image.read_to_end(&mut content).ok()?;
    let end = content.len().checked_sub(TRAILER_SIZE)?;
    let words = content.get(end..)?.chunks_exact(8).map(|word| word.try_into().map(u64::from_le_bytes));
    let words: Vec<u64> = words.collect::<Result<_, _>>().ok()?;
    let &[TRAILER_MAGIC, start, len] = words.as_slice() else { return None };
    let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
    content.get(start..)?.get(..len).map(<[u8]>::to_vec)
}

/// Writes the parts of an image one behind the other, with one call where the kernel takes all at once.
fn write(file: OwnedFd, content: Content<'_>) -> Result<OwnedFd, Errno> {
    let mut file = File::from(file);
    let failed = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let parts = content.map(IoSlice::new);
    let mut written = sys::again(|| file.write_vectored(&parts).map_err(failed))?;
    for part in content {
        let rest = part.get(written..).unwrap_or_default();
        written = written.saturating_sub(part.len());
        file.write_all(rest).map_err(failed)?;
    }
    Ok(file.into())
}

fn memfd(content: Content<'_>) -> Result<OwnedFd, Errno> {
    let create = |flags| memfd_create(c"corten-init", MFdFlags::from_bits_retain(flags));
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // Kernels before 6.3 know neither the flag nor the seal that keeps a file executable.
    let (file, seals) = match create(flags | libc::MFD_EXEC) {
        Err(Errno::EINVAL) => (create(flags)?, seals),
        file => (file?, seals | libc::F_SEAL_EXEC),
    };
    let file = write(file, content)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::from_bits_retain(seals)))?;
    Ok(file)
}

fn on_tmpfs(content: Content<'_>) -> Result<OwnedFd, Errno> {
    let tree = sys::adopt(mount::tmpfs([(c"mode", c"0700")], None)?);
    let create = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    // A file that somebody can write to is not executed: the writer is closed first.
    drop(write(openat(&tree, "init", create, Mode::S_IRUSR | Mode::S_IXUSR)?, content)?);
    let file = openat(&tree, "init", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    unlinkat(&tree, "init", UnlinkatFlags::NoRemoveDir)?;
    mount::set(tree.as_raw_fd(), &Attrs { set: MOUNT_ATTR_RDONLY, ..Attrs::default() })?;
    Ok(file)
}

fn unnamed(content: Content<'_>) -> Result<OwnedFd, Errno> {
    let temporary = env::temp_dir();
    let mut answer = Err(Errno::ENOENT);
    for dir in [temporary.as_path(), Path::new("/var/tmp"), Path::new("/dev/shm")] {
        answer = unnamed_in(dir, content);
        if answer.is_ok() {
            break;
        }
    }
    answer
}

fn unnamed_in(dir: &Path, content: Content<'_>) -> Result<OwnedFd, Errno> {
    if statvfs(dir)?.flags().contains(FsFlags::ST_NOEXEC) {
        return Err(Errno::EACCES);
    }
    let create = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let writer = write(open(dir, create, Mode::S_IRUSR | Mode::S_IXUSR)?, content)?;
    procfs::open(&format!("thread-self/fd/{}", writer.as_raw_fd()), OFlag::O_RDONLY)
}

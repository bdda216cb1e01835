//! The payload's terminal and standard streams.

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::link::Link;
use super::mount::{attach_on, clone_tree};
use super::path::Root;
use super::sys::{self, Fd};
use super::wire::{Check, Tag};

/// What the terminal is to be like.
pub(crate) struct Console {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) uid: u32,
    pub(crate) bind: bool,
}

/// Opens a pty in the root's devpts, sends the master to the host side, and makes the slave the standard
/// streams and the controlling terminal.
pub(crate) fn open(root: &Root, console: &Console, link: &Link, step: u32) -> Result<()> {
    let master = open_master(root)?;
    sys::unlock_pty(&master)?;
    let slave = sys::open_pty_peer(&master)?;
    if console.columns != 0 {
        sys::set_window_size(&master, console.rows as u16, console.columns as u16)?;
    }
    sys::fchown(slave.raw(), console.uid, NO_ID)?;
    link.tell(Tag::Terminal, step, 0, Some(&master))?;
    drop(master);
    if console.bind {
        bind(root, &slave)?;
    }
    for stream in 0..3 {
        sys::dup3(slave.raw(), stream, 0)?;
    }
    sys::set_controlling_terminal(0)
}

/// Opens the multiplexer of the devpts at `/dev/pts`, which must be that and nothing that an image put there.
fn open_master(root: &Root) -> Result<Fd> {
    let wrong = Fault::check(Check::NotPtmx);
    let dir = Root { nofollow: true, ..*root }.open_with(c"dev/pts", O_PATH | O_DIRECTORY)?;
    if sys::filesystem(dir.raw())? != DEVPTS_MAGIC {
        return Err(wrong);
    }
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    let master = sys::openat2(dir.raw(), c"ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, resolve)?;
    let stat = sys::statx(master.raw(), c"")?;
    let ptmx = stat.ino == 2 && stat.kind() == S_IFCHR && (stat.rdev_major, stat.rdev_minor) == (5, 2);
    if ptmx { Ok(master) } else { Err(wrong) }
}

/// Binds the slave over `/dev/console`, which is made where it is missing.
fn bind(root: &Root, slave: &Fd) -> Result<()> {
    let strict = Root { nofollow: true, ..*root };
    let dir = strict.open_with(c"dev", O_PATH | O_DIRECTORY)?;
    unless(sys::mknodat(dir.raw(), c"console", S_IFREG | 0o600, 0), &[EEXIST])?;
    let target = strict.open(c"dev/console")?;
    attach_on(&clone_tree(slave.raw(), c"", 0)?, &target, &strict, c"dev/console")
}

/// Gives `uid` the standard streams that are terminals, pipes or sockets, so that the payload can open them anew.
pub(crate) fn own_stdio(uid: u32) -> Result<()> {
    for stream in 0..3 {
        let stat = sys::statx(stream, c"")?;
        let ours = match stat.kind() {
            S_IFIFO | S_IFSOCK => true,
            S_IFCHR => sys::is_terminal(stream),
            _ => false,
        };
        if ours && stat.uid != uid {
            // A user who is not mapped, or a file system that refuses: the stream works all the same.
            unless(sys::fchown(stream, uid, NO_ID), &[EINVAL, EPERM, EROFS])?;
        }
    }
    Ok(())
}

//! What a process is: its ids, capabilities, directory, signals, keyring.

use core::ffi::CStr;

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::nr;
use super::passwd;
use super::path::Root;
use super::sys;
use super::wire::Check;

/// Signals of all kinds.
const SIGNALS: u32 = 64;

/// Signals that end nobody by default.
const SPARING: [u32; 7] = [SIGCHLD as u32, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH];

const PASSWD: &CStr = c"etc/passwd";

/// The largest `/etc/passwd` that is read.
const PASSWD_LIMIT: u64 = 1 << 20;

/// Gives all signals their default dispositions; with `heed` those that end a process by default end this one by a handler,
/// until it executes a program.
pub(crate) fn reset_signals(heed: bool) -> Result<()> {
    for signal in (1..=SIGNALS).filter(|&signal| signal != SIGKILL && signal != SIGSTOP) {
        if heed && !SPARING.contains(&signal) {
            sys::end_by(signal)?;
        } else {
            sys::default_signal(signal)?;
        }
    }
    Ok(())
}

/// In a user namespace just entered: its root's ids, without supplementary groups where those may be set.
pub(crate) fn become_root(uid: u32, gid: u32, keep_groups: bool) -> Result<()> {
    if !keep_groups {
        unless(sys::setgroups(&[]), &[EPERM])?;
    }
    sys::setresgid(gid, gid, gid)?;
    sys::setresuid(uid, uid, uid).map(drop)
}

/// Takes the user's ids and keeps the permitted capabilities, which `capset` raises again.
pub(crate) fn set_ids(uid: u32, gid: u32) -> Result<()> {
    sys::prctl(Control::SetKeepcaps, 1, 0, 0, 0)?;
    sys::setresgid(gid, gid, gid)?;
    sys::setresuid(uid, uid, uid)?;
    sys::prctl(Control::SetKeepcaps, 0, 0, 0, 0).map(drop)
}

/// Drops every capability that is not in `keep` from the bounding set. In a fault the index is the capability.
pub(crate) fn bound_capabilities(keep: u64) -> Result<()> {
    for cap in (0..64).filter(|cap| keep & 1 << cap == 0) {
        match sys::prctl(Control::CapbsetDrop, cap, 0, 0, 0) {
            // The kernel knows no more.
            Err(fault) if fault.is(EINVAL) => break,
            // Without CAP_SETPCAP nothing can be dropped; that matters where there is something to drop.
            Err(fault) if sys::prctl(Control::CapbsetRead, cap, 0, 0, 0)? == 1 => {
                return Err(fault.at(cap as usize));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Sets the capability sets. In a fault of the ambient set the index is the capability.
pub(crate) fn set_capabilities(caps: &Capabilities, ambient: u64) -> Result<()> {
    sys::capset(caps)?;
    sys::prctl(Control::CapAmbient, CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)?;
    for cap in (0..64).filter(|cap| ambient & 1 << cap != 0) {
        let raised = sys::prctl(Control::CapAmbient, CAP_AMBIENT_RAISE, cap, 0, 0);
        raised.map_err(|fault| fault.at(cap as usize))?;
    }
    Ok(())
}

/// Changes to a directory, which must be reachable from the root; false where the user may not enter it.
pub(crate) fn change_directory(path: &CStr, forgive: bool) -> Result<bool> {
    let tolerated: &[u32] = if forgive { &[EACCES] } else { &[] };
    if unless(sys::chdir(path), tolerated)?.is_none() {
        return Ok(false);
    }
    if sys::cwd_is_reachable()? { Ok(true) } else { Err(Fault::check(Check::CwdOutside)) }
}

/// Joins a new session keyring; a kernel without keyrings needs none.
pub(crate) fn session_keyring(name: &CStr) -> Result<()> {
    // The possessor may do everything; the user may view, read, search and link, so that `exec` can join.
    const PERMISSIONS: u32 = 0x3f00_0000 | 0x001b_0000;
    let Some(key) = unless(sys::join_session_keyring(name), &[ENOSYS])? else { return Ok(()) };
    // One that was there before belongs to the container's user, and has its permissions.
    unless(sys::set_key_permissions(key, PERMISSIONS), &[EACCES]).map(drop)
}

/// The environment's entry for the user's home directory: from the root's `/etc/passwd`, else `/`.
pub(crate) fn find_home(root: &Root, uid: u32) -> Result<&'static CStr> {
    const NONE: &CStr = c"HOME=/";
    // An image decides what stands there: it is looked at first, since opening a device may have effects, and again
    // in case it was changed meanwhile.
    let Ok(found) = root.open(PASSWD) else { return Ok(NONE) };
    if !is_readable(&sys::statx(found.raw(), c"")?) {
        return Ok(NONE);
    }
    let Ok(file) = root.open_with(PASSWD, O_RDONLY | O_NONBLOCK | O_NOCTTY) else { return Ok(NONE) };
    let stat = sys::statx(file.raw(), c"")?;
    if !is_readable(&stat) {
        return Ok(NONE);
    }
    let size = stat.size as usize;
    let text = sys::memory(size + 1)?;
    let mut len = 0;
    while let Some(rest @ [_, ..]) = text.get_mut(len..size) {
        match sys::read(file.raw(), rest)? {
            0 => break,
            more => len += more,
        }
    }
    Ok(passwd::home_entry(text, len, uid).unwrap_or(NONE))
}

/// True for a regular file of sensible size.
fn is_readable(stat: &Statx) -> bool {
    stat.kind() == S_IFREG && (1..=PASSWD_LIMIT).contains(&stat.size)
}

/// Writes a sysctl below the host's `/proc`. One that still has its old value afterwards was not set.
pub(crate) fn write_sysctl(proc: i32, path: &CStr, value: &[u8]) -> Result<()> {
    let before = Sysctl::read(proc, path);
    let file = sys::openat2(proc, path, O_WRONLY | O_CLOEXEC, Sysctl::RESOLVE)?;
    if sys::write(file.raw(), value)? != value.len() {
        return Err(Fault::errno(nr::WRITE, EINVAL));
    }
    // Some kernels' values read back in another form, and a few cannot be read.
    match (before, Sysctl::read(proc, path)) {
        (Ok(before), Ok(after)) if after.is(before.bytes()) && !after.is(value) => {
            Err(Fault::check(Check::SysctlValue))
        }
        _ => Ok(()),
    }
}

/// Writes a file of this process in the host's procfs, found by procfs itself: the number that the process has there is
/// not known in a pid namespace.
pub(crate) fn write_own(proc: i32, path: &CStr, fallback: Option<&CStr>, value: &[u8]) -> Result<()> {
    let own =
        sys::openat2(proc, c"self", O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_BENEATH | RESOLVE_NO_XDEV)?;
    let open = |path| sys::openat2(own.raw(), path, O_WRONLY | O_CLOEXEC, Sysctl::RESOLVE);
    let file = match (open(path), fallback) {
        (Err(fault), Some(path)) if fault.is(ENOENT) => open(path)?,
        (answer, _) => answer?,
    };
    if sys::write(file.raw(), value)? == value.len() { Ok(()) } else { Err(Fault::errno(nr::WRITE, EINVAL)) }
}

/// The beginning of a sysctl's value.
struct Sysctl([u8; 256], usize);

impl Sysctl {
    const RESOLVE: u64 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

    fn read(proc: i32, path: &CStr) -> Result<Self> {
        let file = sys::openat2(proc, path, O_RDONLY | O_CLOEXEC, Self::RESOLVE)?;
        let mut value = [0; 256];
        let len = sys::read(file.raw(), &mut value)?;
        Ok(Self(value, len))
    }

    fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }

    /// True for the same words, whatever blanks stand between them.
    fn is(&self, other: &[u8]) -> bool {
        let words = |text| <[u8]>::split(text, u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words(self.bytes()).eq(words(other))
    }
}

//! An example of a seccomp agent: `seccomp-agent SOCKET` answers `mkdir` and `mknod` for containers whose profile gives these calls
//! to `SCMP_ACT_NOTIFY` and names SOCKET as `listenerPath`.
//!
//! A directory gets the profile's `listenerMetadata` behind its name. Of devices, which a container may not make itself, only
//! `/dev/null`'s is made. The document of each process goes to standard output, a line each.
// The ioctls of a listener have no safe wrapper.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Cursor, IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::libc::{self, seccomp_notif, seccomp_notif_resp};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};

const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;
const ID_VALID: u64 = 0x4008_2102;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: seccomp-agent SOCKET"))?;
    // What a former agent has left.
    let _ = fs::remove_file(&path);
    for connection in UnixListener::bind(&path)?.incoming() {
        let connection = connection?;
        thread::spawn(move || {
            if let Err(error) = process(connection) {
                eprintln!("seccomp-agent: {error}");
            }
        });
    }
    Ok(())
}

/// Takes a process over from the runtime, and answers its calls until the last one under the filter has ended.
fn process(connection: UnixStream) -> io::Result<()> {
    let (begin, listener) = receive(&connection)?;
    // Up to the document's end: a runtime may keep the connection as long as it runs.
    let document = serde_json::Deserializer::from_reader(begin.chain(connection)).into_iter().next();
    let document: serde_json::Value = document.ok_or(io::ErrorKind::UnexpectedEof)??;
    let listener = listener.ok_or_else(|| io::Error::other("a process without a listener"))?;
    println!("{document}");
    let suffix = document.get("metadata").and_then(|value| value.as_str()).unwrap_or_default();
    while wait(&listener)? {
        // SAFETY: both structures are plain numbers, for which zero is a value.
        let (mut call, mut answer): (seccomp_notif, seccomp_notif_resp) = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills the structure, which is of the size that the request says.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, &raw mut call) } != 0 {
            // The caller has ended meanwhile.
            continue;
        }
        answer.id = call.id;
        let valid = || {
            // SAFETY: the kernel reads the number.
            unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID as _, &raw const call.id) == 0 }
        };
        answer.error = perform(&call, suffix, valid).map_or_else(|errno| -(errno as i32), |()| 0);
        // SAFETY: the kernel reads the structure. Where the caller has ended nobody needs the answer.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, &raw mut answer) };
    }
    Ok(())
}

/// The beginning of the document, and the listener that comes with it.
fn receive(connection: &UnixStream) -> io::Result<(Cursor<Vec<u8>>, Option<OwnedFd>)> {
    let mut text = vec![0; 65_536];
    let mut control = nix::cmsg_space!([i32; 1]);
    let mut parts = [IoSliceMut::new(&mut text)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(connection.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let rights = message.cmsgs()?.find_map(|one| match one {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made this descriptor for the message; nobody else owns it.
    let listener = rights.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let len = message.bytes;
    text.truncate(len);
    Ok((Cursor::new(text), listener))
}

/// Waits for a call; false when there can be none any more.
fn wait(listener: &OwnedFd) -> Result<bool, Errno> {
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::NONE)?;
    Ok(fds.iter().any(|fd| fd.revents().is_some_and(|events| events.contains(PollFlags::POLLIN))))
}

/// Does what the call asks for, in the root of its caller.
fn perform(call: &seccomp_notif, suffix: &str, valid: impl Fn() -> bool) -> Result<(), Errno> {
    let [first, second, third, fourth, ..] = call.data.args;
    let number = i64::from(call.data.nr);
    let (path, mode, device) = match number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => (first, second, None),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mknod => (first, second, Some(third)),
        libc::SYS_mkdirat if first as i32 == libc::AT_FDCWD => (second, third, None),
        libc::SYS_mknodat if first as i32 == libc::AT_FDCWD => (second, third, Some(fourth)),
        _ => return Err(Errno::ENOSYS),
    };
    let process = Path::new("/proc").join(call.pid.to_string());
    let path = string(&File::open(process.join("mem")).map_err(|_| Errno::EFAULT)?, path)?;
    let absolute = path.starts_with('/');
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let base = open(&process.join(if absolute { "root" } else { "cwd" }), flags, Mode::empty())?;
    // What was read and opened is the caller's only if it still waits.
    if !valid() {
        return Err(Errno::ESRCH);
    }
    let path = Path::new(&path);
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(Errno::EEXIST)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let within = if absolute { ResolveFlag::RESOLVE_IN_ROOT } else { ResolveFlag::RESOLVE_BENEATH };
    let how = OpenHow::new().flags(flags).resolve(within | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let parent = openat2(&base, parent, how)?;
    let mode = Mode::from_bits_truncate(mode as libc::mode_t);
    match device {
        None => mkdirat(&parent, format!("{name}{suffix}").as_str(), mode),
        Some(device) if device == makedev(1, 3) => mknodat(&parent, name, SFlag::S_IFCHR, mode, device),
        Some(_) => Err(Errno::EPERM),
    }
}

/// The string at an address of a process.
fn string(memory: &File, address: u64) -> Result<String, Errno> {
    let mut bytes = vec![0; 4096];
    let len = memory.read_at(&mut bytes, address).map_err(|_| Errno::EFAULT)?;
    let text = bytes.get(..len).and_then(|bytes| bytes.split(|byte| *byte == 0).next()).unwrap_or_default();
    String::from_utf8(text.to_vec()).map_err(|_| Errno::EILSEQ)
}

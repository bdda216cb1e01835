//! Terminals and network interfaces: calls of `ioctl(2)`.

use super::*;

/// Opens the lock of a pty's slave side.
pub(crate) fn unlock_pty(master: &Fd) -> Result<()> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    let unlocked = 0i32;
    // SAFETY: the kernel reads one int.
    unsafe { call(nr::IOCTL, [master.raw() as usize, TIOCSPTLCK, &raw const unlocked as usize]) }.map(drop)
}

/// Opens a pty's slave side.
pub(crate) fn open_pty_peer(master: &Fd) -> Result<Fd> {
    const TIOCGPTPEER: usize = 0x5441;
    let flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    // SAFETY: takes numbers.
    opened(unsafe { call(nr::IOCTL, [master.raw() as usize, TIOCGPTPEER, flags as usize]) })
}

pub(crate) fn set_window_size(tty: &Fd, rows: u16, columns: u16) -> Result<()> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    // SAFETY: the kernel reads a `struct winsize`, four shorts.
    unsafe { call(nr::IOCTL, [tty.raw() as usize, TIOCSWINSZ, size.as_ptr() as usize]) }.map(drop)
}

/// Makes a terminal the session's controlling one.
pub(crate) fn set_controlling_terminal(tty: i32) -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    // SAFETY: takes numbers.
    unsafe { call(nr::IOCTL, [tty as usize, TIOCSCTTY, 0]) }.map(drop)
}

pub(crate) fn is_terminal(fd: i32) -> bool {
    const TCGETS: usize = 0x5401;
    let mut termios = [0u32; 16];
    // SAFETY: the kernel's `struct termios` has 36 bytes; the array has more.
    unsafe { call(nr::IOCTL, [fd as usize, TCGETS, termios.as_mut_ptr() as usize]) }.is_ok()
}

/// Sets flags of a network interface beside those that it has.
pub(crate) fn raise_interface(socket: &Fd, name: &[u8; 16], raise: u16) -> Result<()> {
    const SIOCGIFFLAGS: usize = 0x8913;
    const SIOCSIFFLAGS: usize = 0x8914;
    // `struct ifreq`: the name, the flags, and room for the union's other members.
    #[repr(C)]
    struct Request([u8; 16], u16, [u8; 22]);
    let mut request = Request(*name, 0, [0; 22]);
    // SAFETY: the kernel reads and fills the structure, which has its size of 40 bytes.
    unsafe { call(nr::IOCTL, [socket.raw() as usize, SIOCGIFFLAGS, &raw mut request as usize]) }?;
    request.1 |= raise;
    // SAFETY: as above.
    unsafe { call(nr::IOCTL, [socket.raw() as usize, SIOCSIFFLAGS, &raw mut request as usize]) }.map(drop)
}

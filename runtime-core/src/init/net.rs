//! The loopback interface, and the way in for others.

use super::abi::{AF_INET, AF_NETLINK, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW};
use super::fault::Result;
use super::sys::{self, Fd};

const IFF_UP: u16 = 1;

/// A socket for the loopback interface of this network namespace.
pub(crate) fn loopback_socket() -> Result<Fd> {
    sys::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
}

/// Brings the loopback interface up, in the namespace that the socket is of.
pub(crate) fn loopback_up(socket: &Fd) -> Result<()> {
    sys::raise_interface(socket, b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", IFF_UP)
}

/// A netlink socket for the interfaces of this network namespace.
pub(crate) fn route_socket() -> Result<Fd> {
    sys::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC)
}

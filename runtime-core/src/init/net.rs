//! The loopback interface.

use super::abi::{AF_INET, SOCK_CLOEXEC, SOCK_DGRAM};
use super::fault::Result;
use super::sys;

const IFF_UP: u16 = 1;

/// Brings the loopback interface up.
pub(crate) fn loopback_up() -> Result<()> {
    let socket = sys::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)?;
    sys::raise_interface(&socket, b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", IFF_UP)
}

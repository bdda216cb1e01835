//! Network interfaces by netlink: what moving one between network namespaces takes of rtnetlink(7).

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvmsg, sendto, socket,
};

use crate::sys::again;

const ACK: u16 = 0x4;
const CREATE_EXCLUSIVE: u16 = 0x400 | 0x200;
const DUMP: u16 = 0x300;
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

/// A socket for requests about one network namespace: that in which it was opened.
pub(super) struct Socket(OwnedFd);

/// An interface of a network namespace.
pub(super) struct Interface {
    pub(super) index: i32,
    pub(super) name: String,
    pub(super) is_up: bool,
}

/// An address of an interface, as the kernel tells it.
pub(super) struct Address {
    header: [u8; ADDRESS_HEADER],
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Socket {
    /// For the namespace of this thread.
    pub(super) fn new() -> Result<Self, Errno> {
        let (kind, flags) = (SockType::Raw, SockFlag::SOCK_CLOEXEC);
        socket(AddressFamily::Netlink, kind, flags, SockProtocol::NetlinkRoute).map(Self)
    }

    /// For the namespace in which `socket` was opened.
    pub(super) fn of(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// All interfaces.
    pub(super) fn interfaces(&self) -> Result<Vec<Interface>, Errno> {
        let mut interfaces = Vec::new();
        self.request(libc::RTM_GETLINK, DUMP, &[0; LINK_HEADER], |body| {
            let word = |at: usize| {
                body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes)
            };
            let name = attributes(body, LINK_HEADER).find(|(kind, _)| *kind == libc::IFLA_IFNAME);
            if let (Some(index), Some(flags), Some((_, name))) = (word(4), word(8), name) {
                let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
                interfaces.push(Interface { index, name, is_up: flags & libc::IFF_UP != 0 });
            }
        })?;
        Ok(interfaces)
    }

    /// The addresses of an interface that stay: global ones without an end.
    pub(super) fn addresses(&self, link: i32) -> Result<Vec<Address>, Errno> {
        const KEPT: [u16; 4] = [libc::IFA_ADDRESS, libc::IFA_LOCAL, libc::IFA_BROADCAST, libc::IFA_FLAGS];
        let mut addresses = Vec::new();
        self.request(libc::RTM_GETADDR, DUMP, &[0; ADDRESS_HEADER], |body| {
            let Some(header) = body.get(..ADDRESS_HEADER).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            else {
                return;
            };
            let [_, _, flags, scope, index @ ..] = header;
            let permanent = u32::from(flags) & libc::IFA_F_PERMANENT != 0;
            if permanent && scope == libc::RT_SCOPE_UNIVERSE && i32::from_ne_bytes(index) == link {
                let attributes = attributes(body, ADDRESS_HEADER).filter(|(kind, _)| KEPT.contains(kind));
                let attributes = attributes.map(|(kind, value)| (kind, value.to_vec())).collect();
                addresses.push(Address { header, attributes });
            }
        })?;
        Ok(addresses)
    }

    /// Moves an interface into the network namespace of a process or thread, where it gets this name.
    pub(super) fn move_link(&self, link: i32, pid: i32, name: &str) -> Result<(), Errno> {
        let mut body = link_header(link, 0);
        attribute(&mut body, libc::IFLA_NET_NS_PID, &pid.to_ne_bytes());
        attribute(&mut body, libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        self.request(libc::RTM_NEWLINK, ACK, &body, |_| {})
    }

    /// Brings an interface up.
    pub(super) fn bring_up(&self, link: i32) -> Result<(), Errno> {
        self.request(libc::RTM_NEWLINK, ACK, &link_header(link, libc::IFF_UP as u32), |_| {})
    }

    /// Gives an interface an address, if it does not have it.
    pub(super) fn add_address(&self, link: i32, address: &Address) -> Result<(), Errno> {
        let [family, prefix, flags, scope, ..] = address.header;
        let mut body = vec![family, prefix, flags, scope];
        body.extend(link.to_ne_bytes());
        for (kind, value) in &address.attributes {
            attribute(&mut body, *kind, value);
        }
        match self.request(libc::RTM_NEWADDR, ACK | CREATE_EXCLUSIVE, &body, |_| {}) {
            Err(Errno::EEXIST) => Ok(()),
            answer => answer,
        }
    }

    /// Sends a request and shows each message of the answer.
    fn request(&self, kind: u16, flags: u16, body: &[u8], mut see: impl FnMut(&[u8])) -> Result<(), Errno> {
        const REQUEST: u16 = 0x1;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((REQUEST | flags).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        // Addressed to the kernel, which then asks for the rights of the sender alone, not for those of who opened the socket.
        let kernel = NetlinkAddr::new(0, 0);
        again(|| sendto(self.0.as_raw_fd(), &message, &kernel, MsgFlags::empty()))?;
        // The kernel fills at most this much for one answer.
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let len = again(|| {
                let mut parts = [IoSliceMut::new(&mut buffer)];
                recvmsg::<()>(self.0.as_raw_fd(), &mut parts, None, MsgFlags::empty()).map(|said| said.bytes)
            })?;
            let mut rest = buffer.get(..len).unwrap_or_default();
            while let Some((kind, body, after)) = next_message(rest) {
                rest = after;
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => {
                        let errno = body.get(..4).and_then(|bytes| bytes.try_into().ok());
                        return match errno.map_or(0, i32::from_ne_bytes) {
                            0 => Ok(()),
                            errno => Err(Errno::from_raw(-errno)),
                        };
                    }
                    _ => see(body),
                }
            }
        }
    }
}

/// Type and body of the first message, and what comes after it.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    Some((kind, bytes.get(HEADER..len)?, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// The attributes of a message after its own header.
fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(header..).unwrap_or_default();
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// `struct ifinfomsg` that sets these flags.
fn link_header(link: i32, flags: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(link.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found() {
        let socket = Socket::new().unwrap();
        let interfaces = socket.interfaces().unwrap();
        let loopback = interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        // Its addresses are of the host's own scope.
        assert!(socket.addresses(loopback.index).unwrap().is_empty());
    }

    #[test]
    fn what_the_kernel_refuses_is_told() {
        assert!(Socket::new().unwrap().move_link(i32::MAX, 1, "x").is_err());
    }
}

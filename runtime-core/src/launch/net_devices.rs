//! `/linux/netDevices`: interfaces of the host that move into the container.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::gettid;

use super::Error;
use super::netlink::{Address, Interface, Socket};
use crate::error::errno_text;
use crate::plan::NetDevice;
use crate::pointer;

/// What was being done, and the kernel's answer.
type Failure = (&'static str, Errno);

/// The interfaces that are in the container now. Many kinds die with its network namespace, so those of a container that does not
/// come to be are given back while this holds that namespace.
pub(crate) struct Moved {
    outside: Socket,
    inside: Socket,
    links: Vec<Link>,
}

/// An interface as it was on the host.
struct Link {
    host: Interface,
    addresses: Vec<Address>,
    /// Its number in the container.
    inside: i32,
}

/// Moves the interfaces with their addresses. `inside` was opened in the container's network namespace, which is that of `pid`.
pub(crate) fn move_all(devices: &[NetDevice], pid: i32, inside: OwnedFd) -> Result<Moved, Error> {
    let failed = Error::system("open a netlink socket");
    let mut moved =
        Moved { outside: Socket::new().map_err(failed)?, inside: Socket::of(inside), links: Vec::new() };
    for device in devices {
        if let Err((doing, errno)) = moved.take(device, pid) {
            moved.give_back();
            let pointer = format!("/linux/netDevices/{}", pointer::escape(&device.name));
            return Err(Error::NetDevice { pointer, name: device.name.clone(), doing, errno });
        }
    }
    Ok(moved)
}

impl Moved {
    fn take(&mut self, device: &NetDevice, pid: i32) -> Result<(), Failure> {
        let host = find(&self.outside, |interface| interface.name == device.name, "find")?;
        let addresses = self.outside.addresses(host.index).map_err(of("read the addresses of"))?;
        let before = self.inside.interfaces().map_err(of("list interfaces"))?;
        if before.iter().any(|interface| interface.name == device.new_name) {
            return Err(("give the container's name to", Errno::EEXIST));
        }
        self.outside.move_link(host.index, pid, &device.new_name).map_err(of("move"))?;
        // It may have another number there; a name that is a pattern is the kernel's to complete.
        let is_new = |interface: &Interface| match device.new_name.contains('%') {
            true => before.iter().all(|known| known.index != interface.index),
            false => interface.name == device.new_name,
        };
        let inside = find(&self.inside, is_new, "find in the container")?.index;
        self.links.push(Link { host, addresses, inside });
        let Some(Link { addresses, .. }) = self.links.last() else { return Ok(()) };
        self.inside.bring_up(inside).map_err(of("bring up"))?;
        restore(&self.inside, inside, addresses)
    }

    /// Moves the interfaces back, as they were.
    pub(crate) fn give_back(self) {
        for link in &self.links {
            if let Err((doing, errno)) = self.give_back_one(link) {
                let text = errno_text(errno);
                log::warn!("network device {} does not come back: {doing}: {text}", link.host.name);
            }
        }
    }

    fn give_back_one(&self, Link { host, addresses, inside }: &Link) -> Result<(), Failure> {
        self.inside.move_link(*inside, gettid().as_raw(), &host.name).map_err(of("move"))?;
        let link = find(&self.outside, |interface| interface.name == host.name, "find")?.index;
        if host.is_up {
            self.outside.bring_up(link).map_err(of("bring up"))?;
        }
        restore(&self.outside, link, addresses)
    }
}

fn of(doing: &'static str) -> impl FnOnce(Errno) -> Failure {
    move |errno| (doing, errno)
}

fn find(
    socket: &Socket,
    wanted: impl FnMut(&Interface) -> bool,
    doing: &'static str,
) -> Result<Interface, Failure> {
    let interfaces = socket.interfaces().map_err(of("list interfaces"))?;
    interfaces.into_iter().find(wanted).ok_or((doing, Errno::ENODEV))
}

/// Gives an interface the addresses that it has lost on its way.
fn restore(socket: &Socket, link: i32, addresses: &[Address]) -> Result<(), Failure> {
    addresses
        .iter()
        .try_for_each(|address| socket.add_address(link, address))
        .map_err(of("add an address to"))
}

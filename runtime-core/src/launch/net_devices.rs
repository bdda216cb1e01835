//! `/linux/netDevices`: interfaces of the host that move into the container.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::Error;
use super::netlink::Socket;
use crate::plan::NetDevice;
use crate::pointer;

/// Moves the interfaces with their addresses. `inside` was opened in the container's network namespace, which is that of `pid`.
pub(crate) fn move_all(devices: &[NetDevice], pid: i32, inside: OwnedFd) -> Result<(), Error> {
    let failed = Error::system("open a netlink socket");
    let (outside, inside) = (Socket::new().map_err(failed)?, Socket::of(inside));
    devices.iter().try_for_each(|device| {
        move_one(device, pid, &outside, &inside).map_err(|(doing, errno)| Error::NetDevice {
            pointer: format!("/linux/netDevices/{}", pointer::escape(&device.name)),
            name: device.name.clone(),
            doing,
            errno,
        })
    })
}

fn move_one(
    device: &NetDevice,
    pid: i32,
    outside: &Socket,
    inside: &Socket,
) -> Result<(), (&'static str, Errno)> {
    let of = |doing| move |errno| (doing, errno);
    let links = outside.links().map_err(of("list interfaces"))?;
    let found = links.into_iter().find(|(_, name)| *name == device.name);
    let (link, _) = found.ok_or(("find", Errno::ENODEV))?;
    let addresses = outside.addresses(link).map_err(of("read the addresses of"))?;
    let before = inside.links().map_err(of("list interfaces"))?;
    if before.iter().any(|(_, name)| *name == device.new_name) {
        return Err(("give the container's name to", Errno::EEXIST));
    }
    outside.move_link(link, pid, &device.new_name).map_err(of("move"))?;
    // It may have another number there, and a name that the kernel has made of a pattern.
    let after = inside.links().map_err(of("list interfaces"))?;
    let new = after.into_iter().find(|link| !before.contains(link));
    let (link, _) = new.ok_or(("find in the container", Errno::ENODEV))?;
    inside.bring_up(link).map_err(of("bring up"))?;
    addresses
        .iter()
        .try_for_each(|address| inside.add_address(link, address))
        .map_err(of("add an address to"))
}

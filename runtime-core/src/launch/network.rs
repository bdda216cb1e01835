//! A new network namespace for init, made while that works.
//!
//! It takes the kernel 0.3 to 0.6 ms, and init needs none before the first mount that could see it. So this thread, which would sleep
//! meanwhile, goes to a new one for a moment, and sends it to init.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::Error;
use super::channel::Channel;
use crate::init::abi::CLONE_NEWNET;
use crate::init::net;
use crate::init::sys::{self, Fd};
use crate::plan::NewNetwork;
use crate::procfs;
use crate::wire::Order;

/// Makes the namespace and gives it to init; brings its loopback interface up, where the plan leaves that to the host side.
pub(super) fn give(channel: &Channel, part: NewNetwork) -> Result<(), Error> {
    let (namespace, socket) = make().map_err(Error::system(Error::NETWORK))?;
    let loopback_up = || {
        net::loopback_up(&socket)
            .map_err(Errno::from)
            .map_err(Error::system("bring the loopback interface up"))
    };
    if part.loopback && part.hooks {
        loopback_up()?;
    }
    match channel.give(Order::Network, namespace.as_fd()) {
        // What init has said before its end is read next.
        Err(errno) if Channel::has_gone(errno) => return Ok(()),
        given => given.map_err(Error::system(Error::NETWORK))?,
    }
    // Beside init's work, where nothing there needs it yet.
    if part.loopback && !part.hooks {
        loopback_up()?;
    }
    Ok(())
}

/// A new network namespace, and a socket in it.
fn make() -> Result<(OwnedFd, Fd), Errno> {
    let own = current()?;
    sys::unshare(CLONE_NEWNET as u32)?;
    let made = current().and_then(|namespace| Ok((namespace, net::loopback_socket()?)));
    sys::setns(own.as_raw_fd(), CLONE_NEWNET as u32)?;
    made
}

/// The network namespace of this thread.
fn current() -> Result<OwnedFd, Errno> {
    procfs::open("thread-self/ns/net", OFlag::O_RDONLY)
}

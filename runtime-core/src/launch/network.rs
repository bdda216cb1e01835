//! A new network namespace for init, made by a thread beside everything else.
//!
//! It takes the kernel 0.3 to 0.5 ms, and init needs none before the first mount that could see it. So it is begun as soon as it is known
//! to be wanted, while this side still writes and init does not exist.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow};

use super::Error;
use super::channel::Channel;
use crate::error::errno_of;
use crate::init::abi::CLONE_NEWNET;
use crate::init::fault::Fault;
use crate::init::{net, sys};
use crate::plan::NewNetwork;
use crate::procfs;
use crate::wire::Order;

/// The thread's stack, in bytes: what it does needs no more.
const STACK: usize = 64 * 1024;

/// A namespace in the making. The thread that makes it is its only one, and ends with that.
#[derive(Debug)]
pub(crate) struct Network(Option<JoinHandle<Result<OwnedFd, Error>>>);

impl Network {
    /// Begins.
    pub(crate) fn begin(part: NewNetwork) -> Result<Self, Error> {
        let failed = Error::system(Error::NETWORK);
        // Signals are for the caller's own threads.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(failed)?;
        let begun = thread::Builder::new().stack_size(STACK).spawn(move || make(part));
        mask.thread_set_mask().map_err(Error::system(Error::NETWORK))?;
        begun
            .map(|thread| Self(Some(thread)))
            .map_err(|error| Error::System { doing: Error::NETWORK, errno: errno_of(&error) })
    }

    /// Gives it to init.
    pub(super) fn give(mut self, channel: &Channel) -> Result<(), Error> {
        let made = self.0.take().and_then(|thread| thread.join().ok());
        let namespace = made.unwrap_or(Err(Error::System { doing: Error::NETWORK, errno: Errno::EINTR }))?;
        match channel.give(Order::Network, namespace.as_fd()) {
            // What init has said before its end is read next.
            Err(errno) if Channel::has_gone(errno) => Ok(()),
            Ok(()) => Ok(()),
            Err(errno) => Err(Error::System { doing: Error::NETWORK, errno }),
        }
    }
}

/// Nothing is left behind where the container does not come to be.
impl Drop for Network {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

/// Goes to a new network namespace.
fn make(part: NewNetwork) -> Result<OwnedFd, Error> {
    sys::unshare(CLONE_NEWNET as u32).map_err(errno).map_err(Error::system(Error::NETWORK))?;
    if part.loopback {
        let raised = net::loopback_socket().and_then(|socket| net::loopback_up(&socket));
        raised.map_err(errno).map_err(Error::system("bring the loopback interface up"))?;
    }
    procfs::open("thread-self/ns/net", OFlag::O_RDONLY).map_err(Error::system(Error::NETWORK))
}

fn errno(fault: Fault) -> Errno {
    Errno::from_raw(fault.value() as i32)
}

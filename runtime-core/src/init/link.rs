//! The conversation with the host side, and with `start`.

use super::abi::*;
use super::fault::{Fault, Result, unless};
use super::sys::{self, Fd};
use super::wire::{Check, Kind, Order, Report, Tag};

/// Where reports go and orders come from: the channel, after the gate the connection that said `Start`.
pub(crate) struct Link(Fd);

impl Link {
    /// A conversation over this socket.
    pub(crate) fn new(socket: Fd) -> Self {
        Self(socket)
    }

    /// Reports something that is not a fault, and hands a descriptor over.
    pub(crate) fn tell(&self, tag: Tag, step: u32, value: u32, fd: Option<&Fd>) -> Result<()> {
        let report = Report { tag, step, kind: Kind::Errno, call: 0, index: 0, value };
        sys::send(self.0.raw(), &report.encode(), fd.map(Fd::raw))
    }

    /// Reports something by `write(2)`, the one call that no listener is asked about.
    pub(crate) fn write(&self, tag: Tag, step: u32, value: u32) -> Result<()> {
        let report = Report { tag, step, kind: Kind::Errno, call: 0, index: 0, value };
        sys::write(self.0.raw(), &report.encode()).map(drop)
    }

    /// Reports a fault that the container can live with.
    pub(crate) fn warn(&self, step: u32, fault: Fault) -> Result<()> {
        let report = Report { tag: Tag::Tolerated, ..fault.report(step) };
        sys::send(self.0.raw(), &report.encode(), None)
    }

    /// Reports a fault. Where nobody listens any more there is nobody to tell.
    pub(crate) fn fail(&self, step: u32, fault: Fault) {
        let _ = sys::send(self.0.raw(), &fault.report(step).encode(), None);
    }

    /// The next order; `None` when the other side has gone.
    pub(crate) fn order(&self) -> Result<Option<Order>> {
        // One byte more than an order has, to tell a longer message.
        let mut message = [0; Order::SIZE + 1];
        let len = match sys::read(self.0.raw(), &mut message) {
            Err(fault) if fault.is(ECONNRESET) => 0,
            answer => answer?,
        };
        decode(message.get(..len))
    }

    /// Waits for this order; a host side that has gone takes init with it.
    pub(crate) fn expect(&self, wanted: Order) -> Result<()> {
        match self.order()? {
            Some(order) if order == wanted => Ok(()),
            Some(_) => Err(Fault::check(Check::Message)),
            None => sys::exit(1),
        }
    }

    /// The same for an order that comes with a descriptor.
    pub(crate) fn expect_descriptor(&self, wanted: Order) -> Result<Fd> {
        let mut message = [0; Order::SIZE + 1];
        let (len, fd) = sys::receive(self.0.raw(), &mut message)?;
        match (decode(message.get(..len))?, fd) {
            (Some(order), Some(fd)) if order == wanted => Ok(fd),
            (None, _) => sys::exit(1),
            _ => Err(Fault::check(Check::Message)),
        }
    }

    /// With this the gate: waits for a connection that says `Start`, and answers it. Whoever connects and leaves
    /// has not started the container.
    pub(crate) fn accept(&self, step: u32) -> Result<Self> {
        loop {
            let connection = unless(sys::accept4(self.0.raw(), SOCK_CLOEXEC), &[ECONNABORTED])?;
            let Some(connection) = connection else { continue };
            let link = Self(connection);
            if matches!(link.order(), Ok(Some(Order::Start))) {
                // Once taken, the start goes on whether or not its author still lives.
                let _ = link.tell(Tag::Accepted, step, 0, None);
                return Ok(link);
            }
        }
    }
}

/// The order that a message is; `None` where there was none any more.
fn decode(message: Option<&[u8]>) -> Result<Option<Order>> {
    match message {
        Some([]) => Ok(None),
        Some(order) => Order::decode(order).map(Some).ok_or(Fault::check(Check::Message)),
        None => Err(Fault::check(Check::Message)),
    }
}

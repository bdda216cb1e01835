//! A connection to a message bus: one for each operation, and no call without a deadline.

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::message::{self, Body, Call, FIXED, Kind, Message, Value};
use crate::cgroup::Error;

/// How long the bus and systemd may take for one call, or for one job.
const PATIENCE: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const ROOT: &str = "/org/freedesktop/systemd1";
const DBUS: &str = "org.freedesktop.DBus";

/// The longest line of the greeting.
const LONGEST_LINE: usize = 512;

/// Why a call did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// systemd, or the bus, has refused it: the error's name and text.
    Refused { name: String, text: String },
    /// There is no talking to it.
    Broken(Error),
}

/// A connection.
pub(super) struct Bus {
    stream: UnixStream,
    address: String,
    /// How long one call, or one job, may take.
    patience: Duration,
    serial: u32,
    /// Jobs that have ended, with their results, until somebody asks.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to the bus at an address of D-Bus's form, `unix:path=/run/dbus/system_bus_socket` for one.
    pub(super) fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(address, PATIENCE)
    }

    fn connect_with(address: &str, patience: Duration) -> Result<Self, Error> {
        let broken = |reason: String| Error::Bus { address: address.to_owned(), reason };
        let paths = address.split(';').filter_map(socket_address);
        let mut last = broken("is no address of a unix socket".to_owned());
        for path in paths {
            match path.and_then(|path| open(&path, patience)) {
                Ok(stream) => {
                    let (address, ended) = (address.to_owned(), Vec::new());
                    let mut bus = Self { stream, address, patience, serial: 0, ended };
                    bus.greet()?;
                    return Ok(bus);
                }
                Err(errno) => last = broken(format!("connect: {}", errno.desc())),
            }
        }
        Err(last)
    }

    /// Says who we are, by the credentials of the socket: that is right in a user namespace too.
    fn greet(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.patience;
        self.write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", deadline)?;
        for _ in 0..2 {
            let line = self.line(deadline)?;
            if line.starts_with("OK ") {
                self.call(DBUS, "/org/freedesktop/DBus", DBUS, "Hello", Body::default())
                    .map_err(|failure| failure.during("greet the bus"))?;
                return Ok(());
            }
            if !line.starts_with("DATA") {
                return Err(self.broken(format!("does not let us in: {line}")));
            }
        }
        Err(self.broken("does not let us in".to_owned()))
    }

    /// Calls a method of the manager.
    pub(super) fn manager(&mut self, member: &str, body: Body) -> Result<Message, Failure> {
        self.call(SYSTEMD, ROOT, MANAGER, member, body)
    }

    /// A property of the manager, which has to be a text.
    pub(super) fn manager_property(&mut self, name: &str) -> Result<String, Failure> {
        self.property(ROOT, MANAGER, name)
    }

    /// What a loaded unit is doing.
    pub(super) fn active_state(&mut self, unit: &str) -> Result<String, Failure> {
        let answer = self.manager("GetUnit", Body::default().with(&Value::string(unit)))?;
        let path = answer.text(0).unwrap_or_default().to_owned();
        self.property(&path, "org.freedesktop.systemd1.Unit", "ActiveState")
    }

    /// Has a job done and waits for its end; its result has to be `done`.
    pub(super) fn job(&mut self, member: &str, body: Body) -> Result<(), Failure> {
        let rule = format!(
            "type='signal',sender='{SYSTEMD}',path='{ROOT}',interface='{MANAGER}',member='JobRemoved'"
        );
        self.call(
            DBUS,
            "/org/freedesktop/DBus",
            DBUS,
            "AddMatch",
            Body::default().with(&Value::string(rule)),
        )?;
        let answer = self.manager(member, body)?;
        let job = answer.text(0).unwrap_or_default().to_owned();
        let deadline = Instant::now() + self.patience;
        loop {
            match self.ended.iter().find(|(ended, _)| *ended == job) {
                Some((_, result)) if result == "done" => return Ok(()),
                Some((_, result)) => {
                    let text = format!("the job of {member} has ended with {result:?}");
                    return Err(Failure::Refused { name: result.clone(), text });
                }
                None => drop(self.receive(deadline).map_err(Failure::Broken)?),
            }
        }
    }

    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<String, Failure> {
        let body = Body::default().with(&Value::string(interface)).with(&Value::string(name));
        let answer = self.call(SYSTEMD, path, "org.freedesktop.DBus.Properties", "Get", body)?;
        let text = answer.text(0).map(str::to_owned);
        text.ok_or_else(|| Failure::Broken(self.broken(format!("the property {name} is no text"))))
    }

    fn call(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Body,
    ) -> Result<Message, Failure> {
        let deadline = Instant::now() + self.patience;
        self.serial += 1;
        let serial = self.serial;
        let bytes = Call { destination, path, interface, member, body }.encode(serial);
        self.write(&bytes, deadline).map_err(Failure::Broken)?;
        loop {
            let message = self.receive(deadline).map_err(Failure::Broken)?;
            if message.reply_to != serial {
                continue;
            }
            match message.kind {
                Kind::Return => return Ok(message),
                Kind::Error => {
                    let text = message.text(0).unwrap_or_default().to_owned();
                    return Err(Failure::Refused { name: message.name, text });
                }
                Kind::Signal | Kind::Other => {}
            }
        }
    }

    /// The next message; the ends of jobs are written down.
    fn receive(&mut self, deadline: Instant) -> Result<Message, Error> {
        let mut bytes = vec![0; FIXED];
        self.read(&mut bytes, deadline)?;
        let damaged = |bus: &Self| bus.broken("sends what is no message".to_owned());
        let length = message::length(&bytes).ok_or_else(|| damaged(self))?;
        bytes.resize(length, 0);
        self.read(bytes.get_mut(FIXED..).unwrap_or_default(), deadline)?;
        let message = message::decode(&bytes).ok_or_else(|| damaged(self))?;
        if let (Kind::Signal, "JobRemoved") = (message.kind, message.name.as_str()) {
            if let (Some(job), Some(result)) = (message.text(1), message.text(3)) {
                self.ended.push((job.to_owned(), result.to_owned()));
            }
        }
        Ok(message)
    }

    /// A line of the greeting.
    fn line(&mut self, deadline: Instant) -> Result<String, Error> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") && line.len() < LONGEST_LINE {
            let mut byte = [0];
            self.read(&mut byte, deadline)?;
            line.extend_from_slice(&byte);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn read(&mut self, mut bytes: &mut [u8], deadline: Instant) -> Result<(), Error> {
        while !bytes.is_empty() {
            let left = self.left(deadline)?;
            let count = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(bytes));
            match count {
                Ok(0) => return Err(self.closed()),
                Ok(count) => bytes = bytes.get_mut(count..).unwrap_or_default(),
                Err(error) => self.again(&error)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        while !bytes.is_empty() {
            let left = self.left(deadline)?;
            self.stream.set_write_timeout(Some(left)).or_else(|error| self.again(&error))?;
            // A bus that has gone is an error, not the end of this process.
            match send(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(errno) => self.again(&errno.into())?,
            }
        }
        Ok(())
    }

    fn left(&self, deadline: Instant) -> Result<Duration, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.broken(format!("has not answered within {:?}", self.patience)));
        }
        Ok(left)
    }

    /// Whether a failed transfer may be tried again: the deadline is looked at before.
    fn again(&self, error: &std::io::Error) -> Result<(), Error> {
        match error.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(()),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Err(self.closed()),
            _ => Err(self.broken(error.to_string())),
        }
    }

    fn closed(&self) -> Error {
        self.broken("has closed the connection".to_owned())
    }

    fn broken(&self, reason: String) -> Error {
        Error::Bus { address: self.address.clone(), reason }
    }
}

impl Failure {
    /// Whether it is this error of systemd's.
    pub(super) fn is(&self, which: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name.strip_prefix("org.freedesktop.systemd1.") == Some(which))
    }

    /// The error, with what was being done.
    pub(super) fn during(self, doing: impl Into<String>) -> Error {
        match self {
            Self::Refused { name, text } => Error::Systemd { doing: doing.into(), name, text },
            Self::Broken(error) => error,
        }
    }
}

/// The unix socket of one address, unescaped: a path, or a name behind a NUL.
fn socket_address(address: &str) -> Option<Result<UnixAddr, Errno>> {
    let pairs = address.strip_prefix("unix:")?;
    let pair = |name| pairs.split(',').find_map(move |pair: &str| pair.strip_prefix(name)?.strip_prefix('='));
    match (pair("path"), pair("abstract")) {
        (Some(path), _) => Some(unescaped(path).and_then(|path| UnixAddr::new(path.as_slice()))),
        (None, Some(name)) => Some(unescaped(name).and_then(|name| UnixAddr::new_abstract(&name))),
        (None, None) => None,
    }
}

/// Bytes of which some are written as `%20`.
fn unescaped(text: &str) -> Result<Vec<u8>, Errno> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next().unwrap_or_default()).to_digit(16).ok_or(Errno::EINVAL);
        plain.push((digit()? << 4 | digit()?) as u8);
    }
    Ok(plain)
}

/// Connects; a bus whose queue is full has as long as for an answer.
fn open(address: &UnixAddr, patience: Duration) -> Result<UnixStream, Errno> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::milliseconds(patience.as_millis() as i64))?;
    connect(fd.as_raw_fd(), address)?;
    Ok(UnixStream::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let path = |address| socket_address(address).unwrap().unwrap();
        assert_eq!(path("unix:path=/run/a%20b,guid=1").path().unwrap().to_str(), Some("/run/a b"));
        assert_eq!(path("unix:guid=1,abstract=/tmp/x").as_abstract(), Some(&b"/tmp/x"[..]));
        assert!(socket_address("tcp:host=localhost").is_none());
        assert!(socket_address("unix:path=/a%2").unwrap().is_err());
        assert!(Bus::connect("tcp:host=x").is_err());
        assert!(Bus::connect("").is_err());
    }

    /// A bus that says these words to whoever connects, and then waits.
    fn bus_that_says(words: &'static [u8], name: &str) -> String {
        use std::io::Write;
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener};
        let name = format!("corten-bus-{}-{name}", std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(words).unwrap();
            if !words.is_empty() {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            // Until the other side has gone.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        format!("unix:abstract={name}")
    }

    #[test]
    fn a_bus_that_is_silent_or_talks_nonsense() {
        for (name, words, text) in [
            ("silent", &b""[..], "has not answered within 200ms"),
            ("refusing", b"REJECTED EXTERNAL\r\n", "does not let us in: REJECTED EXTERNAL"),
            ("closing", b"DATA\r\nOK 1\r\n", ""),
            ("endless", &[b'x'; 5000], "does not let us in"),
            ("other", b"OK 1\r\nHTTP/1.1 400 Bad Request\r\n", "no message"),
        ] {
            let start = Instant::now();
            let address = bus_that_says(words, name);
            let error = Bus::connect_with(&address, Duration::from_millis(200)).err().unwrap().to_string();
            assert!(error.contains(text) && error.contains(&address), "{name}: {error}");
            assert!(start.elapsed() < Duration::from_secs(2), "{name}");
        }
        let error = Bus::connect("unix:path=/nosuch/bus").err().unwrap().to_string();
        assert!(error.contains("/nosuch/bus") && error.contains("No such file"), "{error}");
    }
}

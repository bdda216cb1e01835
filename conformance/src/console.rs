//! Terminals: the socket that receives a container's pty, and a pty for a runtime in the foreground.

use std::fs::File;
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::openpty;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::wait_until;

/// A socket that a runtime sends a descriptor to.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at a path.
    pub fn bind(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).expect("bind the socket");
        listener.set_nonblocking(true).expect("a non-blocking socket");
        Self { listener, path }
    }

    /// The path of the socket.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("a path of plain text")
    }

    /// Accepts one connection and receives the one message on it: its bytes and its descriptors.
    pub fn receive(&self) -> (Vec<u8>, Vec<OwnedFd>) {
        let mut stream: Option<UnixStream> = None;
        wait_until("a connection", || match self.listener.accept() {
            Ok((connection, _)) => {
                stream = Some(connection);
                true
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => panic!("accept: {e}"),
        });
        let stream = stream.expect("a connection");
        let mut bytes = vec![0; 4096];
        let mut space = nix::cmsg_space!([RawFd; 8]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message =
            recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags).expect("recvmsg");
        let received = message.cmsgs().expect("control messages").flat_map(|part| match part {
            ControlMessageOwned::ScmRights(fds) => fds,
            _ => Vec::new(),
        });
        let fds = received.map(adopt).collect();
        let length = message.bytes;
        bytes.truncate(length);
        (bytes, fds)
    }

    /// Receives exactly one descriptor, with a message that is not empty.
    pub fn receive_one(&self) -> OwnedFd {
        let (bytes, mut fds) = self.receive();
        assert!(!bytes.is_empty(), "the message has no bytes");
        assert_eq!(fds.len(), 1, "one descriptor");
        fds.remove(0)
    }

    /// Receives the master of a pty.
    pub fn console(&self) -> Console {
        Console::new(self.receive_one())
    }
}

/// Takes a descriptor that has just been received.
#[allow(unsafe_code)]
fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: recvmsg has just installed this number for us, and nothing else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The master side of a pty: everything that it says is collected.
pub struct Console {
    master: File,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Console {
    /// Takes the master and begins to read.
    pub fn new(master: OwnedFd) -> Self {
        let master = File::from(master);
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, collected) = (master.try_clone().expect("the master"), said.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is the end: the last slave has been closed.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                collected.lock().expect("not poisoned").extend_from_slice(&buffer[..length]);
            }
        });
        Self { master, said }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().expect("not poisoned")).into_owned()
    }

    /// Waits until it has said something.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        wait_until(&format!("{text:?} on the terminal"), || self.said().contains(text));
    }

    /// Types on it.
    pub fn send(&self, text: &str) {
        (&self.master).write_all(text.as_bytes()).expect("write to the terminal");
    }

    /// Runs `stty` upon it: window size, modes.
    pub fn stty(&self, args: &[&str]) -> String {
        stty(&self.master, args)
    }
}

/// A pty of the test's own, for a runtime in the foreground.
pub struct Terminal {
    /// The side that the test holds.
    pub console: Console,
    slave: File,
}

impl Terminal {
    /// Opens a pty.
    pub fn open() -> Self {
        let pair = openpty(None, None).expect("a pty");
        Self { console: Console::new(pair.master), slave: File::from(pair.slave) }
    }

    /// The side that the runtime gets.
    pub fn slave(&self) -> File {
        self.slave.try_clone().expect("the slave")
    }

    /// Runs `stty` upon it.
    pub fn stty(&self, args: &[&str]) -> String {
        stty(&self.slave, args)
    }
}

fn stty(terminal: &File, args: &[&str]) -> String {
    let stdin = terminal.try_clone().expect("the terminal");
    let output = process::Command::new("stty").args(args).stdin(stdin).output().expect("stty");
    assert!(output.status.success(), "stty {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

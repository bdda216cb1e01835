//! A message bus with a stand-in for systemd behind it, which makes scopes in the cgroup file systems as systemd does, or fails
//! where a test tells it to.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::kernel;

/// What happens when a method is called.
#[derive(Clone, Copy, Debug)]
pub enum Reaction {
    /// An error of this name, and these words.
    Refuse(&'static str, &'static str),
    /// No answer at all.
    Silence,
    /// The end of the connection.
    Close,
    /// A job that ends with this result, and has done nothing.
    Job(&'static str),
    /// A job that does not end.
    Endless,
}

/// A running bus.
pub struct Bus {
    address: String,
    reactions: Arc<Mutex<HashMap<&'static str, Reaction>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Bus {
    /// Starts one, whose name is that of the test.
    pub fn start(name: &str) -> Self {
        let name = format!("corten-bus-{name}");
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let listener = UnixListener::bind_addr(&address).expect("bind the bus");
        let bus = Self {
            address: format!("unix:abstract={name}"),
            reactions: Arc::default(),
            calls: Arc::default(),
        };
        let (reactions, calls) = (Arc::clone(&bus.reactions), Arc::clone(&bus.calls));
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let peer =
                    Peer { stream, reactions: Arc::clone(&reactions), calls: Arc::clone(&calls), serial: 0 };
                spawn(move || peer.serve());
            }
        });
        bus
    }

    /// Its address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What happens from now on when a method is called; `AUTH` is the greeting.
    pub fn on(&self, member: &'static str, reaction: Reaction) {
        self.reactions.lock().expect("a lock").insert(member, reaction);
    }

    /// From now on everything goes well.
    pub fn recover(&self) {
        self.reactions.lock().expect("a lock").clear();
    }

    /// The methods that have been called since the last look.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().expect("a lock"))
    }
}

/// A client's connection.
struct Peer {
    stream: UnixStream,
    reactions: Arc<Mutex<HashMap<&'static str, Reaction>>>,
    calls: Arc<Mutex<Vec<String>>>,
    serial: u32,
}

/// A method call.
struct Call {
    serial: u32,
    member: String,
    body: Vec<u8>,
}

impl Peer {
    fn serve(mut self) {
        // The client has gone, or is not to be answered any more.
        let _: Result<(), ErrorKind> = self.greet().and_then(|()| {
            loop {
                let call = self.receive()?;
                self.answer(&call)?;
            }
        });
    }

    fn greet(&mut self) -> Result<(), ErrorKind> {
        if let Some(reaction) = self.reaction("AUTH") {
            self.react(&Call { serial: 0, member: "AUTH".into(), body: Vec::new() }, reaction)?;
        }
        let mut words = Vec::new();
        while !words.ends_with(b"BEGIN\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).map_err(|error| error.kind())?;
            words.extend_from_slice(&byte);
        }
        self.send(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")
    }

    fn reaction(&self, member: &str) -> Option<Reaction> {
        self.reactions.lock().expect("a lock").get(member).copied()
    }

    /// Reads one method call.
    fn receive(&mut self) -> Result<Call, ErrorKind> {
        let mut fixed = [0; 16];
        self.stream.read_exact(&mut fixed).map_err(|error| error.kind())?;
        let length = number(&fixed, 12);
        let mut fields = vec![0; length.next_multiple_of(8)];
        self.stream.read_exact(&mut fields).map_err(|error| error.kind())?;
        let mut body = vec![0; number(&fixed, 4)];
        self.stream.read_exact(&mut body).map_err(|error| error.kind())?;
        let member = member(&fields[..length]).expect("a member");
        Ok(Call { serial: number(&fixed, 8) as u32, member, body })
    }

    fn answer(&mut self, call: &Call) -> Result<(), ErrorKind> {
        self.calls.lock().expect("a lock").push(call.member.clone());
        if let Some(reaction) = self.reaction(&call.member) {
            return self.react(call, reaction);
        }
        match call.member.as_str() {
            "StartTransientUnit" => {
                make_scope(call);
                self.job(call, Some("done"))
            }
            "StopUnit" => {
                remove_scope(call);
                self.job(call, Some("done"))
            }
            "Hello" => self.reply(2, call.serial, &[], "s", &text(":1.1")),
            _ => self.reply(2, call.serial, &[], "", &[]),
        }
    }

    fn react(&mut self, call: &Call, reaction: Reaction) -> Result<(), ErrorKind> {
        match reaction {
            Reaction::Refuse(name, words) => self.reply(3, call.serial, &[(4, "s", name)], "s", &text(words)),
            // The connection stays as long as the client wants.
            Reaction::Silence => loop {
                let mut byte = [0];
                self.stream.read_exact(&mut byte).map_err(|error| error.kind())?;
            },
            Reaction::Close => Err(ErrorKind::ConnectionAborted),
            Reaction::Job(result) => self.job(call, Some(result)),
            Reaction::Endless => self.job(call, None),
        }
    }

    /// Answers with a job, and says how it has ended.
    fn job(&mut self, call: &Call, result: Option<&str>) -> Result<(), ErrorKind> {
        const JOB: &str = "/org/freedesktop/systemd1/job/7";
        self.reply(2, call.serial, &[], "o", &text(JOB))?;
        let Some(result) = result else { return Ok(()) };
        let mut body = 7_u32.to_le_bytes().to_vec();
        for word in [JOB, &first_text(&call.body), result] {
            align(&mut body, 4);
            body.extend(text(word));
        }
        let fields = [
            (1, "o", "/org/freedesktop/systemd1"),
            (2, "s", "org.freedesktop.systemd1.Manager"),
            (3, "s", "JobRemoved"),
            (7, "s", "org.freedesktop.systemd1"),
        ];
        self.reply(4, 0, &fields, "uoss", &body)
    }

    /// Sends a message: 2 is a return, 3 an error, 4 a signal.
    fn reply(
        &mut self,
        kind: u8,
        reply_to: u32,
        texts: &[(u8, &str, &str)],
        signature: &str,
        body: &[u8],
    ) -> Result<(), ErrorKind> {
        let mut fields = Vec::new();
        for (code, kind, value) in texts {
            align(&mut fields, 8);
            fields.extend([*code, 1, kind.as_bytes()[0], 0]);
            fields.extend(text(value));
        }
        if reply_to != 0 {
            align(&mut fields, 8);
            fields.extend([5, 1, b'u', 0]);
            fields.extend(reply_to.to_le_bytes());
        }
        if !signature.is_empty() {
            align(&mut fields, 8);
            fields.extend([8, 1, b'g', 0, signature.len() as u8]);
            fields.extend(signature.as_bytes());
            fields.push(0);
        }
        self.serial += 1;
        let mut message = vec![b'l', kind, 0, 1];
        message.extend((body.len() as u32).to_le_bytes());
        message.extend(self.serial.to_le_bytes());
        message.extend((fields.len() as u32).to_le_bytes());
        message.extend(fields);
        align(&mut message, 8);
        message.extend(body);
        self.send(&message)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.stream.write_all(bytes).map_err(|error| error.kind())
    }
}

/// The method's name among the fields of a header.
fn member(fields: &[u8]) -> Option<String> {
    const MEMBER: u8 = 3;
    let mut at = 0;
    loop {
        let code = *fields.get(at)?;
        let is_signature = fields[at + 2] == b'g';
        let (start, length) = if is_signature {
            (at + 5, usize::from(fields[at + 4]))
        } else {
            (at + 8, number(fields, at + 4))
        };
        if code == MEMBER {
            return Some(String::from_utf8_lossy(&fields[start..start + length]).into_owned());
        }
        at = (start + length + 1).next_multiple_of(8);
    }
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The text at the beginning of a body: the name of the unit.
fn first_text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[4..4 + number(body, 0)]).into_owned()
}

/// The one process of the property `PIDs`: its name, its type `au`, four bytes of a list.
fn pid(body: &[u8]) -> u32 {
    let name = body.windows(5).position(|bytes| bytes == b"PIDs\0").expect("PIDs");
    number(body, (name + 9).next_multiple_of(4) + 4) as u32
}

/// The directories that systemd has for a scope of the root slice.
fn directories(call: &Call) -> Vec<PathBuf> {
    let hierarchies = ["", "name=systemd"].into_iter().filter_map(kernel::hierarchy);
    hierarchies.map(|root| root.join(first_text(&call.body))).collect()
}

fn make_scope(call: &Call) {
    // As systemd does with hierarchies of version 1 that it has nothing in.
    for root in ["devices", "freezer", "memory", "cpuset", "pids"].into_iter().filter_map(kernel::hierarchy) {
        let _ = fs::remove_dir(root.join(first_text(&call.body)));
    }
    for dir in directories(call) {
        fs::create_dir(&dir).expect("make a scope");
        fs::write(dir.join("cgroup.procs"), pid(&call.body).to_string()).expect("move into a scope");
    }
}

/// Removes a scope as soon as it is empty.
fn remove_scope(call: &Call) {
    for dir in directories(call) {
        for _ in 0..500 {
            match fs::remove_dir(&dir) {
                Err(error) if error.kind() != ErrorKind::NotFound => sleep(Duration::from_millis(10)),
                _ => break,
            }
        }
    }
}

//! Messages of D-Bus: the few forms that talking to systemd takes.

/// A value in the body of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    String(String),
    Bool(bool),
    Byte(u8),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    /// Values of one type.
    Array(&'static str, Vec<Value>),
}

impl Value {
    pub(super) fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    pub(super) fn bytes(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self::Array("y", bytes.into_iter().map(Self::Byte).collect())
    }

    /// The type, as a signature; of an array that of its values.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "s",
            Self::Bool(_) => "b",
            Self::Byte(_) => "y",
            Self::Int16(_) => "n",
            Self::Uint16(_) => "q",
            Self::Int32(_) => "i",
            Self::Uint32(_) => "u",
            Self::Int64(_) => "x",
            Self::Uint64(_) => "t",
            Self::Double(_) => "d",
            Self::Array(kind, _) => kind,
        }
    }
}

/// A named property of a unit.
pub(super) type Property = (String, Value);

/// A call of a method.
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) body: Body,
}

impl Call<'_> {
    /// The call as bytes, in little-endian order on every host.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        const METHOD_CALL: u8 = 1;
        const PROTOCOL: u8 = 1;
        let mut header = Body::default();
        for byte in [b'l', METHOD_CALL, 0, PROTOCOL] {
            header.bytes.push(byte);
        }
        header.put_u32(self.body.bytes.len() as u32);
        header.put_u32(serial);
        header.array(8, |fields| {
            let texts = [
                (PATH, "o", self.path),
                (2, "s", self.interface),
                (3, "s", self.member),
                (6, "s", self.destination),
            ];
            for (code, kind, text) in texts {
                fields.field(code, kind);
                fields.put_string(text);
            }
            if !self.body.signature.is_empty() {
                fields.field(SIGNATURE, "g");
                fields.put_signature(&self.body.signature);
            }
        });
        header.align(8);
        header.bytes.extend_from_slice(&self.body.bytes);
        header.bytes
    }
}

/// Codes of header fields.
const PATH: u8 = 1;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const MEMBER: u8 = 3;
const SIGNATURE: u8 = 8;

/// A body in the making.
#[derive(Default)]
pub(super) struct Body {
    signature: String,
    bytes: Vec<u8>,
}

impl Body {
    /// Appends a value.
    pub(super) fn with(mut self, value: &Value) -> Self {
        if matches!(value, Value::Array(..)) {
            self.signature.push('a');
        }
        self.signature.push_str(value.kind());
        self.put(value);
        self
    }

    /// Appends properties: `a(sv)`.
    pub(super) fn with_properties(mut self, properties: &[Property]) -> Self {
        self.signature.push_str("a(sv)");
        self.array(8, |body| {
            for (name, value) in properties {
                body.align(8);
                body.put_string(name);
                body.put_variant(value);
            }
        });
        self
    }

    /// Appends an array of nothing.
    pub(super) fn with_none(mut self, signature: &str, alignment: usize) -> Self {
        self.signature.push_str(signature);
        self.array(alignment, |_| ());
        self
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn put_u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn put_string(&mut self, text: &str) {
        self.put_u32(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn put_signature(&mut self, signature: &str) {
        self.bytes.push(signature.len() as u8);
        self.bytes.extend_from_slice(signature.as_bytes());
        self.bytes.push(0);
    }

    /// The beginning of a header field.
    fn field(&mut self, code: u8, kind: &str) {
        self.align(8);
        self.bytes.push(code);
        self.put_signature(kind);
    }

    fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut Self)) {
        self.put_u32(0);
        let length = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        fill(self);
        let size = (self.bytes.len() - start) as u32;
        if let Some(place) = self.bytes.get_mut(length..length + 4) {
            place.copy_from_slice(&size.to_le_bytes());
        }
    }

    fn put_variant(&mut self, value: &Value) {
        match value {
            Value::Array(kind, _) => self.put_signature(&format!("a{kind}")),
            value => self.put_signature(value.kind()),
        }
        self.put(value);
    }

    fn put(&mut self, value: &Value) {
        let mut number = |bytes: &[u8]| {
            self.align(bytes.len());
            self.bytes.extend_from_slice(bytes);
        };
        match value {
            Value::String(text) => self.put_string(text),
            Value::Bool(value) => self.put_u32(u32::from(*value)),
            Value::Byte(value) => number(&[*value]),
            Value::Int16(value) => number(&value.to_le_bytes()),
            Value::Uint16(value) => number(&value.to_le_bytes()),
            Value::Int32(value) => number(&value.to_le_bytes()),
            Value::Uint32(value) => number(&value.to_le_bytes()),
            Value::Int64(value) => number(&value.to_le_bytes()),
            Value::Uint64(value) => number(&value.to_le_bytes()),
            Value::Double(value) => number(&value.to_le_bytes()),
            Value::Array(kind, values) => {
                let alignment = match *kind {
                    "y" => 1,
                    "n" | "q" => 2,
                    "x" | "t" | "d" => 8,
                    _ => 4,
                };
                self.array(alignment, |body| values.iter().for_each(|value| body.put(value)));
            }
        }
    }
}

/// What a received message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The answer to a call.
    Return,
    /// The refusal of a call.
    Error,
    /// News.
    Signal,
    /// Something that is not for us.
    Other,
}

/// A received message, as far as its readers need it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// The call that it answers.
    pub(super) reply_to: u32,
    /// The name of a signal, or of an error.
    pub(super) name: String,
    /// The texts and numbers of the body, in their order; variants are what is in them.
    pub(super) body: Vec<Value>,
}

impl Message {
    /// The text in this place of the body.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        match self.body.get(index)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

/// The length of what comes before the header fields.
pub(super) const FIXED: usize = 16;

/// The longest message that is read; systemd's answers here are some hundred bytes.
const LONGEST: usize = 1 << 20;

/// The length of a whole message that begins with these bytes; none if it is no message or too long.
pub(super) fn length(fixed: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(fixed)?;
    reader.at = 4;
    let body = reader.u32()? as usize;
    reader.at = 12;
    let fields = reader.u32()? as usize;
    let all = FIXED.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (all <= LONGEST).then_some(all)
}

/// Reads a whole message.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader::new(bytes)?;
    let kind = match bytes.get(1)? {
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    let mut message = Message { kind, reply_to: 0, name: String::new(), body: Vec::new() };
    let mut signature = String::new();
    reader.at = 12;
    let end = FIXED.checked_add(reader.u32()? as usize)?;
    while reader.at < end {
        reader.align(8)?;
        let code = reader.byte()?;
        let of_field = reader.signature()?;
        let value = reader.value(&of_field)?;
        match (code, value) {
            (ERROR_NAME | MEMBER, Value::String(text)) => message.name = text,
            (REPLY_SERIAL, Value::Uint32(serial)) => message.reply_to = serial,
            (SIGNATURE, Value::String(text)) => signature = text,
            _ => {}
        }
    }
    reader.align(8)?;
    // What is of other types, and behind them, is of no interest here.
    for kind in signature.split("").filter(|kind| !kind.is_empty()) {
        match reader.value(kind) {
            Some(value) => message.body.push(value),
            None => break,
        }
    }
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.first()? {
            b'l' => true,
            b'B' => false,
            _ => return None,
        };
        Some(Self { bytes, at: 0, little })
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(&mut self) -> Option<u64> {
        self.align(8)?;
        let bytes = self.take(8)?.try_into().ok()?;
        Some(if self.little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?;
        self.text(length.into())
    }

    /// A value of the types that systemd's answers are made of.
    fn value(&mut self, kind: &str) -> Option<Value> {
        match kind {
            "s" | "o" => {
                let length = self.u32()?;
                self.text(length as usize).map(Value::String)
            }
            "g" => self.signature().map(Value::String),
            "b" => self.u32().map(|value| Value::Bool(value != 0)),
            "u" => self.u32().map(Value::Uint32),
            "t" => self.u64().map(Value::Uint64),
            "v" => {
                let inner = self.signature()?;
                if inner == "v" { None } else { self.value(&inner) }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as a bus sends it.
    fn answer(kind: u8, code: u8, name: &str, signature: &str, body: Body) -> Vec<u8> {
        let mut header = Body::default();
        header.bytes.extend_from_slice(&[b'l', kind, 0, 1]);
        header.put_u32(body.bytes.len() as u32);
        header.put_u32(7);
        header.array(8, |fields| {
            fields.field(code, "s");
            fields.put_string(name);
            fields.field(REPLY_SERIAL, "u");
            fields.put_u32(3);
            fields.field(SIGNATURE, "g");
            fields.put_signature(signature);
        });
        header.align(8);
        header.bytes.extend_from_slice(&body.bytes);
        header.bytes
    }

    #[test]
    fn a_call_as_the_specification_has_it() {
        let call = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            body: Body::default(),
        };
        let bytes = call.encode(1);
        assert_eq!(bytes[..16], [b'l', 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 109, 0, 0, 0]);
        assert_eq!(bytes[16..32], *b"\x01\x01o\0\x15\0\0\0/org/fre");
        assert_eq!(bytes.len(), 128);
        assert_eq!(length(&bytes), Some(128));
    }

    #[test]
    fn properties() {
        let body = Body::default()
            .with(&Value::string("x"))
            .with_properties(&[
                ("A".into(), Value::Bool(true)),
                ("B".into(), Value::Uint64(5)),
                ("C".into(), Value::bytes([1, 2])),
            ])
            .with_none("a(sa(sv))", 8);
        assert_eq!(body.signature, "sa(sv)a(sa(sv))");
        let expected: Vec<u8> = [
            &b"\x01\0\0\0x\0\0\0"[..],
            b"\x3a\0\0\0\0\0\0\0",
            b"\x01\0\0\0A\0\x01b\0\0\0\0\x01\0\0\0",
            b"\x01\0\0\0B\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0",
            b"\x01\0\0\0C\0\x02ay\0\0\0\x02\0\0\0\x01\x02",
            // The empty array: its length at a multiple of 4, and the padding of elements that are not there.
            b"\0\0\0\0\0\0",
        ]
        .concat();
        assert_eq!(body.bytes, expected);
    }

    #[test]
    fn answers() {
        let body = Body::default()
            .with(&Value::Uint32(9))
            .with(&Value::string("/job/1"))
            .with(&Value::string("done"));
        let bytes = answer(4, MEMBER, "JobRemoved", "uos", body);
        assert_eq!(length(&bytes[..FIXED]), Some(bytes.len()));
        let message = decode(&bytes).unwrap();
        assert_eq!((message.kind, message.name.as_str(), message.reply_to), (Kind::Signal, "JobRemoved", 3));
        assert_eq!(message.text(1), Some("/job/1"));
        assert_eq!(message.text(2), Some("done"));
        assert_eq!(message.text(0), None);

        let mut body = Body::default();
        body.put_variant(&Value::string("failed"));
        let message = decode(&answer(2, 9, "x", "v", body)).unwrap();
        assert_eq!(message.body, [Value::string("failed")]);
    }

    #[test]
    fn damaged_answers_are_no_messages() {
        let body = Body::default().with(&Value::string("text"));
        let good = answer(3, ERROR_NAME, "org.example", "s", body);
        for end in 0..good.len() {
            // Whatever is missing: no panic, and nothing made up.
            if let Some(message) = decode(&good[..end]) {
                assert!(message.body.is_empty(), "{end}");
            }
        }
        for at in 0..good.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = decode(&bad);
                let _ = length(&bad);
            }
        }
        assert_eq!(length(&[b'l', 2, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(length(b"HTTP/1.1 400 Bad"), None);
    }
}

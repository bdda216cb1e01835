//! What a step's operands are made of, with their encoding and how a printed plan shows them.

use core::ffi::CStr;

/// Where encoded bytes go: a growing buffer on the host side, nothing in init.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

/// Reads fields off the front of a slice; every read is checked.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// A value that stands in a step.
pub trait Field<'a>: Sized + Copy {
    /// Appends the value to `sink`.
    fn encode<S: Sink>(&self, sink: &mut S);
    /// Reads the value back; `None` where the bytes are not one.
    fn decode(reader: &mut Reader<'a>) -> Option<Self>;
    /// The value as something that can be shown.
    fn value(&self) -> Value<'a>;
}

/// A field's value for printing a plan.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A number, an id, a set of flags.
    Number(u64),
    /// A truth value.
    Flag(bool),
    /// A descriptor handed to init.
    Fd(u32),
    /// A string.
    Text(&'a [u8]),
    /// Bytes that are not a string.
    Bytes(&'a [u8]),
    /// Several strings.
    Texts(List<'a, Str<'a>>),
    /// Several numbers.
    Numbers(List<'a, u32>),
    /// File-system options.
    Settings(List<'a, Setting<'a>>),
    /// Mount attributes.
    Attrs(Attrs),
    /// An optional field that is absent.
    Absent,
}

macro_rules! integer {
    ($($int:ty)*) => {$(
        impl<'a> Field<'a> for $int {
            fn encode<S: Sink>(&self, sink: &mut S) {
                sink.put(&self.to_le_bytes());
            }
            fn decode(reader: &mut Reader<'a>) -> Option<Self> {
                Some(Self::from_le_bytes(reader.array()?))
            }
            fn value(&self) -> Value<'a> {
                Value::Number(u64::from(*self))
            }
        }
    )*};
}
integer!(u32 u64);

impl<'a> Field<'a> for bool {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.put(&[u8::from(*self)]);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
    fn value(&self) -> Value<'a> {
        Value::Flag(*self)
    }
}

/// A descriptor that the host side hands to init, by its place in the list of extra descriptors
/// (init adds the number of its first one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub u32);

impl<'a> Field<'a> for Fd {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.0.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        u32::decode(reader).map(Fd)
    }
    fn value(&self) -> Value<'a> {
        Value::Fd(self.0)
    }
}

/// A string without NUL bytes; on the wire it is followed by one.
#[derive(Clone, Copy)]
pub struct Str<'a> {
    bytes: &'a [u8],
    terminated: &'a CStr,
}

impl<'a> Str<'a> {
    /// `bytes` as a string of the wire. A NUL inside makes the encoded program one that the decoder refuses.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, terminated: c"" }
    }

    /// The bytes without the terminating NUL.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The string with its NUL, as the kernel takes it; empty where the string was not decoded.
    pub fn c_str(&self) -> &'a CStr {
        self.terminated
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Str<'_> {}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl<'a> Field<'a> for Str<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        Bytes(self.bytes).encode(sink);
        sink.put(&[0]);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let len = u32::decode(reader)? as usize;
        let text = reader.take(len.checked_add(1)?)?;
        let terminated = CStr::from_bytes_with_nul(text).ok()?;
        Some(Self { bytes: terminated.to_bytes(), terminated })
    }
    fn value(&self) -> Value<'a> {
        Value::Text(self.bytes)
    }
}

/// Bytes of any kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Bytes<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        // A program of 4 GiB is refused where it is sealed, so the length fits.
        (self.0.len() as u32).encode(sink);
        sink.put(self.0);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let len = u32::decode(reader)?;
        reader.take(len as usize).map(Bytes)
    }
    fn value(&self) -> Value<'a> {
        Value::Bytes(self.0)
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.is_some().encode(sink);
        if let Some(value) = self {
            value.encode(sink);
        }
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(if bool::decode(reader)? { Some(T::decode(reader)?) } else { None })
    }
    fn value(&self) -> Value<'a> {
        self.as_ref().map_or(Value::Absent, Field::value)
    }
}

/// A list of fields: a slice on the side that encodes, the checked bytes on the side that decodes.
#[derive(Clone, Copy)]
pub enum List<'a, T> {
    /// The items themselves.
    Items(&'a [T]),
    /// The items' encoding, already found valid, and their number.
    Encoded(&'a [u8], u32),
}

impl<'a, T: Field<'a>> List<'a, T> {
    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            List::Items(items) => items.len(),
            List::Encoded(_, count) => *count as usize,
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items' encoding where the list was decoded, else nothing.
    pub fn encoded(&self) -> &'a [u8] {
        match self {
            List::Items(_) => &[],
            List::Encoded(bytes, _) => bytes,
        }
    }

    /// The items in their order.
    pub fn iter(&self) -> ListIter<'a, T> {
        match *self {
            List::Items(items) => ListIter::Items(items),
            List::Encoded(bytes, _) => ListIter::Encoded(Reader(bytes)),
        }
    }
}

/// What [`List::iter`] returns.
pub enum ListIter<'a, T> {
    /// What is left of a slice.
    Items(&'a [T]),
    /// What is left of an encoding.
    Encoded(Reader<'a>),
}

impl<'a, T: Field<'a>> Iterator for ListIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            ListIter::Items(items) => {
                let (first, rest) = items.split_first()?;
                *items = rest;
                Some(*first)
            }
            ListIter::Encoded(reader) if reader.is_empty() => None,
            ListIter::Encoded(reader) => T::decode(reader),
        }
    }
}

/// A type whose lists can be shown.
pub trait Listed<'a>: Field<'a> {
    /// `list` as something that can be shown.
    fn listed(list: List<'a, Self>) -> Value<'a>;
}

impl<'a> Listed<'a> for Str<'a> {
    fn listed(list: List<'a, Self>) -> Value<'a> {
        Value::Texts(list)
    }
}

impl<'a> Listed<'a> for u32 {
    fn listed(list: List<'a, Self>) -> Value<'a> {
        Value::Numbers(list)
    }
}

impl<'a> Listed<'a> for Setting<'a> {
    fn listed(list: List<'a, Self>) -> Value<'a> {
        Value::Settings(list)
    }
}

impl<'a, T: Listed<'a>> Field<'a> for List<'a, T> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        (self.len() as u32).encode(sink);
        for item in self.iter() {
            item.encode(sink);
        }
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let count = u32::decode(reader)?;
        let start = reader.0;
        for _ in 0..count {
            T::decode(reader)?;
        }
        let used = start.len().checked_sub(reader.0.len())?;
        Some(List::Encoded(start.get(..used)?, count))
    }
    fn value(&self) -> Value<'a> {
        T::listed(*self)
    }
}

/// One option of a file system: `key` alone, or `key=value`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Setting<'a> {
    /// The option's name.
    pub key: Str<'a>,
    /// Its value, if it has one.
    pub value: Option<Str<'a>>,
}

impl<'a> Field<'a> for Setting<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.key.encode(sink);
        self.value.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self { key: Str::decode(reader)?, value: Option::decode(reader)? })
    }
    fn value(&self) -> Value<'a> {
        Value::Text(self.key.bytes)
    }
}

/// Attributes of a mount, as `mount_setattr(2)` takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// `MOUNT_ATTR_*` to set on the mount.
    pub set: u32,
    /// `MOUNT_ATTR_*` to clear on the mount.
    pub clear: u32,
    /// `MOUNT_ATTR_*` to set on the mount and all below it.
    pub set_all: u32,
    /// `MOUNT_ATTR_*` to clear on the mount and all below it.
    pub clear_all: u32,
    /// `MOUNT_ATTR_*` to clear on the mount where that is allowed: nobody has named them, and those that it has stay with it in a
    /// user namespace.
    pub implied: u32,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` (with `MS_REC` for all below), or 0.
    pub propagation: u32,
}

impl<'a> Field<'a> for Attrs {
    fn encode<S: Sink>(&self, sink: &mut S) {
        for word in [self.set, self.clear, self.set_all, self.clear_all, self.implied, self.propagation] {
            word.encode(sink);
        }
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            set: u32::decode(reader)?,
            clear: u32::decode(reader)?,
            set_all: u32::decode(reader)?,
            clear_all: u32::decode(reader)?,
            implied: u32::decode(reader)?,
            propagation: u32::decode(reader)?,
        })
    }
    fn value(&self) -> Value<'a> {
        Value::Attrs(*self)
    }
}

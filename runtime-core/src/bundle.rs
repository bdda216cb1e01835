//! A bundle: a directory with a `config.json` and the files that it speaks of.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str;

use nix::fcntl::OFlag;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use thiserror::Error;

use crate::canonical;
use crate::config::{Mount, Process, Resources, Spec, exactly, united};
use crate::error::io_text;
use crate::pointer;

/// The configuration's file name inside a bundle.
pub const CONFIG: &str = "config.json";

/// Largest document that is read, in bytes.
pub const MAX_SIZE: usize = 16 << 20;

/// Deepest nesting of values that is read.
const MAX_DEPTH: usize = 128;

/// A bundle that has been read; whether its configuration makes sense is for [`crate::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its directory: absolute, without symbolic links.
    pub dir: PathBuf,
    /// Its configuration.
    pub spec: Spec,
}

/// Why a bundle cannot be read.
#[derive(Debug, Error)]
pub enum BundleError {
    /// There is no such directory, or it cannot be entered.
    #[error("bundle {}: {}", .dir.display(), io_text(.source))]
    Dir {
        /// The directory as given.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory has no configuration.
    #[error("JSON specification file {CONFIG} not found")]
    NotFound,
    /// The configuration cannot be read.
    #[error("{}: {}", .path.display(), io_text(.source))]
    Read {
        /// The configuration's path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration is not what the specification describes.
    #[error("{}: {source}", .path.display())]
    Parse {
        /// The configuration's path.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseError,
    },
}

impl BundleError {
    /// JSON pointer of the value at fault, where there is one.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Parse { source, .. } => source.pointer(),
            Self::Dir { .. } | Self::NotFound | Self::Read { .. } => None,
        }
    }
}

/// Why a document is refused before its values are judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// It is larger than [`MAX_SIZE`].
    #[error("the document is larger than {} MiB", MAX_SIZE >> 20)]
    TooLarge,
    /// It is not UTF-8.
    #[error("not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// It is not JSON, or not one value.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// A value is of the wrong type or out of range, stands twice, or is missing.
    #[error("{}: {message}", if .pointer.is_empty() { "the document" } else { pointer })]
    Value {
        /// JSON pointer of the value.
        pointer: String,
        /// What was found and what is expected.
        message: String,
    },
    /// A string holds a NUL byte, at which the kernel would cut it off.
    #[error("{0}: the string contains a NUL byte")]
    Nul(String),
}

impl From<std::convert::Infallible> for ParseError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl ParseError {
    /// JSON pointer of the value at fault, where there is one.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Value { pointer, .. } | Self::Nul(pointer) => Some(pointer),
            Self::TooLarge | Self::NotUtf8(_) | Self::Syntax(_) => None,
        }
    }
}

impl Bundle {
    /// A bundle whose configuration comes from elsewhere: [`Spec`], or what can become one, such as the crate oci-spec's with the
    /// feature `oci-spec`.
    ///
    /// # Errors
    /// [`BundleError::Dir`] for the directory, [`BundleError::Parse`] for the configuration.
    pub fn new<S>(dir: impl AsRef<Path>, spec: S) -> Result<Self, BundleError>
    where
        S: TryInto<Spec>,
        ParseError: From<S::Error>,
    {
        let dir = dir.as_ref();
        let (dir, _) = canonical::open(dir, OFlag::empty())
            .map_err(|source| BundleError::Dir { dir: dir.into(), source })?;
        match spec.try_into() {
            Ok(spec) => Ok(Self { dir, spec }),
            Err(error) => Err(BundleError::Parse { path: dir.join(CONFIG), source: error.into() }),
        }
    }

    /// Reads the bundle in a directory.
    ///
    /// # Errors
    /// [`BundleError`], whatever is wrong with the directory or its configuration.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self, BundleError> {
        let dir = dir.as_ref();
        match Self::load_config(dir, dir.join(CONFIG)) {
            Err(BundleError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(BundleError::NotFound)
            }
            loaded => loaded,
        }
    }

    /// Reads a bundle whose configuration is another file than its own `config.json`, perhaps outside the directory.
    ///
    /// # Errors
    /// [`BundleError::Dir`] for the directory, [`BundleError::Read`] and [`BundleError::Parse`] for the file.
    pub fn load_config(dir: impl AsRef<Path>, config: impl AsRef<Path>) -> Result<Self, BundleError> {
        let (dir, path) = (dir.as_ref(), config.as_ref().to_owned());
        let (dir, _) = canonical::open(dir, OFlag::empty())
            .map_err(|source| BundleError::Dir { dir: dir.into(), source })?;
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(BundleError::Read { path, source }),
        };
        match parse_spec(&bytes) {
            Ok(spec) => Ok(Self { dir, spec }),
            Err(source) => Err(BundleError::Parse { path, source }),
        }
    }
}

/// Reads a `config.json`.
pub fn parse_spec(bytes: &[u8]) -> Result<Spec, ParseError> {
    parse(bytes)
}

/// Reads the `process` object of a `config.json`, standing alone.
pub fn parse_process(bytes: &[u8]) -> Result<Process, ParseError> {
    parse(bytes)
}

/// Reads a list of mounts as `mounts` of a `config.json` is, standing alone.
pub fn parse_mounts(bytes: &[u8]) -> Result<Vec<Mount>, ParseError> {
    parse(bytes)
}

/// Reads the `linux.resources` object of a `config.json`, standing alone.
pub fn parse_resources(bytes: &[u8]) -> Result<Resources, ParseError> {
    parse(bytes)
}

/// JSON pointers of the fields of a `config.json` that the specification does not know, sorted: those that are ignored, and
/// those that are read as the field that has their name in another case.
pub fn unknown_fields(bytes: &[u8]) -> Result<Vec<String>, ParseError> {
    let text = document(bytes)?;
    let mut unknown = BTreeSet::new();
    read_united::<Spec, _>(text, |text| {
        unknown.clear();
        ignored(text, &mut unknown)
    })?;
    // May end at a required field that is there in another case: this one has been listed by then.
    let _ = exactly(|| ignored(text, &mut unknown));
    Ok(unknown.into_iter().collect())
}

/// Adds the fields that nothing reads.
fn ignored(text: &str, unknown: &mut BTreeSet<String>) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_ignored::deserialize::<_, _, Spec>(&mut reader, |path| {
        unknown.insert(pointer::of_ignored(&path));
    })?;
    reader.end()
}

/// Reads a regular file, up to one byte more than is allowed.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A fifo would block the open, a device might answer for ever.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(MAX_SIZE) + 1);
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads one document of a type that is part of the configuration.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ParseError> {
    let text = document(bytes)?;
    let value = read_united::<T, _>(text, |text| serde_json::from_str(text))?;
    refuse_nul(text)?;
    Ok(value)
}

/// The text of a document that is not too large in any direction.
fn document(bytes: &[u8]) -> Result<&str, ParseError> {
    if bytes.len() > MAX_SIZE {
        return Err(ParseError::TooLarge);
    }
    let text = str::from_utf8(bytes).map_err(|error| ParseError::NotUtf8(error.valid_up_to()))?;
    refuse_depth(bytes)?;
    Ok(text)
}

/// Reads a document of type `T`; where a field stands twice, once more with the structures as one that are there in two spellings.
fn read_united<T: DeserializeOwned, R>(
    text: &str,
    mut read: impl FnMut(&str) -> serde_json::Result<R>,
) -> Result<R, ParseError> {
    read(text).or_else(|error| read_again::<T, R>(text, &error, read))
}

#[cold]
fn read_again<T: DeserializeOwned, R>(
    text: &str,
    error: &serde_json::Error,
    mut read: impl FnMut(&str) -> serde_json::Result<R>,
) -> Result<R, ParseError> {
    let complaint = error.to_string();
    if !complaint.starts_with("duplicate field") {
        return Err(explain::<T>(text, error, complaint));
    }
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(ParseError::Syntax(error.to_string()));
    }
    let Some(text) = united::<T>(text) else {
        return Err(explain::<T>(text, error, complaint));
    };
    read(&text).map_err(|error| {
        let message = error.to_string();
        // The place is none of the file's.
        let place = format!(" at line {} column {}", error.line(), error.column());
        explain::<T>(&text, &error, message.strip_suffix(&place).unwrap_or(&message).to_owned())
    })
}

/// Reads a faulty document once more, keeping track of the place: too dear for every document.
fn explain<T: DeserializeOwned>(text: &str, error: &serde_json::Error, message: String) -> ParseError {
    if !error.is_data() {
        return ParseError::Syntax(message);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let pointer = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => String::new(),
        Err(error) => pointer::of_error(error.path()),
    };
    ParseError::Value { pointer, message: shorten(message) }
}

/// A message may quote a value as long as the document; its two ends say what matters.
fn shorten(message: String) -> String {
    const END: usize = 120;
    let head = message.char_indices().nth(END).map(|(at, _)| at);
    let tail = message.char_indices().rev().nth(END).map(|(at, _)| at);
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => {
            format!(
                "{} ... {}",
                message.get(..head).unwrap_or_default(),
                message.get(tail..).unwrap_or_default()
            )
        }
        _ => message,
    }
}

/// Values that nothing reads are skipped however deep they are; what may come after this runtime has limits too.
fn refuse_depth(bytes: &[u8]) -> Result<(), ParseError> {
    if count_opens(bytes) <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' if depth == MAX_DEPTH => {
                return Err(ParseError::Syntax(format!("values are nested deeper than {MAX_DEPTH}")));
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Goes on behind the quote that ends a string.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

/// How many `[` and `{` there are, eight bytes at a time: most documents have few, and are long for their strings.
fn count_opens(bytes: &[u8]) -> usize {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    const CASE: u64 = u64::from_ne_bytes([b'[' ^ b'{'; 8]);
    const OPEN: u64 = u64::from_ne_bytes([b'{'; 8]);
    let words = bytes.chunks_exact(8);
    let rest = words.remainder().iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    let count = |word: &[u8]| {
        // A byte that is zero now was one of the two; the highest bit of a byte is set where that byte is not zero.
        let word = (u64::from_ne_bytes(word.try_into().unwrap_or_default()) | CASE) ^ OPEN;
        match !(((word & LOW) + LOW) | word | LOW) {
            0 => 0,
            marks => marks.count_ones() as usize,
        }
    };
    rest + words.map(count).sum::<usize>()
}

/// JSON can write a NUL byte in one way only, so that most documents need no second look.
fn refuse_nul(text: &str) -> Result<(), ParseError> {
    if !text.contains("\\u0000") {
        return Ok(());
    }
    let value = serde_json::from_str(text).map_err(|error| ParseError::Syntax(error.to_string()))?;
    match find_nul(&value, String::new()) {
        Some(pointer) => Err(ParseError::Nul(pointer)),
        None => Ok(()),
    }
}

/// The first string, or key, with a NUL byte.
pub(crate) fn find_nul(value: &Value, pointer: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(pointer),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find_nul(item, format!("{pointer}/{index}")))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            if key.contains('\0') {
                return Some(pointer.clone());
            }
            find_nul(field, format!("{pointer}/{}", pointer::escape(key)))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

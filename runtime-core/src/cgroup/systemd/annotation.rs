//! Properties that annotations ask for: `org.systemd.property.NAME`, with a value in the text form of GVariant.

use std::collections::BTreeMap;

use super::message::{Property, Value};
use crate::cgroup::Error;

const PREFIX: &str = "org.systemd.property.";

/// The properties that an annotation may set: what a scope is ordered after, how it ends, how it shares with others. None of
/// them runs a program, gives access to anything, or says which processes are in the scope.
const ALLOWED: [&str; 31] = [
    "After",
    "Before",
    "CPUWeight",
    "CollectMode",
    "DefaultDependencies",
    "Description",
    "Documentation",
    "FinalKillSignal",
    "IOWeight",
    "KillMode",
    "KillSignal",
    "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureLimit",
    "ManagedOOMPreference",
    "ManagedOOMSwap",
    "MemoryHigh",
    "MemoryLow",
    "MemoryMax",
    "MemoryMin",
    "MemorySwapMax",
    "MemoryZSwapMax",
    "OOMPolicy",
    "RestartKillSignal",
    "RuntimeMaxUSec",
    "SendSIGHUP",
    "SendSIGKILL",
    "StartupCPUWeight",
    "StartupIOWeight",
    "TasksMax",
    "TimeoutStopUSec",
    "Wants",
];

/// The properties of annotations, as they were written; a name or value that cannot be is refused.
pub(super) fn collect(annotations: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    let mut properties = BTreeMap::new();
    for (key, text) in annotations {
        if let Some(name) = key.strip_prefix(PREFIX) {
            property(name, text)?;
            properties.insert(name.to_owned(), text.clone());
        }
    }
    Ok(properties)
}

/// One property. A duration in seconds is one in microseconds for systemd: `…Sec` becomes `…USec`.
pub(super) fn property(name: &str, text: &str) -> Result<Property, Error> {
    let refused = |reason: String| Error::Value { pointer: format!("/annotations/{PREFIX}{name}"), reason };
    let mut value = parse(text).ok_or_else(|| {
        refused(format!("{text:?} is not a value such as 'text', 5, uint64 5, true or ['a', 'b']"))
    })?;
    let mut full = name.to_owned();
    if let Some(duration) = name.strip_suffix("Sec").filter(|name| !name.ends_with('U')) {
        if let Some(microseconds) = microseconds(&value) {
            full = format!("{duration}USec");
            value = Value::Uint64(microseconds);
        }
    }
    if !ALLOWED.contains(&full.as_str()) {
        return Err(refused("is not a property that an annotation may set".to_owned()));
    }
    Ok((full, value))
}

fn microseconds(seconds: &Value) -> Option<u64> {
    let seconds = match *seconds {
        Value::Byte(value) => f64::from(value),
        Value::Int16(value) => f64::from(value),
        Value::Uint16(value) => f64::from(value),
        Value::Int32(value) => f64::from(value),
        Value::Uint32(value) => f64::from(value),
        Value::Int64(value) => value as f64,
        Value::Uint64(value) => value as f64,
        Value::Double(value) => value,
        _ => return None,
    };
    (seconds >= 0.0).then_some((seconds * 1e6) as u64)
}

fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Some(items) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return array(items);
    }
    if let Some(text) = quoted(text) {
        return Some(Value::String(text));
    }
    if let Some((kind, number)) = text.split_once(char::is_whitespace) {
        return typed(kind, number.trim_start());
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        number if number.contains(['.', 'e']) => number.parse().ok().map(Value::Double),
        number => number.parse().ok().map(Value::Int32),
    }
}

/// A number with the name of its type in front, or text with that of text.
fn typed(kind: &str, text: &str) -> Option<Value> {
    match kind {
        "byte" => number(text).and_then(|value| value.try_into().ok()).map(Value::Byte),
        "int16" => text.parse().ok().map(Value::Int16),
        "uint16" => text.parse().ok().map(Value::Uint16),
        "int32" => text.parse().ok().map(Value::Int32),
        "uint32" => text.parse().ok().map(Value::Uint32),
        "int64" => text.parse().ok().map(Value::Int64),
        "uint64" => number(text).map(Value::Uint64),
        "double" => text.parse().ok().map(Value::Double),
        "boolean" => text.parse().ok().map(Value::Bool),
        "string" | "@s" => quoted(text).map(Value::String),
        "@as" if text == "[]" => Some(Value::Array("s", Vec::new())),
        "@as" => parse(text).filter(|value| matches!(value, Value::Array("s", _))),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Values of one type between commas; `byte` and the like stand before the first alone.
fn array(items: &str) -> Option<Value> {
    let mut values: Vec<Value> = Vec::new();
    for item in split(items)? {
        let item = item.trim();
        let value = match values.first().map(Value::kind) {
            Some("y") if !item.starts_with("byte") => typed("byte", item)?,
            Some("t") if !item.starts_with("uint64") => typed("uint64", item)?,
            Some("u") if !item.starts_with("uint32") => typed("uint32", item)?,
            _ => parse(item)?,
        };
        values.push(value);
    }
    let kind = values.first()?.kind();
    let plain = |value: &Value| value.kind() == kind && !matches!(value, Value::Array(..));
    values.iter().all(plain).then_some(Value::Array(kind, values))
}

/// The parts between commas that do not stand in quotes.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match (letter, quote) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (',', None) => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    quote.is_none().then_some(parts)
}

/// Text in single or double quotes.
fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut letters = inner.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next().filter(|letter| matches!(letter, '\\' | '\'' | '"'))?),
            letter if letter == quote || letter == '\0' => return None,
            letter => plain.push(letter),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings<const N: usize>(texts: [&str; N]) -> Value {
        Value::Array("s", texts.map(Value::string).to_vec())
    }

    #[test]
    fn values() {
        for (text, value) in [
            ("'inactive-or-failed'", Some(Value::string("inactive-or-failed"))),
            (r#""it's""#, Some(Value::string("it's"))),
            (r"'it\'s'", Some(Value::string("it's"))),
            ("true", Some(Value::Bool(true))),
            ("5", Some(Value::Int32(5))),
            ("-5", Some(Value::Int32(-5))),
            ("1.5", Some(Value::Double(1.5))),
            ("uint64 123456789", Some(Value::Uint64(123_456_789))),
            ("byte 0x10", Some(Value::Byte(16))),
            ("['a.service', \"b,c\"]", Some(strings(["a.service", "b,c"]))),
            ("[byte 0x01, 2]", Some(Value::bytes([1, 2]))),
            ("@as []", Some(strings([]))),
            ("@as ['a']", Some(strings(["a"]))),
            ("", None),
            ("text", None),
            ("'open", None),
            ("'a'b'", None),
            ("[]", None),
            ("['a', 1]", None),
            ("[['a']]", None),
            ("uint64 -1", None),
            ("byte 256", None),
            ("<5>", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }

    #[test]
    fn seconds_and_the_list() {
        assert_eq!(
            property("TimeoutStopSec", "5").unwrap(),
            ("TimeoutStopUSec".into(), Value::Uint64(5_000_000))
        );
        assert_eq!(property("RuntimeMaxSec", "1.5").unwrap().1, Value::Uint64(1_500_000));
        assert_eq!(property("TimeoutStopUSec", "uint64 7").unwrap().1, Value::Uint64(7));
        for name in ["ExecStopPost", "Slice", "PIDs", "Delegate", "DeviceAllow", "BPFProgram", "after", ""] {
            let error = property(name, "'x'").unwrap_err();
            assert_eq!(error.pointer(), Some(format!("/annotations/org.systemd.property.{name}").as_str()));
        }
        assert!(ALLOWED.is_sorted());
    }

    #[test]
    fn other_annotations_are_left_alone() {
        let annotation = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        let good =
            BTreeMap::from([annotation("a", "b"), annotation("org.systemd.property.After", "['x.service']")]);
        assert_eq!(collect(&good).unwrap(), BTreeMap::from([annotation("After", "['x.service']")]));
        assert!(collect(&BTreeMap::from([annotation("org.systemd.property.After", "x")])).is_err());
    }
}

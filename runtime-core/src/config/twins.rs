//! Objects that stand twice, under a key in two spellings: readers written in Go read both into the same structure, and who
//! writes for them completes an object so (`cpu` by `CPU`). A text that has such is written anew with one object in their place;
//! what is in both stands twice there, and is refused as everywhere.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields whose keys are not names of fields.
const MAPS: [&str; 6] = ["annotations", "netDevices", "rdma", "sysctl", "timeOffsets", "unified"];

/// The text with twins made one, if it is a reader's complaint that a field stands twice.
pub(crate) fn united(text: &str, complaint: &serde_json::Error) -> Option<String> {
    complaint.to_string().starts_with("duplicate field").then(|| value(text.trim(), false).ok()).flatten()
}

fn value(text: &str, is_map: bool) -> serde_json::Result<String> {
    match text.as_bytes().first() {
        Some(b'{') => object(text, is_map),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items: Vec<String> =
                items.into_iter().map(|item| value(item.get(), false)).collect::<Result<_, _>>()?;
            Ok(format!("[{}]", items.join(",")))
        }
        _ => Ok(text.to_owned()),
    }
}

fn object(text: &str, is_map: bool) -> serde_json::Result<String> {
    let mut members: Vec<(String, String)> = Vec::new();
    for (key, member) in serde_json::from_str::<Members<'_>>(text)?.0 {
        let member = member.get();
        let is_twin = |(other, before): &&mut (String, String)| {
            before.starts_with('{') && *other != key && other.eq_ignore_ascii_case(&key)
        };
        match members.iter_mut().find(is_twin).filter(|_| !is_map && member.starts_with('{')) {
            Some((_, before)) => *before = joined(before, member),
            None => members.push((key, member.to_owned())),
        }
    }
    let written = members.iter().map(|(key, member)| {
        let is_map = MAPS.iter().any(|map| map.eq_ignore_ascii_case(key));
        Ok(format!("{}:{}", serde_json::to_string(key)?, value(member, is_map)?))
    });
    Ok(format!("{{{}}}", written.collect::<serde_json::Result<Vec<_>>>()?.join(",")))
}

/// One object with the members of two.
fn joined(one: &str, other: &str) -> String {
    let inside = |text: &str| {
        text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).map(|text| text.trim().to_owned())
    };
    let members: Vec<String> =
        [one, other].into_iter().filter_map(inside).filter(|text| !text.is_empty()).collect();
    format!("{{{}}}", members.join(","))
}

/// The members of an object in their order, also those of one key.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

//! Structures that stand twice, under a key in two spellings: readers written in Go read both into the same structure, and who
//! writes for them completes an object so (`cpu` by `CPU`). A text that has such is written anew with one object in their place;
//! what is in both stands twice there, and is refused as everywhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::Text;

/// A document of a type with structures in two spellings made one; `None` if it has none.
pub(crate) fn united<T: DeserializeOwned>(text: &str) -> Option<String> {
    let mut union = Union {
        keys: Vec::new(),
        out: String::with_capacity(text.len()),
        found: false,
        document: PhantomData::<T>,
    };
    union.object(&[text]).ok()?;
    union.found.then_some(union.out)
}

struct Union<T> {
    /// The way to the present structure, each key as it is written in a document.
    keys: Vec<String>,
    out: String,
    found: bool,
    document: PhantomData<T>,
}

impl<T: DeserializeOwned> Union<T> {
    /// Writes the parts of a structure as one object. All that is no structure, maps and lists too, is written as it stands.
    fn object<'a>(&mut self, parts: &[&'a str]) -> serde_json::Result<()> {
        let mut structures: BTreeMap<String, BTreeMap<Cow<'a, str>, &'a str>> = BTreeMap::new();
        self.out.push('{');
        for part in parts {
            members(part, |key, member| {
                if !member.starts_with('{') || !self.is_structure(&key) {
                    return self.member(&key, member);
                }
                match structures.entry(key.to_ascii_lowercase()).or_default().entry(key) {
                    Entry::Vacant(spelling) => _ = spelling.insert(member),
                    // Twice in one spelling: stands twice in what is written, too.
                    Entry::Occupied(spelling) => self.member(spelling.key(), member),
                }
            })?;
        }
        for spellings in structures.into_values() {
            // Capital letters come first: the last is as the specification has it, if one is.
            let Some(key) = spellings.keys().next_back().map(|key| quoted(key)) else { continue };
            self.key(&key);
            self.keys.push(key);
            let parts: Vec<&str> = spellings.into_values().collect();
            self.found |= parts.len() > 1;
            self.object(&parts)?;
            self.keys.pop();
        }
        self.out.push('}');
        Ok(())
    }

    /// Whether a key of the present structure means a structure: it does if a field that nobody knows would be ignored below it.
    fn is_structure(&self, key: &str) -> bool {
        let mut text: String = self.keys.iter().map(|key| format!("{{{key}:")).collect();
        text.push_str(&format!("{{{}:{{\"\":0,\"?\":0}}", quoted(key)));
        text.push_str(&"}".repeat(self.keys.len() + 1));
        let mut ignored = 0;
        // Two of them: where the key itself is ignored, that is one. What else the document lacks does not matter.
        let _ = serde_ignored::deserialize::<_, _, T>(&mut serde_json::Deserializer::from_str(&text), |_| {
            ignored += 1;
        });
        ignored == 2
    }

    fn member(&mut self, key: &str, value: &str) {
        self.key(&quoted(key));
        self.out.push_str(value);
    }

    /// Writes a key, given as JSON has it.
    fn key(&mut self, key: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push_str(key);
        self.out.push(':');
    }
}

/// A key as JSON has it.
fn quoted(key: &str) -> String {
    serde_json::Value::from(key).to_string()
}

/// Shows each member of an object, also those of one key, without holding them.
fn members<'a>(object: &'a str, show: impl FnMut(Cow<'a, str>, &'a str)) -> serde_json::Result<()> {
    serde_json::Deserializer::from_str(object).deserialize_map(Members(show))
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, member)) = map.next_entry_seed(Text, PhantomData::<&RawValue>)? {
            (self.0)(key, member.get());
        }
        Ok(())
    }
}

//! What a list shows of a container: a part of its record, borrowed from the file, of which the rest is passed over.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Init, VERSION};
use crate::cgroup;

/// A part of a [`Record`](super::Record).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outline<'a> {
    version: u32,
    /// When it was made.
    pub(crate) created: &'a str,
    /// The bundle's directory.
    pub(crate) bundle: &'a str,
    /// The root file system's directory.
    pub(crate) rootfs: &'a str,
    /// There are annotations in what is kept of the config.
    #[serde(default)]
    pub(crate) annotated: bool,
    creator: Option<IgnoredAny>,
    /// Its first process.
    pub(crate) init: Init,
    /// Its cgroup.
    #[serde(borrow)]
    pub(crate) cgroup: cgroup::Brief<'a>,
}

impl<'a> Outline<'a> {
    /// The outline of a container that is made. `None` where more has to be looked at: it is in the making or was never finished,
    /// another version has written the record, a path needs escapes, or the record is none.
    pub(crate) fn of(record: &'a [u8]) -> Option<Self> {
        let outline: Self = serde_json::from_str(std::str::from_utf8(record).ok()?).ok()?;
        (outline.version == VERSION && outline.creator.is_none()).then_some(outline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Identity;

    fn record(version: u32, more: &str, bundle: &str) -> String {
        let init = Init { identity: Identity::own().unwrap(), image: (1, 2), image_is_unique: true };
        let init = serde_json::to_string(&init).unwrap();
        format!(
            r#"{{"version":{version},"id":"a","created":"now","bundle":"{bundle}","rootfs":"/r",{more}
            "init":{init},"cgroup":{{"groups":[{{"mount":"/sys/fs/cgroup","path":"a"}}]}}}}"#
        )
    }

    #[test]
    fn what_is_regular_has_an_outline() {
        let whole = record(VERSION, r#""hooks":{},"#, "/b");
        let outline = Outline::of(whole.as_bytes()).expect(&whole);
        assert_eq!((outline.bundle, outline.init.image), ("/b", (1, 2)));
        assert!(!outline.annotated);
        for other in [
            record(VERSION - 1, "", "/b"),
            record(VERSION, r#""creator":{"pid":1},"#, "/b"),
            record(VERSION, "", "/b\\n"),
            "{}".to_owned(),
        ] {
            assert!(Outline::of(other.as_bytes()).is_none(), "{other}");
        }
    }
}

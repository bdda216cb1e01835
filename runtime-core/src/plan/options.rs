//! The options of mounts: one table of the words of mount(8), from which `features` lists them too.
//!
//! A word that is not in the table is the filesystem's own. Of two words about the same thing the later
//! one wins. A bind mount without a word about attributes keeps those of its source; with one it has those that are named and
//! no others. Only how access times are kept stays as it is until a way is chosen.

use crate::wire::Attrs;

const RDONLY: u32 = 0x1;
const NOSUID: u32 = 0x2;
const NODEV: u32 = 0x4;
const NOEXEC: u32 = 0x8;
const ATIME: u32 = 0x70;
const RELATIME: u32 = 0x0;
const NOATIME: u32 = 0x10;
const STRICTATIME: u32 = 0x20;
const NODIRATIME: u32 = 0x80;
const NOSYMFOLLOW: u32 = 0x20_0000;

/// What a word does.
#[derive(Clone, Copy)]
enum Effect {
    /// What is done anyway.
    Nothing,
    /// Makes the mount a bind mount, recursive or not.
    Bind(bool),
    /// Changes the mount that is there already.
    Remount,
    /// Sets or clears `MOUNT_ATTR_*`.
    Attr(u32, bool),
    /// Chooses how access times are kept, or leaves this way of keeping them.
    Atime(u32, bool),
    /// The same two for the mount and all below it.
    AttrAll(u32, bool),
    AtimeAll(u32, bool),
    /// Sets or clears `MS_*` of the superblock.
    Super(u64, bool),
    /// Sets the propagation.
    Propagation(u64),
    /// Maps the ids of the mount, or of all mounts below it too.
    IdMap(bool),
    /// Copies what a new file system covers into it.
    CopyUp,
    /// Something about the symbolic links at the ends of a bind mount's paths.
    Link(Link),
}

/// What is done with a symbolic link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// The source's is mounted itself.
    Source,
    /// The target's is mounted over.
    Target,
    /// The source's is made anew at the target.
    Copy,
}

use Effect::{Atime, AtimeAll, Attr, AttrAll, Bind, CopyUp, IdMap, Nothing, Propagation, Remount, Super};

const REC: u64 = libc::MS_REC;

const TABLE: [(&str, Effect); 65] = [
    ("async", Super(libc::MS_SYNCHRONOUS, false)),
    ("atime", Atime(NOATIME, false)),
    ("bind", Bind(false)),
    ("copy-symlink", Effect::Link(Link::Copy)),
    ("defaults", Nothing),
    ("dest-nofollow", Effect::Link(Link::Target)),
    ("dev", Attr(NODEV, false)),
    ("diratime", Attr(NODIRATIME, false)),
    ("dirsync", Super(libc::MS_DIRSYNC, true)),
    ("exec", Attr(NOEXEC, false)),
    ("idmap", IdMap(false)),
    ("iversion", Super(libc::MS_I_VERSION, true)),
    ("lazytime", Super(libc::MS_LAZYTIME, true)),
    ("loud", Super(libc::MS_SILENT, false)),
    ("mand", Super(libc::MS_MANDLOCK, true)),
    ("noatime", Atime(NOATIME, true)),
    ("nodev", Attr(NODEV, true)),
    ("nodiratime", Attr(NODIRATIME, true)),
    ("noexec", Attr(NOEXEC, true)),
    ("noiversion", Super(libc::MS_I_VERSION, false)),
    ("nolazytime", Super(libc::MS_LAZYTIME, false)),
    ("nomand", Super(libc::MS_MANDLOCK, false)),
    ("norelatime", Atime(RELATIME, false)),
    ("nostrictatime", Atime(STRICTATIME, false)),
    ("nosuid", Attr(NOSUID, true)),
    ("nosymfollow", Attr(NOSYMFOLLOW, true)),
    ("private", Propagation(libc::MS_PRIVATE)),
    ("ratime", AtimeAll(NOATIME, false)),
    ("rbind", Bind(true)),
    ("rdev", AttrAll(NODEV, false)),
    ("rdiratime", AttrAll(NODIRATIME, false)),
    ("relatime", Atime(RELATIME, true)),
    ("remount", Remount),
    ("rexec", AttrAll(NOEXEC, false)),
    ("ridmap", IdMap(true)),
    ("rnoatime", AtimeAll(NOATIME, true)),
    ("rnodev", AttrAll(NODEV, true)),
    ("rnodiratime", AttrAll(NODIRATIME, true)),
    ("rnoexec", AttrAll(NOEXEC, true)),
    ("rnorelatime", AtimeAll(RELATIME, false)),
    ("rnostrictatime", AtimeAll(STRICTATIME, false)),
    ("rnosuid", AttrAll(NOSUID, true)),
    ("rnosymfollow", AttrAll(NOSYMFOLLOW, true)),
    ("ro", Attr(RDONLY, true)),
    ("rprivate", Propagation(libc::MS_PRIVATE | REC)),
    ("rrelatime", AtimeAll(RELATIME, true)),
    ("rro", AttrAll(RDONLY, true)),
    ("rrw", AttrAll(RDONLY, false)),
    ("rshared", Propagation(libc::MS_SHARED | REC)),
    ("rslave", Propagation(libc::MS_SLAVE | REC)),
    ("rstrictatime", AtimeAll(STRICTATIME, true)),
    ("rsuid", AttrAll(NOSUID, false)),
    ("rsymfollow", AttrAll(NOSYMFOLLOW, false)),
    ("runbindable", Propagation(libc::MS_UNBINDABLE | REC)),
    ("rw", Attr(RDONLY, false)),
    ("shared", Propagation(libc::MS_SHARED)),
    ("silent", Super(libc::MS_SILENT, true)),
    ("slave", Propagation(libc::MS_SLAVE)),
    ("src-nofollow", Effect::Link(Link::Source)),
    ("strictatime", Atime(STRICTATIME, true)),
    ("suid", Attr(NOSUID, false)),
    ("symfollow", Attr(NOSYMFOLLOW, false)),
    ("sync", Super(libc::MS_SYNCHRONOUS, true)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation(libc::MS_UNBINDABLE)),
];

/// The words that this runtime knows, in alphabetic order.
pub fn known() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(word, _)| *word)
}

/// The `MS_*` flags of a word for a propagation.
pub(super) fn propagation(word: &str) -> Option<u32> {
    TABLE.iter().find_map(|(known, effect)| match effect {
        Propagation(kind) if *known == word => Some(*kind as u32),
        _ => None,
    })
}

/// What the options of one mount ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options<'a> {
    /// A bind mount, recursive or not.
    pub(super) bind: Option<bool>,
    /// A change of the mount that is there already.
    pub(super) remount: bool,
    /// Some word is about the mount's own attributes.
    named: bool,
    /// Attributes and propagation of the mount.
    pub(super) attrs: Attrs,
    /// Mapped ids: of all mounts below it too or not, and the mapping that stands behind the word.
    pub(super) idmap: Option<(bool, Option<&'a str>)>,
    /// What a new file system covers is copied into it.
    pub(super) copy_up: bool,
    /// A symbolic link at the end of the source is mounted itself.
    pub(super) source_link: bool,
    /// A symbolic link at the end of the destination is mounted over.
    pub(super) target_link: bool,
    /// A source that is a symbolic link is made anew instead.
    pub(super) copy_link: bool,
    /// `MS_*` of the superblock, without `MS_RDONLY`.
    pub(super) superblock: u64,
    /// What is left for the filesystem.
    pub(super) data: Vec<&'a str>,
}

impl<'a> Options<'a> {
    pub(super) fn parse(words: &'a [String]) -> Self {
        let mut options = Self::default();
        for word in words {
            match TABLE.binary_search_by_key(&word.as_str(), |(known, _)| *known) {
                Ok(found) => {
                    let effect = TABLE.get(found).map_or(Nothing, |(_, effect)| *effect);
                    options.apply(effect);
                }
                Err(_) if word.is_empty() => {}
                Err(_) => match word.split_once('=') {
                    Some(("idmap", mapping)) => options.idmap = Some((false, Some(mapping))),
                    Some(("ridmap", mapping)) => options.idmap = Some((true, Some(mapping))),
                    _ => options.data.push(word),
                },
            }
        }
        options
    }

    fn apply(&mut self, effect: Effect) {
        let Attrs { set, clear, set_all, clear_all, propagation, .. } = &mut self.attrs;
        self.named |= matches!(effect, Attr(..) | Atime(..) | Super(..));
        match effect {
            Nothing => {}
            Bind(recursive) => self.bind = Some(recursive || self.bind == Some(true)),
            Remount => self.remount = true,
            Attr(bit, on) => switch(set, clear, bit, on),
            AttrAll(bit, on) => switch(set_all, clear_all, bit, on),
            Atime(way, true) => keep_times(set, clear, way),
            // Takes back the choice; where it was another one, or none, that changes nothing.
            Atime(way, false) if kept_times(*set, *clear) == Some(way) => {
                *clear &= !ATIME;
                *set &= !ATIME;
            }
            Atime(_, false) => {}
            AtimeAll(way, true) => keep_times(set_all, clear_all, way),
            AtimeAll(way, false) => {
                if kept_times(*set_all, *clear_all).is_none_or(|kept| kept == way) {
                    keep_times(set_all, clear_all, RELATIME);
                }
            }
            Super(bit, true) => self.superblock |= bit,
            Super(bit, false) => self.superblock &= !bit,
            // The kernel's MS_* propagation flags all lie in the lower half.
            Propagation(kind) => *propagation = kind as u32,
            IdMap(recursive) => self.idmap = Some((recursive, None)),
            CopyUp => self.copy_up = true,
            Effect::Link(Link::Source) => self.source_link = true,
            Effect::Link(Link::Target) => self.target_link = true,
            Effect::Link(Link::Copy) => self.copy_link = true,
        }
    }

    /// The attributes of a bind mount.
    pub(super) fn bind_attrs(&self) -> Attrs {
        let mut attrs = self.attrs;
        if attrs.clear & ATIME != 0 || attrs.set & NODIRATIME != 0 {
            attrs.clear |= ATIME | NODIRATIME & !attrs.set;
        } else {
            attrs.clear &= !NODIRATIME;
        }
        if self.named {
            attrs.implied = (HARMLESS | RDONLY | NOSYMFOLLOW) & !(attrs.set | attrs.clear);
        }
        attrs
    }

    /// Whether the mount is to be read-only.
    pub(super) fn read_only(&self) -> bool {
        self.attrs.set & RDONLY != 0
    }
}

/// Attributes that make one mount read-only.
pub(super) const READ_ONLY: Attrs =
    Attrs { set: RDONLY, clear: 0, set_all: 0, clear_all: 0, implied: 0, propagation: 0 };

/// What mounts of pseudo filesystems get whatever their options say.
pub(super) const HARMLESS: u32 = NOSUID | NODEV | NOEXEC;

fn switch(set: &mut u32, clear: &mut u32, bit: u32, on: bool) {
    let (to, from) = if on { (set, clear) } else { (clear, set) };
    *to |= bit;
    *from &= !bit;
}

/// The ways of keeping access times exclude each other: the kernel wants the field cleared and one of them set.
fn keep_times(set: &mut u32, clear: &mut u32, way: u32) {
    *clear |= ATIME;
    *set = *set & !ATIME | way;
}

/// The way of keeping access times, where one was chosen.
fn kept_times(set: u32, clear: u32) -> Option<u32> {
    (clear & ATIME != 0).then_some(set & ATIME)
}

/// The names of the superblock's flags for `fsconfig(2)`, which has no word for the others: those that only
/// `mount(2)` can give.
pub(super) const SUPERBLOCK: [(u64, &str); 5] = [
    (libc::MS_RDONLY, "ro"),
    (libc::MS_SYNCHRONOUS, "sync"),
    (libc::MS_DIRSYNC, "dirsync"),
    (libc::MS_MANDLOCK, "mand"),
    (libc::MS_LAZYTIME, "lazytime"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> (Attrs, Vec<String>) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let options = Options::parse(&words);
        (options.attrs, options.data.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn every_word_has_its_negation() {
        for word in known() {
            let negations = match word {
                "ro" => vec!["rw".to_owned()],
                "rro" => vec!["rrw".to_owned()],
                "sync" => vec!["async".to_owned()],
                "silent" => vec!["loud".to_owned()],
                _ => match word.strip_prefix("rno") {
                    Some(rest) => vec![format!("r{rest}")],
                    None => word.strip_prefix("no").map(str::to_owned).into_iter().collect(),
                },
            };
            for negation in negations {
                assert!(known().any(|other| other == negation), "{word} has no {negation}");
            }
        }
    }

    #[test]
    fn the_later_word_wins() {
        assert_eq!(parse("ro rw").0, Attrs { clear: RDONLY, ..Attrs::default() });
        assert_eq!(parse("rw ro").0, Attrs { set: RDONLY, ..Attrs::default() });
        assert_eq!(parse("rshared private").0.propagation, libc::MS_PRIVATE as u32);
    }

    #[test]
    fn access_times_are_one_field() {
        let times = |set| Attrs { set, clear: ATIME, ..Attrs::default() };
        assert_eq!(parse("noatime").0, times(NOATIME));
        assert_eq!(parse("noatime strictatime").0, times(STRICTATIME));
        assert_eq!(parse("strictatime atime").0, times(STRICTATIME));
        assert_eq!(parse("noatime atime").0, Attrs::default());
        assert_eq!(parse("atime norelatime").0, Attrs::default());
        assert_eq!(parse("relatime").0, times(RELATIME));
        assert_eq!(parse("rnoatime").0, Attrs { set_all: NOATIME, clear_all: ATIME, ..Attrs::default() });
        assert_eq!(parse("ratime").0, Attrs { clear_all: ATIME, ..Attrs::default() });
    }

    #[test]
    fn a_bind_mount_has_the_attributes_that_are_named() {
        let bind = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words).bind_attrs()
        };
        assert_eq!(bind("rbind rro idmap"), Attrs { set_all: RDONLY, ..Attrs::default() });
        let all = HARMLESS | RDONLY | NOSYMFOLLOW;
        assert_eq!(bind("bind dev").implied, all & !NODEV);
        assert_eq!(bind("bind sync").implied, all);
        assert_eq!(
            bind("bind ro"),
            Attrs { set: RDONLY, implied: HARMLESS | NOSYMFOLLOW, ..Attrs::default() }
        );
        let times = |words| {
            let Attrs { set, clear, .. } = bind(words);
            (set, clear)
        };
        assert_eq!(times("diratime atime nostrictatime"), (0, 0));
        assert_eq!(times("nodiratime"), (NODIRATIME, ATIME));
        assert_eq!(times("strictatime"), (STRICTATIME, ATIME | NODIRATIME));
        assert_eq!(times("noatime nodiratime"), (NOATIME | NODIRATIME, ATIME));
    }

    #[test]
    fn other_words_are_the_filesystems() {
        assert_eq!(parse("mode=755 nosuid size=64k").1, ["mode=755", "size=64k"]);
        let words = ["tmpcopyup".into(), "ridmap=uids=0-1-1".into()];
        let options = Options::parse(&words);
        assert!(options.copy_up && options.data.is_empty());
        assert_eq!(options.idmap, Some((true, Some("uids=0-1-1"))));
    }
}

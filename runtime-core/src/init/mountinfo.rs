//! The mounts of init's own namespace, as procfs tells them.

use super::abi::*;
use super::fault::{Fault, Result};
use super::nr;
use super::sys;

/// The longest text that is read: some hundred thousand mounts. Only what is filled of it takes memory.
const LIMIT: usize = 1 << 25;

/// The whole of mountinfo at one moment.
pub(crate) struct Mountinfo(&'static [u8]);

/// One mount.
#[derive(Clone, Copy)]
pub(crate) struct Mount<'a> {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    /// The path in the file system that is its root.
    pub(crate) root: &'a [u8],
    /// Where it lies, with escapes.
    pub(crate) point: &'a [u8],
    pub(crate) fstype: &'a [u8],
}

impl Mountinfo {
    /// Reads it through the host's `/proc`.
    pub(crate) fn read(proc: i32) -> Result<Self> {
        let own = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
        let file = sys::openat2(proc, c"self/mountinfo", O_RDONLY | O_CLOEXEC, own)?;
        let text = sys::memory(LIMIT)?;
        let mut len = 0;
        loop {
            match text.get_mut(len..) {
                None | Some([]) => return Err(Fault::errno(nr::READ, ENAMETOOLONG)),
                Some(rest) => match sys::read(file.raw(), rest)? {
                    0 => break,
                    more => len += more,
                },
            }
        }
        Ok(Self(text.get(..len).unwrap_or_default()))
    }

    pub(crate) fn mounts(&self) -> impl Iterator<Item = Mount<'_>> {
        self.0.split(|&byte| byte == b'\n').filter_map(parse)
    }

    /// Whether the mount is the one with number `top`, or lies somewhere below it.
    pub(crate) fn is_within(&self, mount: Mount<'_>, top: u64) -> bool {
        let mut at = mount;
        // The root of all is its own parent, or has one that is not shown; no way up is longer than the list.
        for _ in self.mounts() {
            if at.id == top {
                return true;
            }
            match self.mounts().find(|other| other.id == at.parent && other.id != at.id) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    }

    /// Whether another mount lies upon all of this one.
    pub(crate) fn is_covered(&self, mount: Mount<'_>) -> bool {
        self.mounts().any(|other| other.parent == mount.id && other.point == mount.point)
    }
}

/// `id parent device root point options [tags …] - type source options`
fn parse(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = line.split(|&byte| byte == b' ');
    let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
    let (root, point) = (fields.nth(1)?, fields.next()?);
    fields.find(|field| *field == b"-")?;
    Some(Mount { id, parent, root, point, fstype: fields.next()? })
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A path as it is, from how it stands there: blanks, tabs, newlines and backslashes are `\` and three octal digits.
/// Gives its length in `into`, or nothing where it does not fit.
pub(crate) fn unescape(escaped: &[u8], into: &mut [u8]) -> Option<usize> {
    let (mut rest, mut len) = (escaped, 0);
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), tail)
            }
            _ => (first, tail),
        };
        *into.get_mut(len)? = byte;
        len += 1;
        rest = tail;
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 27 0:21 / /proc rw,relatime shared:5 master:1 - proc proc rw\n\
        27 1 254:0 / / rw - ext4 /dev/vda rw\n\
        40 27 0:30 /x /a\\040b rw - tmpfs tmpfs rw\n\
        41 40 0:21 / /a\\040b/c rw - proc none rw\n\
        50 22 0:40 / /proc rw - tmpfs tmpfs rw\n\
        rubbish\n60 1\n";

    #[test]
    fn mounts_and_their_places() {
        let info = Mountinfo(TEXT);
        assert_eq!(info.mounts().map(|mount| mount.id).collect::<Vec<_>>(), [22, 27, 40, 41, 50]);
        let find = |id| info.mounts().find(|mount| mount.id == id).unwrap();
        assert_eq!((find(41).root, find(41).fstype), (&b"/"[..], &b"proc"[..]));
        assert!(info.is_within(find(41), 40) && info.is_within(find(41), 27) && info.is_within(find(40), 40));
        assert!(!info.is_within(find(22), 40) && !info.is_within(find(27), 22));
        assert!(info.is_covered(find(22)) && !info.is_covered(find(40)));
    }

    #[test]
    fn a_circle_ends() {
        let info = Mountinfo(b"1 2 0:1 / / rw - a b rw\n2 1 0:1 / / rw - a b rw\n");
        assert!(!info.is_within(info.mounts().next().unwrap(), 3));
    }

    #[test]
    fn escapes() {
        let mut path = [0; 8];
        assert_eq!(unescape(b"/a\\040b\\134", &mut path), Some(5));
        assert_eq!(&path[..5], b"/a b\\");
        assert_eq!(unescape(b"\\04", &mut path), Some(3));
        assert_eq!(unescape(b"123456789", &mut path), None);
    }
}

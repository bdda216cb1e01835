//! The parser of `/etc/passwd`.

use core::ffi::CStr;

/// The home directory of `uid`: that of the first line with seven fields that names it.
fn home(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let same = number(fields.nth(2)?)? == uid;
        let home = fields.nth(2)?;
        (same && !home.contains(&0)).then_some(home)
    })
}

/// The environment's entry for the home directory of `uid`, if it has one, made where it stands: the five bytes of its key fit into
/// the fields before it, and a byte comes after the `len` of the text.
pub(crate) fn home_entry(text: &mut [u8], len: usize, uid: u32) -> Option<&CStr> {
    const KEY: &[u8] = b"HOME=";
    let home = home(text.get(..len)?, uid).filter(|home| !home.is_empty())?;
    let start = (home.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start + home.len();
    let from = start.checked_sub(KEY.len())?;
    *text.get_mut(end)? = 0;
    for (place, byte) in text.get_mut(from..start)?.iter_mut().zip(KEY) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(text.get(from..)?).ok()
}

fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{home, home_entry};

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a comment\n\
        broken:x:7\n\
        other:x:-7:7::/minus:\n\
        seven:x:7:7:Seven:/home/seven:/bin/sh\n\
        again:x:7:7::/elsewhere:\n\
        homeless:x:8:8:::\n\
        nul:x:9:9::/a\0b:\n\
        last:x:10:10::/last:/bin/sh";

    #[test]
    fn entries_are_made_in_place() {
        for (uid, entry) in [(0, Some(c"HOME=/root")), (7, Some(c"HOME=/home/seven")), (8, None), (99, None)]
        {
            let mut text = PASSWD.to_vec();
            text.push(0);
            assert_eq!(home_entry(&mut text, PASSWD.len(), uid), entry, "{uid}");
        }
        let shortest = b"::0:::/";
        assert_eq!(home_entry(&mut [shortest, &b"\0"[..]].concat(), shortest.len(), 0), Some(c"HOME=/"));
    }

    #[test]
    fn first_whole_line_counts() {
        assert_eq!(home(PASSWD, 0), Some(&b"/root"[..]));
        assert_eq!(home(PASSWD, 7), Some(&b"/home/seven"[..]));
        assert_eq!(home(PASSWD, 8), Some(&b""[..]));
        assert_eq!(home(PASSWD, 10), Some(&b"/last"[..]));
    }

    #[test]
    fn absent_and_unusable() {
        assert_eq!(home(PASSWD, 9), None);
        assert_eq!(home(PASSWD, 1), None);
        assert_eq!(home(b"", 0), None);
        assert_eq!(home(b"::::::", 0), None);
        assert_eq!(home(b"big:x:4294967296:0::/big:", 0), None);
    }
}

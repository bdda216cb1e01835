//! The parser of `/etc/passwd`.

/// The home directory of `uid`: that of the first line with seven fields that names it.
pub(crate) fn home(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let same = number(fields.nth(2)?)? == uid;
        let home = fields.nth(2)?;
        (same && !home.contains(&0)).then_some(home)
    })
}

fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::home;

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

//! Sizes as people write them: `64m`, `1.5 GiB`, in powers of 1024 whatever the unit is called.

/// The number of bytes, if the text is a size.
pub(crate) fn parse_size(text: &str) -> Option<i64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let prefix = unit.strip_suffix('b').unwrap_or(&unit);
    let prefix = prefix.strip_suffix('i').filter(|prefix| !prefix.is_empty()).unwrap_or(prefix);
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == prefix)?;
    let factor = 1_i64 << (10 * power);
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(factor);
    }
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512b", Some(512)),
            ("64m", Some(64 << 20)),
            ("64M", Some(64 << 20)),
            ("1.5 GiB", Some(3 << 29)),
            ("2kb", Some(2048)),
            ("1p", Some(1 << 50)),
            ("x", None),
            ("", None),
            ("-1", None),
            ("1i", None),
            ("1x", None),
            ("1.2.3m", None),
            ("1m m", None),
            ("9999999p", None),
            ("ä", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}

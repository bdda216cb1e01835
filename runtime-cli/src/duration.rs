//! Durations as Go writes them: `5s`, `1m30s`, `1.5h`, `300ms`.

use std::time::Duration;

/// The units, each with its length in seconds; those that begin alike in the order in which they have to be tried.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// The duration, if the text is one; there are no negative ones.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit) = rest.split_at_checked(end)?;
        let (length, after) =
            UNITS.iter().find_map(|(name, length)| Some((*length, unit.strip_prefix(name)?)))?;
        seconds += number.parse::<f64>().ok()? * length;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("5s", Some(5000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("2000us", Some(2)),
            ("2000µs", Some(2)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("+1s", Some(1000)),
            ("5", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1s1", None),
            ("1d", None),
            ("1.2.3s", None),
        ] {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}

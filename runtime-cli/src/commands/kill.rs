//! `corten kill`: sends a signal.

use nix::sys::signal::Signal;

use super::container;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::ALL;
use crate::globals::Globals;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let container = container(globals, flags)?;
    let name = if flags.arguments().len() > 1 { flags.argument(1)? } else { "SIGTERM" };
    let signal = parse_signal(name).ok_or_else(|| Failure::new(format!("unknown signal \"{name}\"")))?;
    container.kill(signal, flags.is_set(&ALL))?;
    Ok(0)
}

/// A signal by its number, or by its name in any case, with or without `SIG`.
fn parse_signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return (0..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let realtime = |base: i32, offset: &str| match offset {
        "" => Some(base),
        _ => base.checked_add(offset.parse().ok()?),
    };
    let number = if let Some(offset) = name.strip_prefix("RTMIN") {
        realtime(libc::SIGRTMIN(), offset)
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        realtime(libc::SIGRTMAX(), offset)
    } else {
        return format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32);
    };
    number.filter(|number| (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(number))
}

#[cfg(test)]
mod tests {
    use super::parse_signal;

    #[test]
    fn signals_have_numbers_and_names() {
        for (text, number) in [
            ("9", Some(9)),
            ("0", Some(0)),
            ("KILL", Some(9)),
            ("sigterm", Some(15)),
            ("Usr1", Some(10)),
            ("RTMIN+3", Some(libc::SIGRTMIN() + 3)),
            ("SIGRTMAX", Some(64)),
            ("rtmax-1", Some(63)),
            ("RTMAX+1", None),
            ("65", None),
            ("-9", None),
            ("FOO", None),
            ("SIG", None),
            ("", None),
        ] {
            assert_eq!(parse_signal(text), number, "{text}");
        }
    }
}

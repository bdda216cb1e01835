//! Log messages in runc's two formats, on standard error or in a file.
//!
//! Podman reads the whole log of a failed command as one JSON document. In that format warnings are
//! therefore held back until the command has succeeded; a failure carries them inside its own document.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use ::log::{Level, LevelFilter, Log, Metadata, Record};
use runtime_core::rfc3339;
use serde::Serialize;

use crate::failure::{Detail, Failure};

static SINK: OnceLock<Sink> = OnceLock::new();

/// The format of log messages.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Format {
    /// `time="…" level=… msg="…"`.
    Text,
    /// One object per line.
    Json,
}

/// Where log messages go.
struct Sink {
    file: Option<File>,
    format: Format,
    debug: bool,
    held: Mutex<Vec<Held>>,
}

/// A message that waits for the end of the command.
#[derive(Serialize)]
struct Held {
    level: &'static str,
    msg: String,
    time: String,
}

/// Starts logging; without a call of this, only failures are reported, as text on standard error.
pub(crate) fn set_up(file: Option<&Path>, format: Format, debug: bool) -> Result<(), Failure> {
    let file = file.map(open).transpose()?;
    let sink = SINK.get_or_init(|| Sink { file, format, debug, held: Mutex::default() });
    ::log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    ::log::set_logger(sink).map_err(|error| Failure::new(error.to_string()))
}

/// Reports what ended the command.
pub(crate) fn failure(failure: &Failure) {
    let mut event = Event::new("error", &failure.message);
    event.error = failure.detail.as_ref();
    let Some(sink) = SINK.get() else { return event.write(None, Format::Text) };
    let held = mem::take(&mut *sink.held());
    event.warnings = &held;
    event.write(sink.file.as_ref(), sink.format);
    if sink.file.is_some() {
        // Engines pass on what stands here, if they cannot read the file.
        to_stderr(&format!("{}\n", failure.message));
    }
}

/// Writes the warnings that have been held back; called once the command cannot fail any more.
pub(crate) fn release() {
    let Some(sink) = SINK.get() else { return };
    for Held { level, msg, time } in mem::take(&mut *sink.held()) {
        Event { time, ..Event::new(level, &msg) }.write(sink.file.as_ref(), sink.format);
    }
}

/// One log message; the members stand in the order in which they are written.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func: Option<&'a str>,
    level: &'static str,
    msg: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Detail>,
    #[serde(skip_serializing_if = "<[Held]>::is_empty")]
    warnings: &'a [Held],
}

impl<'a> Event<'a> {
    fn new(level: &'static str, msg: &'a str) -> Self {
        let time = now();
        Self { file: None, func: None, level, msg, time, error: None, warnings: &[] }
    }

    /// Writes the message by one call, so that messages of several processes do not mix.
    fn write(&self, file: Option<&File>, format: Format) {
        let line = match format {
            Format::Text => self.text(),
            // Strings and numbers only: there is nothing in it that JSON could not hold.
            Format::Json => serde_json::to_string(self).unwrap_or_default() + "\n",
        };
        match file {
            Some(mut file) => drop(file.write_all(line.as_bytes())),
            None => to_stderr(&line),
        }
    }

    fn text(&self) -> String {
        let mut line = format!("time={} level={} msg={}", quoted(&self.time), self.level, quoted(self.msg));
        let of_error =
            |part: fn(&Detail) -> &Option<String>| self.error.and_then(|error| part(error).as_deref());
        let pointer = of_error(|error| &error.pointer);
        // The message of a finding says itself what to do.
        let hint = of_error(|error| &error.hint).filter(|hint| !self.msg.contains(hint));
        let keys =
            [("func", self.func), ("file", self.file.as_deref()), ("pointer", pointer), ("hint", hint)];
        for (key, value) in keys {
            if let Some(value) = value {
                line += &format!(" {key}={}", quoted(value));
            }
        }
        line + "\n"
    }
}

impl Sink {
    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        let msg = record.args().to_string();
        if self.format == Format::Json && !self.debug {
            self.held().push(Held { level, msg, time: now() });
            return;
        }
        let mut event = Event::new(level, &msg);
        if self.debug {
            event.file = record.file().zip(record.line()).map(|(file, line)| format!("{file}:{line}"));
            event.func = record.module_path();
        }
        event.write(self.file.as_ref(), self.format);
    }

    fn flush(&self) {}
}

/// The time in whole seconds, as engines know it from runc.
fn now() -> String {
    let seconds = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn open(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644).custom_flags(libc::O_SYNC);
    options.open(path).map_err(|error| Failure::file("open", path, error))
}

fn to_stderr(text: &str) {
    // There is nowhere left to report that standard error cannot be written.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Quotes a value as logrus does: only if it is more than a plain word.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text += "\\n",
            '\r' => text += "\\r",
            '\t' => text += "\\t",
            _ if character.is_control() => text += &format!("\\u{:04x}", u32::from(character)),
            _ => text.push(character),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event<'static> {
        Event { time: "2026-11-20T04:14:25Z".to_owned(), ..Event::new("error", "no \"x\"\n") }
    }

    #[test]
    fn text_is_that_of_runc() {
        assert_eq!(event().text(), "time=\"2026-11-20T04:14:25Z\" level=error msg=\"no \\\"x\\\"\\n\"\n");
        let short = Event { msg: "word", func: Some("main"), ..event() };
        assert_eq!(short.text(), "time=\"2026-11-20T04:14:25Z\" level=error msg=word func=main\n");
    }

    #[test]
    fn json_has_exactly_the_keys_of_runc() {
        let json = serde_json::to_string(&event()).unwrap();
        assert_eq!(json, r#"{"level":"error","msg":"no \"x\"\n","time":"2026-11-20T04:14:25Z"}"#);
    }

    #[test]
    fn json_of_a_failure_has_an_object_for_programs() {
        let detail = Detail {
            kind: "config",
            pointer: Some("/mounts/3".into()),
            step: None,
            errno: Some(2),
            hint: None,
        };
        let json = serde_json::to_string(&Event { error: Some(&detail), ..event() }).unwrap();
        assert!(json.ends_with(r#","error":{"kind":"config","pointer":"/mounts/3","errno":2}}"#), "{json}");
    }
}

//! The file that tells an engine the process id.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Writes a pid, decimal and without a newline, so that a reader sees all of it or no file.
pub(crate) fn write(path: &Path, pid: i32) -> Result<(), Failure> {
    let temporary = temporary(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let file = options.open(&temporary).or_else(|error| match error.kind() {
        // What a killed command has left.
        ErrorKind::AlreadyExists => fs::remove_file(&temporary).and_then(|()| options.open(&temporary)),
        _ => Err(error),
    });
    let mut file = file.map_err(|error| Failure::file("open", &temporary, error))?;
    let written = file.write_all(pid.to_string().as_bytes()).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
        Failure::file("write", path, error)
    })
}

fn temporary(path: &Path) -> Result<PathBuf, Failure> {
    let name = path
        .file_name()
        .ok_or_else(|| Failure::new(format!("--pid-file {}: not the name of a file", path.display())))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_and_nothing_else_stays() {
        let dir = std::env::temp_dir().join(format!("corten-pid-file-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("pid");
        fs::write(&path, "something longer").unwrap();
        fs::write(dir.join(".pid"), "left over").unwrap();
        write(&path, 4711).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "4711");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        assert!(write(&dir.join("no/pid"), 1).is_err());
        assert!(write(&dir.join(".."), 1).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! The ids of a user namespace, written into it from outside.

use std::fmt::Write;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{getegid, geteuid};

use super::{Child, Error as LaunchError, hooks};
use crate::config::{Hook, IdMapping};
use crate::error::{Error, errno_of, errno_text};
use crate::init::sys::capget;
use crate::plan::UserNamespace;

/// Where the set-user-id programs are that write what this process may not.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// How long one of them may take.
const TIMEOUT: i64 = 10;

const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// One of the two maps.
struct Map {
    file: &'static str,
    pointer: &'static str,
    /// The program that writes it for others.
    program: &'static str,
    /// The capability that allows to write more than one's own id.
    capability: u64,
    /// This process's own id.
    own: u32,
}

/// Does what the host side has to do for a user namespace of which init has become a member.
pub(crate) fn settle(child: &Child, namespace: &UserNamespace) -> Result<(), Error> {
    let uids = Map {
        file: "uid_map",
        pointer: "/linux/uidMappings",
        program: "newuidmap",
        capability: CAP_SETUID,
        own: geteuid().as_raw(),
    };
    let gids = Map {
        file: "gid_map",
        pointer: "/linux/gidMappings",
        program: "newgidmap",
        capability: CAP_SETGID,
        own: getegid().as_raw(),
    };
    match namespace {
        UserNamespace::New(maps) => {
            uids.write(child, &maps.uids)?;
            gids.write(child, &maps.gids)
        }
        UserNamespace::Joined(maps) => {
            uids.compare(child, &maps.uids)?;
            gids.compare(child, &maps.gids)
        }
    }
}

impl Map {
    fn failed(&self, reason: String) -> Error {
        LaunchError::IdMap { pointer: self.pointer, reason }.into()
    }

    fn write(&self, child: &Child, mappings: &[IdMapping]) -> Result<(), Error> {
        let privileged = capget().is_ok_and(|sets| sets.effective & self.capability != 0);
        let own_alone = matches!(mappings, [only] if only.size == 1 && only.host_id == self.own);
        if !privileged && !own_alone {
            return self.write_by_program(child, mappings);
        }
        if !privileged && self.capability == CAP_SETGID {
            // Without the privilege the kernel lets a group be mapped only where groups can never be dropped.
            self.write_file(child, "setgroups", "deny")?;
        }
        let mut lines = String::new();
        for IdMapping { container_id, host_id, size } in mappings {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{container_id} {host_id} {size}");
        }
        self.write_file(child, self.file, &lines)
    }

    fn write_file(&self, child: &Child, file: &str, text: &str) -> Result<(), Error> {
        let path = format!("/proc/{}/{file}", child.pid);
        fs::write(&path, text).map_err(|error| {
            let hint = match errno_of(&error) {
                Errno::EPERM => ": an id of the host is not this user's to give",
                Errno::EINVAL => ": ranges overlap, or there are more than 340",
                _ => "",
            };
            self.failed(format!("write {path}: {}{hint}", errno_text(errno_of(&error))))
        })
    }

    fn write_by_program(&self, child: &Child, mappings: &[IdMapping]) -> Result<(), Error> {
        let name = self.program;
        let found = DIRECTORIES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
        let Some(path) = found else {
            return Err(self.failed(format!(
                "{name} is not installed; without it an unprivileged user can map nothing but the own id {}",
                self.own
            )));
        };
        let mut args = vec![name.to_owned(), child.pid.to_string()];
        for IdMapping { container_id, host_id, size } in mappings {
            args.extend([*container_id, *host_id, *size].map(|number| number.to_string()));
        }
        let path = path.to_string_lossy().into_owned();
        let program = Hook { path, args, env: Some(Vec::new()), timeout: Some(TIMEOUT) };
        hooks::run_program(&program, child.pidfd.as_fd())?
            .map_err(|reason| self.failed(format!("{name}: {reason} (see /etc/subuid and /etc/subgid)")))
    }

    /// A namespace that exists already must have these very mappings.
    fn compare(&self, child: &Child, mappings: &[IdMapping]) -> Result<(), Error> {
        let path = format!("/proc/{}/{}", child.pid, self.file);
        let text = fs::read_to_string(&path)
            .map_err(|error| self.failed(format!("read {path}: {}", errno_text(errno_of(&error)))))?;
        let mut there: Vec<IdMapping> = text.lines().filter_map(range).collect();
        let mut wanted = mappings.to_vec();
        for list in [&mut there, &mut wanted] {
            list.sort_unstable_by_key(|range| range.container_id);
        }
        if there == wanted {
            return Ok(());
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Err(self.failed(format!("the user namespace to be joined has other mappings: {}", lines.join(", "))))
    }
}

/// One line of a map.
fn range(line: &str) -> Option<IdMapping> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(IdMapping { container_id: next()?, host_id: next()?, size: next()? })
}

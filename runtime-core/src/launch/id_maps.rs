//! The ids of a user namespace, written into it from outside.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::SIGKILL;
use nix::unistd::{getegid, geteuid};

use super::descriptors::Sources;
use super::{Child, Error as LaunchError, Payload, hooks, launch};
use crate::config::{Hook, IdMapping};
use crate::container::reap;
use crate::error::{Error, errno_text};
use crate::init::sys::capget;
use crate::plan::{self, IdMaps, UserNamespace};
use crate::procfs;
use crate::sys;

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

/// A user namespace with these ids, for a mount whose ids are mapped. No process is left in it.
pub(super) fn user_namespace(maps: &IdMaps) -> Result<OwnedFd, LaunchError> {
    let failed = LaunchError::system("make a user namespace");
    let plan = plan::user_namespace();
    let child = launch(&plan, &Sources::default(), &Payload { stdio: None, inherit: &[] })?;
    let made = || {
        child.channel.receive().map_err(failed)?;
        for (file, mappings) in [("uid_map", &maps.uids), ("gid_map", &maps.gids)] {
            write_file(child.pid, file, &lines(mappings)).map_err(LaunchError::system("write its ids"))?;
        }
        let path = format!("{}/ns/user", child.pid);
        procfs::open(&path, OFlag::O_RDONLY).map_err(LaunchError::system("open a user namespace"))
    };
    let namespace = made();
    // Already gone, if it is what has failed.
    let _ = sys::pidfd_send_signal(&child.pidfd, SIGKILL);
    let _ = reap(child.pidfd.as_fd());
    namespace
}

/// The mappings as the kernel reads them.
fn lines(mappings: &[IdMapping]) -> String {
    let line = |range: &IdMapping| format!("{} {} {}\n", range.container_id, range.host_id, range.size);
    mappings.iter().map(line).collect()
}

fn write_file(pid: i32, file: &str, text: &str) -> Result<(), Errno> {
    procfs::write(&format!("{pid}/{file}"), text)
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
        self.write_file(child, self.file, &lines(mappings))
    }

    fn write_file(&self, child: &Child, file: &str, text: &str) -> Result<(), Error> {
        write_file(child.pid, file, text).map_err(|errno| {
            let hint = match errno {
                Errno::EPERM => ": an id of the host is not this user's to give",
                Errno::EINVAL => ": ranges overlap, or they are more than 340, or as text longer than a page",
                _ => "",
            };
            self.failed(format!("write /proc/{}/{file}: {}{hint}", child.pid, errno_text(errno)))
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
        let path = format!("{}/{}", child.pid, self.file);
        let text = procfs::read(&path)
            .map_err(|errno| self.failed(format!("read /proc/{path}: {}", errno_text(errno))))?;
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

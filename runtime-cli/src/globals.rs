//! What the global flags say.

use std::env;

use runtime_core::{CgroupDriver, Runtime};

use crate::descriptors::Descriptors;
use crate::failure::Failure;
use crate::flags::table::{DEBUG, LOG, LOG_FORMAT, ROOT, ROOTLESS, SYSTEMD_CGROUP};
use crate::flags::{Matches, parse_bool};
use crate::log;
use crate::root::{self, Root};

/// What holds for every command.
pub(crate) struct Globals {
    /// Where the state of containers is kept.
    pub(crate) root: Root,
    /// Who makes cgroups.
    pub(crate) cgroup_driver: CgroupDriver,
    /// The address of the bus on which systemd is, where it makes cgroups and the environment names one.
    pub(crate) bus: Option<String>,
    /// Whether missing permissions for cgroups are ignored; `None` means that the library finds out.
    pub(crate) rootless: Option<bool>,
    /// What the caller has handed over beside the standard streams.
    pub(crate) descriptors: Descriptors,
}

impl Globals {
    /// Reads the global flags and starts logging as they say.
    pub(crate) fn new(flags: &Matches, descriptors: Descriptors) -> Result<Self, Failure> {
        let format = match flags.text(&LOG_FORMAT)? {
            None | Some("text") => log::Format::Text,
            Some("json") => log::Format::Json,
            Some(other) => return Err(Failure::new(format!("invalid log-format: {other}"))),
        };
        log::set_up(flags.path(&LOG), format, flags.is_set(&DEBUG))?;
        let rootless = match flags.text(&ROOTLESS)? {
            None | Some("auto") => None,
            Some(text) => Some(parse_bool(text).ok_or_else(|| {
                Failure::new(format!("invalid value \"{text}\" for flag -rootless: use true, false or auto"))
            })?),
        };
        let (cgroup_driver, bus) = match flags.is_set(&SYSTEMD_CGROUP) {
            true => (CgroupDriver::Systemd, bus_address()),
            false => (CgroupDriver::Cgroupfs, None),
        };
        let root = Root::new(flags.path(&ROOT))?;
        Ok(Self { root, cgroup_driver, bus, rootless, descriptors })
    }

    /// The library's view of the state root.
    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(self.root.path())
    }
}

/// Where the environment says that the bus of systemd is: that of the system, or of an unprivileged user's session. A
/// session's address also tells a root inside a user namespace who its user is outside.
fn bus_address() -> Option<String> {
    let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let in_runtime_dir = || given("XDG_RUNTIME_DIR").map(|dir| format!("unix:path={dir}/bus"));
    match root::is_rootless() {
        true => given("DBUS_SESSION_BUS_ADDRESS").or_else(in_runtime_dir),
        false => given("DBUS_SYSTEM_BUS_ADDRESS"),
    }
}

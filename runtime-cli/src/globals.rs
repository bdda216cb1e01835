//! What the global flags say.

use runtime_core::{CgroupDriver, Runtime};

use crate::descriptors::Descriptors;
use crate::failure::Failure;
use crate::flags::table::{DEBUG, LOG, LOG_FORMAT, ROOT, ROOTLESS, SYSTEMD_CGROUP};
use crate::flags::{Matches, parse_bool};
use crate::log;
use crate::root::Root;

/// What holds for every command.
pub(crate) struct Globals {
    /// Where the state of containers is kept.
    pub(crate) root: Root,
    /// Who makes cgroups.
    pub(crate) cgroup_driver: CgroupDriver,
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
        let cgroup_driver =
            if flags.is_set(&SYSTEMD_CGROUP) { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
        Ok(Self { root: Root::new(flags.path(&ROOT))?, cgroup_driver, rootless, descriptors })
    }

    /// The library's view of the state root.
    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(self.root.path())
    }
}

//! The seccomp profile of the case run-seccomp.

use std::fs;
use std::path::{Path, PathBuf};

use runtime_core::config::Seccomp;
use runtime_core::seccomp::{Arch, compile};
use serde_json::Value;

use crate::error::{At, Error, Result};

/// A profile, and its filter, since the floor reads no profiles.
pub(crate) struct Profile {
    /// The `linux.seccomp` of a config.
    pub(crate) config: Value,
    /// Where the program of the filter is, as seccomp(2) takes it.
    pub(crate) filter: PathBuf,
    /// The flags of seccomp(2) that go with it.
    pub(crate) flags: u32,
}

impl Profile {
    /// Reads a profile, and writes its filter into a directory.
    pub(crate) fn read(path: &Path, dir: &Path) -> Result<Self> {
        let text = fs::read(path).at(path)?;
        let config: Value = serde_json::from_slice(&text).at(path)?;
        let profile: Seccomp = serde_json::from_slice(&text).at(path)?;
        let unfit = |reason: String| Error::Usage(format!("{}: {reason}", path.display()));
        let native =
            Arch::NATIVE.ok_or_else(|| unfit("profiles do not know this machine's architecture".into()))?;
        let compiled = compile(&profile, native).map_err(|e| unfit(e.to_string()))?;
        let filter = dir.join("filter");
        let program: Vec<u8> = compiled.program.iter().flat_map(|one| one.to_bytes()).collect();
        fs::write(&filter, program).at(&filter)?;
        Ok(Self { config, filter, flags: compiled.flags })
    }
}

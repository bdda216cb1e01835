//! The programs that are compared.

use std::path::{Path, PathBuf};

use crate::config::Shape;
use crate::container::Container;
use crate::error::{Error, Result};
use crate::lab::{Lab, find_program};
use crate::results::{Pace, SubjectInfo};

/// The peers that are looked for when none is named.
const KNOWN: [&str; 5] = ["corten", "crun", "crun-static", "runc", "youki"];

/// The programs that come with the benchmark.
const OWN: [(&str, Kind, &str); 3] = [
    (FLOOR, Kind::Floor, "the least kernel work for the same container, static-pie with glibc"),
    (BARE_FLOOR, Kind::Floor, "the same without a C library"),
    (LIBRARY, Kind::Library, "runtime-core of this workspace, called by a process that stays"),
];

/// The name of the floor that ratios refer to.
pub(crate) const FLOOR: &str = "floor";
/// The name of the floor without a C library.
pub(crate) const BARE_FLOOR: &str = "floor-bare";

/// The name of the program that calls the library.
pub(crate) const LIBRARY: &str = "library";

/// The name of the program that the others are compared with.
pub(crate) const OURS: &str = "corten";

/// What a program is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The least kernel work, without a runtime's commands.
    Floor,
    /// An OCI runtime with runc's command line.
    Runtime,
    /// Our library in a process that stays; its `run` creates, starts, waits and deletes.
    Library,
}

/// A program that is measured.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) kind: Kind,
    version: String,
}

impl Subject {
    /// Those that come with the benchmark, and the named programs or the known ones.
    pub(crate) fn all(lab: &Lab, named: &[(String, PathBuf)]) -> Result<Vec<Self>> {
        let named = if named.is_empty() {
            KNOWN.iter().filter_map(|name| Some(((*name).to_owned(), find_program(name)?))).collect()
        } else {
            named.to_vec()
        };
        let mut subjects: Vec<Self> = OWN.iter().filter_map(Self::own).collect();
        for (name, program) in named {
            let program =
                program.canonicalize().map_err(|e| Error::Usage(format!("{}: {e}", program.display())))?;
            let version = lab.call(&program, "version").args(["--version"]).output();
            let version = version.map_or_else(|e| e.to_string(), |text| version_line(&text));
            subjects.push(Self { name, program, kind: Kind::Runtime, version });
        }
        Ok(subjects)
    }

    fn own((name, kind, what): &(&str, Kind, &str)) -> Option<Self> {
        let Some(program) = own_program(name) else {
            eprintln!("no {name} beside this program: benches/run builds it");
            return None;
        };
        Some(Self { name: (*name).to_owned(), program, kind: *kind, version: (*what).to_owned() })
    }

    /// What the results say of it; runs a container to see whether it can.
    pub(crate) fn info(&self, lab: &Lab) -> SubjectInfo {
        let probe = Container::new(lab, self, "probe", Shape::TRUE).and_then(|probe| probe.run(Pace::Tight));
        let refusal = probe.err().map(|e| e.to_string());
        SubjectInfo { name: self.name.clone(), version: self.version.clone(), refusal }
    }

    /// The directory of its state.
    pub(crate) fn state_root(&self, lab: &Lab) -> PathBuf {
        lab.state().join(&self.name)
    }
}

/// A program that was built beside this one.
pub(crate) fn own_program(name: &str) -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.parent().map(|dir: &Path| dir.join(name))?;
    path.is_file().then_some(path)
}

/// The version, and the commit where it is told; later lines are about other things.
fn version_line(text: &str) -> String {
    let told = |line: &&str| line.contains("version") || line.starts_with("commit");
    text.lines().take(3).filter(told).collect::<Vec<_>>().join(", ")
}

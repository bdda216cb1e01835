//! `/linux/intelRdt`: the container's share of caches and memory bandwidth, by the resctrl file system.

mod stats;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::IntelRdt;
use crate::error::{Error, errno_of, errno_text};
use crate::procfs;
pub use stats::{CacheOccupancy, IntelRdtStats, L3CacheInfo, MemBwInfo, MemoryBandwidth};

const POINTER: &str = "/linux/intelRdt";

/// The directories of a container, as they are written down before they are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resctrl {
    /// The class of service.
    class: PathBuf,
    /// The class is made for the container.
    own: bool,
    /// The class has a name that other containers may give too.
    #[serde(default)]
    named: bool,
    /// The group in which the class's processes are watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitor: Option<PathBuf>,
}

impl Resctrl {
    /// What a container asks for, on this host.
    pub(super) fn plan(config: &IntelRdt, id: &str) -> Result<Self, Error> {
        let table = procfs::read("thread-self/mountinfo").unwrap_or_default();
        let root = mounted(&table).ok_or_else(|| {
            let hint = "mount -t resctrl resctrl /sys/fs/resctrl, if the processor has it";
            failed(POINTER, format!("no resctrl file system is mounted ({hint})"))
        })?;
        Self::plan_in(root, config, id)
    }

    fn plan_in(root: &Path, config: &IntelRdt, id: &str) -> Result<Self, Error> {
        const CLASS: &str = "/linux/intelRdt/closID";
        let class = match config.clos_id.as_deref() {
            Some("/") => root.to_owned(),
            Some(name) => root.join(name),
            None => root.join(id),
        };
        let own = !class.exists();
        let schemata = lines(config).next().is_some();
        match (&config.clos_id, own) {
            (Some(name), true) if !schemata => {
                return Err(failed(
                    CLASS,
                    format!("there is no class {name:?}; give it schemata to make it"),
                ));
            }
            (None, false) => {
                return Err(failed(POINTER, format!("{} exists already", class.display())));
            }
            _ => {}
        }
        let monitor = config.enable_monitoring.then(|| class.join("mon_groups").join(id));
        Ok(Self { class, own, named: config.clos_id.is_some(), monitor })
    }

    /// Makes the directories. A class of others must have the schemata that are asked for; an own one gets them.
    pub(super) fn make(&self, config: &IntelRdt) -> Result<(), Error> {
        if self.own {
            make_directory(&self.class)?;
            self.write_lines(lines(config))?;
        } else if lines(config).next().is_some() {
            let schemata = self.class.join("schemata");
            let there = fs::read_to_string(&schemata).map_err(|error| io("read", &schemata, &error))?;
            let there: BTreeSet<_> = there.lines().flat_map(values).collect();
            if let Some(line) = lines(config).find(|line| !values(line).all(|value| there.contains(&value))) {
                let class = self.class.display();
                return Err(failed(
                    POINTER,
                    format!("{class} exists already, with other schemata than {line:?}"),
                ));
            }
        }
        self.monitor.as_deref().map_or(Ok(()), make_directory)
    }

    /// Puts a thread into the class.
    pub(super) fn enter(&self, thread: i32) -> Result<(), Error> {
        let directories = std::iter::once(&self.class).chain(&self.monitor);
        directories.into_iter().try_for_each(|dir| write(&dir.join("tasks"), &thread.to_string()))
    }

    /// Puts the threads of processes into the class until there are no others: what is born in it belongs to it.
    pub(super) fn enter_all(&self, threads: impl Fn() -> Result<Vec<i32>, Error>) -> Result<(), Error> {
        let mut entered = BTreeSet::new();
        loop {
            let new: Vec<i32> = threads()?.into_iter().filter(|thread| entered.insert(*thread)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for thread in new {
                match self.enter(thread) {
                    // It has ended meanwhile.
                    Err(_) if procfs::stat(&thread.to_string()).is_err() => {}
                    entered => entered?,
                }
            }
        }
    }

    /// Gives the class other lines, and says what those of before were. After an error they are in force again.
    pub(super) fn change(&self, config: &IntelRdt) -> Result<Vec<String>, Error> {
        let schemata = self.class.join("schemata");
        let there = fs::read_to_string(&schemata).map_err(|error| io("read", &schemata, &error))?;
        let is_changed = |line: &&str| lines(config).any(|other| resource(other) == resource(line));
        let former: Vec<String> =
            there.lines().map(str::trim).filter(is_changed).map(str::to_owned).collect();
        match self.write_lines(lines(config)) {
            Ok(()) => Ok(former),
            Err(error) => {
                self.restore(&former);
                Err(error)
            }
        }
    }

    /// Puts lines of before in force again.
    pub(super) fn restore(&self, former: &[String]) {
        if let Err(error) = self.write_lines(former.iter().map(String::as_str)) {
            log::warn!("the former schemata could not be restored: {error}");
        }
    }

    /// The lines for a class; where the kernel refuses one, its own words say why.
    fn write_lines<'a>(&self, mut lines: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let schemata = self.class.join("schemata");
        lines.try_for_each(|line| {
            write(&schemata, &format!("{line}\n")).map_err(|error| {
                let status = self.root().join("info/last_cmd_status");
                match fs::read_to_string(status).unwrap_or_default().trim() {
                    "" | "ok" => error,
                    reason => failed(POINTER, format!("{line:?}: {reason}")),
                }
            })
        })
    }

    /// The file system's root, which alone has the directory `info`.
    fn root(&self) -> &Path {
        if self.class.join("info").is_dir() {
            &self.class
        } else {
            self.class.parent().unwrap_or(&self.class)
        }
    }

    /// Removes what is the container's own.
    pub(super) fn remove(&self) -> Result<(), Error> {
        // A class with a name of its own may have got other containers meanwhile: it stays.
        let class = (self.own && !self.named).then_some(&self.class);
        self.monitor.iter().chain(class).try_for_each(|dir| match fs::remove_dir(dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", dir, &error)),
            _ => Ok(()),
        })
    }
}

/// The mount point of the first resctrl file system.
fn mounted(table: &str) -> Option<&Path> {
    let line = table
        .lines()
        .find(|line| line.split_once(" - ").is_some_and(|(_, fs)| fs.starts_with("resctrl ")))?;
    line.split(' ').nth(4).map(Path::new)
}

/// The lines that are written to `schemata`.
fn lines(config: &IntelRdt) -> impl Iterator<Item = &str> {
    let older = config.l3_cache_schema.iter().chain(&config.mem_bw_schema).flat_map(|schema| schema.lines());
    config.schemata.iter().map(String::as_str).chain(older).map(str::trim).filter(|line| !line.is_empty())
}

/// The resource that a line is about.
fn resource(line: &str) -> &str {
    line.split_once(':').map_or(line, |(resource, _)| resource).trim()
}

/// What one line says of each domain: resource, domain and value, in one spelling.
fn values(line: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let (resource, domains) = line.split_once(':').unwrap_or((line, ""));
    domains.split(';').filter_map(move |domain| {
        let (number, value) = domain.split_once('=')?;
        Some((resource.trim(), number.trim().trim_start_matches('0'), value.trim().trim_start_matches('0')))
    })
}

fn make_directory(dir: &Path) -> Result<(), Error> {
    fs::create_dir(dir).map_err(|error| io("make", dir, &error))
}

/// Writes in one call, as resctrl wants it.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let written = OpenOptions::new().append(true).create(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| io("write", path, &error))
}

fn io(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    failed(POINTER, format!("{doing} {}: {}", path.display(), errno_text(errno_of(error))))
}

fn failed(pointer: &'static str, reason: String) -> Error {
    Error::IntelRdt { pointer, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory in resctrl's place: what the file system would do by itself is done by hand.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("corten-resctrl-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("shared/mon_groups")).unwrap();
            fs::write(root.join("shared/schemata"), "    L3:0=00ff;1=f\n    MB:0= 70;1=100\n").unwrap();
            Self(root)
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.0.join(path)).unwrap()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn config(json: &str) -> IntelRdt {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_own_class_comes_and_goes() {
        let root = Root::new("own");
        let config =
            config(r#"{"schemata": ["L2:0=3"], "l3CacheSchema": "L3:0=f;1=f0", "memBwSchema": "MB:0=20"}"#);
        let resctrl = Resctrl::plan_in(&root.0, &config, "web").unwrap();
        resctrl.make(&config).unwrap();
        resctrl.enter(42).unwrap();
        assert_eq!(root.read("web/schemata"), "L2:0=3\nL3:0=f;1=f0\nMB:0=20\n");
        assert_eq!(root.read("web/tasks"), "42");
        // The file system removes its files with the directory.
        fs::remove_file(root.0.join("web/schemata")).unwrap();
        fs::remove_file(root.0.join("web/tasks")).unwrap();
        resctrl.remove().unwrap();
        resctrl.remove().unwrap();
        assert!(!root.0.join("web").exists());
        fs::create_dir(root.0.join("web")).unwrap();
        assert!(Resctrl::plan_in(&root.0, &config, "web").is_err());
    }

    #[test]
    fn a_class_of_others_must_be_as_asked_for() {
        let root = Root::new("shared");
        let plan = |text: &str| {
            let config = config(text);
            let resctrl = Resctrl::plan_in(&root.0, &config, "web")?;
            resctrl.make(&config).map(|()| resctrl)
        };
        let resctrl =
            plan(r#"{"closID": "shared", "l3CacheSchema": "L3:0=ff", "enableMonitoring": true}"#).unwrap();
        resctrl.enter(7).unwrap();
        assert_eq!(
            (root.read("shared/tasks"), root.read("shared/mon_groups/web/tasks")),
            ("7".into(), "7".into())
        );
        fs::remove_file(root.0.join("shared/mon_groups/web/tasks")).unwrap();
        resctrl.remove().unwrap();
        assert!(root.0.join("shared").exists() && !root.0.join("shared/mon_groups/web").exists());
        for (text, pointer) in [
            (r#"{"closID": "shared", "memBwSchema": "MB:0=50"}"#, POINTER),
            (r#"{"closID": "missing"}"#, "/linux/intelRdt/closID"),
        ] {
            assert_eq!(plan(text).unwrap_err().pointer().as_deref(), Some(pointer), "{text}");
        }
        assert_eq!(plan(r#"{"closID": "/"}"#).unwrap().class, root.0);
    }

    #[test]
    fn other_lines_and_those_of_before() {
        let root = Root::new("change");
        let class = Resctrl::plan_in(&root.0, &config(r#"{"closID": "shared"}"#), "web").unwrap();
        let former = class.change(&config(r#"{"l3CacheSchema": "L3:0=1;1=3"}"#)).unwrap();
        assert_eq!(former, ["L3:0=00ff;1=f"]);
        // What the file system does with a line that is written.
        assert!(root.read("shared/schemata").ends_with("L3:0=1;1=3\n"));
        class.restore(&former);
        assert!(root.read("shared/schemata").ends_with("L3:0=00ff;1=f\n"));

        fs::create_dir(root.0.join("info")).unwrap();
        fs::write(root.0.join("info/last_cmd_status"), "Mask 0x0 not in range\n").unwrap();
        fs::remove_file(root.0.join("shared/schemata")).unwrap();
        fs::create_dir(root.0.join("shared/schemata")).unwrap();
        let error = class.make(&config(r#"{"memBwSchema": "MB:0=0"}"#)).unwrap_err().to_string();
        assert!(error.contains("shared/schemata"), "{error}");
        let error = class.write_lines(["L3:0=0"].into_iter()).unwrap_err().to_string();
        assert_eq!(error, "/linux/intelRdt: \"L3:0=0\": Mask 0x0 not in range");
    }

    #[test]
    fn all_threads_enter_also_those_born_meanwhile() {
        let root = Root::new("threads");
        let class = Resctrl::plan_in(&root.0, &config(r#"{"closID": "shared"}"#), "web").unwrap();
        let round = std::cell::Cell::new(0);
        let own = std::process::id() as i32;
        class
            .enter_all(|| {
                round.set(round.get() + 1);
                Ok(if round.get() == 1 { vec![1] } else { vec![own, 1] })
            })
            .unwrap();
        assert_eq!(root.read("shared/tasks"), format!("1{own}"));
        assert_eq!(round.get(), 3);
    }

    #[test]
    fn figures() {
        let root = Root::new("figures");
        for (path, content) in [
            ("info/L3/cbm_mask", "fffff\n"),
            ("info/L3/min_cbm_bits", "2\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/delay_linear", "1\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "8\n"),
            ("schemata", "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"),
            ("shared/mon_data/mon_L3_00/llc_occupancy", "4096\n"),
            ("shared/mon_data/mon_L3_00/mbm_total_bytes", "7\n"),
            ("shared/mon_data/mon_L3_00/mbm_local_bytes", "5\n"),
            ("shared/mon_data/mon_L3_01/llc_occupancy", "8192\n"),
            ("shared/mon_data/mon_L3_01/mbm_total_bytes", "Unavailable\n"),
            ("shared/mon_data/mon_L3_01/mbm_local_bytes", "0\n"),
            ("shared/mon_data/mon_L2_01/llc_occupancy", "1\n"),
        ] {
            let path = root.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let class = Resctrl::plan_in(&root.0, &config(r#"{"closID": "shared"}"#), "web").unwrap();
        let expected = concat!(
            r#"{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":2,"num_closids":16},"#,
            r#""l3_cache_schema_root":"L3:0=fffff;1=fffff","l3_cache_schema":"L3:0=00ff;1=f","#,
            r#""mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":10,"num_closids":8},"#,
            r#""mem_bw_schema_root":"MB:0=100;1=100","mem_bw_schema":"MB:0= 70;1=100","#,
            r#""schemata":"L3:0=00ff;1=f\nMB:0= 70;1=100","#,
            r#""mbm_stats":[{"mbm_total_bytes":7,"mbm_local_bytes":5},{"mbm_total_bytes":0,"mbm_local_bytes":0}],"#,
            r#""cmt_stats":[{"llc_occupancy":4096},{"llc_occupancy":8192}]}"#
        );
        assert_eq!(serde_json::to_string(&class.stats()).unwrap(), expected);
    }

    #[test]
    fn the_mount_is_found() {
        let table = "22 1 0:5 / /proc rw - proc proc rw\n40 22 0:9 / /sys/fs/resctrl rw,nosuid shared:3 - resctrl resctrl rw\n";
        assert_eq!(mounted(table), Some(Path::new("/sys/fs/resctrl")));
        assert_eq!(mounted("22 1 0:5 / /resctrl rw - proc resctrl rw\n"), None);
    }
}

//! Which runtime is tested, and which view of the cgroup hierarchies it gets.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// The path of the runtime under test.
pub fn runtime() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = match env::var_os("RUNTIME").or_else(|| env::var_os("CORTEN")) {
            Some(path) => PathBuf::from(path),
            None => beside_the_tests(),
        };
        path.canonicalize().unwrap_or_else(|e| {
            panic!(
                "{}: {e}; build it with `cargo build -p corten`, or name one with CORTEN=path",
                path.display()
            )
        })
    })
}

/// `target/PROFILE/corten`, for tests that run from `target/PROFILE/deps`.
fn beside_the_tests() -> PathBuf {
    let exe = env::current_exe().expect("the path of this test");
    exe.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("corten")
}

/// Whether `RUNTIME` puts another runtime in corten's place.
pub fn is_peer() -> bool {
    env::var_os("RUNTIME").is_some()
}

/// The path of a program, if it is installed.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A program that tests bring along: beside the program of the tests where that was copied to another machine, else where it was made.
pub fn companion(made: &str) -> PathBuf {
    let exe = env::current_exe().expect("the path of this test");
    let beside = exe.with_file_name(Path::new(made).file_name().expect("a program"));
    if beside.is_file() { beside } else { made.into() }
}

/// What a runtime finds at `/sys/fs/cgroup`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// What this host has.
    Host,
    /// A cgroup v2 hierarchy: the host's own where it is one, else the unified part of a hybrid host, bound over
    /// `/sys/fs/cgroup` in a private mount namespace for each command.
    V2,
}

const V2_WRAPPER: &str = r#"mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec "$@""#;

impl View {
    /// Whether the host's `/sys/fs/cgroup` is a cgroup v2 hierarchy.
    pub fn host_is_v2() -> bool {
        is_cgroup2("/sys/fs/cgroup")
    }

    /// Why this view cannot be had here, if so.
    pub(crate) fn unavailable(self) -> Option<&'static str> {
        let available = match self {
            View::Host => true,
            View::V2 => Self::host_is_v2() || is_cgroup2("/sys/fs/cgroup/unified"),
        };
        if available { None } else { Some("this host has no cgroup v2 hierarchy") }
    }

    /// Whether the runtime sees cgroup v2.
    pub fn is_v2(self) -> bool {
        self == View::V2 || Self::host_is_v2()
    }

    /// The words in front of a command that give it this view.
    pub(crate) fn wrapper(self) -> &'static [&'static str] {
        if self == View::V2 && !Self::host_is_v2() {
            &["unshare", "-m", "--propagation", "private", "sh", "-c", V2_WRAPPER, "sh"]
        } else {
            &[]
        }
    }
}

fn is_cgroup2(path: &str) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

//! A test's own directory, state root and containers, all gone when it ends.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::command::{Command, Output};
use crate::leftovers::{leftovers, sweep};
use crate::{Bundle, View, is_peer, kernel, runtime, tool};

/// Prints why a test is skipped, and adds a line to the file that `CONFORMANCE_SKIPS` names.
pub fn note_skip(reason: &str) {
    let thread = std::thread::current();
    let reason: Vec<_> = reason.split_whitespace().collect();
    let line = format!("skipped: {}: {}\n", thread.name().unwrap_or("a test"), reason.join(" "));
    eprint!("{line}");
    if let Some(path) = env::var_os("CONFORMANCE_SKIPS") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("CONFORMANCE_SKIPS");
    }
}

/// Waits until a condition holds; past ten seconds the test fails.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// The directory, the state root and the containers of one test.
pub struct Sandbox {
    dir: PathBuf,
    name: String,
    view: View,
    program: PathBuf,
    busybox: PathBuf,
    count: AtomicU32,
}

impl Sandbox {
    /// A new sandbox, or the reason why this machine cannot run it.
    pub fn new(view: View) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            return Err("needs root".into());
        }
        if let Some(reason) = view.unavailable() {
            return Err(reason.into());
        }
        let busybox = tool("busybox").ok_or("busybox is not installed (see conformance/install-deps.sh)")?;
        let program = runtime().into();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_micros());
        let name = format!("ct{}-{number}-{time:x}", std::process::id());
        let dir = env::temp_dir().join(&name);
        fs::create_dir_all(dir.join("output")).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self { dir, name, view, program, busybox, count: AtomicU32::new(0) })
    }

    /// The same kind of sandbox around another runtime.
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// The directory of the test, below which everything lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in the directory of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The state root.
    pub fn state_root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What the runtime finds at `/sys/fs/cgroup`.
    pub fn view(&self) -> View {
        self.view
    }

    /// A number that is new in this sandbox.
    fn number(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// A new container id.
    pub fn id(&self) -> String {
        format!("{}-{}", self.name, self.number())
    }

    /// A new bundle with a root filesystem of its own.
    pub fn bundle(&self) -> Bundle {
        Bundle::new(self.dir.join(format!("bundle{}", self.number())), &self.busybox)
    }

    /// A new directory for a bundle that shares the root filesystem of another one.
    pub fn share(&self, bundle: &Bundle) -> Bundle {
        bundle.share(self.dir.join(format!("bundle{}", self.number())))
    }

    /// Any command, with a time limit and its output kept in the sandbox.
    pub fn command(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        Command::new(self.dir.join("output").join(self.number().to_string()), words)
    }

    /// The runtime with these arguments and no others.
    pub fn bare(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.command([&self.program]).args(args).wrap(self.view.wrapper())
    }

    /// The runtime with this sandbox's `--root`, and these arguments.
    pub fn runtime(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let root = self.state_root();
        self.bare([OsStr::new("--root"), root.as_os_str()]).args(args)
    }

    /// `create`, `run` and the like, of a bundle that is written first: the command's name and flags.
    pub fn on_bundle<const N: usize>(&self, command: [&str; N], bundle: &Bundle, id: &str) -> Command {
        bundle.write();
        self.runtime(command).args(["--bundle".as_ref(), bundle.dir().as_os_str(), id.as_ref()])
    }

    /// Runs a bundle in the foreground.
    pub fn run(&self, bundle: &Bundle) -> Output {
        self.on_bundle(["run"], bundle, &self.id()).run()
    }

    /// Creates a container.
    #[track_caller]
    pub fn create(&self, bundle: &Bundle) -> Container<'_> {
        let id = self.id();
        let output = self.on_bundle(["create"], bundle, &id).run();
        output.ok();
        Container::new(self, id, output)
    }

    /// Creates a container that must fail, leaving nothing behind, and gives standard error.
    #[track_caller]
    pub fn create_fails(&self, bundle: &Bundle) -> String {
        let stderr = self.on_bundle(["create"], bundle, &self.id()).run().fails(1);
        self.assert_clean();
        stderr
    }

    /// Creates a container that must fail, leaving nothing behind, and gives the JSON pointer that the error carries
    /// for machines. Peers have none.
    #[track_caller]
    pub fn refused_at(&self, bundle: &Bundle) -> String {
        bundle.write();
        let id = self.id();
        let flags = ["--log-format", "json", "create", "--bundle"].map(OsStr::new);
        let output = self.runtime(flags).args([bundle.dir().as_os_str(), OsStr::new(&id)]).run();
        let stderr = output.fails(1);
        self.assert_clean();
        let events = output.stderr();
        let event = events.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let event = event.unwrap_or_else(|| panic!("no JSON in {stderr}"));
        event["error"]["pointer"].as_str().unwrap_or_default().to_owned()
    }

    /// Creates and starts a container.
    #[track_caller]
    pub fn launch(&self, bundle: &Bundle) -> Container<'_> {
        let id = self.id();
        let output = self.on_bundle(["run", "--detach"], bundle, &id).run();
        output.ok();
        Container::new(self, id, output)
    }

    /// Asserts that nothing of any container of this sandbox is left.
    #[track_caller]
    pub fn assert_clean(&self) {
        let found = self.leftovers();
        assert!(found.is_empty(), "left behind:\n{}", found.join("\n"));
    }

    /// What is left of containers, after the moment that a killed process takes to go.
    fn leftovers(&self) -> Vec<String> {
        let look = || leftovers(&self.name, &self.state_root(), &self.dir);
        for _ in 0..100 {
            if look().is_empty() {
                return Vec::new();
            }
            sleep(Duration::from_millis(10));
        }
        look()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.state_root()).into_iter().flatten().flatten() {
            self.runtime(["delete".as_ref(), "--force".as_ref(), entry.file_name().as_os_str()])
                .run_quietly();
        }
        // A test that fails has a better reason; what a peer leaves is the peer's affair.
        let judged = !std::thread::panicking() && !is_peer() && self.program == runtime();
        let found = if judged { self.leftovers() } else { Vec::new() };
        sweep(&self.name, &self.dir);
        if env::var_os("CONFORMANCE_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.dir);
        }
        assert!(found.is_empty(), "left behind at the end:\n{}", found.join("\n"));
    }
}

/// A container of a sandbox; it is deleted by force when dropped.
pub struct Container<'a> {
    sandbox: &'a Sandbox,
    id: String,
    output: Output,
}

impl<'a> Container<'a> {
    /// A container that has been created by other means than [`Sandbox::create`].
    pub fn new(sandbox: &'a Sandbox, id: String, output: Output) -> Self {
        Self { sandbox, id, output }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The output of the command that made it, and of its payload.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// A command of the runtime upon this container: `COMMAND ID ARGS`.
    pub fn command(&self, command: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.sandbox.runtime([command, &self.id]).args(args)
    }

    /// The same without arguments, run to its end.
    pub fn call(&self, command: &str) -> Output {
        self.sandbox.runtime([command, &self.id]).run()
    }

    /// `start`, which must succeed.
    #[track_caller]
    pub fn start(&self) -> &Self {
        self.call("start").ok();
        self
    }

    /// The parsed output of `state`.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.call("state").ok()).expect("the state is JSON")
    }

    /// The status that `state` gives.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status").to_owned()
    }

    /// The host's pid of init, from `state`.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let pid = self.state()["pid"].as_u64().expect("a pid");
        u32::try_from(pid).expect("a pid")
    }

    /// The init process.
    #[track_caller]
    pub fn init(&self) -> kernel::Process {
        kernel::Process(self.pid())
    }

    /// `kill` with a signal, which must succeed.
    #[track_caller]
    pub fn kill(&self, signal: &str) {
        self.command("kill", [signal]).run().ok();
    }

    /// `exec` of a command line, run to its end.
    pub fn exec<const N: usize>(&self, args: [&str; N]) -> Output {
        self.exec_with([], args).run()
    }

    /// `exec` with flags.
    pub fn exec_with<const F: usize, const N: usize>(&self, flags: [&str; F], args: [&str; N]) -> Command {
        self.sandbox.runtime(["exec"]).args(flags).args([&self.id]).args(args)
    }

    /// `exec` of shell code that must succeed: its output.
    #[track_caller]
    pub fn shell(&self, code: &str) -> String {
        self.exec(["sh", "-c", code]).ok()
    }

    /// Waits for a status.
    #[track_caller]
    pub fn wait_for(&self, status: &str) -> &Self {
        wait_until(&format!("status {status}"), || self.status() == status);
        self
    }

    /// Waits for the end of the payload and gives its standard output.
    #[track_caller]
    pub fn finish(&self) -> String {
        self.wait_for("stopped");
        self.output.stdout()
    }

    /// `delete`, which must succeed.
    #[track_caller]
    pub fn delete(&self) {
        self.call("delete").ok();
    }

    /// `delete --force`, which must succeed.
    #[track_caller]
    pub fn force_delete(&self) {
        self.sandbox.runtime(["delete", "--force", &self.id]).run().ok();
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if self.sandbox.state_root().join(&self.id).exists() {
            self.sandbox.runtime(["delete", "--force", &self.id]).run_quietly();
        }
    }
}

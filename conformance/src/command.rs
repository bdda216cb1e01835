//! Running a command with a time limit, its output kept in files: a detached container inherits them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::kernel::Process;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A command to run.
#[derive(Clone)]
pub struct Command {
    words: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    clear_env: bool,
    dir: Option<PathBuf>,
    input: Option<Vec<u8>>,
    terminal: Option<Arc<File>>,
    output: PathBuf,
    limit: Duration,
}

impl Command {
    /// A command whose output goes to `OUTPUT.out` and `OUTPUT.err`.
    pub(crate) fn new(output: PathBuf, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self {
            words: words.into_iter().map(|w| w.as_ref().to_owned()).collect(),
            env: Vec::new(),
            clear_env: false,
            dir: None,
            input: None,
            terminal: None,
            output,
            limit: TIME_LIMIT,
        }
    }

    /// Puts words in front of the command.
    pub fn wrap(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.words.splice(0..0, words.into_iter().map(|w| w.as_ref().to_owned()));
        self
    }

    /// Runs shell code first, in the process that becomes the command: descriptors, limits, umask.
    pub fn after(self, shell: &str) -> Self {
        self.wrap(["sh", "-c", &format!(r#"{shell}; exec "$@""#), "sh"])
    }

    /// Appends words.
    pub fn args(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.words.extend(words.into_iter().map(|w| w.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Starts from an empty environment.
    pub fn env_clear(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Sets the directory that the command starts in.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Gives the command a file with these bytes as its standard input (without: `/dev/null`).
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Gives the command a terminal as its standard input, output and error.
    pub fn terminal(mut self, slave: File) -> Self {
        self.terminal = Some(Arc::new(slave));
        self
    }

    /// Sets another time limit.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the command to its end; past the time limit it is killed and the test fails.
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Runs the command for its effect alone, whatever comes of it.
    pub(crate) fn run_quietly(self) {
        let mut running = self.spawn();
        let deadline = Instant::now() + running.command.limit;
        while !running.is_over() && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
        let _ = running.child.kill();
    }

    /// Starts the command.
    pub fn spawn(self) -> Running {
        let mut command = process::Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        if self.clear_env {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let stdio = |name: &str| -> io::Result<Stdio> {
            match &self.terminal {
                Some(slave) => Ok(slave.try_clone()?.into()),
                None if name == "in" => self.stdin(),
                None => {
                    let file = self.output.with_extension(name);
                    Ok(OpenOptions::new().create(true).append(true).open(file)?.into())
                }
            }
        };
        let child = command
            .stdin(stdio("in").expect("standard input"))
            .stdout(stdio("out").expect("standard output"))
            .stderr(stdio("err").expect("standard error"))
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("{:?}: {e}", self.words));
        Running { child, command: self }
    }

    fn stdin(&self) -> io::Result<Stdio> {
        let Some(bytes) = &self.input else { return Ok(Stdio::null()) };
        let path = self.output.with_extension("in");
        fs::write(&path, bytes)?;
        Ok(File::open(path)?.into())
    }
}

/// A command that has been started.
pub struct Running {
    child: Child,
    command: Command,
}

impl Running {
    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command.
    pub fn signal(&self, signal: Signal) {
        Process(self.child.id()).signal(signal);
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.command.output.with_extension("out"))
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Waits for the end; past the time limit the command is killed and the test fails.
    pub fn wait(mut self) -> Output {
        let deadline = Instant::now() + self.command.limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return Output { status, command: self.command };
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let status = self.child.wait().expect("wait");
                let output = Output { status, command: self.command };
                panic!("still running after its time limit\n{}", output.report());
            }
            sleep(Duration::from_millis(1));
        }
    }
}

/// What a command left behind.
pub struct Output {
    status: ExitStatus,
    command: Command,
}

impl Output {
    /// The exit code, or 128 + signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Standard output, read anew on each call: a detached payload goes on writing.
    pub fn stdout(&self) -> String {
        read(&self.command.output.with_extension("out"))
    }

    /// Standard error, read anew on each call.
    pub fn stderr(&self) -> String {
        read(&self.command.output.with_extension("err"))
    }

    /// Asserts success and gives standard output.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert!(self.success(), "failed\n{}", self.report());
        self.stdout()
    }

    /// Asserts the exit code and gives standard error, without the backslashes of quotes in the text log format.
    #[track_caller]
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(self.code(), code, "another exit code\n{}", self.report());
        self.stderr().replace("\\\"", "\"")
    }

    /// Asserts the exit code and that the text stands on standard error.
    #[track_caller]
    pub fn fails_with(&self, code: i32, text: &str) {
        let stderr = self.fails(code);
        assert!(stderr.contains(text), "{text:?} is missing\n{}", self.report());
    }

    /// Everything about the command, for the message of a failed test.
    pub fn report(&self) -> String {
        format!(
            "command: {:?}\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command.words,
            self.status,
            self.stdout(),
            self.stderr()
        )
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

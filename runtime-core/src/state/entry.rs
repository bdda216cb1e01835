//! The state root and the containers' directories in it; every name is opened below a descriptor of its directory.

use std::ffi::CString;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufWriter, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat, stat};
use nix::unistd::{AccessFlags, Uid, UnlinkatFlags, faccessat, unlinkat};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{KeptConfig, Record, VERSION};
use crate::error::{Error, errno_of};
use crate::id::Id;
use crate::listing;
use crate::procfs;
use crate::sys;

const RECORD: &str = "state.json";
const CONFIG: &str = "config.json";
const LOCK: &str = "lock";
/// How many bytes of a file are written by one call.
const WRITTEN_AT_ONCE: usize = 16 << 10;
const TEMPORARY: &str = ".tmp.";

/// The directory that holds a directory for each container.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    dir: OwnedFd,
}

/// A container's directory.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
    dir: OwnedFd,
}

/// Paths of the files in a container's directory, from the state root on, one after the other in the same memory.
#[derive(Debug, Default)]
pub(crate) struct Below {
    path: String,
    id: usize,
}

impl Below {
    /// Those of a container.
    pub(crate) fn set(&mut self, id: &Id) {
        self.path.clear();
        self.path += id.as_str();
        self.id = self.path.len();
    }

    fn directory(&self) -> &str {
        self.path.get(..self.id).unwrap_or_default()
    }

    fn of(&mut self, name: &str) -> &str {
        self.path.truncate(self.id);
        self.path += "/";
        self.path += name;
        &self.path
    }
}

/// A held lock of an entry. It is released before its descriptor is closed, since a copy of that may live on elsewhere.
#[derive(Debug)]
pub(crate) struct Lock(Option<Flock<File>>);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(Err((_, errno))) = self.0.take().map(Flock::unlock) {
            log::debug!("unlocking a container: {errno}");
        }
    }
}

impl Store {
    /// Opens the state root.
    ///
    /// # Errors
    /// `None` where it does not exist; EACCES and the like; a root that belongs to somebody else (rule D29).
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        match openat(nix::fcntl::AT_FDCWD, path, flags, Mode::empty()) {
            Ok(dir) => {
                let owner = fstat(&dir).map_err(Error::system("stat", path))?.st_uid;
                if owner != Uid::effective().as_raw() && owner != 0 {
                    let reason = format!("the state root belongs to user {owner}; use another --root");
                    return Err(Error::State { path: path.to_owned(), reason });
                }
                Ok(Some(Self { path: path.to_owned(), dir }))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::system("open", path)(errno)),
        }
    }

    /// Opens the state root, making it (0700) and its parents where they are missing.
    pub(crate) fn make(path: &Path) -> Result<Self, Error> {
        if let Some(store) = Self::open(path)? {
            return Ok(store);
        }
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
        builder.create(path).map_err(|error| Error::system("mkdir", path)(errno_of(&error)))?;
        Self::open(path)?.ok_or_else(|| Error::system("open", path)(Errno::ENOENT))
    }

    /// Claims an id: from here on it exists, locked, with its record and what is kept of its config.
    pub(crate) fn claim(
        &self,
        id: &Id,
        record: &Record,
        config: &KeptConfig<'_>,
    ) -> Result<(Entry, Lock), Error> {
        loop {
            let temporary = self.temporary()?;
            match self.claim_from(&temporary, id, record, config) {
                // Swept before it was locked, as if it were what a killed claim has left.
                Err(Error::NotFound) => {}
                Err(error) => {
                    self.remove(&temporary);
                    return Err(error);
                }
                claimed => return claimed,
            }
        }
    }

    fn claim_from(
        &self,
        temporary: &str,
        id: &Id,
        record: &Record,
        config: &KeptConfig<'_>,
    ) -> Result<(Entry, Lock), Error> {
        let entry = self.entry(temporary)?;
        let lock = entry.lock(FlockArg::LockExclusive, OFlag::O_CREAT | OFlag::O_EXCL)?;
        entry.keep_config(config)?;
        entry.make(RECORD, record)?;
        match sys::rename_noreplace(&self.dir, &c_name(temporary), &c_name(id.as_str())) {
            Ok(()) => Ok((Entry { path: self.path.join(id.as_str()), ..entry }, lock)),
            Err(Errno::EEXIST) => Err(Error::AlreadyExists),
            Err(errno) => Err(Error::system("rename", &entry.path)(errno)),
        }
    }

    /// A container's directory.
    pub(crate) fn find(&self, id: &Id) -> Result<Entry, Error> {
        self.entry(id.as_str())
    }

    /// Reads the file with a container's record, without opening the directory first: its content, and the user who owns the directory.
    pub(crate) fn record(&self, path: &mut Below, content: &mut Vec<u8>) -> Result<u32, Error> {
        let name = path.of(RECORD);
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC);
        // An id is one name and never `..`.
        let opened = openat2(&self.dir, name, how.resolve(ResolveFlag::RESOLVE_NO_SYMLINKS));
        match opened {
            Ok(file) => read_whole(file, content, || self.path.join(name))?,
            Err(Errno::ENOENT) => return Err(Error::NotFound),
            Err(errno) => return Err(Error::system("open", self.path.join(name))(errno)),
        }
        match fstatat(&self.dir, path.directory(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(directory) => Ok(directory.st_uid),
            Err(Errno::ENOENT) => Err(Error::NotFound),
            Err(errno) => Err(Error::system("stat", self.path.join(path.directory()))(errno)),
        }
    }

    /// Whether a container's directory has a file.
    pub(crate) fn has(&self, path: &mut Below, name: &str) -> bool {
        has(&self.dir, path.of(name))
    }

    /// The ids that have a directory, in no order; sweeps what a killed claim has left.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Error> {
        let failed = |errno| Error::system("read", &self.path)(errno);
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let listing = openat(&self.dir, ".", flags, Mode::empty()).map_err(failed)?;
        let mut ids = Vec::new();
        let listed = listing::each(listing, |name, _| match name.to_str() {
            Ok(name) if name.starts_with(TEMPORARY) => self.sweep(name),
            Ok(name) if !name.starts_with('.') => ids.push(name.to_owned()),
            _ => {}
        });
        listed.map_err(failed)?;
        Ok(ids)
    }

    /// Gives an id up, under the lock of its entry: its directory takes a name that no id has, and is then removed.
    pub(crate) fn release(&self, id: &Id, entry: &Entry) -> Result<(), Error> {
        let failed = |errno| Error::system("stat", &entry.path)(errno);
        let held = fstat(&entry.dir).map_err(failed)?;
        match fstatat(&self.dir, id.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) if same(held, named) => {}
            // Somebody else has given it up, and perhaps it is another container's now.
            Ok(_) | Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        let temporary = temporary_name();
        match renameat(&self.dir, id.as_str(), &self.dir, temporary.as_str()) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::system("rename", self.path.join(id.as_str()))(errno)),
        }
        entry.clear();
        self.rmdir(&temporary);
        Ok(())
    }

    fn temporary(&self) -> Result<String, Error> {
        loop {
            let name = temporary_name();
            match mkdirat(&self.dir, name.as_str(), Mode::S_IRWXU) {
                Ok(()) => return Ok(name),
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(Error::system("mkdir", self.path.join(name))(errno)),
            }
        }
    }

    fn entry(&self, name: &str) -> Result<Entry, Error> {
        let path = self.path.join(name);
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(dir) => Ok(Entry { path, dir }),
            Err(Errno::ENOENT) => Err(Error::NotFound),
            Err(errno) => Err(Error::system("open", path)(errno)),
        }
    }

    /// Removes a directory that no live claim holds.
    fn sweep(&self, name: &str) {
        let held = self.entry(name).and_then(|entry| entry.try_lock(FlockArg::LockExclusiveNonblock));
        match held {
            Ok(_) => self.remove(name),
            // Nothing has been written into it yet, or else somebody is at it this moment.
            Err(Error::NotFound) => drop(unlinkat(&self.dir, name, UnlinkatFlags::RemoveDir)),
            Err(error) => log::debug!("{name} stays: {error}"),
        }
    }

    /// Removes a directory of this store with all that a container keeps there; what is left is swept later.
    fn remove(&self, name: &str) {
        if let Ok(entry) = self.entry(name) {
            entry.clear();
        }
        self.rmdir(name);
    }

    fn rmdir(&self, name: &str) {
        match unlinkat(&self.dir, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => log::debug!("remove {}: {errno}", self.path.join(name).display()),
        }
    }
}

impl Entry {
    /// The directory's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// A path of a file in the directory short enough for a socket's address.
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        procfs::short_path(&self.dir, &self.path).join(name)
    }

    /// Waits for the lock that operations exclude each other by.
    pub(crate) fn lock_exclusive(&self) -> Result<Lock, Error> {
        self.try_lock(FlockArg::LockExclusive)
    }

    /// Waits for the lock that `exec` and `kill` share.
    pub(crate) fn lock_shared(&self) -> Result<Lock, Error> {
        self.try_lock(FlockArg::LockShared)
    }

    /// Waits a while for the exclusive lock; `None` where another holds it still.
    pub(crate) fn lock_exclusive_for(&self, patience: Duration) -> Result<Option<Lock>, Error> {
        self.lock_for(FlockArg::LockExclusiveNonblock, patience)
    }

    /// Waits a while for the shared lock; `None` where another holds the exclusive one still.
    pub(crate) fn lock_shared_for(&self, patience: Duration) -> Result<Option<Lock>, Error> {
        self.lock_for(FlockArg::LockSharedNonblock, patience)
    }

    fn lock_for(&self, how: FlockArg, patience: Duration) -> Result<Option<Lock>, Error> {
        // No look at the clock where nobody holds it: the first one costs as much as the lock.
        let mut deadline = None;
        loop {
            match self.try_lock(how) {
                Err(Error::System { errno: Errno::EWOULDBLOCK, .. }) => {}
                lock => return lock.map(Some),
            }
            let now = Instant::now();
            if now >= *deadline.get_or_insert(now + patience) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// True while an operation holds the exclusive lock.
    pub(crate) fn is_locked(&self) -> Result<bool, Error> {
        match self.try_lock(FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err(Error::System { errno: Errno::EWOULDBLOCK, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn try_lock(&self, how: FlockArg) -> Result<Lock, Error> {
        self.lock(how, OFlag::empty())
    }

    /// Only a claim makes the lock: one made anew in a directory that is being removed would keep it there.
    fn lock(&self, how: FlockArg, making: OFlag) -> Result<Lock, Error> {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | making;
        let failed = |errno| Error::system("lock", &self.path)(errno);
        let file = match openat(&self.dir, LOCK, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => File::from(file),
            // The directory was removed after it was opened.
            Err(Errno::ENOENT) => return Err(Error::NotFound),
            Err(errno) => return Err(failed(errno)),
        };
        let mut file = Some(file);
        let held = loop {
            let Some(unlocked) = file.take() else { return Err(failed(Errno::EBADF)) };
            match Flock::lock(unlocked, how) {
                Ok(held) => break held,
                Err((again, Errno::EINTR)) => file = Some(again),
                Err((_, errno)) => return Err(failed(errno)),
            }
        };
        let locked = fstat(held.as_fd()).map_err(failed)?;
        match fstatat(&self.dir, LOCK, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) if same(locked, named) => Ok(Lock(Some(held))),
            // Who held it has deleted the container.
            Ok(_) | Err(Errno::ENOENT) => Err(Error::NotFound),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Reads the record.
    pub(crate) fn read(&self) -> Result<Record, Error> {
        let bytes = self.content(RECORD)?;
        let mut record: Record = self.parse(RECORD, &bytes)?;
        if record.version > VERSION {
            let reason = format!("written by a newer corten (state version {})", record.version);
            return Err(Error::State { path: self.path.join(RECORD), reason });
        }
        if record.holds_config() {
            record.complete(&self.parse(RECORD, &bytes)?);
        }
        Ok(record)
    }

    /// Reads what is kept of the config: in a file of its own, or with the first version in the record's until that is renewed.
    pub(crate) fn config(&self) -> Result<KeptConfig<'static>, Error> {
        let apart = || self.content(CONFIG).and_then(|bytes| self.parse(CONFIG, &bytes));
        match apart() {
            Err(Error::NotFound) => {}
            config => return config,
        }
        let bytes = self.content(RECORD)?;
        if self.parse::<Record>(RECORD, &bytes)?.holds_config() {
            return self.parse(RECORD, &bytes);
        }
        match apart() {
            Err(Error::NotFound) if self.stands() => {
                Err(Error::State { path: self.path.join(CONFIG), reason: "missing".to_owned() })
            }
            // Renewed since the first look, or deleted.
            config => config,
        }
    }

    /// Whether the directory still has its name, which it loses before anything in it goes.
    fn stands(&self) -> bool {
        let named = stat(&self.path);
        fstat(&self.dir).is_ok_and(|held| named.is_ok_and(|named| same(held, named)))
    }

    /// Replaces the record; readers see the old one or the new one. As long as its file is held, [`holds`](Self::holds) knows it.
    pub(crate) fn write(&self, record: &Record) -> Result<File, Error> {
        self.replace(RECORD, record)
    }

    /// Whether the record is still the one in this file, whose inode no other can have meanwhile.
    pub(crate) fn holds(&self, written: &File) -> bool {
        let named = fstatat(&self.dir, RECORD, AtFlags::AT_SYMLINK_NOFOLLOW);
        fstat(written).is_ok_and(|held| named.is_ok_and(|named| same(held, named)))
    }

    /// The same record as this version writes it, without the config: that is then a file of its own.
    pub(crate) fn renew(&self, record: Record) -> Result<Record, Error> {
        if record.holds_config() {
            self.replace(CONFIG, &self.config()?)?;
        }
        Ok(Record { version: VERSION, ..record })
    }

    /// Writes down what is kept of the config, in a directory that nobody knows yet.
    fn keep_config(&self, config: &KeptConfig<'_>) -> Result<(), Error> {
        self.make(CONFIG, config).map(drop)
    }

    /// A file of the directory.
    fn content(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = || self.path.join(name);
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let file = match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Err(Error::NotFound),
            Err(errno) => return Err(Error::system("open", path())(errno)),
        };
        let mut bytes = Vec::new();
        read_whole(file, &mut bytes, path)?;
        Ok(bytes)
    }

    fn parse<T: DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, Error> {
        let refused =
            |error: serde_json::Error| Error::State { path: self.path.join(name), reason: error.to_string() };
        serde_json::from_slice(bytes).map_err(refused)
    }

    /// Replaces a file, or makes it.
    fn replace(&self, name: &str, value: &impl Serialize) -> Result<File, Error> {
        let temporary = temporary_name();
        let placed = self.make(&temporary, value).and_then(|file| {
            let renamed = renameat(&self.dir, temporary.as_str(), &self.dir, name);
            renamed.map(|()| file).map_err(Error::system("write", self.path.join(name)))
        });
        // The former file stands; what was written of the new one is of no use.
        placed.inspect_err(|_| self.unlink(&temporary))
    }

    /// Makes a file.
    fn make(&self, name: &str, value: &impl Serialize) -> Result<File, Error> {
        let path = || self.path.join(name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&self.dir, name, flags, mode).map_err(Error::system("open", path()))?;
        // A long value is never in memory as a whole.
        let mut file = BufWriter::with_capacity(WRITTEN_AT_ONCE, File::from(file));
        let written = serde_json::to_writer(&mut file, value).map_err(std::io::Error::from);
        let written = written.and_then(|()| file.into_inner().map_err(|error| error.into_error()));
        written.map_err(|error| Error::system("write", path())(errno_of(&error)))
    }

    /// Whether the directory has a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        has(&self.dir, name)
    }

    /// Removes a file of the directory, if it is there.
    pub(crate) fn unlink(&self, name: &str) {
        match unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => log::debug!("remove {}: {errno}", self.path.join(name).display()),
        }
    }

    /// Removes everything in the directory; the lock goes last, so that what is left by a kill is swept.
    fn clear(&self) {
        listing::clear(self.dir.as_fd(), &self.path, Some(LOCK));
        self.unlink(LOCK);
    }
}

/// Reads a file of a container into memory that is there. It was put there whole and never changes, so that it is
/// as long as it says.
fn read_whole(file: OwnedFd, bytes: &mut Vec<u8>, path: impl Fn() -> PathBuf) -> Result<(), Error> {
    let failed = |action| Error::system(action, path());
    let stat = fstat(&file).map_err(|errno| failed("stat")(errno))?;
    bytes.resize(usize::try_from(stat.st_size).unwrap_or_default(), 0);
    File::from(file).read_exact(bytes).map_err(|error| failed("read")(errno_of(&error)))
}

/// Whether there is a file.
fn has(dir: &OwnedFd, name: &str) -> bool {
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EACCESS;
    faccessat(dir, name, AccessFlags::F_OK, flags).is_ok()
}

/// True for one and the same file.
fn same(a: FileStat, b: FileStat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

/// A name that no id can have and nobody can foresee.
fn temporary_name() -> String {
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("{TEMPORARY}{random:016x}")
}

/// An id or a temporary name, neither of which holds a NUL.
fn c_name(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::{Value, from_value, json};

    use super::*;

    /// A record as the first version wrote it, with what is kept of the config in it.
    fn old(id: &str) -> Value {
        json!({
            "version": 1, "id": id, "created": "", "bundle": "/", "rootfs": "/", "namespaces": 0,
            "cgroup": {"driver": "cgroupfs", "groups": [{"mount": "/m", "path": "p", "made": 1}]},
            "annotations": {"a": "b"}, "process": {"cwd": "/here"}, "ownPidNamespace": true, "noNewKeyring": true,
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_NOTIFY", "names": ["bpf"]}]},
        })
    }

    fn store(name: &str) -> Store {
        Store::make(&std::env::temp_dir().join(format!("corten-{name}-{}", std::process::id()))).unwrap()
    }

    /// What older versions wrote can be read, and renewed without a moment at which it could not.
    #[test]
    fn records_of_the_first_version() {
        let store = store("old");
        let id = Id::new("a").unwrap();
        let (record, config) = (from_value(old("a")).unwrap(), from_value(old("a")).unwrap());
        let (entry, lock) = store.claim(&id, &record, &config).unwrap();
        std::fs::remove_file(entry.path().join(CONFIG)).unwrap();
        std::fs::write(entry.path().join(RECORD), old("a").to_string()).unwrap();

        let before = entry.read().unwrap();
        assert_eq!(entry.config().unwrap().process.cwd, "/here");
        assert!(before.annotated && before.notifies && before.own_pid_namespace);
        assert_eq!(before.cgroup.groups[0].path, "p");
        let renewed = entry.renew(before).unwrap();
        let whole = |config: KeptConfig<'_>| {
            assert_eq!(config.process.cwd, "/here");
            assert_eq!(config.annotations["a"], "b");
            assert!(config.no_new_keyring && config.profile().unwrap().is_some());
        };
        whole(entry.config().unwrap());
        entry.write(&renewed).unwrap();
        let after = entry.read().unwrap();
        assert!(after.version == VERSION && after.annotated && after.notifies);
        whole(entry.config().unwrap());
        let text = std::fs::read_to_string(entry.path().join(RECORD)).unwrap();
        assert!(!text.contains("/here"), "{text}");

        store.release(&id, &entry).unwrap();
        drop(lock);
        std::fs::remove_dir(&store.path).unwrap();
    }

    #[test]
    fn records_of_a_newer_version_are_refused() {
        let store = store("new");
        let id = Id::new("a").unwrap();
        let (record, config) = (from_value(old("a")).unwrap(), from_value(old("a")).unwrap());
        let (entry, lock) = store.claim(&id, &Record { version: VERSION + 1, ..record }, &config).unwrap();
        let error = entry.read().unwrap_err().to_string();
        assert!(error.contains("newer corten (state version 3)"), "{error}");
        store.release(&id, &entry).unwrap();
        drop(lock);
        std::fs::remove_dir(&store.path).unwrap();
    }

    #[test]
    fn a_record_that_has_been_replaced_is_known() {
        let store = store("known");
        let id = Id::new("a").unwrap();
        let (record, config): (Record, _) = (from_value(old("a")).unwrap(), from_value(old("a")).unwrap());
        let (entry, lock) = store.claim(&id, &record, &config).unwrap();
        let written = entry.write(&record).unwrap();
        assert!(entry.holds(&written));
        for _ in 0..10 {
            let again = store.find(&id).unwrap().write(&record).unwrap();
            assert!(!entry.holds(&written) && entry.holds(&again));
        }
        store.release(&id, &entry).unwrap();
        assert!(!entry.holds(&written));
        drop(lock);
        std::fs::remove_dir(&store.path).unwrap();
    }

    /// Claims, operations on what is being deleted, and sweeps get in nobody's way, and leave nothing.
    #[test]
    fn claims_and_sweeps_and_locks_at_a_time() {
        let store = store("entry");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.ids().unwrap();
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for id in ["a", "b"] {
                        match store.find(&Id::new(id).unwrap()).and_then(|entry| entry.lock_shared()) {
                            Ok(_) | Err(Error::NotFound) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
            let claims = ["a", "b"].map(|id| {
                let store = &store;
                scope.spawn(move || {
                    let (record, config) = (from_value(old(id)).unwrap(), from_value(old(id)).unwrap());
                    let id = Id::new(id).unwrap();
                    for _ in 0..500 {
                        let (entry, lock) = store.claim(&id, &record, &config).unwrap();
                        store.release(&id, &entry).unwrap();
                        drop(lock);
                    }
                })
            });
            let results = claims.map(std::thread::ScopedJoinHandle::join);
            done.store(true, Ordering::Relaxed);
            assert!(results.iter().all(Result::is_ok));
        });
        // Only an empty directory goes.
        std::fs::remove_dir(&store.path).unwrap();
    }
}

//! The interpreter: one step after the other, until the payload's program takes over.

use core::ffi::CStr;

use super::abi::*;
use super::console::{self, Console};
use super::dev::{self, Node};
use super::exec;
use super::fault::{Fault, Result, unless};
use super::hide;
use super::hook::{self, Filter, Hook, Outcome};
use super::link::Link;
use super::mask;
use super::mount::{self, Filesystem, Legacy};
use super::net;
use super::path::{Kept, Leaf, Root};
use super::process;
use super::sys::{self, Fd, Forked};
use super::wire::{self, Check, Order, SLOTS, Step, TRAILER_MAGIC, TRAILER_SIZE, Tag};

/// Runs the program of the image. `base` is the first descriptor that is not the payload's: the channel, after it
/// the image, then those that the steps name.
pub(crate) fn main(base: i32) -> ! {
    if base < 3 {
        sys::exit(2);
    }
    let mut init = Init::new(base);
    let fault = match init.run() {
        Ok(never) => match never {},
        Err(fault) => fault,
    };
    init.fail(fault)
}

/// What cannot be.
enum Never {}

/// The state between steps.
struct Init {
    base: i32,
    link: Link,
    /// The place of the current step in the program.
    step: u32,
    /// Mounts that a later step changes; the root first.
    slots: [Option<Fd>; SLOTS],
    /// The directory of what is just being mounted or made.
    kept: Kept<'static>,
    /// The kinds of namespaces that have been joined.
    joined: u32,
    undumpable: bool,
    die_with_parent: bool,
    /// The root was there before: others see at once what is mounted in it.
    live: bool,
    /// Nobody else is in the mount namespace.
    alone: bool,
    /// The current directory is the payload's.
    arrived: bool,
    /// The candidate that `Lookup` found.
    chosen: usize,
    /// The environment's entry for the home directory.
    home: Option<&'static CStr>,
    /// What hooks are confined by.
    hook_filter: Option<Filter<'static>>,
}

impl Init {
    fn new(base: i32) -> Self {
        Self {
            base,
            link: Link::new(Fd::own(base)),
            step: 0,
            slots: [const { None }; SLOTS],
            kept: None,
            joined: 0,
            undumpable: false,
            die_with_parent: false,
            live: false,
            alone: false,
            arrived: false,
            chosen: 0,
            home: None,
            hook_filter: None,
        }
    }

    fn fail(&self, fault: Fault) -> ! {
        self.link.fail(self.step, fault);
        sys::exit(1)
    }

    fn run(&mut self) -> Result<Never> {
        sys::umask(0)?;
        sys::close_range(self.base as u32, u32::MAX, CLOSE_RANGE_CLOEXEC)?;
        let malformed = Fault::check(Check::Program);
        let program = load(self.base.saturating_add(1))?;
        // All of it is decoded before any of it is done.
        for step in wire::steps(program).ok_or(malformed)? {
            step.map_err(|_| malformed)?;
            self.step += 1;
        }
        self.step = 0;
        for step in wire::steps(program).ok_or(malformed)?.flatten() {
            self.perform(step)?;
            self.step += 1;
        }
        // The last step of a whole program does not return.
        Err(malformed)
    }

    fn fd(&self, fd: wire::Fd) -> i32 {
        i32::try_from(fd.0).unwrap_or(i32::MAX).saturating_add(self.base).saturating_add(2)
    }

    fn slot(&self, slot: u32) -> Result<&Fd> {
        self.slots.get(slot as usize).and_then(Option::as_ref).ok_or(Fault::check(Check::Program))
    }

    /// Keeps a mount; the root is the current directory too.
    fn keep(&mut self, slot: u32, mount: Fd) -> Result<()> {
        if slot == 0 {
            sys::fchdir(mount.raw())?;
        }
        *self.slots.get_mut(slot as usize).ok_or(Fault::check(Check::Program))? = Some(mount);
        Ok(())
    }

    fn root(&self, nofollow: bool) -> Result<Root> {
        Ok(Root { dir: self.slot(0)?.raw(), nofollow, alone: self.alone })
    }

    /// Does what a step says. One arm for each, so that the whole list can be read in one place.
    fn perform(&mut self, step: Step<'static>) -> Result<()> {
        if self.kept.is_some() && !keeps_directory(&step) {
            self.root(false)?.settle(&mut self.kept)?;
        }
        match step {
            Step::Undumpable {} => {
                self.undumpable = true;
                self.guard()
            }
            Step::DieWithParent {} => {
                self.die_with_parent = true;
                sys::prctl(Control::SetPdeathsig, SIGKILL, 0, 0, 0).map(drop)
            }
            Step::ResetSignals {} => process::reset_signals(false),
            Step::HeedSignals {} => process::reset_signals(true),
            Step::EnterCgroup { file } => sys::write(self.fd(file), b"0").map(drop),
            Step::Setns { target, kinds, early } => self.join(target, kinds, early),
            Step::BecomeRoot { uid, gid, keep_groups } => {
                process::become_root(uid, gid, keep_groups)?;
                self.guard()
            }
            Step::Unshare { kinds } => {
                sys::unshare(kinds)?;
                self.alone |= u64::from(kinds) & CLONE_NEWNS != 0;
                self.guard_after(kinds)
            }
            Step::Fork { cgroup } => self.fork(cgroup),
            Step::Rendezvous { point } => {
                self.link.tell(Tag::Reached, self.step, point, None)?;
                self.link.expect(Order::Proceed)
            }
            Step::EnterRootfs { dir } => sys::fchdir(self.fd(dir)).map(drop),
            Step::EnterPath { path } => sys::chdir(path.c_str()).map(drop),
            Step::OpenRoot {} => {
                let root = sys::openat(AT_FDCWD, c"/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0)?;
                self.live = true;
                self.keep(0, root)
            }
            Step::Propagation { path, flags } => {
                sys::mount(None, path.c_str(), None, u64::from(flags), None).map(drop)
            }
            Step::PrivateParent {} => mount::private_parent(),
            Step::TakeRoot { attrs } => {
                let root = mount::take_root(&attrs)?;
                self.keep(0, root)
            }
            Step::RealDirectory { path, create } => self.root(true)?.real_directory(path.c_str(), create),
            Step::MakeDirectory { path } => self.root(false)?.ensure(path.c_str(), Leaf::Directory).map(drop),
            Step::MountFs { fstype, source, options, attrs, keep_mode, copy_up, target, nofollow, keep } => {
                let root = self.root(nofollow)?;
                let new = Filesystem { fstype, source, options, keep_mode, copy_up };
                let mount = mount::filesystem(&new, &attrs, &root, target.c_str())?;
                self.announce(&mount)?;
                mount::place(&mount, &root, target.c_str(), &mut self.kept)?;
                keep.map_or(Ok(()), |slot| self.keep(slot, mount))
            }
            Step::MountData { fstype, source, flags, data, attrs, target } => {
                let new = Legacy { fstype, source, flags, data };
                let mount = mount::legacy(&new, &attrs, &self.root(false)?, target.c_str())?;
                self.announce(&mount)
            }
            Step::BindMount {
                source: path,
                inside,
                source_link: link,
                tree,
                recursive,
                attrs,
                ids,
                target,
                nofollow,
                target_link,
                copy_link,
                keep,
            } => {
                let root = self.root(nofollow)?;
                let tree = match tree {
                    Some(tree) => Fd::own(self.fd(tree)),
                    None => {
                        let within = self.root(false)?;
                        let source = mount::Source { path, recursive, link: link || copy_link };
                        mount::open_source(&source, inside.then_some(&within), &attrs)?
                    }
                };
                if copy_link && sys::statx(tree.raw(), c"")?.kind() == S_IFLNK {
                    return dev::copy_symlink(&root, &tree, target.c_str());
                }
                if let Some(number) = ids {
                    self.link.tell(Tag::Tree, self.step, number, Some(&tree))?;
                    self.link.expect(Order::Proceed)?;
                }
                self.announce(&tree)?;
                mount::bind(&tree, &root, target.c_str(), target_link, &mut self.kept)?;
                keep.map_or(Ok(()), |slot| self.keep(slot, tree))
            }
            Step::Unmount { target, mount: None } => mount::unmount(&self.root(true)?, target.c_str()),
            Step::Unmount { target, mount: Some(mount) } => {
                match mount::take_back(&self.root(false)?, target.c_str(), mount) {
                    Err(fault) => self.link.warn(self.step, fault),
                    done => done,
                }
            }
            Step::Label { slot, label } => mount::label(self.slot(slot)?, label),
            Step::MountSetattr { slot, attrs } => mount::set(self.slot(slot)?.raw(), &attrs),
            Step::MakeNode { path, mode, major, minor, uid, gid } => {
                let node = Node { mode, major, minor, uid, gid };
                dev::make_node(&self.root(false)?, path.c_str(), &node, &mut self.kept)
            }
            Step::MakeSymlink { target, path } => {
                dev::make_symlink(&self.root(false)?, target.c_str(), path.c_str(), &mut self.kept)
            }
            Step::Mask { paths, label, aside } => {
                mask::mask(&self.root(false)?, paths, label, aside, &mut self.kept)
            }
            Step::Readonly { paths } => mask::read_only(&self.root(false)?, paths, &mut self.kept),
            Step::WriteSysctl { proc, path, value } => {
                process::write_sysctl(self.fd(proc), path.c_str(), value.bytes())
            }
            Step::RunHook { path, args, env, home, timeout, state, pid_at, output } => {
                let home = self.home.filter(|_| home);
                let output = output.map(|fd| self.fd(fd));
                let filter = self.hook_filter;
                self.run_hook(&Hook { path, args, env, home, timeout, state, pid_at, output, filter })
            }
            Step::PivotRoot { isolate } => mount::pivot(self.slot(0)?, isolate),
            Step::Chroot {} => sys::chroot(c".").map(drop),
            Step::MoveRoot { proc } => {
                hide::kernel_views(self.slot(0)?, self.fd(proc))?;
                mount::move_root(self.slot(0)?)
            }
            Step::Sethostname { name } => sys::sethostname(name.bytes()).map(drop),
            Step::Setdomainname { name } => sys::setdomainname(name.bytes()).map(drop),
            Step::LoopbackUp {} => net::loopback_up(&net::loopback_socket()?),
            Step::EnterNetwork {} => {
                let namespace = self.link.expect_descriptor(Order::Network)?;
                sys::setns(namespace.raw(), CLONE_NEWNET as u32).map(drop)
            }
            Step::NewSession {} => sys::setsid().map(drop),
            Step::OpenConsole { columns, rows, uid, bind } => {
                let console = Console { columns, rows, uid, bind };
                console::open(&self.root(false)?, &console, &self.link, self.step)
            }
            Step::SessionKeyring { name } => match process::session_keyring(name.c_str()) {
                Err(fault) if fault.is(EDQUOT) => self.link.warn(self.step, fault),
                joined => joined,
            },
            Step::OwnStdio { uid } => console::own_stdio(uid),
            Step::FindHome { uid } => {
                self.home = Some(process::find_home(&self.root(false)?, uid)?);
                Ok(())
            }
            Step::CloseFds { gate } => self.close_fds(gate),
            Step::Chdir { path, last } => {
                if !self.arrived {
                    self.arrived = process::change_directory(path.c_str(), !last)?;
                }
                Ok(())
            }
            Step::CapBound { keep } => process::bound_capabilities(keep),
            Step::SetGroups { groups, lenient } => {
                let tolerated: &[u32] = if lenient { &[EPERM] } else { &[] };
                unless(sys::setgroups(groups.encoded()), tolerated).map(drop)
            }
            Step::SetIds { uid, gid } => {
                process::set_ids(uid, gid)?;
                self.guard()
            }
            Step::SetCaps { effective, permitted, inheritable, ambient } => {
                let caps = Capabilities { effective, permitted, inheritable };
                process::set_capabilities(&caps, ambient)?;
                self.guard()
            }
            Step::NoNewPrivs {} => sys::prctl(Control::SetNoNewPrivs, 1, 0, 0, 0).map(drop),
            Step::Lookup { candidates } => {
                self.chosen = exec::lookup(candidates)?;
                Ok(())
            }
            Step::AwaitStart { gate } => self.await_start(gate),
            Step::SetRlimit { resource, soft, hard } => sys::setrlimit(resource, soft, hard).map(drop),
            Step::Umask { mask } => sys::umask(mask).map(drop),
            Step::WriteOwn { proc, path, fallback, value } => {
                let fallback = fallback.map(|path| path.c_str());
                process::write_own(self.fd(proc), path.c_str(), fallback, value.bytes())
            }
            Step::ReceiveNetDevices {} => {
                let socket = net::route_socket()?;
                self.link.tell(Tag::Netlink, self.step, 0, Some(&socket))?;
                self.link.expect(Order::Proceed)
            }
            Step::SetAffinity { cpus } => {
                sys::sched_setaffinity(cpus.map_or(&[0xff; 1024], |cpus| cpus.0)).map(drop)
            }
            Step::SetScheduler { policy, flags, nice, priority, runtime, deadline, period } => {
                let (size, nice, clamps) = (size_of::<SchedAttr>() as u32, nice as i32, [0; 2]);
                let attr =
                    SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period, clamps };
                sys::sched_setattr(&attr).map(drop)
            }
            Step::SetIoPriority { priority } => sys::ioprio_set(IOPRIO_WHO_PROCESS, 0, priority).map(drop),
            Step::SetPersonality { persona } => sys::personality(persona).map(drop),
            Step::SetMempolicy { mode, nodes } => sys::set_mempolicy(mode, nodes.0).map(drop),
            Step::ConfineHooks { program, flags } => {
                self.hook_filter = Some(Filter { program, flags });
                Ok(())
            }
            Step::LoadSeccomp { program, flags } => self.load_filter(program.0, flags),
            Step::Exec { candidates, args, env } => {
                Err(exec::exec(candidates, self.chosen, args, env, self.home)?)
            }
        }
    }

    /// Tells of a mount where others see it. Whoever ends init meanwhile, the host side knows what to take back.
    fn announce(&self, mount: &Fd) -> Result<()> {
        if !self.live {
            return Ok(());
        }
        self.link.tell(Tag::Attaching, self.step, sys::mount_number(mount.raw())? as u32, None)
    }

    /// Sets anew what the kernel takes back when credentials change.
    fn guard(&self) -> Result<()> {
        if self.undumpable {
            sys::prctl(Control::SetDumpable, 0, 0, 0, 0)?;
        }
        if self.die_with_parent {
            sys::prctl(Control::SetPdeathsig, SIGKILL, 0, 0, 0)?;
        }
        Ok(())
    }

    /// The same where namespaces have changed: one of users alone comes with other credentials.
    fn guard_after(&self, kinds: u32) -> Result<()> {
        if u64::from(kinds) & CLONE_NEWUSER == 0 { Ok(()) } else { self.guard() }
    }

    fn join(&mut self, target: wire::Fd, kinds: u32, early: bool) -> Result<()> {
        if self.joined & kinds == kinds {
            return Ok(());
        }
        let tolerated: &[u32] = if early { &[EPERM] } else { &[] };
        if unless(sys::setns(self.fd(target), kinds), tolerated)?.is_some() {
            self.joined |= kinds;
        }
        self.guard_after(kinds)
    }

    fn fork(&self, cgroup: Option<wire::Fd>) -> Result<()> {
        match sys::fork(true, cgroup.map(|fd| self.fd(fd)))? {
            // Only the other half knows the child's number: what it says must not come after what the child does.
            Forked::Child => self.guard().and_then(|()| self.link.expect(Order::Proceed)),
            Forked::Parent { pid, pidfd } => {
                self.link.tell(Tag::Child, self.step, pid, Some(&pidfd))?;
                sys::exit(0)
            }
        }
    }

    fn run_hook(&self, hook: &Hook<'_>) -> Result<()> {
        match hook::run(hook, self.base)? {
            Outcome::Done => Ok(()),
            // The hook's own process tells why; its exit status then says no more.
            Outcome::NotExecuted(fault) => self.fail(fault),
        }
    }

    fn close_fds(&mut self, gate: Option<wire::Fd>) -> Result<()> {
        self.slots = [const { None }; SLOTS];
        let mut first = self.base as u32 + 1;
        if let Some(gate) = gate.map(|gate| self.fd(gate) as u32) {
            if gate > first {
                sys::close_range(first, gate - 1, 0)?;
            }
            first = gate.saturating_add(1);
        }
        sys::close_range(first, u32::MAX, 0).map(drop)
    }

    /// From here on init's own calls are filtered too: what follows are the few that any profile allows.
    fn load_filter(&self, program: &[u8], flags: u32) -> Result<()> {
        let listener = sys::load_filter(program, flags)?;
        if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
            return Ok(());
        }
        // The host side takes the descriptor itself: `sendmsg(2)` might be what the listener has to answer.
        let listener = Fd::own(listener as i32);
        self.link.write(Tag::Listener, self.step, listener.raw() as u32)?;
        self.link.expect(Order::Proceed)
    }

    fn await_start(&mut self, gate: Option<wire::Fd>) -> Result<()> {
        sys::signal_mask(0)?;
        self.link.tell(Tag::Ready, self.step, 0, None)?;
        let order = self.link.order()?;
        self.die_with_parent = false;
        sys::prctl(Control::SetPdeathsig, 0, 0, 0, 0)?;
        match (order, gate) {
            (Some(Order::Start), _) => Ok(()),
            (Some(Order::Commit), Some(gate)) => {
                // The channel is closed: from here on init does without the host side.
                self.link = Link::new(Fd::own(self.fd(gate)));
                self.link = self.link.accept(self.step)?;
                Ok(())
            }
            (None, _) => sys::exit(1),
            _ => Err(Fault::check(Check::Message)),
        }
    }
}

/// True where the directory of the step before is kept: after anything else the same path may lead elsewhere.
fn keeps_directory(step: &Step<'_>) -> bool {
    matches!(
        step,
        Step::MountFs { .. }
            | Step::BindMount { .. }
            | Step::MakeNode { .. }
            | Step::MakeSymlink { .. }
            | Step::Readonly { .. }
            | Step::Mask { .. }
    )
}

/// Maps the program that stands at the end of the image.
fn load(image: i32) -> Result<&'static [u8]> {
    let malformed = Fault::check(Check::Program);
    let size = sys::statx(image, c"")?.size as usize;
    let bytes = sys::map_sealed(image, size)?;
    let (body, trailer) =
        size.checked_sub(TRAILER_SIZE).and_then(|at| bytes.split_at_checked(at)).ok_or(malformed)?;
    let mut words = trailer.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    let (magic, offset, len) = (words.next(), words.next(), words.next());
    if magic != Some(TRAILER_MAGIC) {
        return Err(malformed);
    }
    let (offset, len) = offset.zip(len).ok_or(malformed)?;
    let program = body.get(offset as usize..).and_then(|rest| rest.get(..len as usize));
    program.ok_or(malformed)
}

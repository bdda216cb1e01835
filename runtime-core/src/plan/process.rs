//! `/process`: identity, rights, limits, and what is executed.

use std::collections::HashSet;

use super::builder::Builder;
use super::filter::Filter;
use super::{Error, Facts, schedule};
use crate::check::capabilities::capability_mask;
use crate::check::rlimits::parse_rlimit;
use crate::config::{Process, Rlimit, Seccomp};
use crate::wire::{List, Step, Str};

/// Lets a process load a filter that may gain privileges later.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// A process as it is executed.
pub(super) struct Payload<'a> {
    pub(super) process: &'a Process,
    at: &'static str,
    facts: &'a Facts,
    filter: Option<Filter>,
    env: Vec<&'a str>,
    candidates: Vec<String>,
}

impl<'a> Payload<'a> {
    /// `at` is where the process stands in its document; `extra_env` outdoes its environment.
    pub(super) fn of(
        process: &'a Process,
        at: &'static str,
        facts: &'a Facts,
        seccomp: Option<&Seccomp>,
        extra_env: &'a [String],
    ) -> Result<Self, Error> {
        let env = environment(&process.env, extra_env);
        let Some(name) = process.args.first() else {
            return Err(Error::at(format!("{at}/args"), "args must not be empty"));
        };
        let candidates = candidates(name, &env);
        if candidates.is_empty() {
            let message = format!("exec: {name:?}: executable file not found in $PATH");
            return Err(
                Error::at(format!("{at}/args/0"), message).hint("give an absolute path, or PATH in env")
            );
        }
        let filter = seccomp.map(Filter::of).transpose()?;
        Ok(Self { process, at, facts, filter, env, candidates })
    }

    pub(super) fn at(&self, field: &str) -> String {
        format!("{}{field}", self.at)
    }

    /// The session and its terminal. Every process gets a session of its own, so that it cannot push input into the
    /// caller's terminal.
    pub(super) fn session(&self, builder: &mut Builder, bind_console: bool) {
        builder.add("", Step::NewSession {});
        let uid = self.process.user.uid;
        if self.process.terminal {
            let size = self.process.console_size.clone().unwrap_or_default();
            // The kernel has sixteen bits for each.
            let clamp = |length: u64| u32::from(u16::try_from(length).unwrap_or(u16::MAX));
            let (columns, rows) = (clamp(size.width), clamp(size.height));
            builder.add(self.at("/terminal"), Step::OpenConsole { columns, rows, uid, bind: bind_console });
            builder.host().terminal = true;
        } else {
            builder.add(self.at("/user/uid"), Step::OwnStdio { uid });
        }
    }

    /// What the kernel lets only the privileged raise.
    pub(super) fn schedule(&self, builder: &mut Builder) -> Result<(), Error> {
        if let Some(priority) = &self.process.io_priority {
            schedule::io_priority(builder, priority, &self.at("/ioPriority"))?;
        }
        let scheduler = self.process.scheduler.as_ref();
        scheduler.map_or(Ok(()), |scheduler| schedule::scheduler(builder, scheduler, &self.at("/scheduler")))
    }

    /// Looks up the home directory, where the environment does not say it.
    pub(super) fn home(&self, builder: &mut Builder) {
        if !self.env.iter().any(|entry| name_of(entry) == "HOME") {
            builder.add(self.at("/user/uid"), Step::FindHome { uid: self.process.user.uid });
        }
    }

    /// Identity and rights. The working directory is tried as root before, for one that the user cannot reach
    /// but may be in, and as the user after, for one that root cannot reach.
    ///
    /// In a user namespace the groups are gone already, and there may be no right to set them.
    pub(super) fn identity(&self, builder: &mut Builder, in_user_namespace: bool, keep_groups: bool) {
        let Process { user, cwd, capabilities, no_new_privileges, .. } = self.process;
        let bounding = capabilities.as_ref().map_or(0, |sets| self.mask(&sets.bounding));
        let cwd = Str::from(cwd.as_str());

        builder.add(self.at("/cwd"), Step::Chdir { path: cwd, last: false });
        builder.add(self.at("/capabilities/bounding"), Step::CapBound { keep: bounding });
        if !(keep_groups || in_user_namespace && user.additional_gids.is_empty()) {
            let groups = List::Items(&user.additional_gids);
            let lenient = groups.is_empty() && self.facts.in_user_namespace;
            builder.add(self.at("/user/additionalGids"), Step::SetGroups { groups, lenient });
        }
        builder.add(self.at("/user"), Step::SetIds { uid: user.uid, gid: user.gid });
        builder.add(self.at("/capabilities"), self.capabilities(self.borrowed()));
        builder.add(self.at("/cwd"), Step::Chdir { path: cwd, last: true });
        if *no_new_privileges {
            builder.add(self.at("/noNewPrivileges"), Step::NoNewPrivs {});
        }
        // The change of credentials has cleared it.
        builder.add("", Step::DieWithParent {});
    }

    /// The payload's capabilities, and those that init still needs.
    fn capabilities(&self, borrowed: u64) -> Step<'static> {
        let sets = self.process.capabilities.clone().unwrap_or_default();
        let (permitted, inheritable) = (self.mask(&sets.permitted), self.mask(&sets.inheritable));
        // The kernel refuses an ambient capability that is not in both; the check has warned.
        let ambient = self.mask(&sets.ambient) & permitted & inheritable;
        let effective = self.mask(&sets.effective) | borrowed;
        Step::SetCaps { effective, permitted: permitted | borrowed, inheritable, ambient }
    }

    /// What the payload does not have and init needs until the filter is loaded.
    fn borrowed(&self) -> u64 {
        let Process { capabilities, no_new_privileges, .. } = self.process;
        let effective = capabilities.as_ref().map_or(0, |sets| self.mask(&sets.effective));
        if self.filter.is_some() && !no_new_privileges { CAP_SYS_ADMIN & !effective } else { 0 }
    }

    fn mask(&self, names: &[String]) -> u64 {
        capability_mask(names) & u64::MAX >> 63_u8.saturating_sub(self.facts.last_capability)
    }

    /// Tests that there is something to execute, while `create` can still say so.
    pub(super) fn look_up(&self, builder: &mut Builder) {
        let candidates = strings(&self.candidates);
        builder.add(self.at("/args/0"), Step::Lookup { candidates: List::Items(&candidates) });
    }

    /// What the host side does: only it may have the privilege for these.
    pub(super) fn host(&self, builder: &mut Builder) -> Result<(), Error> {
        let Process { rlimits, oom_score_adj, .. } = self.process;
        let limits = rlimits.iter().enumerate();
        let raise = limits.map(|(index, rlimit)| Ok((self.resource(index, rlimit)?, rlimit.hard)));
        builder.host().hard_limits = raise.collect::<Result<_, Error>>()?;
        builder.host().oom_score_adj = oom_score_adj.map(|score| score.clamp(-1000, 1000) as i32);
        Ok(())
    }

    fn resource(&self, index: usize, rlimit: &Rlimit) -> Result<u32, Error> {
        let unknown = || Error::unknown(self.at(&format!("/rlimits/{index}/type")), &rlimit.typ);
        parse_rlimit(&rlimit.typ).map(u32::from).ok_or_else(unknown)
    }

    /// Loads a filter with a listener, which has to know of it while `create` can still say that it does not.
    pub(super) fn filter_with_listener(&self, builder: &mut Builder) {
        self.load_filter(builder, true);
    }

    /// Confines hooks by the filter, as the payload will be. One with a listener is in force already.
    pub(super) fn confine_hooks(&self, builder: &mut Builder) {
        if let Some(filter) = self.filter.as_ref().filter(|filter| !filter.notifies) {
            builder.add("/linux/seccomp", filter.confine_hooks());
        }
    }

    /// Loads the filter if it has a listener, or has none. Where init may do that by a capability alone, it gives
    /// that up right after.
    fn load_filter(&self, builder: &mut Builder, with_listener: bool) {
        let Some(filter) = self.filter.as_ref().filter(|filter| filter.notifies == with_listener) else {
            return;
        };
        builder.add("/linux/seccomp", filter.load());
        if self.borrowed() != 0 {
            builder.add(self.at("/capabilities"), self.capabilities(0));
        }
    }

    /// The last steps, after the gate: under the payload's limits init could not do its own work.
    pub(super) fn execute(&self, builder: &mut Builder) -> Result<(), Error> {
        for (index, rlimit) in self.process.rlimits.iter().enumerate() {
            let (resource, soft, hard) = (self.resource(index, rlimit)?, rlimit.soft, rlimit.hard);
            builder.add(self.at(&format!("/rlimits/{index}")), Step::SetRlimit { resource, soft, hard });
        }
        let mask = self.process.user.umask.unwrap_or(0o022);
        builder.add(self.at("/user/umask"), Step::Umask { mask });
        self.load_filter(builder, false);
        let (candidates, args) = (strings(&self.candidates), strings(&self.process.args));
        let env: Vec<Str<'_>> = self.env.iter().copied().map(Str::from).collect();
        let step = Step::Exec {
            candidates: List::Items(&candidates),
            args: List::Items(&args),
            env: List::Items(&env),
        };
        builder.add(self.at("/args"), step);
        Ok(())
    }

    /// The environment.
    pub(super) fn env(&self) -> &[&'a str] {
        &self.env
    }
}

/// Strings as the wire has them.
pub(super) fn strings<T: AsRef<str>>(texts: &[T]) -> Vec<Str<'_>> {
    texts.iter().map(|text| Str::from(text.as_ref())).collect()
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// The environment without what a later entry outdoes, and without an empty `HOME`, which is as good as none.
fn environment<'a>(env: &'a [String], extra: &'a [String]) -> Vec<&'a str> {
    let mut seen = HashSet::with_capacity(env.len() + extra.len());
    let entries = env.iter().chain(extra).map(String::as_str).rev();
    let mut kept: Vec<&str> = entries.filter(|entry| seen.insert(name_of(entry))).collect();
    kept.retain(|entry| *entry != "HOME=");
    kept.reverse();
    kept
}

/// The paths under which a program is looked for, an empty part of `PATH` being the working directory.
fn candidates(name: &str, env: &[&str]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    match path {
        None | Some("") => Vec::new(),
        Some(_) if name.is_empty() => Vec::new(),
        Some(path) => path
            .split(':')
            .map(|dir| match dir {
                "" => format!("./{name}"),
                dir if dir.ends_with('/') => format!("{dir}{name}"),
                dir => format!("{dir}/{name}"),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{candidates, environment};

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_last_entry_of_a_name_wins() {
        let env = owned(&["A=1", "B=2", "A=3", "C", "C=4"]);
        let extra = owned(&["B=5"]);
        assert_eq!(environment(&env, &extra), ["A=3", "C=4", "B=5"]);
        assert!(environment(&owned(&["HOME=/a", "HOME="]), &[]).is_empty());
    }

    #[test]
    fn a_hundred_thousand_entries_take_linear_time() {
        let env: Vec<String> = (0..100_000).map(|number| format!("NAME{}=x", number / 2)).collect();
        let begun = std::time::Instant::now();
        assert_eq!(environment(&env, &[]).len(), 50_000);
        assert!(begun.elapsed().as_secs() < 5);
    }

    #[test]
    fn programs_are_looked_for_in_path() {
        assert_eq!(
            candidates("sh", &["PATH=/bin:/usr/bin/::/x"]),
            ["/bin/sh", "/usr/bin/sh", "./sh", "/x/sh"]
        );
        assert_eq!(candidates("./sh", &["PATH=/bin"]), ["./sh"]);
        assert!(candidates("sh", &[]).is_empty());
        assert!(candidates("", &["PATH=/bin"]).is_empty());
    }
}

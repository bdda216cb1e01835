//! The process that `exec` runs: out of a file, or the container's own with changes.

use std::fs;

use runtime_core::bundle::parse_process;
use runtime_core::config::Process;

use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::{
    ADDITIONAL_GIDS, APPARMOR, CAP, CWD, ENV, NO_NEW_PRIVS, PROCESS, PROCESS_LABEL, TTY, USER,
};

/// Refuses a command line without a program, before the container is looked at.
pub(super) fn check_arguments(flags: &Matches) -> Result<(), Failure> {
    if flags.arguments().len() < 2 && flags.path(&PROCESS).is_none() {
        return Err(Failure::new("exec args cannot be empty"));
    }
    Ok(())
}

/// The process that the flags ask for; `of_container` is the container's own.
pub(super) fn read(flags: &Matches, of_container: &Process) -> Result<Process, Failure> {
    let process = match flags.path(&PROCESS) {
        Some(path) => {
            let bytes = fs::read(path).map_err(|error| Failure::file("open", path, error))?;
            parse_process(&bytes).map_err(|error| {
                Failure::new(error.to_string()).pointer(error.pointer()).context(path.display())
            })?
        }
        None => changed(flags, of_container.clone())?,
    };
    check(process)
}

/// The container's process with the changes of the flags.
fn changed(flags: &Matches, mut process: Process) -> Result<Process, Failure> {
    process.args = (1..flags.arguments().len())
        .map(|index| flags.argument(index).map(str::to_owned))
        .collect::<Result<_, _>>()?;
    process.terminal = flags.is_set(&TTY);
    if let Some(cwd) = flags.text(&CWD)? {
        cwd.clone_into(&mut process.cwd);
    }
    if let Some(label) = flags.text(&PROCESS_LABEL)? {
        process.selinux_label = Some(label.to_owned());
    }
    if let Some(profile) = flags.text(&APPARMOR)? {
        process.apparmor_profile = Some(profile.to_owned());
    }
    if let Some(on) = flags.switch(&NO_NEW_PRIVS) {
        process.no_new_privileges = on;
    }
    process.env.extend(flags.texts(&ENV)?.into_iter().map(str::to_owned));
    add_capabilities(&mut process, &flags.texts(&CAP)?);
    // An empty user must not silently become root.
    if let Some(user) = flags.texts(&USER)?.last().copied() {
        let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        process.user.uid = parse_id("uid", uid)?;
        if let Some(gid) = gid {
            process.user.gid = parse_id("gid", gid)?;
        }
    }
    for group in flags.texts(&ADDITIONAL_GIDS)? {
        process.user.additional_gids.push(parse_id("gid", group)?);
    }
    Ok(process)
}

/// Adds capabilities, except to the inheritable set: programs of the container could then pass them on.
fn add_capabilities(process: &mut Process, names: &[&str]) {
    if names.is_empty() {
        return;
    }
    let sets = process.capabilities.get_or_insert_default();
    let names = || names.iter().map(|name| (*name).to_owned());
    sets.bounding.extend(names());
    sets.effective.extend(names());
    sets.permitted.extend(names());
    if !sets.inheritable.is_empty() {
        sets.ambient.extend(names());
    }
}

fn parse_id(kind: &str, text: &str) -> Result<u32, Failure> {
    text.parse()
        .map_err(|_| Failure::new(format!("bad {kind}: \"{text}\" is not a number of a user or group")))
}

fn check(process: Process) -> Result<Process, Failure> {
    let fault = if process.cwd.is_empty() {
        "Cwd property must not be empty"
    } else if !process.cwd.starts_with('/') {
        "Cwd must be an absolute path"
    } else if process.args.is_empty() {
        "args must not be empty"
    } else {
        return Ok(process);
    };
    Err(Failure::new(fault))
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::*;
    use crate::flags::{Action, command_line};

    fn process(line: &str, of_container: &Process) -> Result<Process, Failure> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let Ok(Action::Run(_, flags)) = command_line(OsStr::new("corten"), &words).1 else {
            panic!("{line}")
        };
        check_arguments(&flags)?;
        read(&flags, of_container)
    }

    fn of_container() -> Process {
        let text = r#"{"terminal":true,"user":{"uid":1,"gid":2},"args":["init"],"env":["A=1"],"cwd":"/srv",
            "noNewPrivileges":true,"capabilities":{"bounding":["CAP_KILL"]}}"#;
        parse_process(text.as_bytes()).unwrap()
    }

    #[test]
    fn without_flags_it_is_the_containers_with_other_arguments() {
        let process = process("exec id ls -l", &of_container()).unwrap();
        let expected = Process { args: vec!["ls".into(), "-l".into()], terminal: false, ..of_container() };
        assert_eq!(process, expected);
    }

    #[test]
    fn flags_change_it() {
        let line = "exec -t -u 5:6 -g 7 -g 8 -e B=2 --cwd / --no-new-privs=false -c CAP_CHOWN id ls";
        let process = process(line, &of_container()).unwrap();
        assert!(process.terminal && !process.no_new_privileges);
        assert_eq!((process.user.uid, process.user.gid), (5, 6));
        assert_eq!(process.user.additional_gids, [7, 8]);
        assert_eq!(process.env, ["A=1", "B=2"]);
        assert_eq!(process.cwd, "/");
        let capabilities = process.capabilities.unwrap();
        assert_eq!(capabilities.bounding, ["CAP_KILL", "CAP_CHOWN"]);
        assert_eq!(capabilities.permitted, ["CAP_CHOWN"]);
        assert!(capabilities.inheritable.is_empty() && capabilities.ambient.is_empty());
    }

    #[test]
    fn a_user_alone_keeps_the_group() {
        let process = process("exec -u 5 id ls", &of_container()).unwrap();
        assert_eq!((process.user.uid, process.user.gid), (5, 2));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_the_words_of_runc() {
        for (line, text) in [
            ("exec id", "exec args cannot be empty"),
            ("exec --cwd srv id ls", "Cwd must be an absolute path"),
            ("exec -u root id ls", "bad uid: \"root\""),
            ("exec -u= id ls", "bad uid: \"\""),
            ("exec -u 1:staff id ls", "bad gid: \"staff\""),
            ("exec -u -1 id ls", "bad uid: \"-1\""),
            ("exec -g wheel id ls", "bad gid: \"wheel\""),
            ("exec -p /nosuch id", "open /nosuch: no such file or directory"),
        ] {
            let failure = process(line, &of_container()).unwrap_err();
            assert!(failure.message.starts_with(text), "{line}: {failure}");
        }
        let none = Process::default();
        assert_eq!(process("exec id ls", &none).unwrap_err().message, "Cwd property must not be empty");
    }
}

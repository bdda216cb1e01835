//! The command line as a table: words on the left, what they mean on the right.

use std::ffi::{OsStr, OsString};

use super::table::{self, BUNDLE, CAP, COMMANDS, DEBUG, ENV, FORCE, LOG, NO_NEW_PRIVS, PRESERVE_FDS, ROOT};
use super::{Action, Help, Matches, Usage, command_line, find};

fn read(line: &str) -> (Matches, Result<Action, Usage>) {
    let words: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
    command_line(OsStr::new("corten"), &words)
}

/// The command's name, flags and arguments that a line stands for.
fn run(line: &str) -> (&'static str, Matches) {
    match read(line).1 {
        Ok(Action::Run(command, matches)) => (command.name, matches),
        Ok(_) => panic!("{line}: help or version"),
        Err(usage) => panic!("{line}: {}", describe(&usage)),
    }
}

fn describe(usage: &Usage) -> String {
    match usage {
        Usage::Command(name) => format!("command {name}"),
        Usage::Flag(text, command) => {
            format!("flag of {}: {text}", command.map_or("corten", |command| command.name))
        }
        Usage::Arguments(text, command) => format!("arguments of {}: {text}", command.name),
    }
}

#[test]
fn mistakes_are_told_in_the_words_that_engines_know() {
    for (line, text) in [
        ("frobnicate", "command frobnicate"),
        ("help frobnicate", "command frobnicate"),
        ("--bogus list", "flag of corten: flag provided but not defined: -bogus"),
        ("-bogus", "flag of corten: flag provided but not defined: -bogus"),
        ("create --bogus=1 id", "flag of create: flag provided but not defined: -bogus"),
        ("--log", "flag of corten: flag needs an argument: --log"),
        ("create --bundle", "flag of create: flag needs an argument: --bundle"),
        ("create -b", "flag of create: flag needs an argument: --b"),
        ("restore --lsm-mount-context", "flag of restore: flag needs an argument: --lsm-mount-context"),
        ("state", "arguments of state: corten: \"state\" requires exactly 1 argument(s)"),
        ("state a b", "arguments of state: corten: \"state\" requires exactly 1 argument(s)"),
        ("list a", "arguments of list: corten: \"list\" requires exactly 0 argument(s)"),
        ("kill", "arguments of kill: corten: \"kill\" requires a minimum of 1 argument(s)"),
        ("kill a 9 b", "arguments of kill: corten: \"kill\" requires a maximum of 2 argument(s)"),
        ("exec --tty", "arguments of exec: corten: \"exec\" requires a minimum of 1 argument(s)"),
        (
            "delete --force=maybe id",
            "flag of delete: invalid value \"maybe\" for flag -force: not a truth value",
        ),
    ] {
        match read(line).1 {
            Err(usage) => assert_eq!(describe(&usage), text, "{line}"),
            Ok(_) => panic!("{line} is accepted"),
        }
    }
}

#[test]
fn flags_have_one_dash_or_two_and_two_forms_of_value() {
    for line in [
        "create --bundle /b id",
        "create --bundle=/b id",
        "create -bundle /b id",
        "create -bundle=/b id",
        "create -b /b id",
        "create -b=/b id",
        "create --b /b id",
        "create --bundle /other --bundle /b id",
        "create id --bundle /b",
        "--debug create --bundle /b -- id",
    ] {
        let (name, matches) = run(line);
        assert_eq!(name, "create");
        assert_eq!(matches.path(&BUNDLE).unwrap().to_str(), Some("/b"), "{line}");
        assert_eq!(matches.arguments(), ["id"], "{line}");
    }
    assert_eq!(run("restore -no-subreaper id").0, "restore");
    assert_eq!(run("--criu /usr/sbin/criu state id").0, "state");
}

#[test]
fn switches_take_every_spelling_of_a_truth_value() {
    for (line, on) in [
        ("delete id", None),
        ("delete --force id", Some(true)),
        ("delete -f id", Some(true)),
        ("delete --force=T id", Some(true)),
        ("delete --force=1 id", Some(true)),
        ("delete --force=False id", Some(false)),
        ("delete --force --force=0 id", Some(false)),
        ("delete id --force", Some(true)),
    ] {
        let matches = run(line).1;
        assert_eq!(matches.switch(&FORCE), on, "{line}");
        assert_eq!(matches.is_set(&FORCE), on == Some(true), "{line}");
    }
}

#[test]
fn what_follows_the_id_of_exec_belongs_to_the_process() {
    let (_, matches) = run("exec --env A=1,2 -e B= --cap net_admin id ls --env C=3 -l -- x");
    assert_eq!(matches.texts(&ENV).unwrap(), ["A=1,2", "B="]);
    assert_eq!(matches.texts(&CAP).unwrap(), ["net_admin"]);
    assert_eq!(matches.arguments(), ["id", "ls", "--env", "C=3", "-l", "--", "x"]);
    assert!(matches.switch(&NO_NEW_PRIVS).is_none());
    let (_, matches) = run("ps --format table id -o pid,args");
    assert_eq!(matches.arguments(), ["id", "-o", "pid,args"]);
}

#[test]
fn values_are_read_as_what_they_are() {
    let (_, matches) = run("run --preserve-fds 3 id");
    assert_eq!(matches.number::<u16>(&PRESERVE_FDS).unwrap(), Some(3));
    assert_eq!(run("run id").1.number::<u16>(&PRESERVE_FDS).unwrap(), None);
    for text in ["-1", "x", "65536", "1.5"] {
        let failure =
            run(&format!("run --preserve-fds {text} id")).1.number::<u16>(&PRESERVE_FDS).unwrap_err();
        assert!(failure.message.contains(text) && failure.message.contains("preserve-fds"), "{failure}");
    }
    assert!(run("create --bundle= id").1.path(&BUNDLE).is_none(), "an empty value is none");
}

#[test]
fn global_flags_stand_before_the_command() {
    let (globals, _) = read("-root /r --log=/l --debug state id");
    assert_eq!(globals.path(&ROOT).unwrap().to_str(), Some("/r"));
    assert_eq!(globals.path(&LOG).unwrap().to_str(), Some("/l"));
    assert!(globals.is_set(&DEBUG));
    // A mistake is reported where the flags before it say.
    assert!(read("--log /l --bogus").0.path(&LOG).is_some());
    assert!(read("--log /l state").0.path(&LOG).is_some());
}

#[test]
fn help_and_version_are_found() {
    for line in ["", "help", "h", "-h", "--help", "-help"] {
        assert!(matches!(read(line).1, Ok(Action::Help(None))), "{line}");
    }
    for line in
        ["create -h", "create --help", "help create", "h create", "--help create", "create --help a b c"]
    {
        assert!(
            matches!(read(line).1, Ok(Action::Help(Some(command))) if command.name == "create"),
            "{line}"
        );
    }
    for line in ["-v", "--version", "-version", "--version state"] {
        assert!(matches!(read(line).1, Ok(Action::Version)), "{line}");
    }
    assert_eq!(run("exec id ls --help").1.arguments(), ["id", "ls", "--help"]);
}

#[test]
fn the_help_shows_all_that_is_not_hidden() {
    let overview = Help(None).to_string();
    for command in COMMANDS {
        assert!(overview.contains(&format!("\n   {} ", command.name)), "{}", command.name);
        let help = Help(Some(command)).to_string();
        assert!(help.starts_with(&format!("NAME:\n   corten {} - ", command.name)), "{help}");
        for flag in command.flags {
            assert_eq!(help.contains(&format!("--{}", flag.name)), !flag.hidden, "{}", flag.name);
        }
    }
}

#[test]
fn the_table_is_in_order_and_no_name_stands_twice() {
    assert!(COMMANDS.is_sorted_by_key(|command| command.name));
    for flags in COMMANDS.iter().map(|command| command.flags).chain([table::GLOBAL]) {
        let mut names: Vec<&str> =
            flags.iter().flat_map(|flag| flag.short.into_iter().chain([flag.name])).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }
    assert!(find("create").is_some());
    assert!(find("creat").is_none());
}

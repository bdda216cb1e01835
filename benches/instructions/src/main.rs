//! The pure part of a `create` once, from the text of a config to the encoded plan, for callgrind to count.
//!
//! usage: `instructions CASE`; without a case it lists them.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;

use runtime_core::bundle::parse_spec;
use runtime_core::check::Checked;
use runtime_core::plan::{self, Cgroup, Facts, Options};
use serde_json::{Value, json};

const BASE: &str = include_str!("../../../runtime-core/tests/data/base.json");
const DOCKER: &str = include_str!("../../../runtime-core/src/seccomp/tests/docker.json");

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A case: its name, and what makes its config of the plain one.
type Case = (&'static str, fn(&mut Value) -> Result<()>);

const CASES: [Case; 4] = [
    ("plain", |_| Ok(())),
    ("seccomp", with_seccomp),
    ("mounts-100", with_mounts),
    ("annotations-64k", with_annotations),
];

fn with_seccomp(config: &mut Value) -> Result<()> {
    let linux =
        config.get_mut("linux").and_then(Value::as_object_mut).ok_or("the plain config has no linux")?;
    linux.insert("seccomp".into(), serde_json::from_str(DOCKER)?);
    Ok(())
}

fn with_mounts(config: &mut Value) -> Result<()> {
    let mounts =
        config.get_mut("mounts").and_then(Value::as_array_mut).ok_or("the plain config has no mounts")?;
    mounts.extend((0..100).map(|number| {
        json!({"destination": format!("/mnt/{number}"), "type": "bind", "source": "/tmp", "options": ["rbind", "ro"]})
    }));
    Ok(())
}

fn with_annotations(config: &mut Value) -> Result<()> {
    let text = "x".repeat(1000);
    let annotations = (0..64).map(|number| (format!("org.example.{number}"), json!(text))).collect();
    config.as_object_mut().ok_or("the plain config is no object")?.insert("annotations".into(), annotations);
    Ok(())
}

fn main() -> Result<()> {
    let Some(name) = env::args().nth(1) else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let (_, change) = CASES.iter().find(|(case, _)| *case == name).ok_or("no such case")?;
    let mut config = serde_json::from_str(BASE)?;
    change(&mut config)?;
    let steps = measured(config.to_string().as_bytes())?;
    println!("{steps} steps");
    Ok(())
}

/// What is counted. The facts are fixed, so that the count is the same on every machine.
#[inline(never)]
fn measured(config: &[u8]) -> Result<usize> {
    let spec = parse_spec(black_box(config))?;
    let (checked, _) = Checked::new(&spec).map_err(|findings| format!("{findings:?}"))?;
    let facts = Facts {
        last_capability: 40,
        kcore: true,
        time_by_exec: true,
        may_mount: true,
        in_user_namespace: false,
        in_first_user_namespace: true,
    };
    let plan = plan::container(
        &checked,
        &facts,
        &Options {
            id: "counted",
            bundle: Path::new("/bundle"),
            cgroup: Cgroup::default(),
            gate: true,
            command: true,
            no_pivot: false,
            no_new_keyring: false,
            extra_env: &[],
            hook_env: &[],
            notify_dir: None,
        },
    )?;
    black_box(plan.program());
    Ok(plan.len())
}

//! `/hooks`: those that run in the container's namespaces are steps, the others the host side's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::builder::{Builder, Descriptor, Plan};
use super::process::{Payload, strings};
use super::{Error, Options};
use crate::OCI_VERSION;
use crate::config::{Hook, Spec};
use crate::wire::{Bytes, List, PID_WIDTH, Point, Step, Str};

/// The state of a container as its hooks and its seccomp agent read it (specification: runtime.md, "State").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookState<'a> {
    /// The version of the specification with which this document complies.
    oci_version: &'static str,
    id: &'a str,
    status: &'static str,
    /// 0 where there is no process, or init fills its pid in.
    #[serde(skip_serializing_if = "is_zero")]
    pid: i32,
    #[serde(serialize_with = "lossy")]
    bundle: &'a Path,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl<'a> HookState<'a> {
    pub(crate) fn new(id: &'a str, bundle: &'a Path, annotations: &'a BTreeMap<String, String>) -> Self {
        Self { oci_version: OCI_VERSION, id, status: "stopped", pid: 0, bundle, annotations }
    }

    /// The state of a container that has a process.
    pub(crate) fn with(self, status: &'static str, pid: i32) -> Self {
        Self { status, pid, ..self }
    }

    /// The bundle's directory.
    pub(crate) fn bundle(&self) -> &'a Path {
        self.bundle
    }
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn is_zero(pid: &i32) -> bool {
    *pid == 0
}

/// The document with a field of blanks for the pid, which only init knows as its namespace has it.
fn document(spec: &Spec, options: &Options<'_>, status: &'static str) -> Result<(Vec<u8>, u32), Error> {
    let state = HookState::new(options.id, options.bundle, &spec.annotations).with(status, 0);
    let rest = serde_json::to_vec(&state).map_err(|error| Error::at("/annotations", error.to_string()))?;
    let mut document = b"{\"pid\":".to_vec();
    let at = document.len() as u32;
    document.resize(document.len() + PID_WIDTH, b' ');
    document.push(b',');
    document.extend(rest.iter().skip(1));
    Ok((document, at))
}

/// The plan for a hook that the host side runs: what its process is before the program takes over.
pub fn hook(hook: &Hook, default_env: &[String], bundle: &Path) -> Plan {
    let mut builder = Builder::new(false);
    builder.add("", Step::ResetSignals {});
    builder.add("", Step::NewSession {});
    builder.add("", Step::Chdir { path: Str::new(bundle.as_os_str().as_encoded_bytes()), last: false });
    builder.add("", Step::Umask { mask: 0o022 });
    builder.add("", Step::AwaitStart { gate: None });
    builder.add("", Step::DieWithParent {});
    let env = strings(hook.env.as_deref().unwrap_or(default_env));
    let candidates = [Str::from(hook.path.as_str())];
    let step = Step::Exec {
        candidates: List::Items(&candidates),
        args: List::Items(&arguments(hook)),
        env: List::Items(&env),
    };
    builder.add("", step);
    builder.finish()
}

/// The arguments of a hook; its path is the first where none are given.
fn arguments(hook: &Hook) -> Vec<Str<'_>> {
    if hook.args.is_empty() { vec![Str::from(hook.path.as_str())] } else { strings(&hook.args) }
}

/// Stops for the hooks of the runtime's namespaces, then runs `createContainer`: the mounts are made, and the host's
/// tree is still there.
pub(super) fn before_pivot(builder: &mut Builder, spec: &Spec, options: &Options<'_>) -> Result<(), Error> {
    let hooks = &spec.hooks;
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        builder.add("/hooks", Step::Rendezvous { point: Point::Mounted as u32 });
        builder.host().hooks_at_mounted = true;
    }
    if hooks.create_container.is_empty() {
        return Ok(());
    }
    let state = document(spec, options, "creating")?;
    let env: Vec<&str> = options.hook_env.iter().map(String::as_str).collect();
    let inherited = Inherited { env: &env, home: false };
    let output = builder.descriptor(Descriptor::HookOutput);
    for (index, hook) in hooks.create_container.iter().enumerate() {
        let at = format!("/hooks/createContainer/{index}");
        run(builder, at, hook, &inherited, &state, Some(output));
    }
    Ok(())
}

/// Runs `startContainer`, as the container's user, with its environment and under its filter of system calls.
pub(super) fn at_start(
    builder: &mut Builder,
    spec: &Spec,
    options: &Options<'_>,
    payload: &Payload<'_>,
) -> Result<(), Error> {
    if spec.hooks.start_container.is_empty() {
        return Ok(());
    }
    payload.confine_hooks(builder);
    let state = document(spec, options, "created")?;
    let inherited = Inherited { env: payload.env(), home: true };
    for (index, hook) in spec.hooks.start_container.iter().enumerate() {
        run(builder, format!("/hooks/startContainer/{index}"), hook, &inherited, &state, None);
    }
    Ok(())
}

/// The environment of hooks that give none.
struct Inherited<'a> {
    env: &'a [&'a str],
    /// With the user's home directory, where it is looked up.
    home: bool,
}

fn run(
    builder: &mut Builder,
    at: String,
    hook: &Hook,
    inherited: &Inherited<'_>,
    (state, pid_at): &(Vec<u8>, u32),
    output: Option<crate::wire::Fd>,
) {
    let args = arguments(hook);
    let env = match &hook.env {
        Some(env) => strings(env),
        None => strings(inherited.env),
    };
    let step = Step::RunHook {
        path: Str::from(hook.path.as_str()),
        args: List::Items(&args),
        env: List::Items(&env),
        home: inherited.home && hook.env.is_none(),
        timeout: hook.timeout.map_or(0, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        state: Bytes(state),
        pid_at: *pid_at,
        output,
    };
    builder.add(at, step);
}

//! `/linux/sysctl`: kernel parameters of the container's namespaces.

use super::Error;
use super::builder::{Builder, Descriptor};
use super::namespaces::{Namespaces, kind};
use crate::check::sysctl;
use crate::config::Spec;
use crate::pointer;
use crate::wire::{Step, Str};

/// Writes the parameters through the host's procfs, in which no image and no mount can stand in the way. The kernel
/// decides by the writer's namespaces whose parameter it is, so each must have a namespace that is not the runtime's.
pub(super) fn plan(builder: &mut Builder, spec: &Spec, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    let Some(linux) = &spec.linux else { return Ok(()) };
    for (name, value) in &linux.sysctl {
        let at = format!("/linux/sysctl/{}", pointer::escape(name));
        let parameter = sysctl::parse(name).map_err(|message| Error::at(at.clone(), message))?;
        if !kind(parameter.namespace).is_some_and(|kind| namespaces.has(kind)) {
            let message =
                format!("sysctl {name:?} is not allowed in the host's {} namespace", parameter.namespace);
            return Err(Error::at(at, message).hint("give the container a namespace of its own"));
        }
        let proc = builder.descriptor(Descriptor::Proc);
        let path = format!("sys/{}", parameter.path);
        let step =
            Step::WriteSysctl { proc, path: Str::from(path.as_str()), value: Str::from(value.as_str()) };
        builder.add(at, step);
    }
    Ok(())
}

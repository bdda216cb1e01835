//! Conversions from and to the types of the crate oci-spec, which other programs in Rust hold.

use oci_spec::OciSpecError;
use oci_spec::runtime::{ContainerState, Spec as OciSpec, State as OciState, StateBuilder};

use crate::bundle::{ParseError, parse_spec};
use crate::config::Spec;
use crate::container::{State, Status};

/// By way of the document that both are: what this library judges is what it would have read.
impl TryFrom<&OciSpec> for Spec {
    type Error = ParseError;

    fn try_from(spec: &OciSpec) -> Result<Self, ParseError> {
        let document = serde_json::to_vec(spec).map_err(|error| ParseError::Syntax(error.to_string()))?;
        parse_spec(&document)
    }
}

/// What oci-spec cannot hold is an error there: it knows no names but those of its own lists.
impl TryFrom<&Spec> for OciSpec {
    type Error = serde_json::Error;

    fn try_from(spec: &Spec) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(spec)?)
    }
}

/// oci-spec has no word for a paused container, which counts as a running one.
impl TryFrom<&State> for OciState {
    type Error = OciSpecError;

    fn try_from(state: &State) -> Result<Self, OciSpecError> {
        let status = match state.status {
            Status::Creating => ContainerState::Creating,
            Status::Created => ContainerState::Created,
            Status::Running | Status::Paused => ContainerState::Running,
            Status::Stopped => ContainerState::Stopped,
        };
        StateBuilder::default()
            .version(state.oci_version)
            .id(state.id.clone())
            .status(status)
            .pid(state.pid)
            .bundle(state.bundle.clone())
            .annotations(state.annotations.clone().into_iter().collect::<std::collections::HashMap<_, _>>())
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bundle;

    /// oci-spec keeps capabilities in no order.
    fn sorted(mut spec: Spec) -> Spec {
        let sets = spec.process.as_mut().and_then(|process| process.capabilities.as_mut()).unwrap();
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.sort();
        }
        spec
    }

    #[test]
    fn a_template_goes_there_and_back() {
        let template = Spec::template();
        let theirs = OciSpec::try_from(&template).unwrap();
        assert_eq!(sorted(Spec::try_from(&theirs).unwrap()), sorted(template.clone()));
        assert_eq!(sorted(Bundle::new("/", &theirs).unwrap().spec), sorted(template.clone()));
        assert_eq!(Bundle::new("/", template.clone()).unwrap().spec, template);
    }

    #[test]
    fn what_oci_spec_does_not_know_is_an_error_there() {
        let mut spec = Spec::template();
        spec.process
            .get_or_insert_default()
            .capabilities
            .get_or_insert_default()
            .bounding
            .push("CAP_FUTURE".into());
        assert!(OciSpec::try_from(&spec).is_err());
    }

    #[test]
    fn a_state_becomes_theirs() {
        let state = State {
            oci_version: crate::OCI_VERSION,
            id: "web".into(),
            pid: 7,
            status: Status::Paused,
            bundle: "/srv/web".into(),
            rootfs: "/srv/web/rootfs".into(),
            created: String::new(),
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            owner: String::new(),
        };
        let theirs = OciState::try_from(&state).unwrap();
        assert_eq!((theirs.id().as_str(), *theirs.pid()), ("web", Some(7)));
        assert_eq!(*theirs.status(), ContainerState::Running);
    }
}

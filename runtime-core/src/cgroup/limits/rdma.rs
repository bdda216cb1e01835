//! `/linux/resources/rdma`: the controller rdma, the same in both versions.

use std::collections::BTreeMap;

use super::Setting;
use crate::config::Rdma;
use crate::pointer::escape;

/// One line for each device; a limit that is absent stays what it is.
pub(super) fn settings(devices: &BTreeMap<String, Rdma>) -> Vec<Setting> {
    let line = |(device, limits): (&String, &Rdma)| {
        let handles = limits.hca_handles.map(|handles| format!(" hca_handle={handles}"));
        let objects = limits.hca_objects.map(|objects| format!(" hca_object={objects}"));
        let limits: String = handles.into_iter().chain(objects).collect();
        let pointer = format!("/linux/resources/rdma/{}", escape(device));
        (!limits.is_empty()).then(|| Setting::new(pointer, "rdma.max", format!("{device}{limits}")))
    };
    devices.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn lines_of_devices() {
        let devices = serde_json::from_str(
            r#"{"a": {"hcaHandles": 3}, "b": {"hcaHandles": 1, "hcaObjects": 2}, "c": {}}"#,
        );
        assert_eq!(
            shown(&settings(&devices.unwrap())),
            ["rdma.max=a hca_handle=3", "rdma.max=b hca_handle=1 hca_object=2"]
        );
    }
}

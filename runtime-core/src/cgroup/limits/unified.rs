//! `/linux/resources/unified`: files of version 2 by their names.

use std::collections::BTreeMap;

use super::Setting;
use crate::cgroup::Error;
use crate::pointer::escape;

/// Files are written as they are; all the driver knows is which controller one belongs to.
pub(super) fn settings(
    files: &BTreeMap<String, String>,
    is_v1: impl Fn(&str) -> bool,
) -> Result<Vec<Setting>, Error> {
    let setting = |(file, value): (&String, &String)| {
        let pointer = format!("/linux/resources/unified/{}", escape(file));
        let setting = Setting::new(pointer.clone(), file.clone(), value.trim());
        if is_v1(setting.controller()) {
            let reason = format!(
                "invalid configuration: the controller {} is one of cgroup v1 on this host",
                setting.controller()
            );
            return Err(Error::Value { pointer, reason });
        }
        Ok(setting)
    };
    files.iter().map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn controllers_of_version_1_have_no_such_files() {
        let files = BTreeMap::from([("memory.high".to_owned(), " 5\n".to_owned())]);
        assert_eq!(shown(&settings(&files, |_| false).unwrap()), ["memory.high=5"]);
        let error = settings(&files, |controller| controller == "memory").unwrap_err();
        assert_eq!(error.pointer(), Some("/linux/resources/unified/memory.high"));
    }
}

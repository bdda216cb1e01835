//! `/linux/resources/network`: the controllers net_cls and net_prio, which only version 1 has.

use super::Setting;
use crate::cgroup::Error;
use crate::config::Network;

const CLASS: &str = "/linux/resources/network/classID";
const PRIORITIES: &str = "/linux/resources/network/priorities";

pub(super) fn settings(network: &Network, is_v1: impl Fn(&str) -> bool) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    // Class 0 is that of packets without a class.
    if let Some(class) = network.class_id.filter(|class| *class != 0) {
        settings.push(Setting::new(CLASS, "net_cls.classid", class));
    }
    for (index, priority) in network.priorities.iter().enumerate() {
        let line = format!("{} {}", priority.name, priority.priority);
        settings.push(Setting::new(format!("{PRIORITIES}/{index}"), "net_prio.ifpriomap", line));
    }
    match settings.iter().find(|setting| !is_v1(setting.controller())) {
        Some(setting) => Err(Error::NoController {
            pointer: setting.pointer.clone().into_owned(),
            controller: setting.controller().to_owned(),
            path: "/sys/fs/cgroup".into(),
        }),
        None => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn classes_and_priorities_need_version_1() {
        let network: Network =
            serde_json::from_str(r#"{"classID": 1, "priorities": [{"name": "lo", "priority": 5}]}"#).unwrap();
        assert_eq!(
            shown(&settings(&network, |_| true).unwrap()),
            ["net_cls.classid=1", "net_prio.ifpriomap=lo 5"]
        );
        let error = settings(&network, |controller| controller == "net_cls").unwrap_err();
        assert_eq!(error.pointer(), Some("/linux/resources/network/priorities/0"));
        assert!(
            settings(&Network { class_id: Some(0), ..Network::default() }, |_| false).unwrap().is_empty()
        );
    }
}

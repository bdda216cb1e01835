//! `/linux/resources/blockIO`: the controller blkio of version 1, io of version 2.

use super::Setting;
use crate::cgroup::Error;
use crate::config::{BlockIo, ThrottleDevice};

const AT: &str = "/linux/resources/blockIO";

pub(super) fn v1(io: &BlockIo) -> Vec<Setting> {
    let mut settings = Vec::new();
    // The scheduler CFQ, and with it the files without `bfq`, is gone from newer kernels.
    if let Some(weight) = given(io.weight) {
        settings.push(either("weight", "blkio.weight", "blkio.bfq.weight", weight));
    }
    if let Some(weight) = given(io.leaf_weight) {
        settings.push(Setting::new(format!("{AT}/leafWeight"), "blkio.leaf_weight", weight));
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        let line = |weight| format!("{}:{} {weight}", device.major, device.minor);
        let field = format!("weightDevice/{index}");
        if let Some(weight) = given(device.weight) {
            settings.push(either(&field, "blkio.weight_device", "blkio.bfq.weight_device", line(weight)));
        }
        if let Some(weight) = given(device.leaf_weight) {
            settings.push(Setting::new(format!("{AT}/{field}"), "blkio.leaf_weight_device", line(weight)));
        }
    }
    for (field, devices, file, _) in throttles(io) {
        for (index, device) in devices.iter().enumerate() {
            let line = format!("{}:{} {}", device.major, device.minor, device.rate);
            settings.push(Setting::new(format!("{AT}/{field}/{index}"), file, line));
        }
    }
    settings
}

pub(super) fn v2(io: &BlockIo) -> Result<Vec<Setting>, Error> {
    let leaf = io.weight_device.iter().position(|device| given(device.leaf_weight).is_some());
    if given(io.leaf_weight).is_some() || leaf.is_some() {
        let field = leaf.map_or("leafWeight".to_owned(), |index| format!("weightDevice/{index}/leafWeight"));
        let reason = "cgroup v2 has no such weight; leave it out".to_owned();
        return Err(Error::Value { pointer: format!("{AT}/{field}"), reason });
    }
    let mut settings = Vec::new();
    if let Some(weight) = given(io.weight) {
        let line = format!("default {}", cost_weight(weight));
        let cost = Setting::new(format!("{AT}/weight"), "io.weight", line);
        settings.push(Setting::new(format!("{AT}/weight"), "io.bfq.weight", weight).or(cost));
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        let Some(weight) = given(device.weight) else { continue };
        let field = format!("{AT}/weightDevice/{index}");
        let line = |weight: u64| format!("{}:{} {weight}", device.major, device.minor);
        let cost = Setting::new(field.clone(), "io.weight", line(cost_weight(weight)));
        settings.push(Setting::new(field, "io.bfq.weight", line(weight.into())).or(cost));
    }
    for (field, devices, _, key) in throttles(io) {
        for (index, ThrottleDevice { major, minor, rate }) in devices.iter().enumerate() {
            let rate = if *rate == 0 { "max".to_owned() } else { rate.to_string() };
            let line = format!("{major}:{minor} {key}={rate}");
            settings.push(Setting::new(format!("{AT}/{field}/{index}"), "io.max", line));
        }
    }
    Ok(settings)
}

/// The lists of rates: field, devices, file of version 1, key of version 2.
fn throttles(io: &BlockIo) -> [(&'static str, &[ThrottleDevice], &'static str, &'static str); 4] {
    [
        ("throttleReadBpsDevice", &io.throttle_read_bps_device, "blkio.throttle.read_bps_device", "rbps"),
        ("throttleWriteBpsDevice", &io.throttle_write_bps_device, "blkio.throttle.write_bps_device", "wbps"),
        ("throttleReadIOPSDevice", &io.throttle_read_iops_device, "blkio.throttle.read_iops_device", "riops"),
        (
            "throttleWriteIOPSDevice",
            &io.throttle_write_iops_device,
            "blkio.throttle.write_iops_device",
            "wiops",
        ),
    ]
}

fn either(field: &str, file: &'static str, newer: &'static str, value: impl ToString) -> Setting {
    let pointer = format!("{AT}/{field}");
    Setting::new(pointer.clone(), file, value.to_string()).or(Setting::new(pointer, newer, value))
}

/// From the scale of the specification, 10 to 1000, to that of `io.weight`, 1 to 10000.
pub(in crate::cgroup) fn cost_weight(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}

fn given(weight: Option<u16>) -> Option<u16> {
    weight.filter(|weight| *weight != 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn io(json: &str) -> BlockIo {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn weights() {
        let weights = io(r#"{"weight": 1000, "weightDevice": [{"major": 8, "minor": 1, "weight": 10}]}"#);
        assert_eq!(
            shown(&v1(&weights)),
            [
                "blkio.weight=1000, blkio.bfq.weight=1000",
                "blkio.weight_device=8:1 10, blkio.bfq.weight_device=8:1 10"
            ]
        );
        assert_eq!(
            shown(&v2(&weights).unwrap()),
            ["io.bfq.weight=1000, io.weight=default 10000", "io.bfq.weight=8:1 10, io.weight=8:1 1"]
        );
        assert!(v1(&io(r#"{"weight": 0, "leafWeight": 0}"#)).is_empty());
    }

    #[test]
    fn leaf_weights_are_of_version_1_alone() {
        let leaf = io(r#"{"weightDevice": [{"major": 8, "minor": 1, "leafWeight": 20}], "leafWeight": 10}"#);
        assert_eq!(shown(&v1(&leaf)), ["blkio.leaf_weight=10", "blkio.leaf_weight_device=8:1 20"]);
        assert_eq!(
            v2(&leaf).unwrap_err().pointer(),
            Some("/linux/resources/blockIO/weightDevice/0/leafWeight")
        );
        let error = v2(&io(r#"{"leafWeight": 10}"#)).unwrap_err();
        assert_eq!(error.pointer(), Some("/linux/resources/blockIO/leafWeight"));
    }

    #[test]
    fn rates() {
        let rates = io(r#"{"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}],
                           "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]}"#);
        assert_eq!(
            shown(&v1(&rates)),
            ["blkio.throttle.read_bps_device=8:0 5", "blkio.throttle.write_iops_device=8:0 0"]
        );
        assert_eq!(shown(&v2(&rates).unwrap()), ["io.max=8:0 rbps=5", "io.max=8:0 wiops=max"]);
    }
}

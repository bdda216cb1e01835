//! How new limits go together with those of before: what is absent keeps its value.

use std::collections::BTreeMap;

use super::{
    BlockIo, Cpu, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources, ThrottleDevice,
    WeightDevice,
};

impl Resources {
    /// These changes, and those values of `before` that make sense only together with them: memory with swap, the quota
    /// of processor time with its period. As everywhere in this ecosystem 0 counts as absent in these four.
    #[must_use]
    pub fn with_partners(&self, before: &Self) -> Self {
        let mut changes = self.clone();
        if let (Some(memory), Some(old)) = (&mut changes.memory, &before.memory) {
            let (limit, swap) = (given(memory.limit), given(memory.swap));
            memory.limit = limit.or(swap.and(old.limit));
            // Without a limit of memory there is none of swap either.
            memory.swap = swap.or(if limit == Some(-1) { Some(-1) } else { limit.and(old.swap) });
        }
        if let (Some(cpu), Some(old)) = (&mut changes.cpu, &before.cpu) {
            let (quota, period) = (given(cpu.quota), given(cpu.period));
            cpu.quota = quota.or(period.and(old.quota));
            cpu.period = period.or(quota.and(old.period));
        }
        changes
    }

    /// The limits in force once `changes` have been made to these. Device rules are not among them.
    #[must_use]
    pub fn updated(&self, changes: &Self) -> Self {
        let mut unified = self.unified.clone();
        unified.extend(changes.unified.clone());
        Self {
            unified,
            devices: Vec::new(),
            memory: both(&self.memory, &changes.memory, Memory::updated),
            cpu: both(&self.cpu, &changes.cpu, Cpu::updated),
            pids: both(&self.pids, &changes.pids, |old, new| Pids { limit: new.limit.or(old.limit) }),
            block_io: both(&self.block_io, &changes.block_io, BlockIo::updated),
            hugepage_limits: replaced(&self.hugepage_limits, &changes.hugepage_limits, |limit| {
                HugepageLimit::clone(limit).page_size
            }),
            network: both(&self.network, &changes.network, Network::updated),
            rdma: rdma(&self.rdma, &changes.rdma),
        }
    }
}

impl Memory {
    fn updated(&self, new: &Self) -> Self {
        Self {
            limit: given(new.limit).or(self.limit),
            reservation: given(new.reservation).or(self.reservation),
            swap: given(new.swap).or(self.swap),
            kernel: given(new.kernel).or(self.kernel),
            kernel_tcp: given(new.kernel_tcp).or(self.kernel_tcp),
            swappiness: new.swappiness.or(self.swappiness),
            disable_oom_killer: new.disable_oom_killer.or(self.disable_oom_killer),
            use_hierarchy: new.use_hierarchy.or(self.use_hierarchy),
            check_before_update: new.check_before_update.or(self.check_before_update),
        }
    }
}

impl Cpu {
    fn updated(&self, new: &Self) -> Self {
        // The kernel forgets the weight of a group that becomes idle, or ceases to be.
        let shares = self.shares.filter(|_| new.idle.is_none());
        Self {
            shares: given(new.shares).or(shares),
            quota: given(new.quota).or(self.quota),
            burst: new.burst.or(self.burst),
            period: given(new.period).or(self.period),
            realtime_runtime: given(new.realtime_runtime).or(self.realtime_runtime),
            realtime_period: given(new.realtime_period).or(self.realtime_period),
            cpus: new.cpus.as_ref().or(self.cpus.as_ref()).cloned(),
            mems: new.mems.as_ref().or(self.mems.as_ref()).cloned(),
            idle: new.idle.or(self.idle),
        }
    }
}

impl BlockIo {
    fn updated(&self, new: &Self) -> Self {
        let rates = |old: &[ThrottleDevice], new| replaced(old, new, |rate| (rate.major, rate.minor));
        Self {
            weight: given(new.weight).or(self.weight),
            leaf_weight: given(new.leaf_weight).or(self.leaf_weight),
            weight_device: replaced(
                &self.weight_device,
                &new.weight_device,
                |WeightDevice { major, minor, .. }| (*major, *minor),
            ),
            throttle_read_bps_device: rates(&self.throttle_read_bps_device, &new.throttle_read_bps_device),
            throttle_write_bps_device: rates(&self.throttle_write_bps_device, &new.throttle_write_bps_device),
            throttle_read_iops_device: rates(&self.throttle_read_iops_device, &new.throttle_read_iops_device),
            throttle_write_iops_device: rates(
                &self.throttle_write_iops_device,
                &new.throttle_write_iops_device,
            ),
        }
    }
}

impl Network {
    fn updated(&self, new: &Self) -> Self {
        Self {
            class_id: given(new.class_id).or(self.class_id),
            priorities: replaced(&self.priorities, &new.priorities, |InterfacePriority { name, .. }| {
                name.clone()
            }),
        }
    }
}

fn rdma(old: &BTreeMap<String, Rdma>, new: &BTreeMap<String, Rdma>) -> BTreeMap<String, Rdma> {
    let mut devices = old.clone();
    for (name, limits) in new {
        let device = devices.entry(name.clone()).or_default();
        device.hca_handles = limits.hca_handles.or(device.hca_handles);
        device.hca_objects = limits.hca_objects.or(device.hca_objects);
    }
    devices
}

/// A section that either side may lack.
fn both<T: Clone>(old: &Option<T>, new: &Option<T>, updated: impl Fn(&T, &T) -> T) -> Option<T> {
    match (old, new) {
        (Some(old), Some(new)) => Some(updated(old, new)),
        (old, new) => new.as_ref().or(old.as_ref()).cloned(),
    }
}

/// A list in which new items take the place of old ones with the same key.
fn replaced<T: Clone, K: PartialEq>(old: &[T], new: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let stays = |item: &&T| !new.iter().any(|other| key(other) == key(item));
    old.iter().filter(stays).chain(new).cloned().collect()
}

fn given<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    fn completed(before: &str, changes: &str) -> Resources {
        resources(changes).with_partners(&resources(before))
    }

    #[test]
    fn partners_come_along() {
        let before = r#"{"memory": {"limit": 100, "swap": 150, "reservation": 50},
                         "cpu": {"quota": 5000, "period": 9000, "shares": 7}}"#;
        for (changes, expected) in [
            (r#"{"memory": {"swap": 200}}"#, r#"{"memory": {"limit": 100, "swap": 200}}"#),
            (r#"{"memory": {"limit": 120}}"#, r#"{"memory": {"limit": 120, "swap": 150}}"#),
            (r#"{"memory": {"limit": -1}}"#, r#"{"memory": {"limit": -1, "swap": -1}}"#),
            (r#"{"memory": {"limit": 0, "reservation": 10}}"#, r#"{"memory": {"reservation": 10}}"#),
            (r#"{"cpu": {"quota": 6000}}"#, r#"{"cpu": {"quota": 6000, "period": 9000}}"#),
            (r#"{"cpu": {"period": 8000}}"#, r#"{"cpu": {"quota": 5000, "period": 8000}}"#),
            (r#"{"cpu": {"shares": 9}}"#, r#"{"cpu": {"shares": 9}}"#),
        ] {
            assert_eq!(completed(before, changes), resources(expected), "{changes}");
            assert_eq!(completed("{}", expected), resources(expected), "nothing was limited before");
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = resources(
            r#"{"memory": {"limit": 100, "reservation": 50}, "cpu": {"shares": 7, "cpus": "0", "burst": 5},
                "pids": {"limit": 9}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
                "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}]},
                "unified": {"memory.high": "1"}, "rdma": {"a": {"hcaHandles": 1, "hcaObjects": 2}},
                "devices": [{"allow": true}]}"#,
        );
        assert_eq!(
            before.updated(&Resources::default()),
            Resources { devices: Vec::new(), ..before.clone() }
        );
        let changes = resources(
            r#"{"memory": {"limit": 200, "reservation": 0}, "cpu": {"cpus": "1", "shares": 0, "burst": 0},
                "pids": {}, "hugepageLimits": [{"pageSize": "1GB", "limit": 3}],
                "blockIO": {"weight": 0, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 6},
                                                                  {"major": 8, "minor": 1, "rate": 7}]},
                "unified": {"pids.max": "2"}, "rdma": {"a": {"hcaObjects": 3}}}"#,
        );
        let after = resources(
            r#"{"memory": {"limit": 200, "reservation": 50}, "cpu": {"shares": 7, "cpus": "1", "burst": 0},
                "pids": {"limit": 9},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 3}],
                "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 6},
                                                                   {"major": 8, "minor": 1, "rate": 7}]},
                "unified": {"memory.high": "1", "pids.max": "2"},
                "rdma": {"a": {"hcaHandles": 1, "hcaObjects": 3}}}"#,
        );
        assert_eq!(before.updated(&changes), after);
    }

    #[test]
    fn idleness_changes_the_weight() {
        let before = resources(r#"{"cpu": {"shares": 7}}"#);
        let after = before.updated(&resources(r#"{"cpu": {"idle": 1}}"#));
        assert_eq!(after, resources(r#"{"cpu": {"idle": 1}}"#));
    }
}

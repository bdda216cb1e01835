//! `/linux/resources/hugepageLimits`: the controller hugetlb.

use super::Setting;
use crate::config::HugepageLimit;

/// The limit of pages in use, and the one of pages promised to mappings, which a process meets at mmap(2) and not as a
/// fatal signal later; kernels before 5.7 do not have that.
pub(super) fn settings(limits: &[HugepageLimit], v1: bool) -> Vec<Setting> {
    let suffix = if v1 { "limit_in_bytes" } else { "max" };
    let both = |(index, limit): (usize, &HugepageLimit)| {
        let set = |kind: &str| {
            let pointer = format!("/linux/resources/hugepageLimits/{index}");
            Setting::new(pointer, format!("hugetlb.{}.{kind}{suffix}", limit.page_size), limit.limit)
        };
        [set(""), set("rsvd.").optional(true)]
    };
    limits.iter().enumerate().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn used_and_reserved_pages() {
        let limits = [HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 }];
        assert_eq!(
            shown(&settings(&limits, true)),
            ["hugetlb.2MB.limit_in_bytes=4194304", "hugetlb.2MB.rsvd.limit_in_bytes=4194304?"]
        );
        assert_eq!(
            shown(&settings(&limits, false)),
            ["hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304?"]
        );
    }
}

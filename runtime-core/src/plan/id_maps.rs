//! `/linux/uidMappings`, `/linux/gidMappings`: the ids of a user namespace.

use serde::{Deserialize, Serialize};

use crate::config::{IdMapping, Spec};

/// The id mappings of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<IdMapping>,
    /// Group ids.
    pub gids: Vec<IdMapping>,
}

impl IdMaps {
    /// Those of the container's user namespace.
    pub(crate) fn of(spec: &Spec) -> Self {
        let linux = spec.linux.as_ref();
        Self {
            uids: linux.map_or_else(Vec::new, |linux| linux.uid_mappings.clone()),
            gids: linux.map_or_else(Vec::new, |linux| linux.gid_mappings.clone()),
        }
    }

    /// True where nothing is mapped.
    pub(crate) fn is_empty(&self) -> bool {
        self.uids.is_empty() && self.gids.is_empty()
    }

    /// User and group with which the container is set up, as seen inside: root, or the first that is mapped.
    pub(crate) fn root(&self) -> (u32, u32) {
        (root(&self.uids).container_id, root(&self.gids).container_id)
    }

    /// The same as seen outside.
    pub(crate) fn host_root(&self) -> (u32, u32) {
        (root(&self.uids).host_id, root(&self.gids).host_id)
    }

    /// A user of the container as the host knows it.
    pub(crate) fn host_user(&self, user: u32) -> Option<u32> {
        self.uids.iter().find_map(|range| {
            let offset = user.checked_sub(range.container_id).filter(|offset| *offset < range.size)?;
            range.host_id.checked_add(offset)
        })
    }
}

/// The range that begins with root, or the first one; root itself where nothing is mapped.
fn root(mappings: &[IdMapping]) -> IdMapping {
    let root = mappings.iter().find(|mapping| mapping.container_id == 0);
    root.or(mappings.first()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_or_the_first_id() {
        let range = |container_id, host_id| IdMapping { container_id, host_id, size: 10 };
        let maps = IdMaps { uids: vec![range(100, 1000), range(0, 5000)], gids: vec![range(7, 70)] };
        assert_eq!((maps.root(), maps.host_root()), ((0, 7), (5000, 70)));
        assert_eq!(IdMaps::default().root(), (0, 0));
        assert_eq!(
            [0, 9, 10, 100, 109].map(|user| maps.host_user(user)),
            [Some(5000), Some(5009), None, Some(1000), Some(1009)]
        );
    }
}

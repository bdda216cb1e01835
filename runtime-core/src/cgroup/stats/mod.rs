//! What a container has used: the figures of all its controllers, whatever version of cgroups they are in.
//!
//! Serialised, they are the document that runc's `events` prints: names and units are those of cgroup v1.

mod block_io;
mod cpu;
mod cpuset;
mod file;
mod hugetlb;
mod memory;
mod other;
mod pressure;

use std::collections::BTreeMap;

use serde::Serialize;

pub use block_io::{BlockEntry, BlockIo};
pub use cpu::{Cpu, CpuUsage, Throttling};
pub use cpuset::Cpuset;
pub use hugetlb::Hugetlb;
pub use memory::{Memory, MemoryEntry};
pub use other::{Misc, Pids, Rdma};
pub use pressure::{Pressure, Stall};

use super::Error;
use super::dir::Dir;
use super::saved::{Group, Saved};

/// The figures of a container; those of a controller that it does not have are zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Processors and memory nodes.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages, by size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// Remote direct memory access, by device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rdma: BTreeMap<String, Rdma>,
    /// Resources of the controller misc, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub misc: BTreeMap<String, Misc>,
}

/// Where the figures of a controller are.
enum Place<'a> {
    V1(&'a Dir),
    V2(&'a Dir),
}

/// Reads all figures of a cgroup.
pub(super) fn of(saved: &Saved) -> Result<Stats, Error> {
    let dirs: Vec<Dir> = saved.groups.iter().map(Group::existing).collect::<Result<_, _>>()?;
    let dir = |fits: &dyn Fn(&Group) -> bool| {
        saved.groups.iter().zip(&dirs).find(|(group, _)| fits(group)).map(|(_, dir)| dir)
    };
    let unified = dir(&|group| group.hierarchy.is_unified());
    let v1 = |controller: &str| dir(&|group| group.hierarchy.has(controller));
    let place = |controller: &str| v1(controller).map(Place::V1).or(unified.map(Place::V2));
    Ok(Stats {
        cpu: Cpu {
            usage: place("cpuacct").map_or(Ok(CpuUsage::default()), |place| cpu::usage(&place))?,
            throttling: place("cpu").map_or(Ok(Throttling::default()), |place| cpu::throttling(&place))?,
            psi: pressure::of(unified, "cpu")?,
        },
        cpuset: place("cpuset").map_or(Ok(Cpuset::default()), |place| cpuset::of(&place))?,
        memory: Memory {
            psi: pressure::of(unified, "memory")?,
            ..place("memory").map_or(Ok(Memory::default()), |place| memory::of(&place))?
        },
        pids: v1("pids").or(unified).map_or(Ok(Pids::default()), other::pids)?,
        blkio: BlockIo {
            psi: pressure::of(unified, "io")?,
            ..place("blkio").map_or(Ok(BlockIo::default()), |place| block_io::of(&place))?
        },
        hugetlb: place("hugetlb").map_or(Ok(BTreeMap::new()), |place| hugetlb::of(&place))?,
        rdma: v1("rdma").or(unified).map_or(Ok(BTreeMap::new()), other::rdma)?,
        misc: v1("misc").or(unified).map_or(Ok(BTreeMap::new()), other::misc)?,
    })
}

/// Left out of the document, as runc does.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

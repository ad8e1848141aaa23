//! Use of NVIDIA devices by the target's tree, read now and then from the driver's own library (NVML), which is loaded
//! only where one of the tree's processes holds a device. Without a driver or without such a process: nothing, silently.
//!
//! NVML names processes by the machine's own pids. How busy a device was is the driver's figure: the share of its last
//! sample period (1/6 s to 1 s) in which a kernel ran, on behalf of whoever used the device; memory is the tree's own.
//! <https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html>

use std::{collections::BTreeSet, path::Path};

use nvml_wrapper::{Device, Nvml, enums::device::UsedGpuMemory};

use crate::recording::{Gpu, GpuReading, Nanos};

const EVERY_NS: u64 = 100_000_000;
/// Until the tree is seen with a device, its descriptors are looked at less often.
const LOOK_EVERY_NS: u64 = 250_000_000;
/// Processes and descriptors that are looked at in one go.
const PROCESSES: usize = 256;
const DESCRIPTORS: usize = 1024;
/// Every device of the driver has a node whose name begins so.
const NODE: &str = "/dev/nvidia";

#[derive(Debug, Default)]
enum Driver {
    /// Nobody has used a device yet.
    #[default]
    Unused,
    Loaded(Box<Nvml>),
    /// It does not answer; that is looked at once.
    Absent,
}

#[derive(Debug, Default)]
pub struct GpuWatch {
    driver: Driver,
    next_ns: u64,
    seen: Gpu,
}

impl GpuWatch {
    /// `at`: since the recording's origin.
    pub fn tick(&mut self, now_ns: u64, at: Nanos, processes: &BTreeSet<u32>) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns.saturating_add(EVERY_NS);
        match &self.driver {
            Driver::Unused if processes.iter().take(PROCESSES).any(|pid| holds_device(*pid)) => {
                self.driver = Nvml::init().map_or(Driver::Absent, |nvml| Driver::Loaded(Box::new(nvml)));
                self.next_ns = now_ns;
            }
            Driver::Unused => self.next_ns = now_ns.saturating_add(LOOK_EVERY_NS),
            Driver::Loaded(nvml) => read(nvml, at, processes, &mut self.seen),
            Driver::Absent => self.next_ns = u64::MAX,
        }
    }

    pub fn into_seen(self) -> Gpu {
        self.seen
    }
}

/// The device of each file of the process is not asked for: the names of the driver's nodes are fixed.
fn holds_device(pid: u32) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().take(DESCRIPTORS).any(|file| {
        let target = std::fs::read_link(file.path());
        target.is_ok_and(|target| is_node(&target))
    })
}

fn is_node(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(NODE))
}

fn read(nvml: &Nvml, at: Nanos, processes: &BTreeSet<u32>, seen: &mut Gpu) {
    let devices = nvml.device_count().unwrap_or(0);
    for device in (0..devices).filter_map(|index| nvml.device_by_index(index).ok()) {
        let Some(memory) = held(&device, processes) else { continue };
        let name = device.name().unwrap_or_default();
        let busy_pct = device.utilization_rates().map_or(0, |rates| rates.gpu.min(100)) as u8;
        let index = device.index().unwrap_or(0);
        seen.add(index, &name, GpuReading { at, device: index, busy_pct, memory });
    }
}

/// Memory of the tree's processes on the device; None: none of them uses it.
fn held(device: &Device<'_>, processes: &BTreeSet<u32>) -> Option<u64> {
    let computing = device.running_compute_processes().unwrap_or_default();
    let drawing = device.running_graphics_processes().unwrap_or_default();
    // One that does both is in both lists, with the same figure.
    let mut of_tree: Vec<(u32, u64)> = computing
        .into_iter()
        .chain(drawing)
        .filter(|process| processes.contains(&process.pid))
        .map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => (process.pid, bytes),
            UsedGpuMemory::Unavailable => (process.pid, 0),
        })
        .collect();
    of_tree.sort_unstable();
    of_tree.dedup_by_key(|(pid, _)| *pid);
    (!of_tree.is_empty())
        .then(|| of_tree.iter().map(|(_, bytes)| bytes).fold(0u64, |sum, bytes| sum.saturating_add(*bytes)))
}

//! Stacks → whether a thread waits for a GPU in them: blocked inside NVIDIA's user-space driver, or inside one of its
//! calls that return when the device is done.
//!
//! By default CUDA does not sleep in these calls but asks the device again and again: the CPU is busy, and nothing is
//! computed. That time is a wait for the GPU too; the thread's CPU time stays what the kernel counted. In other calls of
//! the driver (a launch, an allocation) time on the CPU is work. Interpreted code that the driver calls back is not the
//! driver. Not known where the driver is linked under another name.

use crate::resolve::{Language, Place, Resolved};

/// By `StackId`.
pub(super) struct GpuDriver {
    within: Vec<bool>,
    until_done: Vec<bool>,
}

impl GpuDriver {
    pub(super) fn new(resolved: &Resolved) -> Self {
        let (within, until_done) = resolved
            .stacks
            .iter()
            .map(|stack| {
                let places = stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
                let native = places
                    .filter(|place| place.language != Language::Kernel)
                    .take_while(|place| place.language == Language::Native);
                native
                    .filter(|place| is_driver(place))
                    .fold((false, false), |(_, waits), place| (true, waits || returns_when_done(&place.function)))
            })
            .unzip();
        Self { within, until_done }
    }

    /// A blocked thread with such a stack waits for the device.
    pub(super) fn is_within(&self, stack: usize) -> bool {
        self.within.get(stack).copied().unwrap_or(false)
    }

    /// A thread that is on the CPU with such a stack waits for the device as well.
    pub(super) fn is_until_done(&self, stack: usize) -> bool {
        self.until_done.get(stack).copied().unwrap_or(false)
    }
}

/// The driver's libraries: `libcuda.so.1`, and what it loads (`libnvidia-ptxjitcompiler` compiles on the CPU and is none).
fn is_driver(place: &Place) -> bool {
    let Some(module) = place.module.as_deref() else { return false };
    let base = module.rsplit('/').next().unwrap_or(module);
    base.starts_with("libcuda.so")
}

/// Of the driver's public functions: <https://docs.nvidia.com/cuda/cuda-driver-api/api-sync-behavior.html>.
fn returns_when_done(function: &str) -> bool {
    let Some(name) = function.strip_prefix("cu") else { return false };
    let copies = name.starts_with("Memcpy") && !name.contains("Async");
    copies || name.contains("Synchronize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::PlaceId;

    const DRIVER: &str = "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54";

    /// Leaf first: (within, until done).
    fn of(places: &[(Language, &str, &str)]) -> (bool, bool) {
        let place = |(language, function, module): &(Language, &str, &str)| Place {
            function: (*function).into(),
            file: None,
            line: None,
            first_line: None,
            language: *language,
            module: (!module.is_empty()).then(|| (*module).into()),
            inlined: false,
            unnamed: None,
        };
        let ids = (0..places.len() as u32).map(PlaceId).collect();
        let driver = GpuDriver::new(&Resolved { places: places.iter().map(place).collect(), stacks: vec![ids] });
        (driver.is_within(0), driver.is_until_done(0))
    }

    #[test]
    fn calls_of_the_driver() {
        use Language::{Native, Python};
        let inner = (Native, "libcuda.so.550.54+0x1234", DRIVER);
        let train = (Python, "train", "");
        assert_eq!(of(&[inner, (Native, "cuStreamSynchronize", DRIVER), train]), (true, true));
        assert_eq!(of(&[inner, (Native, "cuMemcpyDtoH_v2", DRIVER), train]), (true, true));
        assert_eq!(of(&[inner, (Native, "cuMemcpyDtoHAsync_v2", DRIVER), train]), (true, false));
        assert_eq!(of(&[inner, (Native, "cuLaunchKernel", DRIVER), train]), (true, false));
        assert_eq!(of(&[(Native, "cuStreamSynchronize", "/p/libmine.so"), train]), (false, false));
        assert_eq!(of(&[train, inner]), (false, false));
        assert_eq!(of(&[]), (false, false));
    }
}

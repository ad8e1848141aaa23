//! Readings of the NVIDIA devices that the target used.

use serde::{Deserialize, Serialize};

use super::{GpuUse, Nanos};

/// Readings that are kept: at ten a second over a quarter of an hour for eight devices.
const MOST: usize = 1 << 16;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// (index that the driver gives, name), in the order in which they were first used.
    pub devices: Vec<(u32, String)>,
    pub readings: Vec<GpuReading>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuReading {
    pub at: Nanos,
    /// As in [`Gpu::devices`].
    pub device: u32,
    /// Share of the driver's last sample period in which anything ran on the device, in percent.
    pub busy_pct: u8,
    /// Bytes on the device that belong to the target's processes.
    pub memory: u64,
}

impl Gpu {
    pub fn add(&mut self, index: u32, name: &str, reading: GpuReading) {
        if !self.devices.iter().any(|(known, _)| *known == index) {
            self.devices.push((index, name.to_owned()));
        }
        if self.readings.len() < MOST {
            self.readings.push(reading);
        }
    }

    /// Over all devices: the mean of the readings, the highest sum of memory; None where no device was used.
    pub fn used(&self) -> Option<GpuUse> {
        let (_, first) = self.devices.first()?;
        let device = match self.devices.len() {
            1 => first.clone(),
            several => format!("{first} and {} more", several - 1),
        };
        let sum: u64 = self.readings.iter().map(|reading| u64::from(reading.busy_pct)).sum();
        let together = self.readings.chunk_by(|one, next| one.at == next.at);
        let memory = together.map(|readings| readings.iter().fold(0u64, |sum, one| sum.saturating_add(one.memory)));
        Some(GpuUse {
            device,
            utilization_pct: sum as f64 / self.readings.len().max(1) as f64,
            memory_peak: memory.max().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_over_readings_and_sums_over_devices() {
        let mut gpu = Gpu::default();
        assert_eq!(gpu.used(), None);
        let mut add = |at, device, busy_pct, memory| {
            gpu.add(
                device,
                if device == 0 { "A" } else { "B" },
                GpuReading { at: Nanos(at), device, busy_pct, memory },
            );
        };
        add(1, 0, 10, 5);
        add(2, 0, 30, 7);
        add(2, 1, 80, 6);
        let used = gpu.used().unwrap();
        assert_eq!((used.device.as_str(), used.utilization_pct, used.memory_peak), ("A and 1 more", 40.0, 13));
    }
}

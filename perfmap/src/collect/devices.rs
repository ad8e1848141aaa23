//! The kernel's numbers of block devices → their names, looked up once while they are there.

use std::{fs, path::Path};

use crate::recording::{Device, DeviceId};

/// What the kernel keeps a device's number in: 12 bits and 20 bits (include/linux/kdev_t.h).
const MINOR_BITS: u32 = 20;
/// More than a machine has; further ones share the last entry's place.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Devices {
    known: Vec<Device>,
}

impl Devices {
    pub(super) fn id(&mut self, number: u32) -> DeviceId {
        let (major, minor) = (number >> MINOR_BITS, number & ((1 << MINOR_BITS) - 1));
        let place = self.known.iter().position(|device| (device.major, device.minor) == (major, minor));
        let place = place.unwrap_or_else(|| {
            if self.known.len() < MOST {
                self.known.push(Device { major, minor, name: name(major, minor) });
            }
            self.known.len() - 1
        });
        DeviceId(place as u32)
    }

    pub(super) fn into_known(self) -> Vec<Device> {
        self.known
    }
}

/// The kernel's own name, as in /proc/diskstats.
fn name(major: u32, minor: u32) -> Option<String> {
    let link = fs::read_link(Path::new("/sys/dev/block").join(format!("{major}:{minor}"))).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_apart_and_looked_up_once() {
        let mut devices = Devices::default();
        let gone = 4095 << MINOR_BITS | 0xf_fff0;
        assert_eq!([devices.id(gone), devices.id(gone + 1), devices.id(gone)], [DeviceId(0), DeviceId(1), DeviceId(0)]);
        let expected = [0xf_fff0, 0xf_fff1].map(|minor| Device { major: 4095, minor, name: None });
        assert_eq!(devices.into_known(), expected);
    }
}

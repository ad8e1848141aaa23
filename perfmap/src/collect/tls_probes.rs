//! Probe points of one function → probes in the kernel, all of them or none. They hang on descriptors of ours: when perfmap is
//! gone, however it went, the kernel puts the target's instructions back.

use std::{fs::File, os::fd::AsRawFd, path::PathBuf};

use aya::{
    Ebpf,
    programs::{
        Program, UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
    },
};

use super::tls_functions::ProbePoints;
use crate::unwind::elf::Look;

const ENTER: &str = "on_tls_enter";
const RETURN: &str = "on_tls_return";

/// Why a probe could not be set.
pub type Refused = String;

/// Probes that are set, until they are dropped. Taking one away waits for a grace period of the kernel, some 100 ms, and
/// the kernel takes them away one by one: the fewer there are, the sooner perfmap is done.
#[derive(Debug, Default)]
pub struct Probes(Vec<UProbeLink>);

impl Probes {
    pub fn add(&mut self, mut others: Probes) {
        self.0.append(&mut others.0);
    }
}

/// Sets the probes of one function.
pub fn attach(ebpf: &mut Ebpf, file: &File, points: &ProbePoints) -> Result<Probes, Refused> {
    let ProbePoints { function, entry, returns } = points;
    let mut probes = Probes::default();
    // Returns first: an entry that is seen has a return that is seen.
    for offset in returns {
        probes.0.push(attach_one(ebpf, file, RETURN, *offset, 0)?);
    }
    probes.0.push(attach_one(ebpf, file, ENTER, *entry, *function as u64)?);
    Ok(probes)
}

/// Whether a probe can be set at all: at the first instruction of our own program, which is over.
pub fn try_one(ebpf: &mut Ebpf, program: &'static str) -> Result<(), Refused> {
    let own = File::open("/proc/self/exe").map_err(|error| error.to_string())?;
    let entry = Look::new(&own).ok().and_then(|look| look.offset_of(look.entry()?));
    let offset = entry.ok_or("perfmap's own program could not be read")?;
    attach_one(ebpf, &own, program, offset, 0).map(drop)
}

fn attach_one(
    ebpf: &mut Ebpf,
    file: &File,
    program: &'static str,
    offset: u64,
    cookie: u64,
) -> Result<UProbeLink, Refused> {
    let program: &mut UProbe = match ebpf.program_mut(program) {
        Some(Program::UProbe(program)) => program,
        Some(_) | None => return Err(format!("{program} is not in the object")),
    };
    let point = UProbeAttachPoint { location: UProbeAttachLocation::AbsoluteOffset(offset), cookie: Some(cookie) };
    // The kernel takes a path: this one names the very file that was read, in whichever root it lies.
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let attached = program.attach(point, path, UProbeScope::AllProcesses);
    attached.and_then(|link| program.take_link(link)).map_err(|error| reason(&error))
}

/// The innermost cause, which names the kernel's answer.
fn reason(error: &(dyn std::error::Error + 'static)) -> Refused {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("the probe was refused ({innermost})")
}

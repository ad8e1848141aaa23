//! Probe points of one file → probes in the kernel, all of them or none. They hang on descriptors of ours: when perfmap is
//! gone, however it went, the kernel puts the target's instructions back.

use std::{fs::File, os::fd::AsRawFd, path::PathBuf};

use aya::{
    Ebpf,
    programs::{
        Program, UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLinkId, UProbeScope},
    },
};

use super::tls_functions::ProbePoints;
use crate::unwind::elf::Look;

const ENTER: &str = "on_tls_enter";
const RETURN: &str = "on_tls_return";
const FREE: &str = "on_tls_free";

/// Why a probe could not be set.
pub type Refused = String;

/// Sets the probes of one file.
pub fn attach(ebpf: &mut Ebpf, file: &File, points: &ProbePoints) -> Result<(), Refused> {
    let ProbePoints { entries, returns, frees } = points;
    // Returns first: an entry that is seen has a return that is seen.
    let places = returns
        .iter()
        .map(|offset| (RETURN, *offset, 0))
        .chain(entries.iter().map(|(function, offset)| (ENTER, *offset, *function as u64)))
        .chain(frees.iter().map(|offset| (FREE, *offset, 0)));
    let mut links = Vec::new();
    for (program, offset, cookie) in places {
        match attach_one(ebpf, file, program, offset, cookie) {
            Ok(link) => links.push((program, link)),
            Err(why) => {
                for (program, link) in links {
                    if let Some(Program::UProbe(program)) = ebpf.program_mut(program) {
                        let _ = program.detach(link); // one that is left sees calls without returns, or the reverse
                    }
                }
                return Err(why);
            }
        }
    }
    Ok(())
}

/// Whether a probe can be set at all: at the first instruction of our own program, which is over. Left in place: it goes
/// with the program.
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
) -> Result<UProbeLinkId, Refused> {
    let program: &mut UProbe = match ebpf.program_mut(program) {
        Some(Program::UProbe(program)) => program,
        Some(_) | None => return Err(format!("{program} is not in the object")),
    };
    let point = UProbeAttachPoint { location: UProbeAttachLocation::AbsoluteOffset(offset), cookie: Some(cookie) };
    // The kernel takes a path: this one names the very file that was read, in whichever root it lies.
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    program.attach(point, path, UProbeScope::AllProcesses).map_err(|error| reason(&error))
}

/// The innermost cause, which names the kernel's answer.
fn reason(error: &(dyn std::error::Error + 'static)) -> Refused {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("the probe was refused ({innermost})")
}

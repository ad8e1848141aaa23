//! Probe points of a library's functions → probes in the kernel, all of them or none. They hang on descriptors of ours: when
//! perfmap is gone, however it went, the kernel puts the target's instructions back.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use aya::{
    Btf, Ebpf,
    programs::{
        Program, UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
    },
};

use super::{
    tls_functions::ProbePoints,
    tls_multi::{Kind, Maps, MultiProgram, Point, Scope},
};
use crate::{target::capabilities::raised, unwind::elf::Look};

pub const PROGRAM: &str = "on_tls";

/// Why a probe could not be set.
pub type Refused = String;

/// The program that all probes run, and the probes that are set. Taking them away waits for grace periods of the kernel:
/// one for a link of many probes, three for each probe where there are no such links.
#[derive(Debug)]
pub struct Probes {
    /// None: a kernel before 6.6.
    multi: Option<MultiProgram>,
    links: Vec<OwnedFd>,
    single: Vec<UProbeLink>,
}

impl Probes {
    pub fn load(ebpf: &mut Ebpf, object: &[u8], maps: &Maps, btf: &Btf) -> Result<Probes, Refused> {
        let multi = MultiProgram::load(object, PROGRAM, Kind::Plain, maps, btf).ok();
        Probes::with(ebpf, multi)
    }

    /// Without one, as on a kernel without links of many probes.
    pub fn with(ebpf: &mut Ebpf, multi: Option<MultiProgram>) -> Result<Probes, Refused> {
        let probes = Probes { multi, links: Vec::new(), single: Vec::new() };
        if probes.multi.is_none() {
            load_single(ebpf)?;
        }
        Ok(probes)
    }

    /// As on a kernel without links of many probes.
    pub fn load_single(ebpf: &mut Ebpf) -> Result<Probes, Refused> {
        load_single(ebpf)?;
        Ok(Probes { multi: None, links: Vec::new(), single: Vec::new() })
    }

    /// Sets the probes of some functions of one file.
    pub fn set(&mut self, ebpf: &mut Ebpf, file: &File, functions: &[&ProbePoints]) -> Result<(), Refused> {
        let returns = functions.iter().flat_map(|points| {
            let cookie = points.function.return_cookie();
            points.returns.iter().map(move |offset| Point { offset: *offset, cookie })
        });
        let entries = functions.iter().map(|points| Point { offset: points.entry, cookie: points.function as u64 });
        // Returns first: an entry that is seen has a return that is seen.
        let points: Vec<Point> = returns.chain(entries).collect();
        self.set_points(ebpf, file, &points)
    }

    /// Whether a probe can be set at all: at the first instruction of our own program, which is over.
    pub fn try_one(mut self, ebpf: &mut Ebpf) -> Result<(), Refused> {
        let own = File::open("/proc/self/exe").map_err(|error| error.to_string())?;
        let entry = Look::new(&own).ok().and_then(|look| look.offset_of(look.entry()?));
        let offset = entry.ok_or("perfmap's own program could not be read")?;
        self.set_points(ebpf, &own, &[Point { offset, cookie: 0 }])
    }

    /// No call is seen after this.
    pub fn end(&mut self) {
        self.links.clear();
        self.single.clear();
    }

    /// The program, where it is not the object's own.
    pub fn program(&self) -> Option<BorrowedFd<'_>> {
        self.multi.as_ref().map(|multi| multi.descriptor().as_fd())
    }

    /// Set while the target runs: with what attaching needs, whatever is in effect meanwhile.
    pub fn set_points(&mut self, ebpf: &mut Ebpf, file: &File, points: &[Point]) -> Result<(), Refused> {
        raised(|| self.attach(ebpf, file, points))
    }

    fn attach(&mut self, ebpf: &mut Ebpf, file: &File, points: &[Point]) -> Result<(), Refused> {
        if let Some(multi) = &self.multi {
            match multi.attach(file, points, Scope::default()) {
                Ok(link) => {
                    self.links.push(link);
                    return Ok(());
                }
                Err(error) if !unknown(&error) || !self.links.is_empty() => return Err(refused(&error)),
                Err(_) => {
                    load_single(ebpf)?;
                    self.multi = None;
                }
            }
        }
        let links = points.iter().map(|point| attach_one(ebpf, file, *point));
        self.single.append(&mut links.collect::<Result<Vec<_>, _>>()?);
        Ok(())
    }
}

/// The answer of kernels that do not know links of many probes.
fn unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

fn load_single(ebpf: &mut Ebpf) -> Result<(), Refused> {
    single(ebpf)?.load().map_err(|error| refused(&error))
}

fn single(ebpf: &mut Ebpf) -> Result<&mut UProbe, Refused> {
    match ebpf.program_mut(PROGRAM) {
        Some(Program::UProbe(program)) => Ok(program),
        Some(_) | None => Err(format!("{PROGRAM} is not in the object")),
    }
}

fn attach_one(ebpf: &mut Ebpf, file: &File, Point { offset, cookie }: Point) -> Result<UProbeLink, Refused> {
    let program = single(ebpf)?;
    let point = UProbeAttachPoint { location: UProbeAttachLocation::AbsoluteOffset(offset), cookie: Some(cookie) };
    // The kernel takes a path: this one names the very file that was read, in whichever root it lies.
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let attached = program.attach(point, path, UProbeScope::AllProcesses);
    attached.and_then(|link| program.take_link(link)).map_err(|error| refused(&error))
}

/// The innermost cause, which names the kernel's answer.
fn refused(error: &(dyn std::error::Error + 'static)) -> Refused {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("the probe was refused ({innermost})")
}

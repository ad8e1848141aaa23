//! Files that followed processes map → probes at the allocators among them, for these processes alone: a probe that every
//! process of the machine runs into would slow them all. What the probes see is the recorder's.
//!
//! What was known before the command starts is probed from its first instruction on; a child's libraries, and what is mapped for
//! the first time, some milliseconds after.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

use aya::Btf;
use perfmap_common as wire;
use perfmap_common::{ALLOCATOR_RETURN, ALLOCATOR_SESSION};

use super::{
    AllocationPlan, allocator_functions,
    mappings::{Change, What},
    recorder::Allocations,
    tls_multi::{Kind, Maps, MultiProgram, Point, Scope},
};
use crate::{
    recording::{Nanos, NativeAllocations},
    target::capabilities::raised,
    unwind::{
        Mapping,
        elf::Look,
        modules::{open_mapped, open_plain},
    },
};

pub const PROGRAM: &str = "on_allocation";
/// Processes whose allocators are probed: taking each away waits 30 to 40 ms.
const PROCESSES: usize = 48;
const FILES: usize = 16;
const KNOWN: usize = 16_384;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    pub watched: u32,
    /// Too many processes at a time, too short ones, or without an allocator that is known.
    pub unwatched: u32,
    /// Nanoseconds after the start: no longer from then on.
    pub stopped: Option<u64>,
}

/// From kernel 6.13 on a probe says at the entry whether the return is looked at; before, each return is.
enum Program {
    Session(MultiProgram),
    Both(MultiProgram),
}

pub struct Allocators {
    /// The best one that the kernel takes comes first.
    programs: Result<Vec<Program>, String>,
    plan: AllocationPlan,
    /// By device and inode.
    files: BTreeMap<(u64, u64), (File, Vec<Point>)>,
    /// By path and build id, which tell the contents: what was looked at.
    seen: HashSet<(Vec<u8>, Vec<u8>)>,
    links: BTreeMap<(u32, (u64, u64)), Vec<OwnedFd>>,
    met: BTreeSet<u32>,
    watched: BTreeSet<u32>,
    stopped: Option<u64>,
}

impl Allocators {
    pub fn new(plan: &AllocationPlan, object: &[u8], maps: &Result<Maps, String>, btf: &Btf, both: bool) -> Allocators {
        let load = |kind| {
            let maps = maps.as_ref().map_err(String::clone)?;
            MultiProgram::load(object, PROGRAM, kind, maps, btf)
        };
        // Older kernels take a program of sessions too, and refuse its links.
        let session = if both { None } else { load(Kind::Session).map(Program::Session).ok() };
        let programs = match (load(Kind::Plain).map(Program::Both), session) {
            (Ok(both), session) => Ok(session.into_iter().chain([both]).collect()),
            (Err(_), Some(session)) => Ok(vec![session]),
            (Err(why), None) => Err(why),
        };
        let mut allocators = Allocators {
            programs,
            plan: plan.clone(),
            files: BTreeMap::new(),
            seen: HashSet::new(),
            links: BTreeMap::new(),
            met: BTreeSet::new(),
            watched: BTreeSet::new(),
            stopped: None,
        };
        for path in &plan.files {
            if let Some(file) = path.to_str().and_then(open_plain) {
                allocators.look(file);
            }
        }
        allocators
    }

    pub fn descriptor(&self) -> Option<&OwnedFd> {
        match self.programs.as_ref().ok()?.first()? {
            Program::Session(program) | Program::Both(program) => Some(program.descriptor()),
        }
    }

    /// Why nothing is seen, where nothing is.
    pub fn hindrance(&self) -> Option<String> {
        match &self.programs {
            Err(why) => Some(why.clone()),
            Ok(_) if self.files.is_empty() => Some("no allocator was found in what the command maps".into()),
            Ok(_) => None,
        }
    }

    pub fn coverage(&self) -> Coverage {
        let (met, watched) = (self.met.len() as u32, self.watched.len() as u32);
        Coverage { watched, unwatched: met.saturating_sub(watched), stopped: self.stopped }
    }

    /// What was mapped since the last call, and who is there; `elapsed`: since the command began.
    pub fn tick(&mut self, mapped: &[Change], alive: &BTreeSet<u32>, elapsed: u64) {
        if self.stopped.is_some() {
            return;
        }
        if elapsed > self.plan.limit.0 {
            self.stopped = Some(elapsed);
            self.links.clear();
            return;
        }
        for change in mapped {
            if alive.contains(&change.pid) {
                self.mapped(change);
            }
        }
        // Of one that is gone, the probes went with its memory; the link can wait for the end.
        for pid in alive {
            self.link(*pid);
        }
    }

    /// Also before it has begun.
    pub fn link(&mut self, pid: u32) {
        self.met.insert(pid);
        if !self.watched.contains(&pid) && self.watched.len() >= PROCESSES {
            return;
        }
        let Some(program) = self.programs.as_ref().ok().and_then(|programs| programs.first()) else { return };
        let mut refused = None;
        for (inode, (file, points)) in &self.files {
            if self.links.contains_key(&(pid, *inode)) {
                continue;
            }
            match raised(|| attach(program, file, points, pid)) {
                Ok(links) => {
                    self.watched.insert(pid);
                    self.links.insert((pid, *inode), links);
                }
                // It is gone already.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => refused = Some(format!("the probe was refused ({error})")),
            }
        }
        // Refused once is refused: the reason will not go away.
        let Some(why) = refused.filter(|_| self.links.is_empty()) else { return };
        match &mut self.programs {
            Ok(programs) if programs.len() > 1 => {
                programs.remove(0);
                self.link(pid);
            }
            Ok(_) | Err(_) => self.programs = Err(why),
        }
    }

    /// No call is seen after this.
    pub fn end(&mut self) {
        self.links.clear();
    }

    fn mapped(&mut self, change: &Change) {
        let What::Mapped { start, length, file_offset, path, build_id } = &change.what else { return };
        if self.files.len() >= FILES || self.seen.len() >= KNOWN || !self.seen.insert((path.clone(), build_id.clone()))
        {
            return;
        }
        let mapping = Mapping {
            start: *start,
            length: *length,
            file_offset: *file_offset,
            path: String::from_utf8_lossy(path).into_owned(),
            build_id: (!build_id.is_empty()).then(|| build_id.clone()),
        };
        if let Ok(file) = open_mapped(change.pid, &mapping) {
            self.look(file);
        }
    }

    fn look(&mut self, file: File) {
        let Ok(metadata) = file.metadata() else { return };
        let inode = (metadata.dev(), metadata.ino());
        if self.files.len() >= FILES || self.files.contains_key(&inode) {
            return;
        }
        let points = Look::new(&file).map(|look| allocator_functions::points(&look)).unwrap_or_default();
        if !points.is_empty() {
            self.files.insert(inode, (file, points));
        }
    }
}

fn attach(program: &Program, file: &File, points: &[Point], pid: u32) -> std::io::Result<Vec<OwnedFd>> {
    let with = |flag: u64| -> Vec<Point> {
        points.iter().map(|point| Point { cookie: point.cookie | flag, ..*point }).collect()
    };
    match program {
        Program::Session(program) => {
            Ok(vec![program.attach(file, &with(ALLOCATOR_SESSION), Scope { pid, returns: false })?])
        }
        Program::Both(program) => {
            let frees = perfmap_common::AllocatorWay::Frees as u64;
            let throws = perfmap_common::AllocatorWay::OrThrows as u64;
            let mut returning = with(ALLOCATOR_RETURN);
            returning.retain(|point| point.cookie & 0xff != frees && point.cookie & 0xff != throws);
            let returns = program.attach(file, &returning, Scope { pid, returns: true })?;
            Ok(vec![returns, program.attach(file, points, Scope { pid, returns: false })?])
        }
    }
}

/// The stacks are the recording's until they are named.
pub fn told(
    hindrance: Option<String>,
    coverage: Coverage,
    totals: wire::AllocationTotals,
    seen: Allocations,
) -> NativeAllocations {
    let wire::AllocationTotals { calls, bytes, frees, lost, lost_frees } = totals;
    let Coverage { watched, unwatched, stopped } = coverage;
    let (by_stack, untracked) = seen.finish();
    NativeAllocations {
        hindrance,
        mean: wire::ALLOCATION_MEAN,
        calls,
        bytes,
        frees,
        lost,
        lost_frees,
        untracked,
        watched,
        unwatched,
        stopped: stopped.map(Nanos),
        by_stack,
        ..NativeAllocations::default()
    }
}

//! User registers and a copy of the stack → native frames, by the files' own unwind tables (framehop); through
//! generated code by frame pointers. Keeps what is mapped where, and one unwinder per process over shared sections.
//!
//! Knows no names of native functions and no events.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use framehop::x86_64::{CacheX86_64, Reg, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{Error, ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder as _};
use rustc_hash::FxHashMap;

use super::jit_dump::JitDumps;
use super::modules::Modules;
use super::open::Root;
use super::perf_map::PerfMaps;
use super::spaces::{AddressSpaces, MappedRange, Mapping, parse_maps};
use crate::recording::{Frame, StackEnd};

/// Deepest native stack that is kept.
pub const MAX_FRAMES: usize = 512;
/// Most root directories that are held at a time.
const MOST_ROOTS: usize = 1024;
/// A read this far above the copied bytes is still the stack (default limit of a thread's stack: 8 MiB).
const STACK_REACH: u64 = 64 << 20;
/// The code that a program begins with, from its entry point on: the dynamic linker's is the longest, and has no unwind
/// rule that says it has no caller.
const BEGINNING: u64 = 96;
/// Most bytes of one `/proc/PID/maps`.
const MAPS_LIMIT: u64 = 32 << 20;

/// ax dx cx bx si di bp sp r8..r15, then ip: the order of `perfmap_common::StackHead`.
pub type Registers = [u64; 17];
const STACK_POINTER: usize = 7;
const FRAME_POINTER: usize = 6;
const INSTRUCTION_POINTER: usize = 16;
const ORDER: [Reg; 16] = [
    Reg::RAX,
    Reg::RDX,
    Reg::RCX,
    Reg::RBX,
    Reg::RSI,
    Reg::RDI,
    Reg::RBP,
    Reg::RSP,
    Reg::R8,
    Reg::R9,
    Reg::R10,
    Reg::R11,
    Reg::R12,
    Reg::R13,
    Reg::R14,
    Reg::R15,
];

/// A section's bytes as framehop wants them: shared by all processes that map the file.
#[derive(Clone)]
struct Section(Arc<[u8]>);

impl Default for Section {
    fn default() -> Section {
        Section(Arc::from([]))
    }
}

impl Deref for Section {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

struct ProcessUnwinder {
    /// Version of the address space that it was built from.
    version: u64,
    rules: UnwinderX86_64<Section>,
    cache: CacheX86_64,
}

/// Unwinds the stacks of all followed processes. Feed it the events of mappings and processes in time order.
#[derive(Default)]
pub struct Unwinder {
    spaces: AddressSpaces,
    modules: Modules,
    perf_maps: PerfMaps,
    jit_dumps: JitDumps,
    unwinders: FxHashMap<u32, ProcessUnwinder>,
    /// Root directories that are not ours: of containers, mostly. By pid.
    roots: FxHashMap<u32, Arc<Root>>,
    /// The same by mount namespace, device and inode, so that each is open once.
    known_roots: FxHashMap<(u32, u64, u64), Weak<Root>>,
}

/// The executable mappings from `/proc/PID/maps`, of a process that was there before us. Empty: it is gone.
pub fn read_mappings(pid: u32) -> Vec<Mapping> {
    use std::io::Read;
    let mut text = Vec::new();
    let read =
        std::fs::File::open(format!("/proc/{pid}/maps")).and_then(|file| file.take(MAPS_LIMIT).read_to_end(&mut text));
    if read.is_err() { Vec::new() } else { parse_maps(&text) }
}

impl Unwinder {
    pub fn mapped(&mut self, pid: u32, mapping: &Mapping) {
        let Some(end) = mapping.start.checked_add(mapping.length) else { return };
        self.jit_dumps.mapped(pid, mapping, self.roots.get(&pid).map(Arc::as_ref));
        let module = self.modules.see(pid, mapping, self.roots.get(&pid).map(Arc::as_ref));
        // The kernel's offset of a mapping without a file is not a file offset.
        let no_file = self.modules.is_vdso(module) || self.modules.is_anonymous(module);
        let file_offset = if no_file { 0 } else { mapping.file_offset };
        self.spaces.mapped(pid, MappedRange { start: mapping.start, end, file_offset, module });
    }

    /// Stacks that come now are of this time, of the kernel's clock.
    pub fn reached(&mut self, now: u64) {
        self.jit_dumps.reached(now);
    }

    pub fn forked(&mut self, parent: u32, child: u32) {
        self.spaces.forked(parent, child);
        self.jit_dumps.forked(parent, child);
        if let Some(root) = self.roots.get(&parent).cloned() {
            self.roots.entry(child).or_insert(root);
        }
    }

    pub fn executed(&mut self, pid: u32) {
        self.spaces.executed(pid);
        self.unwinders.remove(&pid);
        self.perf_maps.forget(pid);
        self.jit_dumps.forget(pid);
    }

    pub fn exited(&mut self, pid: u32) {
        self.executed(pid);
        self.roots.remove(&pid);
    }

    /// Where a process finds its files from now on; None: where we do. `mount`: its mount namespace.
    pub fn rooted(&mut self, pid: u32, mount: u32, root: Option<Root>) {
        let Some(root) = root else {
            self.roots.remove(&pid);
            return;
        };
        let key = (mount, root.identity.0, root.identity.1);
        if let Some(known) = self.known_roots.get(&key).and_then(Weak::upgrade) {
            self.roots.insert(pid, known);
            return;
        }
        self.known_roots.retain(|_, root| root.strong_count() > 0);
        if self.known_roots.len() < MOST_ROOTS {
            let root = Arc::new(root);
            self.known_roots.insert(key, Arc::downgrade(&root));
            self.roots.insert(pid, root);
        }
    }

    /// Take the mappings from `/proc/PID/maps`: for processes that were there before us. False: it is gone.
    pub fn read_from_proc(&mut self, pid: u32) -> bool {
        let mappings = read_mappings(pid);
        for mapping in &mappings {
            self.mapped(pid, mapping);
        }
        !mappings.is_empty()
    }

    pub fn spaces(&self) -> &AddressSpaces {
        &self.spaces
    }

    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    pub fn into_modules(self) -> Modules {
        self.modules
    }

    /// Frames leaf first. `stack` is a copy of the memory from the stack pointer upwards.
    pub fn walk(&mut self, pid: u32, registers: &Registers, stack: &[u8]) -> (Vec<Frame>, StackEnd) {
        if registers[INSTRUCTION_POINTER] == 0 {
            return (Vec::new(), StackEnd::NotWalked);
        }
        let mut addresses = Vec::with_capacity(64);
        let end = match self.addresses(pid, registers, stack, &mut addresses) {
            StackEnd::NoRule | StackEnd::CopyTooShort
                if addresses.last().is_some_and(|at| self.is_beginning(pid, *at)) =>
            {
                StackEnd::Complete
            }
            end => end,
        };
        let frames = addresses.into_iter().map(|address| self.frame(pid, address)).collect();
        (frames, end)
    }

    fn addresses(&mut self, pid: u32, registers: &Registers, stack: &[u8], addresses: &mut Vec<u64>) -> StackEnd {
        let Self { spaces, modules, perf_maps: _, jit_dumps: _, unwinders, roots: _, known_roots: _ } = self;
        let version = spaces.version(pid);
        let process = unwinders.entry(pid).or_insert_with(|| ProcessUnwinder {
            version: 0,
            rules: UnwinderX86_64::new(),
            cache: CacheX86_64::new(),
        });
        if process.version != version {
            process.rules = build(spaces.ranges(pid), modules);
            process.version = version;
        }
        let bottom = registers[STACK_POINTER];
        let mut state = UnwindRegsX86_64::new(registers[INSTRUCTION_POINTER], bottom, registers[FRAME_POINTER]);
        for (register, value) in ORDER.into_iter().zip(registers) {
            state.set(register, *value);
        }
        let mut read = |address: u64| {
            let at = usize::try_from(address.checked_sub(bottom).ok_or(())?).map_err(|_| ())?;
            let bytes = stack.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
            <[u8; 8]>::try_from(bytes).map(u64::from_le_bytes).map_err(|_| ())
        };
        let mut frames =
            process.rules.iter_frames(registers[INSTRUCTION_POINTER], state, &mut process.cache, &mut read);
        loop {
            match frames.next() {
                Ok(Some(frame)) => {
                    let address = frame.address_for_lookup();
                    // A caller that is not code: the rule before it was wrong. The interrupted address itself is
                    // always kept, its mapping may only not have been reported yet.
                    if matches!(frame, FrameAddress::ReturnAddress(_)) && spaces.find(pid, address).is_none() {
                        return StackEnd::NoRule;
                    }
                    if addresses.len() >= MAX_FRAMES {
                        return StackEnd::TooDeep;
                    }
                    addresses.push(address);
                }
                Ok(None) => return StackEnd::Complete,
                Err(error) => return end_of(error, bottom, stack.len()),
            }
        }
    }

    /// No caller is behind it.
    fn is_beginning(&mut self, pid: u32, address: u64) -> bool {
        let Some(range) = self.spaces.find(pid, address).copied() else { return false };
        let entry = self.modules.image(range.module).and_then(|image| image.entry);
        entry.is_some_and(|entry| (entry..entry.saturating_add(BEGINNING)).contains(&range.offset_of(address)))
    }

    fn frame(&mut self, pid: u32, address: u64) -> Frame {
        let Some(range) = self.spaces.find(pid, address).copied() else {
            return self.generated(pid, address).unwrap_or(Frame::Unmapped { address });
        };
        // Runtimes write generated code to anonymous memory, memfds and deleted files, never to a file that stays.
        if (self.modules.is_anonymous(range.module) || self.modules.image(range.module).is_none())
            && let Some(frame) = self.generated(pid, address)
        {
            return frame;
        }
        Frame::Native { module: range.module, offset: range.offset_of(address) }
    }

    fn generated(&mut self, pid: u32, address: u64) -> Option<Frame> {
        if let Some((name, place)) = self.jit_dumps.find(pid, address) {
            return Some(Frame::Jit { name: name.to_owned(), place });
        }
        let name = self.perf_maps.name(pid, address)?;
        Some(Frame::Jit { name: name.to_owned(), place: None })
    }
}

fn end_of(error: Error, bottom: u64, copied: usize) -> StackEnd {
    match error {
        Error::CouldNotReadStack(address) => {
            let above = address.checked_sub(bottom.saturating_add(copied as u64).saturating_sub(7));
            match above {
                Some(distance) if distance < STACK_REACH => StackEnd::CopyTooShort,
                Some(_) | None => StackEnd::NoRule,
            }
        }
        // The dynamic linker's and clone's first frames end in a null return address.
        Error::ReturnAddressIsNull => StackEnd::Complete,
        Error::FramepointerUnwindingMovedBackwards | Error::DidNotAdvance | Error::IntegerOverflow => StackEnd::NoRule,
    }
}

fn build(ranges: &[MappedRange], modules: &mut Modules) -> UnwinderX86_64<Section> {
    let mut rules = UnwinderX86_64::new();
    for range in ranges {
        let Some(image) = modules.image(range.module) else { continue };
        let Some(bias) = image.bias(range.start, range.file_offset, true) else { continue };
        let part = |section: Option<&(std::ops::Range<u64>, Arc<[u8]>)>| match section {
            Some((addresses, bytes)) => (Some(addresses.clone()), Some(Section(Arc::clone(bytes)))),
            None => (None, None),
        };
        // An address that no rule covers framehop takes for a stub's; in code that has none it is any function's.
        let (start, end) = (range.start, range.end);
        let bare = image.frame_pointers.as_ref().map_or(end..end, |bare| {
            let place = |address: u64| address.wrapping_add(bias).clamp(start, end);
            place(bare.start)..place(bare.end).max(place(bare.start))
        });
        for (addresses, ruled) in [(start..bare.start, true), (bare.start..bare.end, false), (bare.end..end, true)] {
            if addresses.is_empty() {
                continue;
            }
            let (eh_frame_svma, eh_frame) = part(image.eh_frame.as_ref().filter(|_| ruled));
            let (eh_frame_hdr_svma, eh_frame_hdr) = part(image.eh_frame_hdr.as_ref().filter(|_| ruled));
            rules.add_module(Module::new(
                String::new(),
                addresses,
                bias,
                ExplicitModuleSectionInfo {
                    text_svma: image.text.clone(),
                    eh_frame_svma,
                    eh_frame,
                    eh_frame_hdr_svma,
                    eh_frame_hdr,
                    ..ExplicitModuleSectionInfo::default()
                },
            ));
        }
    }
    rules
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;

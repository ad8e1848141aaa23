//! Raw stacks → interned stacks: the native part unwound at once, so that a recording holds frames, not bytes.

use std::{collections::HashMap, hash::Hash};

use indexmap::IndexSet;
use perfmap_common as wire;
use rustc_hash::FxBuildHasher;

use super::{decode::RawStack, pyspy::PyFrame};
use crate::{
    recording::{Code, Frame, FrameId, KernelSymbolId, Module, PythonFrame, PythonFrameId, Stack, StackEnd, StackId},
    unwind::{
        KernelSymbols, ModuleFiles, Unwinder,
        python::{CodeTable, ImageId, Version},
    },
};

type Interned<T> = IndexSet<T, FxBuildHasher>;

/// One process's interpreter.
#[derive(Debug, Clone, Copy)]
struct Interpreter {
    image: ImageId,
    version: Option<Version>,
}

#[derive(Default)]
pub struct Stacks {
    pub unwinder: Unwinder,
    codes: CodeTable,
    kernel: Option<KernelSymbols>,
    interpreters: HashMap<u32, Interpreter>,
    images: u64,
    frames: Interned<Frame>,
    python_frames: Interned<PythonFrame>,
    kernel_symbols: Interned<String>,
    stacks: Interned<Stack>,
    /// About what the stacks take, and took when some were given up last.
    bytes: usize,
    bytes_kept: usize,
}

/// What `Stacks` leaves to the recording.
pub struct Parts {
    pub modules: Vec<Module>,
    pub files: ModuleFiles,
    pub codes: Vec<Code>,
    pub kernel_symbols: Vec<String>,
    pub frames: Vec<Frame>,
    pub python_frames: Vec<PythonFrame>,
    pub stacks: Vec<Stack>,
    /// Python frames whose code object was never named.
    pub unknown_codes: u64,
}

impl Stacks {
    /// Without `kernel` symbols, kernel frames are left out.
    pub fn new(kernel: Option<KernelSymbols>) -> Stacks {
        Stacks { kernel, ..Stacks::default() }
    }

    pub fn python(&mut self, pid: u32, layout: &wire::PythonLayout) {
        let image = self.interpreter(pid).image;
        self.interpreters.insert(pid, Interpreter { image, version: Some(Version(layout.version)) });
    }

    pub fn code(&mut self, record: &wire::PythonCode, variable: &[u8]) -> bool {
        let image = self.interpreter(record.header.pid).image;
        self.codes.learn(image, record, variable)
    }

    /// What is known of the parent's code objects holds for the child, which has the same memory.
    pub fn forked(&mut self, parent: u32, child: u32) {
        let Some(from) = self.interpreters.get(&parent).copied() else { return };
        let image = self.new_image();
        self.codes.forked(from.image, image);
        self.interpreters.insert(child, Interpreter { image, version: from.version });
    }

    pub fn executed(&mut self, pid: u32) {
        if let Some(old) = self.interpreters.remove(&pid) {
            self.codes.forget(old.image);
        }
    }

    pub fn exited(&mut self, pid: u32) {
        self.executed(pid);
        self.unwinder.exited(pid);
    }

    fn new_image(&mut self) -> ImageId {
        self.images += 1;
        ImageId(self.images)
    }

    fn interpreter(&mut self, pid: u32) -> Interpreter {
        if let Some(known) = self.interpreters.get(&pid) {
            return *known;
        }
        let fresh = Interpreter { image: self.new_image(), version: None };
        self.interpreters.insert(pid, fresh);
        fresh
    }

    pub fn intern(&mut self, pid: u32, raw: &RawStack<'_>) -> StackId {
        let (native, end) = self.unwinder.walk(pid, &raw.registers, raw.user);
        let python_cut = raw.flags & wire::STACK_PYTHON_CUT != 0;
        let end = if python_cut && end == StackEnd::Complete { StackEnd::TooDeep } else { end };
        let native = native.into_iter().map(|frame| FrameId(intern(&mut self.frames, frame))).collect();
        let kernel = raw
            .kernel()
            .filter_map(|address| {
                let name = self.kernel.as_ref()?.lookup(address)?;
                let symbol = match self.kernel_symbols.get_index_of(name) {
                    Some(index) => index as u32,
                    None => intern(&mut self.kernel_symbols, name.to_owned()),
                };
                Some(FrameId(intern(&mut self.frames, Frame::Kernel(KernelSymbolId(symbol)))))
            })
            .collect();
        let sent: Vec<wire::PythonFrame> = raw.python().collect();
        let python = if sent.is_empty() { Vec::new() } else { self.python_frames(pid, &sent) };
        let python = python.into_iter().map(|frame| PythonFrameId(intern(&mut self.python_frames, frame))).collect();
        self.add(Stack { kernel, native, python, end })
    }

    fn add(&mut self, stack: Stack) -> StackId {
        let bytes = size(&stack);
        let (index, new) = self.stacks.insert_full(stack);
        self.bytes += if new { bytes } else { 0 };
        StackId(index as u32)
    }

    pub fn count(&self) -> usize {
        self.stacks.len()
    }

    /// Bytes of stacks that came since some were given up last.
    pub fn grown(&self) -> usize {
        self.bytes.saturating_sub(self.bytes_kept)
    }

    /// Gives up the others; returns the new ids.
    pub fn keep(&mut self, used: &[bool]) -> Vec<Option<StackId>> {
        self.bytes = 0;
        let stacks = std::mem::take(&mut self.stacks);
        let flags = used.iter().copied().chain(std::iter::repeat(false));
        let places = stacks.into_iter().zip(flags).map(|(stack, used)| used.then(|| self.add(stack))).collect();
        self.bytes_kept = self.bytes;
        places
    }

    /// Where a coroutine waited that its loop is about to resume: its frames, outermost first, above the loop's own,
    /// which are those of the poll that `loop_stack` was taken in.
    pub fn resumed(&mut self, pid: u32, frames: Vec<wire::PythonFrame>, loop_stack: StackId) -> Option<StackId> {
        let polled = self.stacks.get_index(loop_stack.0 as usize)?.clone();
        let suspended: Vec<_> = frames
            .into_iter()
            .rev()
            // What is left of the last time that it ran in an evaluation loop says nothing.
            .map(|frame| wire::PythonFrame { owner: 0, ..frame })
            .collect();
        let frames = self.python_frames(pid, &suspended);
        if frames.is_empty() {
            return None;
        }
        let below = polled.python.iter().position(|frame| self.runs_loop(*frame)).unwrap_or(0);
        let mut python: Vec<_> =
            frames.into_iter().map(|frame| PythonFrameId(intern(&mut self.python_frames, frame))).collect();
        python.extend(polled.python.iter().skip(below));
        let stack = Stack { python: python.into(), ..polled };
        Some(self.add(stack))
    }

    /// Frames that were read from outside, leaf first.
    pub fn read_frames(&mut self, frames: Vec<PyFrame>) -> Box<[PythonFrameId]> {
        let outermost = frames.len().saturating_sub(1);
        let intern_one = |(index, frame): (usize, PyFrame)| {
            let PyFrame { function, file, line, first_line } = frame;
            let code = self.codes.intern(Code { name: function, file, first_line });
            let frame = PythonFrame { code, line, entry: index == outermost };
            PythonFrameId(intern(&mut self.python_frames, frame))
        };
        frames.into_iter().enumerate().map(intern_one).collect()
    }

    /// The same stack with these Python frames, if it has none of its own.
    pub fn with_python(&mut self, stack: StackId, frames: &[PythonFrameId]) -> StackId {
        match self.stacks.get_index(stack.0 as usize) {
            Some(old) if old.python.is_empty() => {
                let stack = Stack { python: frames.into(), ..old.clone() };
                self.add(stack)
            }
            Some(_) | None => stack,
        }
    }

    /// One of which nothing else is known.
    pub fn of_python(&mut self, frames: &[PythonFrameId]) -> StackId {
        let nothing: [FrameId; 0] = [];
        self.add(Stack {
            kernel: nothing.into(),
            native: nothing.into(),
            python: frames.into(),
            end: StackEnd::NotWalked,
        })
    }

    fn runs_loop(&self, frame: PythonFrameId) -> bool {
        let code = self.python_frames.get_index(frame.0 as usize).map(|frame| frame.code);
        let code = code.and_then(|code| self.codes.codes().get(code.0 as usize));
        code.is_some_and(|code| code.name == "_run_once" || code.name.ends_with("._run_once"))
    }

    fn python_frames(&mut self, pid: u32, sent: &[wire::PythonFrame]) -> Vec<PythonFrame> {
        let interpreter = self.interpreter(pid);
        match interpreter.version {
            Some(version) => self.codes.frames(interpreter.image, version, sent),
            None => Vec::new(),
        }
    }

    pub fn into_parts(self) -> Parts {
        let unknown_codes = self.codes.unknown();
        let (modules, files) = self.unwinder.into_modules().into_parts();
        Parts {
            modules,
            files,
            codes: self.codes.into_codes(),
            kernel_symbols: self.kernel_symbols.into_iter().collect(),
            frames: self.frames.into_iter().collect(),
            python_frames: self.python_frames.into_iter().collect(),
            stacks: self.stacks.into_iter().collect(),
            unknown_codes,
        }
    }
}

/// With its place in the set.
fn size(stack: &Stack) -> usize {
    let Stack { kernel, native, python, end: _ } = stack;
    size_of::<Stack>() + 32 + 4 * (kernel.len() + native.len() + python.len())
}

fn intern<T: Hash + Eq>(set: &mut Interned<T>, value: T) -> u32 {
    set.insert_full(value).0 as u32
}

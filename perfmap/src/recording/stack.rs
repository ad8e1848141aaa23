//! Interned stacks. A frame is kept as what was seen (file and offset, code object and line); names come later.

use serde::{Deserialize, Serialize};

/// Index into `Recording::stacks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackId(pub u32);
/// Index into `Recording::frames` (and `Recording::symbols`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FrameId(pub u32);
/// Index into `Recording::python_frames`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PythonFrameId(pub u32);
/// Index into `Recording::modules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId(pub u32);
/// Index into `Recording::codes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodeId(pub u32);
/// Index into `Recording::kernel_symbols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelSymbolId(pub u32);

/// One stack, all parts leaf first. The interpreter's frames are put in place of its evaluation loop's native frames
/// by `resolve`, which has the names to find that loop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stack {
    pub kernel: Box<[FrameId]>,
    pub native: Box<[FrameId]>,
    pub python: Box<[PythonFrameId]>,
    pub end: StackEnd,
}

/// How the native walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StackEnd {
    /// Reached the thread's first function.
    Complete,
    /// The copied part of the stack ended first.
    CopyTooShort,
    /// The unwinder had no rule, or memory contradicted it.
    NoRule,
    /// More frames than are kept.
    TooDeep,
    /// No native walk was made (no user registers, kernel thread, perfmap overloaded).
    NotWalked,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Frame {
    /// An address in a mapped file. `offset` is a file offset, already moved back into the calling instruction
    /// for return addresses.
    Native {
        module: ModuleId,
        offset: u64,
    },
    /// Named by a runtime's map (`/tmp/perf-PID.map`) or dump (`jit-PID.dump`).
    Jit {
        name: String,
        /// Of the instruction; maps have none.
        place: Option<JitPlace>,
    },
    Kernel(KernelSymbolId),
    /// An address with no mapping known for it.
    Unmapped {
        address: u64,
    },
}

/// A line of a generated function's source, as the runtime wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JitPlace {
    pub file: String,
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PythonFrame {
    pub code: CodeId,
    /// 0 where the line table could not tell.
    pub line: u32,
    /// True when the interpreter's C evaluation loop was entered for this frame: the native stack has one more
    /// evaluation-loop frame below it (towards the root) than above.
    pub entry: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Code {
    /// Qualified name (3.11+), else the plain name.
    pub name: String,
    pub file: String,
    pub first_line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Module {
    /// Path as the target saw it.
    pub path: String,
    /// Lower-case hex, empty where the file has none.
    pub build_id: String,
}

/// What `resolve::native` found for one frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Symbol {
    /// Demangled; innermost inlined function first, the enclosing real function last. Empty: see `unnamed`.
    pub functions: Vec<SymbolFunction>,
    pub unnamed: Option<Unnamed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SymbolFunction {
    pub name: String,
    /// Source file and line of the instruction in this function, where debug information tells.
    pub file: Option<String>,
    pub line: Option<u32>,
    /// Line where the function begins; None for inlined functions.
    pub first_line: Option<u32>,
}

/// Why a native frame has no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unnamed {
    /// The file could not be opened (deleted, other mount namespace, process gone).
    FileGone,
    /// The file at that path is not the one that was mapped (other build id).
    FileChanged,
    /// Stripped, and the address is in none of its dynamic symbols.
    NoSymbol,
    /// Not a mapped file: anonymous memory, generated code.
    NoFile,
    /// Not an ELF file that can be read.
    Malformed,
    /// Not a native frame, or not looked up.
    NotLookedUp,
}

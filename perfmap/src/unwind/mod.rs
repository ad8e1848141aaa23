//! Registers and a copy of the stack → frames, while the target runs: the address spaces as they are now, the files
//! that are mapped in them (opened at first sight, kept), native unwinding, generated code, Python's frames.
//!
//! Frames are addresses in files and code objects; native names come later (`resolve::native`). Knows nothing of
//! events, tasks or the wire's transport; whoever feeds it keeps the order of time. The left side's second thread
//! owns one [`native::Unwinder`] and one [`python::table::CodeTable`].
//!
//! Not guarded against: a file whose unwind tables hold an endless DWARF expression stops that thread (framehop sets no
//! bound on an evaluation).

pub mod elf;
pub mod go;
pub mod jit_dump;
pub mod kernel;
pub mod modules;
pub mod native;
mod open;
pub mod perf_map;
mod proc_status;
pub mod python;
pub mod spaces;
#[cfg(test)]
pub mod stopped;
mod vdso;

pub use kernel::KernelSymbols;
pub use modules::ModuleFiles;
pub use native::{Unwinder, read_mappings};
pub use open::Root;
pub use spaces::Mapping;

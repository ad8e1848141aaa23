//! Interpreters and runtimes: names, coroutines, goroutines, and where their structures lie.

use crate::{Header, StackHead};

/// A Python code object at first sight: header, fields, then `name`, `file`, `table` bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PythonCode {
    pub header: Header,
    pub code: u64,
    pub name_address: u64,
    pub first_line: u32,
    /// Bytes of the name and of the file name; characters are 1, 2 or 4 bytes wide.
    pub name_bytes: u32,
    pub name_width: u32,
    pub file_bytes: u32,
    pub file_width: u32,
    pub table_bytes: u32,
    /// Length of the table in the target, which may be more than was copied.
    pub table_length: u64,
}

/// A coroutine that asyncio is about to resume, found in the queue of its event loop when the first poll after one that
/// blocked returns: header, fields, then its frames and those that it awaits, outermost first.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Resumed {
    pub header: Header,
    /// As in [`StackHead::coroutine`].
    pub coroutine: u64,
    pub frames: u32,
    /// How many polls that did not block lie between; `ROUND_MAIN`: not resumed, but what the loop runs for;
    /// `ROUND_STARTED`: about to run for the first time.
    pub round: u32,
    /// 1: it awaits one of the loop's tasks, or several.
    pub of_tasks: u32,
    pub reserved: u32,
}

/// What was seen of one of Go's goroutines: header (`tid` is the thread that saw it), fields, then its stack where it has
/// one.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Goroutine {
    pub header: Header,
    /// `runtime.g.goid`.
    pub goroutine: u64,
    /// Address of the `net/http.persistConn`, where it asks or writes; of its own `runtime.g`, where it waits.
    pub connection: u64,
    /// [`GoroutineWhat`].
    pub what: u32,
    /// `runtime.g.waitreason`, where it waits.
    pub reason: u32,
    pub stack: StackHead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum GoroutineWhat {
    /// No thread runs it: it waits, with the stack that it will go on with.
    Waits = 1,
    /// It waited when it was last looked at.
    GoesOn = 2,
    Ended = 3,
    /// It makes a request on `connection`: where it does.
    Asks = 4,
    /// It writes what others ask on `connection`.
    Writes = 5,
    /// It ran since it was last told of, and waits where it did.
    WaitsAgain = 6,
}

impl GoroutineWhat {
    pub fn from_u32(value: u32) -> Option<GoroutineWhat> {
        let all = [Self::Waits, Self::GoesOn, Self::Ended, Self::Asks, Self::Writes, Self::WaitsAgain];
        all.into_iter().find(|what| *what as u32 == value)
    }
}

/// Where Go's runtime keeps its goroutines; value of the `go_processes` map, key tgid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct GoLayout {
    /// Address of `runtime.allgs`, a slice.
    pub goroutines: u64,
    /// Where a thread keeps its goroutine's address, from its thread pointer on.
    pub thread_local_g: i64,
    /// Offsets in `runtime.g`.
    pub g_status: u32,
    pub g_id: u32,
    pub g_reason: u32,
    /// Of the frame pointer that it goes on with.
    pub g_frame: u32,
    /// The kernel side's own: when all were looked at last, and which is next.
    pub looked: u64,
    pub from: u32,
    /// Offset of the count of its runs, one byte; 0: there is none that is known.
    pub g_runs: u32,
    /// Offset in `runtime.m` of the goroutine that a thread runs, also where it is on the scheduler's stack.
    pub m_running: u32,
    pub reserved: u32,
}

/// How to walk one process's Python frames; value of the `python_processes` map, key tgid. Offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct PythonLayout {
    /// Address of `_PyRuntime` in the target.
    pub runtime: u64,
    /// 0x030b for 3.11.
    pub version: u32,
    /// Offset of the thread-state key (a pthread key) in `_PyRuntime`.
    pub tss_key: u32,
    /// Offset of `frame`, `cframe` or `current_frame` in PyThreadState.
    pub thread_frame: u32,
    /// 1: `thread_frame` points at a cframe, whose current_frame lies at `cframe_current`.
    pub has_cframe: u32,
    pub cframe_current: u32,
    pub frame_code: u32,
    pub frame_back: u32,
    pub frame_instruction: u32,
    pub code_file: u32,
    pub code_name: u32,
    pub code_first_line: u32,
    pub code_table: u32,
    /// Size of a str object's header before its characters: compact ASCII, and compact of wider kinds.
    pub str_ascii: u32,
    pub str_compact: u32,
    /// Offset of `thread_id` (a pthread_t) in PyThreadState.
    pub thread_pthread: u32,
    /// Offset of the owner's byte in a frame; 0: coroutines can not be told.
    pub frame_owner: u32,
    /// Offset of the frame in a coroutine object.
    pub generator_frame: u32,
    /// Offset of the coroutine in asyncio's task object.
    pub future_coroutine: u32,
}

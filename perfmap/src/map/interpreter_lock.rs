//! Stacks → whether a futex wait on them is a wait for CPython's global interpreter lock.
//!
//! Half of these waits end by the interpreter's own 5 ms time-out and would look like sleeps; and a wake through this
//! lock hands over no work. The lock is a condition variable, everything else in CPython waits on semaphores. Its
//! functions are static (`take_gil`), so in stripped builds the condition variable itself, called straight from the
//! interpreter, is the mark.

use crate::resolve::{Language, Place, Resolved};

/// By `StackId`.
pub(super) fn stacks(resolved: &Resolved) -> Vec<bool> {
    resolved
        .stacks
        .iter()
        .map(|stack| {
            let mut condition = false;
            for place in stack.iter().filter_map(|id| resolved.places.get(id.0 as usize)) {
                match place.language {
                    Language::Kernel => {}
                    Language::Python => return condition,
                    Language::Jit => return false,
                    Language::Native if takes(&place.function) => return true,
                    Language::Native if place.function.contains("pthread_cond_") => condition = true,
                    Language::Native if !of_interpreter_or_libc(place) => return false,
                    Language::Native => {}
                }
            }
            false
        })
        .collect()
}

fn takes(function: &str) -> bool {
    matches!(
        function,
        "take_gil"
            | "PyEval_RestoreThread"
            | "PyEval_AcquireThread"
            | "PyEval_AcquireLock"
            | "PyGILState_Ensure"
            | "_PyThreadState_Attach"
            | "_PyEval_AcquireLock"
    )
}

fn of_interpreter_or_libc(place: &Place) -> bool {
    let file = place.module.as_deref().map_or("", |module| module.rsplit('/').next().unwrap_or(module));
    ["python", "libpython", "libc.", "libc-", "libpthread"].iter().any(|start| file.starts_with(start))
}

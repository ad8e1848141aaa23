//! One stack's kernel, native and Python parts → one list, leaf first: each native frame of the interpreter's loop is
//! replaced by the Python frames that ran in that call of the loop.
//!
//! No Python frame is ever lost: what finds no loop (native part cut, or not walked) is appended towards the root.

use super::PlaceId;
use super::places::Places;
use crate::recording::Stack;

pub fn merge(stack: &Stack, places: &mut Places<'_>) -> Box<[PlaceId]> {
    let mut merged = Vec::with_capacity(stack.kernel.len() + stack.native.len() + stack.python.len());
    for frame in &stack.kernel {
        places.add_frame(*frame, &mut merged);
    }
    let mut python = stack.python.iter().copied().peekable();
    for frame in &stack.native {
        // A loop without Python frames left is kept: it is start-up, or another interpreter that was not walked.
        if !places.is_evaluation_loop(*frame) || python.peek().is_none() {
            places.add_frame(*frame, &mut merged);
            continue;
        }
        for id in python.by_ref() {
            places.add_python(id, &mut merged);
            if places.is_entry(id) {
                break;
            }
        }
    }
    for id in python {
        places.add_python(id, &mut merged);
    }
    merged.into()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;

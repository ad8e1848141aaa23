//! `profile.folded`: CPU samples as folded stacks, for tools that read them.

use std::fmt::Write;

use crate::{recording::Recording, resolve::Resolved};

use super::stack_lines::{Marks, samples};

pub fn render(recording: &Recording, resolved: &Resolved) -> String {
    let mut text = String::new();
    for (line, count) in samples(recording, resolved, Marks::Kernel) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{line} {count}");
    }
    text
}

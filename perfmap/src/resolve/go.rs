//! Frames of programs of Go's that have no name (stripped) or no line (no debug information) → what the program's own table
//! says of them.

use std::fs::File;

use crate::recording::{Symbol, SymbolFunction};
use crate::unwind::elf::{Segment, linked_address, read_segments};
use crate::unwind::go::Functions;

/// `with_lines`: also those that have a name alone.
pub fn name(file: &File, offsets: &[u64], symbols: &mut [Symbol], with_lines: bool) {
    let lacks = |symbol: &Symbol| {
        symbol.unnamed.is_some() || with_lines && symbol.functions.iter().all(|function| function.line.is_none())
    };
    if !symbols.iter().any(lacks) {
        return;
    }
    let Some(functions) = Functions::of(file) else { return };
    let segments: Vec<Segment> = read_segments(file).unwrap_or_default();
    for (symbol, offset) in symbols.iter_mut().zip(offsets).filter(|(symbol, _)| lacks(symbol)) {
        let Some(address) = linked_address(&segments, *offset) else { continue };
        let found = functions.at(address);
        if found.is_empty() {
            continue;
        }
        let functions = found.into_iter().map(|position| SymbolFunction {
            name: position.function,
            file: position.file,
            line: position.line,
            first_line: position.first_line,
        });
        *symbol = Symbol { functions: functions.collect(), unnamed: None };
    }
}

//! Python: functions and classes by indentation.

use super::{Definition, Kind, MOST, end, parameters};
use crate::discover::source::first_word;

pub(super) fn by_indentation(text: &str, blank: &str) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    // Indentation and index of what is open.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut offset, mut last_code) = (0, 0);
    for (number, line) in (1_u32..).zip(blank.split('\n')) {
        let here = offset;
        offset += line.len() + 1;
        let code = line.trim_start();
        // A closing bracket ends a signature, and no block.
        if code.trim_end().is_empty() || code.starts_with([')', ']', '}']) || found.len() >= MOST {
            continue;
        }
        let indent = line.len() - code.len();
        while let Some((_, index)) = open.pop_if(|(other, _)| *other >= indent) {
            end(&mut found, index, last_code);
        }
        last_code = number;
        let (is_async, code) = code.strip_prefix("async ").map_or((false, code), |rest| (true, rest.trim_start()));
        let (is_class, rest) = match (code.strip_prefix("def "), code.strip_prefix("class ")) {
            (Some(rest), _) => (false, rest.trim_start()),
            (None, Some(rest)) => (true, rest.trim_start()),
            (None, None) => continue,
        };
        let name = first_word(rest);
        if name.is_empty() {
            continue;
        }
        let parent = open.last().and_then(|(_, index)| found.get(*index));
        let kind = match (is_class, parent.map(|parent| parent.kind)) {
            (true, _) => Kind::Container,
            (false, Some(Kind::Container)) => Kind::Method,
            (false, Some(Kind::Function | Kind::Method) | None) => Kind::Function,
        };
        let qualified = parent.map_or(name.to_owned(), |parent| format!("{}.{name}", parent.qualified));
        let from = here + line.len() - rest.len() + name.len();
        let parameters = if is_class { String::new() } else { parameters(text, blank, from) };
        open.push((indent, found.len()));
        let before = String::new();
        found.push(Definition {
            name: name.into(),
            qualified,
            line: number,
            end: number,
            parameters,
            kind,
            is_async,
            before,
        });
    }
    for (_, index) in open {
        end(&mut found, index, last_code);
    }
    found
}

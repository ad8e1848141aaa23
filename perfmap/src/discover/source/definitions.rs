//! A source text → its functions and classes, with where they begin and end. Nesting is told by indentation (Python) or by
//! braces (all others).

mod braces;
mod indentation;

use super::{blank::blanked, bracketed};
use crate::discover::found::Language;

const MOST: usize = 20_000;
const LONGEST_PARAMETERS: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub name: String,
    /// As the language writes it: `Class.method`, `module::function`.
    pub qualified: String,
    /// Where its name stands.
    pub line: u32,
    pub end: u32,
    /// As written, between the brackets; empty for a container.
    pub parameters: String,
    pub kind: Kind,
    pub is_async: bool,
    /// The words of its first line before its name: `pub`, `export`, `static` …
    pub before: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Function,
    /// A function of a class, a type or an object.
    Method,
    /// A class, a type, a module: what has functions.
    Container,
}

impl Definition {
    pub fn is_function(&self) -> bool {
        match self.kind {
            Kind::Function | Kind::Method => true,
            Kind::Container => false,
        }
    }
}

/// In the order of their lines.
pub fn definitions(language: Language, text: &str) -> Vec<Definition> {
    let blank = blanked(language, text);
    match language {
        Language::Python => indentation::by_indentation(text, &blank),
        Language::Ruby => Vec::new(),
        Language::Node | Language::Go | Language::Rust | Language::Java | Language::DotNet | Language::Php => {
            braces::by_braces(language, text, &blank)
        }
    }
}

/// The innermost function around a line.
pub fn around(definitions: &[Definition], line: u32) -> Option<&Definition> {
    definitions.iter().rfind(|found| found.is_function() && found.line <= line && line <= found.end)
}

fn end(found: &mut [Definition], index: usize, line: u32) {
    if let Some(found) = found.get_mut(index) {
        found.end = line.max(found.line);
    }
}

fn parameters(text: &str, blank: &str, from: usize) -> String {
    let Some(open) = blank.get(from..).and_then(|rest| rest.find('(')).map(|at| from + at) else {
        return String::new();
    };
    let inside = bracketed(blank, open, LONGEST_PARAMETERS);
    text.get(open + 1..open + 1 + inside.len()).unwrap_or_default().to_owned()
}

/// The definition that a target names: by its whole qualified name, or by its last parts.
pub fn by_name<'a>(definitions: &'a [Definition], name: &str) -> Option<&'a Definition> {
    let plain = name.replace("::", ".").replace('#', ".");
    let ends = format!(".{plain}");
    let same = |found: &&Definition| found.qualified.replace("::", ".") == plain;
    let inside = |found: &&Definition| found.qualified.replace("::", ".").ends_with(&ends);
    definitions
        .iter()
        .find(same)
        .or_else(|| definitions.iter().find(inside))
        .filter(|found| found.is_function() || found.kind == Kind::Container)
}

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;

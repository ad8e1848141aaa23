//! A source text → the routes that it declares, each with its method and what answers it, and the prefixes that it puts
//! before the routes of others.
//!
//! Known are FastAPI, Flask, Django; Express, Koa, Fastify and Nest; net/http, Gin, Echo, chi, gorilla; Actix, Axum and Rocket;
//! Spring. Routes that are made by files' names (Next.js), by a table or in a loop are not seen.

mod braces;
mod java;
mod path;
mod python;

pub use path::{Fit, fit, same_route, segments};

use super::{bracketed, strings::Literal};
use crate::discover::found::Language;

pub const VERBS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Upper case; None: any, or not said.
    pub method: Option<String>,
    /// With the prefix that its own file gives it.
    pub path: String,
    pub line: u32,
    pub handler: Handler,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handler {
    /// The last part of its name: `create` of `orders.create`.
    Named(String),
    /// The first function that is defined behind the route's line.
    Next,
    /// A function without a name, on the route's line.
    Inline,
    Unknown,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    pub routes: Vec<Route>,
    /// Put before routes that other files declare.
    pub prefixes: Vec<String>,
}

pub fn routes(language: Language, text: &str) -> Routes {
    match language {
        Language::Python => python::routes(text),
        Language::Node => braces::node(text),
        Language::Go => braces::go(text),
        Language::Rust => braces::rust(text),
        Language::Java => java::routes(text),
        // Detected, not analysed.
        Language::DotNet | Language::Ruby | Language::Php => Routes::default(),
    }
}

/// `GET` of `get`, `Get`, `GET`; None for other words.
fn verb(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    VERBS.contains(&lower.as_str()).then(|| lower.to_ascii_uppercase())
}

/// The rest of a call behind its first argument, without the comma. `blank` has the same offsets and no strings.
fn further_arguments<'a>(text: &'a str, blank: &str, literal: &Literal<'_>) -> &'a str {
    let Some(open) = blank.get(..literal.offset).and_then(|before| before.rfind('(')) else { return "" };
    let end = open + 1 + bracketed(blank, open, 4000).len();
    let from = literal.offset + literal.text.len() + 2;
    text.get(from..end.max(from)).unwrap_or_default().trim_start().trim_start_matches(',').trim()
}

/// The object of a call: `router` of `router.get("/x")`.
fn object<'a>(text: &'a str, literal: &Literal<'_>) -> &'a str {
    let before = text.get(..literal.offset).unwrap_or_default();
    let Some(at) = before.rfind(literal.callee) else { return "" };
    let before = before.get(..at).unwrap_or_default().trim_end();
    before.strip_suffix('.').map_or("", |object| super::word_before(object.trim_end(), object.trim_end().len()))
}

/// A reference to a function → the last part of its name.
fn reference(text: &str) -> Handler {
    let text = text.trim().trim_end_matches(',').trim();
    let text = text.split_once(".as_view").map_or(text, |(class, _)| class);
    let text = text.strip_suffix(')').map_or(text, |inside| inside.rsplit(['(', ',']).next().unwrap_or_default());
    let name = super::word_before(text, text.len());
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        Handler::Unknown
    } else {
        Handler::Named(name.to_owned())
    }
}

/// Does a comment begin this line?
fn commented(text: &str, offset: usize, marks: &[&str]) -> bool {
    let start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..offset).unwrap_or_default().trim_start();
    marks.iter().any(|mark| line.starts_with(mark))
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;

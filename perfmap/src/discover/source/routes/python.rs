//! FastAPI, Starlette, Flask, Sanic by their decorators; Django by its URL tables.

use std::collections::BTreeMap;

use super::{Handler, Route, Routes, commented, further_arguments, object, reference, verb};
use crate::discover::{
    found::Language,
    source::{
        blank::blanked,
        strings::{Literal, literals},
        word_before,
    },
};

/// So far before a string the call that it is an argument of is looked for.
const CALL_REACH: usize = 400;

pub fn routes(text: &str) -> Routes {
    let blank = blanked(Language::Python, text);
    let mut found = Routes::default();
    let mut own: BTreeMap<&str, &str> = BTreeMap::new();
    let all = literals(text);
    for literal in &all {
        match prefix_of(text, &blank, literal) {
            Some(Prefix::OfRouter(router)) => {
                own.insert(router, literal.text);
            }
            Some(Prefix::OfOthers) => found.prefixes.push(literal.text.to_owned()),
            None => {}
        }
    }
    for literal in all.iter().filter(|literal| !commented(text, literal.offset, &["#"])) {
        let rest = further_arguments(text, &blank, literal);
        match literal.callee {
            "path" | "re_path" | "url" if rest.starts_with("include") => found.prefixes.push(literal.text.to_owned()),
            "path" | "re_path" | "url" if !rest.is_empty() => {
                let view = rest.split(',').next().unwrap_or_default();
                let class = view.split_once(".as_view").map_or(view, |(class, _)| class);
                found.routes.push(route(None, literal.text.to_owned(), literal, reference(class)));
            }
            "route" | "api_route" | "websocket" if is_decorator(text, literal) => {
                for method in methods(rest) {
                    found.routes.push(route(method, joined(&own, text, literal), literal, Handler::Next));
                }
            }
            callee if verb(callee).is_some() && is_decorator(text, literal) => {
                found.routes.push(route(verb(callee), joined(&own, text, literal), literal, Handler::Next));
            }
            _ => {}
        }
    }
    found
}

fn route(method: Option<String>, path: String, literal: &Literal<'_>, handler: Handler) -> Route {
    Route { method, path, line: literal.line, handler }
}

enum Prefix<'a> {
    OfRouter(&'a str),
    OfOthers,
}

/// `prefix="/x"` of a router, or of where a router is taken in.
fn prefix_of<'a>(text: &'a str, blank: &str, literal: &Literal<'_>) -> Option<Prefix<'a>> {
    let before = text.get(..literal.offset)?.trim_end().strip_suffix('=')?.trim_end();
    if !matches!(word_before(before, before.len()), "prefix" | "url_prefix") {
        return None;
    }
    let mut from = before.len().saturating_sub(CALL_REACH);
    while !blank.is_char_boundary(from) {
        from += 1;
    }
    let near = blank.get(from..before.len())?;
    let calls = ["APIRouter(", "Blueprint(", "include_router(", "register_blueprint("];
    let (at, call) = calls.iter().filter_map(|call| Some((near.rfind(call)?, *call))).max()?;
    if !matches!(call, "APIRouter(" | "Blueprint(") {
        return Some(Prefix::OfOthers);
    }
    let name = text.get(..from + at)?.trim_end().strip_suffix('=')?.trim_end();
    Some(Prefix::OfRouter(word_before(name, name.len())))
}

fn joined(own: &BTreeMap<&str, &str>, text: &str, literal: &Literal<'_>) -> String {
    let prefix = own.get(object(text, literal)).copied().unwrap_or_default();
    format!("{}/{}", prefix.trim_end_matches('/'), literal.text.trim_start_matches('/'))
}

/// Between the `@` and the string there is nothing but a dotted name and a bracket.
fn is_decorator(text: &str, literal: &Literal<'_>) -> bool {
    let before = text.get(..literal.offset).unwrap_or_default();
    let Some((_, between)) = before.rsplit_once('@') else { return false };
    between.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '_' | '.' | '(' | '='))
}

/// `methods=["GET", "POST"]`; Flask's own default is GET, others' any.
fn methods(rest: &str) -> Vec<Option<String>> {
    let Some((_, list)) = rest.split_once("methods") else { return vec![None] };
    let list = list.split([']', '}']).next().unwrap_or_default();
    let found: Vec<_> = literals(list).iter().filter_map(|literal| verb(literal.text).map(Some)).collect();
    if found.is_empty() { vec![None] } else { found }
}

//! Node, Go and Rust: routes are calls on a router, or attributes.

use super::{Handler, Route, Routes, commented, further_arguments, object, reference, verb};
use crate::discover::{
    found::Language,
    source::{
        blank::blanked,
        first_word, is_word, line_of,
        strings::{Literal, literals},
        word_before, word_positions,
    },
};

/// Objects that send requests, rather than answer them.
const CLIENTS: [&str; 9] = ["axios", "client", "http", "request", "api", "agent", "fetcher", "$http", "ky"];

pub fn node(text: &str) -> Routes {
    let blank = blanked(Language::Node, text);
    let mut found = nest(text, &blank);
    for literal in literals(text).iter().filter(|literal| !commented(text, literal.offset, &["//", "*"])) {
        let rest = further_arguments(text, &blank, literal);
        match literal.callee {
            "setGlobalPrefix" => found.prefixes.push(literal.text.to_owned()),
            "use" | "register" if literal.text.starts_with('/') => found.prefixes.push(literal.text.to_owned()),
            callee if literal.text.starts_with('/') && (verb(callee).is_some() || callee == "all") => {
                let object = object(text, literal);
                if object.is_empty() || CLIENTS.contains(&object) || rest.is_empty() {
                    continue;
                }
                let handler = if rest.contains("=>") || rest.contains("function") {
                    Handler::Inline
                } else {
                    reference(rest.rsplit(',').next().unwrap_or_default())
                };
                found.routes.push(route(verb(callee), literal.text, literal, handler));
            }
            _ => {}
        }
    }
    found
}

/// `@Controller('orders')` and its `@Get(':id')`, in one file.
fn nest(text: &str, blank: &str) -> Routes {
    let mut found = Routes::default();
    let mut prefix = String::new();
    for (at, _) in blank.match_indices('@') {
        let rest = text.get(at + 1..).unwrap_or_default();
        let name = first_word(rest);
        let Some(inside) = rest.get(name.len()..).and_then(|rest| rest.strip_prefix('(')) else { continue };
        let given = inside.get(..inside.find(')').unwrap_or(0)).unwrap_or_default();
        let own = literals(given).first().map_or("", |literal| literal.text).trim_matches('/');
        let method = match name {
            "Controller" => {
                prefix = format!("/{own}");
                continue;
            }
            "All" => None,
            name if name.starts_with(char::is_uppercase) && verb(name).is_some() && !prefix.is_empty() => verb(name),
            _ => continue,
        };
        let path = format!("{}/{own}", prefix.trim_end_matches('/'));
        found.routes.push(Route { method, path, line: line_of(text, at), handler: Handler::Next });
    }
    found
}

pub fn go(text: &str) -> Routes {
    let blank = blanked(Language::Go, text);
    let mut found = Routes::default();
    for literal in literals(text).iter().filter(|literal| !commented(text, literal.offset, &["//"])) {
        // Since Go 1.22 the method may stand in the pattern.
        let (said, path) = match literal.text.split_once(' ') {
            Some((word, path)) if verb(word).is_some() => (verb(word), path.trim()),
            Some(_) | None => (None, literal.text),
        };
        let rest = further_arguments(text, &blank, literal);
        match literal.callee {
            _ if !path.starts_with('/') => {}
            "Group" | "Route" | "PathPrefix" | "Mount" => found.prefixes.push(path.to_owned()),
            callee if matches!(callee, "HandleFunc" | "Handle" | "Any") || verb(callee).is_some() => {
                // `http.Get("/x")` is a client's.
                if rest.is_empty() || (callee == "Get" && object(text, literal) == "http") {
                    continue;
                }
                let behind = text.get(literal.offset..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                let chained = behind.split_once(".Methods(").and_then(|(_, list)| {
                    let list = literals(list);
                    list.first().and_then(|literal| verb(literal.text))
                });
                let first = rest.split(',').next().unwrap_or_default();
                let handler = if rest.starts_with("func") { Handler::Inline } else { reference(first) };
                found.routes.push(route(said.or(chained).or(verb(callee)), path, literal, handler));
            }
            _ => {}
        }
    }
    found
}

pub fn rust(text: &str) -> Routes {
    let blank = blanked(Language::Rust, text);
    let mut found = Routes::default();
    for literal in literals(text).iter().filter(|literal| !commented(text, literal.offset, &["//"])) {
        let rest = further_arguments(text, &blank, literal);
        match literal.callee {
            _ if !literal.text.starts_with('/') => {}
            "nest" | "scope" | "mount" => found.prefixes.push(literal.text.to_owned()),
            "route" | "resource" => {
                // `.route("/x", get(a).post(b))`; of `web::resource("/x").route(web::get().to(a))` the calls follow.
                let chained;
                let handlers = if literal.callee == "resource" {
                    let behind = text.get(literal.offset..).unwrap_or_default();
                    chained = behind.split(';').next().unwrap_or_default();
                    chained.split("resource(").next().unwrap_or_default()
                } else {
                    rest
                };
                found.routes.extend(handlers_of(handlers).map(|(method, handler)| {
                    let path = literal.text.to_owned();
                    Route { method: Some(method), path, line: literal.line, handler }
                }));
            }
            callee if verb(callee).is_some() && is_attribute(text, literal) => {
                found.routes.push(route(verb(callee), literal.text, literal, Handler::Next));
            }
            _ => {}
        }
    }
    found
}

fn handlers_of(text: &str) -> impl Iterator<Item = (String, Handler)> {
    super::VERBS.iter().flat_map(move |word| {
        word_positions(text, word).filter_map(move |at| {
            let inside = text.get(at + word.len()..)?.trim_start().strip_prefix('(')?;
            // Actix: get().to(handler)
            let inside =
                inside.strip_prefix(')').map_or(Some(inside), |rest| rest.split_once(".to(").map(|(_, to)| to))?;
            let path_end = inside.bytes().position(|byte| !is_word(byte) && byte != b':').unwrap_or(inside.len());
            let path = inside.get(..path_end)?;
            let handler = match inside.trim_start().starts_with(['|', 'm']) && inside.contains('|') && path.len() < 2 {
                true => Handler::Inline,
                false => Handler::Named(word_before(path, path.len()).to_owned()),
            };
            Some((word.to_ascii_uppercase(), handler))
        })
    })
}

fn is_attribute(text: &str, literal: &Literal<'_>) -> bool {
    let before = text.get(..literal.offset).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.trim_start().starts_with("#[")
}

fn route(method: Option<String>, path: &str, literal: &Literal<'_>, handler: Handler) -> Route {
    Route { method, path: path.to_owned(), line: literal.line, handler }
}

//! The facts of one file → the routes that it serves, before anyone knows under which prefix it hangs.
//!
//! One file a language; `join` puts the prefixes before them.

mod csharp;
mod go;
mod java;
pub(super) mod join;
mod node;
mod python;
mod rust;

use super::{
    facts::{Arg, Facts, Parts, Value},
    language::Language,
};

/// One route as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Raw {
    /// The router that it is put on: a variable, in Rust also the function that builds it.
    pub router: Option<String>,
    /// Upper case; `None` for any.
    pub method: Option<String>,
    pub path: String,
    pub handler: Handler,
    /// The function in whose names the handler is written.
    pub within: usize,
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Handler {
    Function(usize),
    Name(Parts),
    /// A class, and which of its methods answers.
    Method(Parts, String),
}

/// `prefix` goes before all that `child` serves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mount {
    pub parent: Option<String>,
    pub child: Child,
    pub prefix: String,
    /// The child's own prefix does not count here.
    pub replaces: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Child {
    Name(Parts),
    /// A module by its name: Django's `include("jobs.urls")`, Node's `require("./jobs")`.
    Module(String),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    pub routes: Vec<Raw>,
    pub mounts: Vec<Mount>,
    /// Routers with a prefix of their own.
    pub routers: Vec<(String, String)>,
}

const MOST: usize = 4_000;

pub(super) fn of(language: Language, facts: &Facts) -> Table {
    let mut table = Table::default();
    match language {
        Language::Python => python::routes(facts, &mut table),
        Language::JavaScript | Language::TypeScript | Language::Tsx => node::routes(facts, &mut table),
        Language::Go => go::routes(facts, &mut table),
        Language::Java => java::routes(facts, &mut table),
        Language::Rust => rust::routes(facts, &mut table),
        Language::CSharp => csharp::routes(facts, &mut table),
    }
    table.routes.truncate(MOST);
    table.mounts.truncate(MOST);
    table
}

const METHODS: &[&str] = &["get", "post", "put", "delete", "patch", "head", "options"];

/// `get` → `GET`; `None` for what is no method.
fn method(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    METHODS.contains(&lower.as_str()).then(|| lower.to_ascii_uppercase())
}

/// A call by whose name a route or a router may be set up.
pub(super) fn registers(language: Language, path: &[String]) -> bool {
    let Some(last) = path.last().map(String::as_str) else { return false };
    match language {
        Language::Python => matches!(
            last,
            "path"
                | "re_path"
                | "url"
                | "include_router"
                | "register_blueprint"
                | "add_url_rule"
                | "add_api_route"
                | "register"
        ),
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            path.len() > 1 && (method(last).is_some() || matches!(last, "use" | "route" | "all"))
        }
        Language::Go => method(last).is_some() || matches!(last, "HandleFunc" | "Handle" | "Group" | "Any" | "Methods"),
        Language::Java => false,
        Language::Rust => matches!(last, "route" | "nest" | "service" | "scope" | "resource" | "merge" | "mount"),
        Language::CSharp => last.starts_with("Map"),
    }
}

/// Its arguments are those of a route: the same names are methods of clients and of maps.
pub(super) fn has_route(language: Language, path: &[String], args: &[Arg]) -> bool {
    let last = path.last().map_or("", String::as_str);
    let first = args.iter().find_map(|arg| match &arg.value {
        Value::Text(text) => Some(text.as_str()),
        Value::Number(_) | Value::Name(_) | Value::Call(..) | Value::Function(_) | Value::Other => None,
    });
    match language {
        Language::Python => true,
        Language::Rust => first.is_none_or(|text| text.starts_with('/') || text.is_empty()),
        Language::Go => first.is_some_and(|text| text.contains('/')) || last == "Methods",
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            let handles = args.iter().any(|arg| !matches!(arg.value, Value::Text(_) | Value::Number(_)));
            let here = first.is_some_and(|text| text.starts_with('/') || text == "*");
            // `router.route("/x").get(h)`: the path is one call before.
            let before = path.iter().any(|part| part == "route");
            (here || before || last == "use" && first.is_none()) && handles || last == "route" && here
        }
        Language::Java => false,
        Language::CSharp => {
            first.is_some_and(|text| text.starts_with('/') || last == "MapGroup" || !text.contains(' '))
        }
    }
}

/// A variable that holds this is a router.
pub(super) fn makes_router(language: Language, path: &[String]) -> bool {
    let Some(last) = path.last().map(String::as_str) else { return false };
    match language {
        Language::Python => matches!(last, "APIRouter" | "Blueprint" | "FastAPI" | "Flask"),
        Language::JavaScript | Language::TypeScript | Language::Tsx => matches!(last, "Router" | "express"),
        Language::Go => matches!(last, "Group" | "PathPrefix" | "Subrouter"),
        Language::Java => false,
        Language::Rust => path.iter().any(|part| part == "Router" || part == "scope"),
        Language::CSharp => last == "MapGroup",
    }
}

/// The function that answers: the last argument that can be one; what comes before are its filters.
fn handler(args: &[Arg]) -> Option<Handler> {
    args.iter().rev().find_map(|arg| from_value(&arg.value))
}

fn from_value(value: &Value) -> Option<Handler> {
    match value {
        Value::Function(index) => Some(Handler::Function(*index)),
        Value::Name(parts) => Some(Handler::Name(parts.clone())),
        // `asyncHandler(load)`, `http.HandlerFunc(load)`, `jobs.list()` that gives back the handler.
        Value::Call(_, Some(last)) if from_value(last).is_some() => from_value(last),
        Value::Call(parts, _) => Some(Handler::Name(parts.clone())),
        Value::Text(_) | Value::Number(_) | Value::Other => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Number(_) | Value::Name(_) | Value::Call(..) | Value::Function(_) | Value::Other => None,
    }
}

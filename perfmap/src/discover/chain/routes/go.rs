//! net/http's `HandleFunc` and the patterns of its ServeMux, Gin (Echo, Chi and gorilla/mux are written alike).

use super::{Child, Mount, Raw, Table, handler, method};
use crate::discover::chain::facts::{Call, Facts, Function};

pub(super) fn routes(facts: &Facts, table: &mut Table) {
    for (index, function) in facts.functions.iter().enumerate() {
        for call in &function.calls {
            called(function, call, index, table);
        }
        for binding in &function.bindings {
            // `v1 := api.Group("/v1")`
            let group = function.calls.iter().find(|call| call.bound.as_deref() == Some(&binding.name));
            let group = group.filter(|call| matches!(call.last(), "Group" | "PathPrefix" | "Subrouter"));
            if let Some((call, prefix)) = group.and_then(|call| Some((call, call.text()?))) {
                let parent = call.path.first().cloned();
                let child = Child::Name(vec![binding.name.clone()]);
                table.mounts.push(Mount { parent, child, prefix: prefix.to_owned(), replaces: false });
            }
        }
    }
}

fn called(function: &Function, call: &Call, within: usize, table: &mut Table) {
    let Some(text) = call.text().filter(|text| text.contains('/')) else { return };
    let (verb, path) = match call.last() {
        "HandleFunc" | "Handle" | "Any" => match text.split_once(' ') {
            // `GET example.com/path`: what stands before the first slash is a host.
            Some((verb, rest)) => (method(verb), rest.get(rest.find('/').unwrap_or(0)..).unwrap_or(rest)),
            None => (later_methods(function, call), text),
        },
        last => match method(last) {
            Some(verb) => (Some(verb), text),
            None => return,
        },
    };
    let router = call.path.first().filter(|_| call.path.len() > 1).cloned();
    let Some(handler) = handler(&call.args) else { return };
    table.routes.push(Raw { router, method: verb, path: path.to_owned(), handler, within, line: call.line });
}

/// gorilla/mux: `.Methods("GET")` follows.
fn later_methods(function: &Function, call: &Call) -> Option<String> {
    let outer = function.calls.get(call.receiver_of?)?;
    if outer.last() == "Methods" { outer.text().and_then(method) } else { None }
}

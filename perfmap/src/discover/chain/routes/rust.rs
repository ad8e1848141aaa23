//! Axum's routers and Actix's attributes and scopes.

use super::{Child, Handler, Mount, Raw, Table, from_value, method};
use crate::discover::chain::facts::{Arg, Call, Facts, Function, Value};

pub(super) fn routes(facts: &Facts, table: &mut Table) {
    for (index, function) in facts.functions.iter().enumerate() {
        for attribute in &function.attributes {
            let (Some(verb), Some(path)) = (method(attribute.last()), attribute.text()) else { continue };
            table.routes.push(Raw {
                router: Some(function.name.clone()),
                method: Some(verb),
                path: path.to_owned(),
                handler: Handler::Function(index),
                within: 0,
                line: function.line,
            });
        }
        for call in &function.calls {
            called(function, call, index, table);
        }
    }
}

fn called(function: &Function, call: &Call, within: usize, table: &mut Table) {
    let router = Some(router_of(function, call));
    match call.last() {
        "route" => {
            // Actix's `web::resource("/x").route(web::get().to(h))` has its path where the chain begins.
            let Some(path) = call.text().or_else(|| start_of(function, call, "resource")) else { return };
            for Arg { name, value } in &call.args {
                let Some(handler) = from_value(value).filter(|_| name.is_some()) else { continue };
                let verb = name.as_deref().and_then(method);
                let (router, path) = (router.clone(), path.to_owned());
                table.routes.push(Raw { router, method: verb, path, handler, within, line: call.line });
            }
        }
        "nest" | "merge" | "service" => {
            let prefix = call.text().or_else(|| start_of(function, call, "scope")).unwrap_or_default().to_owned();
            for arg in &call.args {
                let (Value::Name(parts) | Value::Call(parts, _)) = &arg.value else { continue };
                table.mounts.push(Mount {
                    parent: router.clone(),
                    child: Child::Name(parts.clone()),
                    prefix: prefix.clone(),
                    replaces: false,
                });
            }
        }
        _ => {}
    }
}

/// The variable that the chain ends in, else the function that gives it back.
fn router_of(function: &Function, call: &Call) -> String {
    let mut at = call;
    for _ in 0..64 {
        match at.receiver_of.and_then(|outer| function.calls.get(outer)) {
            Some(outer) => at = outer,
            None => break,
        }
    }
    at.bound.clone().unwrap_or_else(|| function.name.clone())
}

/// The text of the call that the chain began with.
fn start_of<'a>(function: &'a Function, call: &Call, name: &str) -> Option<&'a str> {
    if !call.path.iter().any(|part| part == name) {
        return None;
    }
    let same = |other: &&Call| other.last() == name && other.path.first() == call.path.first();
    let near = |other: &Call| other.line <= call.line;
    function.calls.iter().filter(same).filter(|other| near(other)).max_by_key(|other| other.line).and_then(Call::text)
}

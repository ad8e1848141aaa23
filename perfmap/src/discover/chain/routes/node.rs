//! Express (and what is written like it: Koa's router, Fastify, Hono), Nest's decorators.

use super::{Child, Handler, Mount, Raw, Table, handler, method};
use crate::discover::chain::facts::{Attribute, Call, Facts, Function, Value};

pub(super) fn routes(facts: &Facts, table: &mut Table) {
    for (index, function) in facts.functions.iter().enumerate() {
        for (at, call) in function.calls.iter().enumerate() {
            called(function, at, call, index, table);
        }
        nest(facts, function, index, table);
    }
}

fn called(function: &Function, at: usize, call: &Call, within: usize, table: &mut Table) {
    let router = call.path.first().cloned();
    if call.last() == "use" {
        for arg in &call.args {
            let child = match &arg.value {
                Value::Name(parts) => Child::Name(parts.clone()),
                Value::Call(path, Some(last)) if *path == ["require"] => match last.as_ref() {
                    Value::Text(module) => Child::Module(module.clone()),
                    _ => continue,
                },
                Value::Call(..) | Value::Text(_) | Value::Number(_) | Value::Function(_) | Value::Other => continue,
            };
            let prefix = call.text().unwrap_or_default().to_owned();
            table.mounts.push(Mount { parent: router.clone(), child, prefix, replaces: false });
        }
        return;
    }
    let verb = method(call.last());
    if verb.is_none() && call.last() != "all" {
        return;
    }
    // `router.route("/x").get(h).post(h)`: the path is what the chain began with.
    let before = || {
        let inner = function.calls.iter().filter(|inner| inner.last() == "route");
        inner
            .filter(|inner| inner.receiver_of == Some(at) || outermost(function, inner) == outermost(function, call))
            .find_map(Call::text)
    };
    let own = call.text().filter(|text| text.starts_with('/') || *text == "*");
    let path = own.or_else(|| before().filter(|_| call.path.iter().any(|part| part == "route")));
    if let (Some(path), Some(handler)) = (path, handler(&call.args)) {
        table.routes.push(Raw { router, method: verb, path: path.to_owned(), handler, within, line: call.line });
    }
}

/// The last call of the chain that this one belongs to.
fn outermost(function: &Function, call: &Call) -> Option<usize> {
    let mut at = call.receiver_of?;
    for _ in 0..32 {
        match function.calls.get(at).and_then(|call| call.receiver_of) {
            Some(next) if next != at => at = next,
            _ => break,
        }
    }
    Some(at)
}

fn nest(facts: &Facts, function: &Function, index: usize, table: &mut Table) {
    let Some(owner) = &function.owner else { return };
    let class = facts.classes.iter().find(|class| class.name == *owner);
    let controller = class.and_then(|class| class.attributes.iter().find(|attribute| attribute.last() == "Controller"));
    let Some(controller) = controller else { return };
    let prefix = controller.text().or_else(|| match super::super::facts::named(&controller.args, "path") {
        Some(Value::Text(path)) => Some(path.as_str()),
        _ => None,
    });
    for attribute in &function.attributes {
        let verb = verb_of(attribute);
        if verb.is_none() && attribute.last() != "All" {
            continue;
        }
        let path = format!("{}/{}", prefix.unwrap_or_default(), attribute.text().unwrap_or_default());
        let handler = Handler::Function(index);
        table.routes.push(Raw { router: None, method: verb, path, handler, within: 0, line: function.line });
    }
}

fn verb_of(attribute: &Attribute) -> Option<String> {
    let name = attribute.last();
    if name.starts_with(char::is_uppercase) { method(name) } else { None }
}

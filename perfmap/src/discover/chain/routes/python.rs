//! FastAPI (and Starlette), Flask, Django.

use super::{Child, Handler, Mount, Raw, Table, from_value, method, text};
use crate::discover::chain::facts::{Arg, Call, Facts, Value, named};

pub(super) fn routes(facts: &Facts, table: &mut Table) {
    for (index, function) in facts.functions.iter().enumerate() {
        for binding in &function.bindings {
            let last = binding.value.last().map(String::as_str);
            let call = function.calls.iter().find(|call| call.bound.as_deref() == Some(&binding.name));
            let prefix = match (last, call) {
                (Some("APIRouter"), Some(call)) => call.named("prefix").and_then(text),
                (Some("Blueprint"), Some(call)) => call.named("url_prefix").and_then(text),
                _ => None,
            };
            if let Some(prefix) = prefix {
                table.routers.push((binding.name.clone(), prefix.to_owned()));
            }
        }
        for call in &function.calls {
            called(call, index, table);
        }
        for attribute in &function.attributes {
            let [.., router, verb] = attribute.path.as_slice() else { continue };
            let path = attribute.text().or_else(|| named(&attribute.args, "path").and_then(text));
            let Some(path) = path.filter(|path| path.starts_with('/') || path.is_empty()) else { continue };
            let methods = match verb.as_str() {
                "route" | "api_route" => methods(&attribute.args),
                verb => match method(verb) {
                    Some(method) => vec![Some(method)],
                    None => continue,
                },
            };
            for method in methods {
                table.routes.push(Raw {
                    router: Some(router.clone()),
                    method,
                    path: path.to_owned(),
                    handler: Handler::Function(index),
                    within: function.outer,
                    line: function.line,
                });
            }
        }
    }
}

/// `methods=["GET", "POST"]`.
fn methods(args: &[Arg]) -> Vec<Option<String>> {
    match named(args, "methods").and_then(text) {
        Some(list) => list.split(' ').map(method).collect(),
        None => vec![None],
    }
}

fn called(call: &Call, within: usize, table: &mut Table) {
    let parent = || call.path.iter().rev().nth(1).cloned();
    let first_name = || {
        call.args.iter().find_map(|arg| match &arg.value {
            Value::Name(parts) => Some(parts.clone()),
            Value::Text(_) | Value::Number(_) | Value::Call(..) | Value::Function(_) | Value::Other => None,
        })
    };
    let mut mount = |prefix: Option<&str>, replaces: bool| {
        if let Some(child) = first_name() {
            let prefix = prefix.unwrap_or_default().to_owned();
            table.mounts.push(Mount { parent: parent(), child: Child::Name(child), prefix, replaces });
        }
    };
    match call.last() {
        "include_router" => mount(call.named("prefix").and_then(text), false),
        "register_blueprint" => {
            let prefix = call.named("url_prefix").and_then(text);
            mount(prefix, prefix.is_some());
        }
        "add_api_route" | "add_url_rule" => {
            let named = call.named("view_func").or_else(|| call.named("endpoint")).and_then(from_value);
            let handler = named.or_else(|| super::handler(&call.args));
            if let (Some(path), Some(handler)) = (call.text(), handler) {
                for method in methods(&call.args) {
                    let (path, handler) = (path.to_owned(), handler.clone());
                    table.routes.push(Raw { router: parent(), method, path, handler, within, line: call.line });
                }
            }
        }
        "path" | "re_path" | "url" if call.path.len() == 1 => django(call, within, table),
        // Django REST framework: a set of views under one name.
        "register" if within == 0 => {
            let (Some(prefix), Some(class)) = (call.text(), first_name()) else { return };
            for (verb, name, one) in [
                ("GET", "list", false),
                ("POST", "create", false),
                ("GET", "retrieve", true),
                ("PUT", "update", true),
                ("PATCH", "partial_update", true),
                ("DELETE", "destroy", true),
            ] {
                table.routes.push(Raw {
                    router: None,
                    method: Some(verb.to_owned()),
                    path: if one { format!("{prefix}/{{id}}") } else { prefix.to_owned() },
                    handler: Handler::Method(class.clone(), name.to_owned()),
                    within,
                    line: call.line,
                });
            }
        }
        _ => {}
    }
}

fn django(call: &Call, within: usize, table: &mut Table) {
    let Some(path) = call.text() else { return };
    match call.args.get(1).map(|arg| &arg.value) {
        Some(Value::Call(name, given)) if name.last().is_some_and(|last| last == "include") => {
            let child = match given.as_deref() {
                Some(Value::Text(module)) => Child::Module(module.clone()),
                Some(Value::Name(parts)) => Child::Module(parts.join(".")),
                _ => return,
            };
            table.mounts.push(Mount { parent: None, child, prefix: path.to_owned(), replaces: false });
        }
        Some(Value::Call(name, _)) if name.last().is_some_and(|last| last == "as_view") => {
            let class = name.get(..name.len() - 1).unwrap_or_default().to_vec();
            for verb in super::METHODS {
                table.routes.push(Raw {
                    router: None,
                    method: Some(verb.to_ascii_uppercase()),
                    path: path.to_owned(),
                    handler: Handler::Method(class.clone(), (*verb).to_owned()),
                    within,
                    line: call.line,
                });
            }
        }
        Some(value) => {
            if let Some(handler) = from_value(value) {
                let path = path.to_owned();
                table.routes.push(Raw { router: None, method: None, path, handler, within, line: call.line });
            }
        }
        None => {}
    }
}

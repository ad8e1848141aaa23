//! Spring's annotations (`@GetMapping` and its kin), and JAX-RS by the same way of writing.

use super::{Handler, Raw, Table, method, text};
use crate::discover::chain::facts::{Attribute, Facts, Value, named};

pub(super) fn routes(facts: &Facts, table: &mut Table) {
    for (index, function) in facts.functions.iter().enumerate() {
        let Some(owner) = &function.owner else { continue };
        let class = facts.classes.iter().find(|class| class.name == *owner);
        let prefix = class.and_then(|class| class.attributes.iter().find_map(mapped)).map(|(_, path)| path);
        for attribute in &function.attributes {
            let Some((verb, path)) = mapped(attribute) else { continue };
            table.routes.push(Raw {
                router: None,
                method: verb,
                path: format!("{}/{path}", prefix.as_deref().unwrap_or_default()),
                handler: Handler::Function(index),
                within: 0,
                line: function.line,
            });
        }
    }
}

fn mapped(attribute: &Attribute) -> Option<(Option<String>, String)> {
    let verb = match attribute.last() {
        "RequestMapping" | "Path" => match named(&attribute.args, "method") {
            Some(Value::Name(parts)) => parts.last().and_then(|verb| method(verb)),
            _ => None,
        },
        name => Some(method(name.strip_suffix("Mapping")?)?),
    };
    let path = attribute.text().or_else(|| named(&attribute.args, "value").and_then(text));
    let path = path.or_else(|| named(&attribute.args, "path").and_then(text)).unwrap_or_default();
    // Several paths of one method: the first stands for them.
    Some((verb, path.split(' ').next().unwrap_or(path).to_owned()))
}

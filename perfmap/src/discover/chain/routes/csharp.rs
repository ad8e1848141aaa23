//! ASP.NET Core: attributes of controllers, and `MapGet` with its kin.

use super::{Child, Handler, Mount, Raw, Table, handler, method};
use crate::discover::chain::facts::{Attribute, Facts};

pub(super) fn routes(facts: &Facts, table: &mut Table) {
    for (index, function) in facts.functions.iter().enumerate() {
        for call in &function.calls {
            let router = call.path.first().cloned();
            let Some(path) = call.text() else { continue };
            if call.last() == "MapGroup" {
                if let Some(name) = &call.bound {
                    let child = Child::Name(vec![name.clone()]);
                    table.mounts.push(Mount { parent: router, child, prefix: path.to_owned(), replaces: false });
                }
                continue;
            }
            let verb = call.last().strip_prefix("Map").and_then(method);
            if let (Some(verb), Some(handler)) = (verb, handler(&call.args)) {
                let (path, method) = (path.to_owned(), Some(verb));
                table.routes.push(Raw { router, method, path, handler, within: index, line: call.line });
            }
        }
        let Some(owner) = &function.owner else { continue };
        let class = facts.classes.iter().find(|class| class.name == *owner);
        let route = |attribute: &&Attribute| attribute.last() == "Route";
        let prefix = class.and_then(|class| class.attributes.iter().find(route)).and_then(Attribute::text);
        let controller = owner.strip_suffix("Controller").unwrap_or(owner).to_ascii_lowercase();
        let prefix = prefix.unwrap_or_default().replace("[controller]", &controller);
        for attribute in &function.attributes {
            let Some(verb) = attribute.last().strip_prefix("Http").and_then(method) else { continue };
            let own = function.attributes.iter().find(route).and_then(Attribute::text);
            let own = attribute.text().or(own).unwrap_or_default();
            table.routes.push(Raw {
                router: None,
                method: Some(verb),
                path: if own.starts_with('/') { own.to_owned() } else { format!("{prefix}/{own}") },
                handler: Handler::Function(index),
                within: 0,
                line: function.line,
            });
        }
    }
}

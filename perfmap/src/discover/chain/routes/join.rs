//! The routes of all files, under the prefixes that routers are mounted with.

use super::{Child, Handler, Mount, Raw};
use crate::discover::chain::{
    index::{At, Index},
    look::Meaning,
    modules, url,
};
use std::collections::HashMap;

const MOST_ROUTES: usize = 20_000;
/// Routers in routers.
const MOST_MOUNTS: usize = 8;

/// One route of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::discover::chain) struct Route {
    /// Upper case; `None` for any.
    pub method: Option<String>,
    /// With `{}` for what varies.
    pub path: String,
    /// As it is written, with the names of what varies.
    pub declared: String,
    pub handler: At,
    /// The function that sets it up.
    pub registered: At,
    pub service: Option<usize>,
}

impl Route {
    /// `POST /jobs/{}`.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method.as_deref().unwrap_or("ANY"), self.path)
    }
}

/// A router: its file and its name; a whole module has none.
type Router = (usize, Option<String>);
/// Child → its parents, and how it is mounted there.
type Above = HashMap<Router, Vec<(Router, Mount)>>;

pub(in crate::discover::chain) fn all(index: &Index) -> Vec<Route> {
    let mut above: Above = HashMap::new();
    for (file, one) in index.files.iter().enumerate() {
        for mount in &one.table.mounts {
            for child in children(index, file, &mount.child) {
                let parent = (file, mount.parent.clone());
                if child != parent {
                    above.entry(child).or_default().push((parent, mount.clone()));
                }
            }
        }
    }
    let mut routes = Vec::new();
    for (file, one) in index.files.iter().enumerate() {
        for raw in &one.table.routes {
            let Some(handler) = handler_of(index, file, raw) else { continue };
            for prefix in prefixes(index, &above, file, raw) {
                if routes.len() < MOST_ROUTES {
                    let whole = format!("{prefix}/{}", raw.path);
                    let parts: Vec<&str> = whole.split('/').filter(|part| !part.is_empty()).collect();
                    let declared = format!("/{}", parts.join("/"));
                    let path = url::template(&whole);
                    routes.push(Route {
                        declared,
                        method: raw.method.clone(),
                        path,
                        handler,
                        registered: At { file, function: raw.within },
                        service: one.service,
                    });
                }
            }
        }
    }
    routes.sort_by(|a, b| (&a.path, &a.method, a.handler).cmp(&(&b.path, &b.method, b.handler)));
    routes.dedup_by(|a, b| (&a.path, &a.method, a.handler) == (&b.path, &b.method, b.handler));
    routes
}

fn children(index: &Index, file: usize, child: &Child) -> Vec<Router> {
    match child {
        Child::Module(module) => modules::files(index, file, module).into_iter().map(|file| (file, None)).collect(),
        Child::Name(parts) => {
            let Some(one) = index.files.get(file) else { return Vec::new() };
            let (Some(head), Some(last)) = (parts.first(), parts.last()) else { return Vec::new() };
            let import = one.facts.imports.iter().find(|import| import.local == *head);
            let Some(import) = import else {
                // Rust's `jobs::routes()` names its module itself.
                let far = index.look_at_top(file, parts);
                let far = match far {
                    Meaning::Function(at) => index.function(at).map(|function| (at.file, Some(function.name.clone()))),
                    Meaning::Class(..) | Meaning::Outside(_) | Meaning::Many(_) => None,
                };
                return vec![far.unwrap_or_else(|| (file, Some(last.clone())))];
            };
            let of_item = import.item.as_ref().filter(|item| *item != "default");
            let module = match of_item {
                // `from app import jobs`: a module in a module.
                Some(item) => {
                    let inner = modules::files(index, file, &modules::join(one, &import.module, item));
                    if inner.is_empty() { None } else { Some(inner) }
                }
                None => None,
            };
            let in_module = module.is_some() || of_item.is_none();
            let files = module.unwrap_or_else(|| modules::files(index, file, &import.module));
            let name = match (in_module, parts.len()) {
                (true, 1) => None,
                (true, _) => Some(last.clone()),
                (false, _) => of_item.cloned(),
            };
            files.into_iter().map(|file| (file, name.clone())).collect()
        }
    }
}

/// Every way down to this router; an empty prefix where it is mounted nowhere.
fn prefixes(index: &Index, above: &Above, file: usize, raw: &Raw) -> Vec<String> {
    let own = |router: &Router| {
        let table = index.files.get(router.0).map(|file| &file.table);
        let found = table.and_then(|table| table.routers.iter().find(|(name, _)| Some(name) == router.1.as_ref()));
        found.map(|(_, prefix)| prefix.clone()).unwrap_or_default()
    };
    let mut done = Vec::new();
    // What comes after the router's own prefix.
    let mut open = vec![((file, raw.router.clone()), String::new(), 0)];
    while let Some((router, rest, depth)) = open.pop() {
        // A module as a whole, or the router of that name.
        let whole = (router.0, None);
        let parents = above.get(&router).into_iter().chain(above.get(&whole).filter(|_| router.1.is_some())).flatten();
        let mut any = false;
        for (parent, mount) in parents {
            if depth < MOST_MOUNTS && open.len() + done.len() < 16 {
                any = true;
                // Flask's `register_blueprint(url_prefix=…)` takes the place of the blueprint's own.
                let own = if mount.replaces { String::new() } else { own(&router) };
                open.push((parent.clone(), format!("{}/{own}/{rest}", mount.prefix), depth + 1));
            }
        }
        if !any {
            done.push(format!("{}/{rest}", own(&router)));
        }
    }
    done.sort();
    done.dedup();
    done
}

fn handler_of(index: &Index, file: usize, raw: &Raw) -> Option<At> {
    match &raw.handler {
        Handler::Function(function) => Some(At { file, function: *function }),
        Handler::Name(parts) => match index.look_in(file, raw.within, parts) {
            Meaning::Function(at) => Some(at),
            // Go's `mux.Handle("/x", handler)`: the type answers by its method.
            Meaning::Class(file, class) => index.method(file, class, "ServeHTTP"),
            Meaning::Outside(_) | Meaning::Many(_) => None,
        },
        Handler::Method(parts, method) => match index.look_in(file, raw.within, parts) {
            Meaning::Class(file, class) => index.method(file, class, method),
            Meaning::Function(_) | Meaning::Outside(_) | Meaning::Many(_) => None,
        },
    }
}

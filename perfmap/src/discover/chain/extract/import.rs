//! One import statement → the names that it makes known, and what they stand for.

use super::{super::facts::Import, super::language::Language, expression::Reader};
use tree_sitter::Node;

const MOST: usize = 256;

pub(super) fn read(reader: &Reader<'_>, node: Node<'_>, into: &mut Vec<Import>) {
    if into.len() >= MOST {
        return;
    }
    match reader.language {
        Language::Python => python(reader, node, into),
        Language::JavaScript | Language::TypeScript | Language::Tsx => node_js(reader, node, into),
        Language::Go => go(reader, node, into),
        Language::Java => java(reader, node, into),
        Language::Rust => rust(reader, node, into),
        Language::CSharp => {
            let module = node.named_child(0).map(|child| reader.name(child).to_owned()).unwrap_or_default();
            into.push(Import { local: String::new(), module, item: None });
        }
    }
}

fn python(reader: &Reader<'_>, node: Node<'_>, into: &mut Vec<Import>) {
    let from = node.child_by_field_name("module_name").map(|module| reader.name(module).to_owned());
    let mut cursor = node.walk();
    for name in node.children_by_field_name("name", &mut cursor) {
        let (name, alias) = match name.kind() {
            "aliased_import" => (reader.field(name, "name"), Some(reader.field(name, "alias"))),
            _ => (reader.name(name).to_owned(), None),
        };
        into.push(match (&from, alias) {
            (Some(module), alias) => {
                Import { local: alias.unwrap_or_else(|| name.clone()), module: module.clone(), item: Some(name) }
            }
            (None, Some(local)) => Import { local, module: name, item: None },
            // `import a.b` makes `a` known; `a.b.f` then names the module itself.
            (None, None) => Import { local: name.clone(), module: name, item: None },
        });
    }
    if let Some(module) = from
        && node.named_children(&mut node.walk()).any(|child| child.kind() == "wildcard_import")
    {
        into.push(Import { local: "*".to_owned(), module, item: None });
    }
}

fn node_js(reader: &Reader<'_>, node: Node<'_>, into: &mut Vec<Import>) {
    let Some(module) = node.child_by_field_name("source").and_then(|source| reader.text_of(source)) else { return };
    let Some(clause) = node.named_children(&mut node.walk()).find(|child| child.kind() == "import_clause") else {
        return;
    };
    for child in clause.named_children(&mut clause.walk()) {
        match child.kind() {
            "identifier" => {
                let item = Some("default".to_owned());
                into.push(Import { local: reader.name(child).to_owned(), module: module.clone(), item });
            }
            "namespace_import" => {
                let local = child.named_child(0).map(|name| reader.name(name).to_owned()).unwrap_or_default();
                into.push(Import { local, module: module.clone(), item: None });
            }
            "named_imports" => {
                for one in child.named_children(&mut child.walk()) {
                    let (item, alias) = (reader.field(one, "name"), reader.field(one, "alias"));
                    let local = if alias.is_empty() { item.clone() } else { alias };
                    into.push(Import { local, module: module.clone(), item: Some(item) });
                }
            }
            _ => {}
        }
    }
}

/// `const x = require("y")`, `const {a, b: c} = require("y")`.
pub(super) fn required(reader: &Reader<'_>, pattern: Node<'_>, value: Node<'_>, into: &mut Vec<Import>) -> bool {
    let mut through = Vec::new();
    let path = reader.path(value, &mut through);
    let Some(at) = path.iter().position(|part| part == "require").filter(|at| *at == 0) else { return false };
    let Some(module) = reader.first_text(value) else { return false };
    // `require("./x").y` takes one thing of it.
    let item = path.get(at + 1).cloned();
    match pattern.kind() {
        "identifier" => {
            let item = item.or_else(|| Some("default".to_owned()));
            into.push(Import { local: reader.name(pattern).to_owned(), module, item });
        }
        "object_pattern" => {
            for one in pattern.named_children(&mut pattern.walk()) {
                let (name, local) = match one.kind() {
                    "pair_pattern" => (reader.field(one, "key"), reader.field(one, "value")),
                    _ => (reader.name(one).to_owned(), reader.name(one).to_owned()),
                };
                into.push(Import { local, module: module.clone(), item: Some(name) });
            }
        }
        _ => return false,
    }
    true
}

fn go(reader: &Reader<'_>, node: Node<'_>, into: &mut Vec<Import>) {
    let Some(module) = node.child_by_field_name("path").and_then(|path| reader.text_of(path)) else { return };
    let alias = reader.field(node, "name");
    // A last part like `v5` is the version of the package before it.
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let last = module.rsplit('/').find(|part| !is_version(part)).unwrap_or(&module);
    let last = last.split(".v").next().unwrap_or(last).trim_start_matches("go-").to_owned();
    into.push(Import { local: if alias.is_empty() { last } else { alias }, module, item: None });
}

fn java(reader: &Reader<'_>, node: Node<'_>, into: &mut Vec<Import>) {
    let Some(name) = node.named_child(0).map(|child| reader.name(child).to_owned()) else { return };
    if node.named_children(&mut node.walk()).any(|child| child.kind() == "asterisk") {
        into.push(Import { local: "*".to_owned(), module: name, item: None });
        return;
    }
    let Some((module, item)) = name.rsplit_once('.') else { return };
    into.push(Import { local: item.to_owned(), module: module.to_owned(), item: Some(item.to_owned()) });
}

fn rust(reader: &Reader<'_>, node: Node<'_>, into: &mut Vec<Import>) {
    let Some(argument) = node.child_by_field_name("argument") else { return };
    let mut open = vec![(String::new(), argument)];
    let join = |prefix: &str, rest: &str| if prefix.is_empty() { rest.to_owned() } else { format!("{prefix}::{rest}") };
    for _ in 0..MOST {
        let Some((prefix, node)) = open.pop() else { return };
        match node.kind() {
            "scoped_use_list" => {
                let prefix = match node.child_by_field_name("path") {
                    Some(path) => join(&prefix, reader.name(path)),
                    None => prefix,
                };
                open.extend(node.child_by_field_name("list").map(|list| (prefix, list)));
            }
            "use_list" => {
                let mut children: Vec<_> = node.named_children(&mut node.walk()).collect();
                children.reverse();
                open.extend(children.into_iter().take(MOST).map(|child| (prefix.clone(), child)));
            }
            "use_as_clause" => {
                let path = join(&prefix, &reader.field(node, "path"));
                rust_name(path, Some(reader.field(node, "alias")), into);
            }
            "use_wildcard" => {
                let path = node.named_child(0).map(|path| join(&prefix, reader.name(path))).unwrap_or(prefix);
                into.push(Import { local: "*".to_owned(), module: path, item: None });
            }
            "self" => rust_name(prefix, None, into),
            _ => rust_name(join(&prefix, reader.name(node)), None, into),
        }
    }
}

fn rust_name(path: String, alias: Option<String>, into: &mut Vec<Import>) {
    let (module, item) = match path.rsplit_once("::") {
        Some((module, item)) => (module.to_owned(), item.to_owned()),
        None => (path.clone(), String::new()),
    };
    let last = path.rsplit("::").next().unwrap_or(&path).to_owned();
    let item = (!item.is_empty()).then_some(item);
    into.push(Import { local: alias.filter(|alias| !alias.is_empty()).unwrap_or(last), module, item });
}

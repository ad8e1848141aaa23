//! Assignments and declarations: which name stands for what.

use super::{
    super::{
        facts::{Binding, Class, Import, Parts},
        language::Language,
        routes,
    },
    Detail, MOST_BINDINGS, Walk,
    expression::is_text,
    import, line_of,
    types::parts_of,
};
use tree_sitter::Node;

/// Longer values are tables of data.
const MOST_VALUE: usize = 4096;

impl<'t> Walk<'t> {
    pub(super) fn bind(&mut self, node: Node<'t>) {
        let kind = node.child_by_field_name("type");
        match node.kind() {
            "assignment" | "assignment_expression" | "short_var_declaration" | "assignment_statement" => {
                let (left, right) = (node.child_by_field_name("left"), node.child_by_field_name("right"));
                if let Some(left) = left {
                    self.pair(node, left, kind, right);
                }
            }
            "variable_declarator"
            | "public_field_definition"
            | "field_definition"
            | "resource"
            | "var_spec"
            | "const_spec"
            | "static_item"
            | "const_item"
            | "property_declaration" => {
                let name = node.child_by_field_name("name").or_else(|| node.child_by_field_name("property"));
                if let Some(name) = name {
                    self.pair(node, name, kind, node.child_by_field_name("value"));
                }
                if node.kind() == "resource"
                    && let Some(value) = node.child_by_field_name("value")
                {
                    self.ahead_of(value).scoped = true;
                }
            }
            "let_declaration" => {
                if let Some(pattern) = node.child_by_field_name("pattern") {
                    self.pair(node, pattern, kind, node.child_by_field_name("value"));
                }
            }
            "local_variable_declaration" | "field_declaration" | "variable_declaration" => {
                let using = self.using(node);
                for one in node.named_children(&mut node.walk()).filter(|child| child.kind() == "variable_declarator") {
                    let Some(name) = one.child_by_field_name("name") else { continue };
                    let count = u32::try_from(one.named_child_count()).unwrap_or(0);
                    let value = one.child_by_field_name("value");
                    let value = value
                        .or_else(|| one.named_child(count.saturating_sub(1)).filter(|last| last.id() != name.id()));
                    if let Some(value) = value.filter(|_| using) {
                        self.ahead_of(value).scoped = true;
                    }
                    self.pair(node, name, kind, value);
                }
            }
            // `{ list: async () => … }` at the top of a file is a set of functions by name.
            "pair" => {
                let (key, value) = (node.child_by_field_name("key"), node.child_by_field_name("value"));
                if let (Some(key), Some(value)) = (key, value)
                    && self.at.function == 0
                    && is_lambda(value)
                {
                    let name = self.reader.name(key).to_owned();
                    self.ahead_of(value).name = Some(name);
                }
            }
            _ => {}
        }
    }

    /// C#'s `using var x = …` and `using (var x = …)`.
    fn using(&self, node: Node<'_>) -> bool {
        let begins = node.start_byte();
        let before = self.reader.text.get(begins.saturating_sub(16)..begins).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        self.reader.language == Language::CSharp && before.trim_end_matches([' ', '(']).ends_with("using")
    }

    fn pair(&mut self, node: Node<'t>, left: Node<'t>, kind: Option<Node<'t>>, right: Option<Node<'t>>) {
        let kind = kind.map(|kind| self.reader.name(kind)).filter(|kind| !matches!(*kind, "var" | "auto" | "final"));
        let declared = kind.map(parts_of).unwrap_or_default();
        let left = if left.kind() == "expression_list" { left.named_child(0).unwrap_or(left) } else { left };
        let mut right = right;
        if let Some(list) = right.filter(|right| right.kind() == "expression_list") {
            right = list.named_child(0);
        }
        if let Some(right) = right
            && self.reader.language.is_node()
            && import::required(&self.reader, left, right, &mut self.out.imports)
        {
            return;
        }
        let path = self.name_path(left);
        let Some(name) = path.last().cloned() else { return };
        if path == ["module", "exports"]
            && let Some(right) = right
        {
            self.default(self.reader.plain_path(right), line_of(node));
        }
        if let Some(right) = right {
            self.name_value(&path, &name, right, line_of(node));
        }
        let field = self.field_of(&path);
        let router =
            right.is_some_and(|right| routes::makes_router(self.reader.language, &self.reader.plain_path(right)));
        if self.detail == Detail::Outline && self.at.function != 0 && !field && !router {
            return;
        }
        let short = right.filter(|right| right.byte_range().len() <= MOST_VALUE);
        let text = short.and_then(|right| match is_text(right.kind()) || right.kind().starts_with("binary") {
            true => self.reader.text_of(right),
            false => self.reader.url_in(right),
        });
        let value = match (declared.is_empty(), right) {
            (false, _) => declared,
            (true, Some(right)) => self.made_by(right),
            (true, None) => Parts::new(),
        };
        self.put(&path, Binding { name, value, text, line: line_of(node) }, field);
    }

    /// `(await f())!` is what `f` makes; a sum of things is nothing that can be followed.
    fn made_by(&self, right: Node<'t>) -> Parts {
        let path = self.reader.plain_path(right);
        let field = path.as_slice();
        match (field, self.at.class) {
            // `self.users = users` in a constructor: what the parameter is.
            ([one], Some(_)) => {
                let params = self.out.functions.get(self.at.function).map(|function| &function.params);
                let kind = params.and_then(|params| params.iter().find(|(name, _)| name == one));
                kind.map(|(_, kind)| kind.clone()).filter(|kind| !kind.is_empty()).unwrap_or(path)
            }
            _ if path.first().is_some_and(|first| first == "?") => Parts::new(),
            _ => path,
        }
    }

    fn name_path(&self, left: Node<'t>) -> Parts {
        let path = self.reader.plain_path(left);
        if path.first().is_some_and(|first| first == "?") {
            // A pattern: `mut x`, `Some(x)`, `(a, b)`. Its first name.
            let text = self.reader.name(left).trim_start_matches("mut ");
            let first = text.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| !word.is_empty());
            return first.map(str::to_owned).into_iter().collect();
        }
        path
    }

    fn field_of(&self, path: &[String]) -> bool {
        let own = path.len() == 2 && path.first().is_some_and(|first| first == "self" || first == "this");
        self.at.class.is_some() && (own || path.len() == 1 && self.at.in_class)
    }

    /// A function, an object of functions, or a call gets the name it is assigned to.
    fn name_value(&mut self, path: &[String], name: &str, right: Node<'t>, line: u32) {
        if is_lambda(right) {
            let inline =
                matches!(self.reader.language, Language::Python | Language::Rust | Language::Java | Language::CSharp);
            if !inline {
                self.ahead_of(right).name = Some(name.to_owned());
            }
        } else if right.kind() == "object" && self.at.function == 0 && path.len() == 1 {
            self.out.classes.push(Class { name: name.to_owned(), line, ..Class::default() });
            let class = self.out.classes.len() - 1;
            self.ahead_of(right).class = Some(class);
        } else {
            // `const x = await f()`, `x = f()?`: the call below.
            let mut value = right;
            for _ in 0..4 {
                self.ahead_of(value).bound = Some(path.join("."));
                match value.kind() {
                    "await"
                    | "await_expression"
                    | "try_expression"
                    | "parenthesized_expression"
                    | "unary_expression" => {
                        let Some(child) = value.named_child(0) else { return };
                        value = child;
                    }
                    _ => return,
                }
            }
        }
    }

    fn put(&mut self, path: &[String], binding: Binding, field: bool) {
        let own = path.len() == 1;
        if field {
            if let Some(class) = self.at.class.and_then(|class| self.out.classes.get_mut(class))
                && class.fields.len() < MOST_BINDINGS
            {
                class.fields.push(binding);
            }
        } else if own
            && let Some(function) = self.here()
            && function.bindings.len() < MOST_BINDINGS
        {
            function.bindings.push(binding);
        }
    }

    /// `export default x`, and `export { a } from "./b"`, which brings a name through.
    pub(super) fn export(&mut self, node: Node<'t>) {
        if let Some(module) = node.child_by_field_name("source").and_then(|source| self.reader.text_of(source)) {
            let mut cursor = node.walk();
            let clause = node.named_children(&mut cursor).find(|child| child.kind() == "export_clause");
            let Some(clause) = clause else {
                self.out.imports.push(Import { local: "*".to_owned(), module, item: None });
                return;
            };
            for one in clause.named_children(&mut clause.walk()).take(256) {
                let (item, alias) = (self.reader.field(one, "name"), self.reader.field(one, "alias"));
                let local = if alias.is_empty() { item.clone() } else { alias };
                self.out.imports.push(Import { local, module: module.clone(), item: Some(item) });
            }
            return;
        }
        let Some(value) = node.child_by_field_name("value") else {
            let default = node.children(&mut node.walk()).any(|child| child.kind() == "default");
            let named = node.child_by_field_name("declaration").map(|one| self.reader.field(one, "name"));
            if let Some(name) = named.filter(|_| default) {
                self.default(vec![name], line_of(node));
            }
            return;
        };
        if is_lambda(value) {
            self.ahead_of(value).name = Some("default".to_owned());
        } else {
            self.default(self.reader.plain_path(value), line_of(node));
        }
    }

    fn default(&mut self, value: Parts, line: u32) {
        if let Some(top) = self.out.functions.first_mut() {
            top.bindings.push(Binding { name: "default".to_owned(), value, text: None, line });
        }
    }

    /// Python's `with x() as y`.
    pub(super) fn with(&mut self, node: Node<'t>) {
        let Some(value) = node.child_by_field_name("value") else { return };
        let (value, alias) = match value.kind() {
            "as_pattern" => (value.named_child(0), value.child_by_field_name("alias")),
            _ => (Some(value), None),
        };
        let Some(value) = value else { return };
        let waits = self.at.waits;
        let name = alias.map(|alias| self.reader.name(alias).to_owned());
        let ahead = self.ahead_of(value);
        (ahead.scoped, ahead.awaited, ahead.bound) = (true, waits, name.clone());
        if let Some(name) = name {
            let binding = Binding {
                name,
                value: self.reader.plain_path(value),
                text: self.reader.url_in(value),
                line: line_of(node),
            };
            if let Some(function) = self.here().filter(|function| function.bindings.len() < MOST_BINDINGS) {
                function.bindings.push(binding);
            }
        }
    }
}

fn is_lambda(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "arrow_function"
            | "function_expression"
            | "generator_function"
            | "func_literal"
            | "lambda_expression"
            | "closure_expression"
            | "lambda"
    )
}

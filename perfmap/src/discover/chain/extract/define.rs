//! Functions and classes: their names, parameters, bases, fields, and what is written above them.

use super::{
    super::{
        facts::{Attribute, Binding, Class, Function, Parts, Value},
        language::Language,
    },
    MOST_FUNCTIONS, Walk, end_of, line_of,
    types::parts_of,
};
use tree_sitter::Node;

const MOST_PARAMS: usize = 32;
const MOST_FIELDS: usize = 256;

impl<'t> Walk<'t> {
    pub(super) fn function(&mut self, node: Node<'t>) {
        let attributes = self.attributes(node);
        let is_test = |attribute: &Attribute| attribute.path.first().is_some_and(|first| first == "test");
        if self.reader.language == Language::Rust && attributes.iter().any(is_test) {
            self.at.skipped = true;
            return;
        }
        // An interface's method, an overload: nothing to follow.
        if node.child_by_field_name("body").is_none() {
            return;
        }
        let mut owner = self.at.class.filter(|_| self.at.in_class).and_then(|class| self.out.classes.get(class));
        let go_class;
        let mut receiver = None;
        if let Some(list) = node.child_by_field_name("receiver") {
            let one = list.named_child(0);
            let class =
                one.and_then(|one| one.child_by_field_name("type")).map(|kind| parts_of(self.reader.name(kind)));
            go_class =
                Class { name: class.and_then(|parts| parts.last().cloned()).unwrap_or_default(), ..Class::default() };
            owner = Some(&go_class);
            receiver = one.map(|one| self.reader.field(one, "name"));
        }
        let returns =
            ["return_type", "result", "returns", "type"].iter().find_map(|field| node.child_by_field_name(field));
        let function = Function {
            name: self.reader.field(node, "name"),
            owner: owner.map(|class| class.name.clone()),
            outer: self.at.function,
            receiver,
            line: line_of(node),
            end: end_of(node),
            is_async: self.is_async(node),
            params: self.params(node),
            returns: returns.map(|kind| parts_of(self.reader.name(kind))).unwrap_or_default(),
            attributes,
            ..Function::default()
        };
        if !function.name.is_empty() {
            self.open_function(function);
        }
    }

    pub(super) fn open_function(&mut self, function: Function) -> Option<usize> {
        if self.out.functions.len() >= MOST_FUNCTIONS {
            self.out.cut = true;
            return None;
        }
        self.out.functions.push(function);
        self.at.function = self.out.functions.len() - 1;
        self.at.in_class = false;
        (self.at.in_loop, self.at.concurrent, self.at.in_route) = (None, false, false);
        Some(self.at.function)
    }

    /// The word stands before the name, or before the parameters where there is none.
    pub(super) fn is_async(&self, node: Node<'_>) -> bool {
        let end = node.child_by_field_name("parameters").or_else(|| node.child_by_field_name("body"));
        let end = end.map_or(node.end_byte(), |end| end.start_byte());
        let head = self.reader.text.get(node.start_byte()..end.min(node.start_byte() + 600)).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        head.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "async")
    }

    pub(super) fn params(&mut self, node: Node<'t>) -> Vec<(String, Parts)> {
        let Some(list) = node.child_by_field_name("parameters") else { return Vec::new() };
        let mut params = Vec::new();
        let mut injected = Vec::new();
        for param in list.named_children(&mut list.walk()).take(MOST_PARAMS) {
            let kind =
                param.child_by_field_name("type").map(|kind| parts_of(self.reader.raw(kind))).unwrap_or_default();
            let mut names: Vec<_> = param.children_by_field_name("name", &mut param.walk()).collect();
            if names.is_empty() {
                let inside = param.child_by_field_name("pattern").or_else(|| param.named_child(0));
                names.push(inside.unwrap_or(param));
            }
            for name in names {
                let name = self.pattern_name(name);
                // TypeScript: `constructor(private readonly users: UserService)` makes a field.
                if self.reader.language.is_node()
                    && param.child(0).is_some_and(|c| c.kind() == "accessibility_modifier")
                {
                    injected.push(Binding {
                        name: name.clone(),
                        value: kind.clone(),
                        text: None,
                        line: line_of(param),
                    });
                }
                params.push((name, kind.clone()));
            }
        }
        if let Some(class) = self.at.class.and_then(|class| self.out.classes.get_mut(class)) {
            class.fields.extend(injected);
        }
        params
    }

    /// `State(db): State<Db>` and `mut db` are `db`.
    fn pattern_name(&self, node: Node<'_>) -> String {
        let text = self.reader.name(node);
        let text = text.rsplit_once('(').map_or(text, |(_, inside)| inside.trim_end_matches(')'));
        text.trim_start_matches("mut ").trim_start_matches('&').to_owned()
    }

    pub(super) fn class(&mut self, node: Node<'t>) {
        let attributes = self.attributes(node);
        let name = self.reader.field(node, "name");
        if name.is_empty() {
            return;
        }
        let is_interface = node.kind().starts_with("interface") || node.kind() == "trait_item";
        let mut class = Class { name, line: line_of(node), attributes, is_interface, ..Class::default() };
        match self.reader.language {
            Language::Go => {
                let Some(kind) = node.child_by_field_name("type") else { return };
                class.is_interface = kind.kind() == "interface_type";
                if !class.is_interface && kind.kind() != "struct_type" {
                    return;
                }
                self.struct_fields(kind, &mut class);
            }
            Language::Rust => self.struct_fields(node, &mut class),
            Language::Python => {
                if let Some(list) = node.child_by_field_name("superclasses") {
                    class.bases =
                        list.named_children(&mut list.walk()).map(|base| self.reader.plain_path(base)).collect();
                }
            }
            Language::Java => {
                for field in ["superclass", "interfaces"] {
                    let text = node.child_by_field_name(field).map(|list| self.reader.raw(list)).unwrap_or_default();
                    let names = text.trim_start_matches("extends").trim_start_matches("implements").split(',');
                    class.bases.extend(names.map(parts_of).filter(|parts| !parts.is_empty()));
                }
            }
            Language::JavaScript | Language::TypeScript | Language::Tsx | Language::CSharp => {
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    match child.kind() {
                        "class_heritage" | "base_list" => {
                            let text = self.reader.raw(child).trim_start_matches(':').replace("implements", ",");
                            let names = text.split(',').map(|base| base.trim().trim_start_matches("extends"));
                            class.bases.extend(names.map(parts_of).filter(|parts| !parts.is_empty()));
                        }
                        // C#: `class Users(IRepository repository)`.
                        "parameter_list" => self.fields_of(child, &mut class),
                        _ => {}
                    }
                }
            }
        }
        self.open_class(class);
    }

    pub(super) fn open_class(&mut self, class: Class) {
        let known = self.out.classes.iter().position(|other| other.name == class.name && other.line == class.line);
        let index = known.unwrap_or(self.out.classes.len());
        if known.is_none() {
            if self.out.classes.len() >= MOST_FUNCTIONS {
                self.out.cut = true;
                return;
            }
            self.out.classes.push(class);
        }
        (self.at.class, self.at.in_class) = (Some(index), true);
    }

    /// The methods belong to the type; its trait is a base of it.
    pub(super) fn implementation(&mut self, node: Node<'t>) {
        let kind = node.child_by_field_name("type").map(|kind| parts_of(self.reader.name(kind))).unwrap_or_default();
        let Some(name) = kind.last().cloned() else { return };
        let base = node.child_by_field_name("trait").map(|kind| parts_of(self.reader.name(kind)));
        let index = self.out.classes.iter().position(|class| class.name == name);
        match index {
            Some(index) => (self.at.class, self.at.in_class) = (Some(index), true),
            None => self.open_class(Class { name, line: line_of(node), ..Class::default() }),
        }
        if let Some(class) = self.at.class.and_then(|class| self.out.classes.get_mut(class)) {
            class.bases.extend(base);
        }
    }

    fn struct_fields(&self, node: Node<'_>, class: &mut Class) {
        let list = node
            .child_by_field_name("body")
            .or_else(|| node.named_children(&mut node.walk()).find(|child| child.kind() == "field_declaration_list"));
        if let Some(list) = list {
            self.fields_of(list, class);
        }
    }

    fn fields_of(&self, list: Node<'_>, class: &mut Class) {
        for field in list.named_children(&mut list.walk()).take(MOST_FIELDS) {
            let Some(kind) = field.child_by_field_name("type") else { continue };
            let value = parts_of(self.reader.name(kind));
            let names: Vec<_> = field.children_by_field_name("name", &mut field.walk()).collect();
            if names.is_empty() {
                // Go's embedded type: its methods are the struct's.
                class.bases.push(value);
                continue;
            }
            for name in names {
                let name = self.reader.name(name).to_owned();
                class.fields.push(Binding { name, value: value.clone(), text: None, line: line_of(field) });
            }
        }
    }

    /// What was written right above, and what is written inside: decorators, annotations, attributes.
    pub(super) fn attributes(&mut self, node: Node<'t>) -> Vec<Attribute> {
        let mut above = std::mem::take(&mut self.pending);
        let mut line = line_of(node);
        let belongs = above.iter().rev().take_while(|(end, _)| {
            let near = *end + 1 >= line;
            line = line.min(*end);
            near
        });
        let count = belongs.count();
        let mut all: Vec<_> =
            above.split_off(above.len() - count).into_iter().map(|(_, attribute)| attribute).collect();
        let mut cursor = node.walk();
        let inside = node
            .named_children(&mut cursor)
            .filter(|child| matches!(child.kind(), "decorator" | "attribute_list" | "modifiers"));
        for one in inside.take(32) {
            all.extend(self.attribute(one));
        }
        all
    }

    /// Python's and TypeScript's decorators, Rust's attributes come before what they belong to.
    pub(super) fn decorator(&mut self, node: Node<'t>) {
        if self.pending.len() < 64 {
            let begins = line_of(node);
            // Several lines of one decorator end where the next begins.
            let end = end_of(node).max(begins);
            self.pending.extend(self.attribute(node).into_iter().map(|attribute| (end, attribute)));
        }
    }

    /// Rust's `#[cfg(test)] mod tests`.
    pub(super) fn module(&mut self, node: Node<'t>) {
        let attributes = self.attributes(node);
        let test = |attribute: &Attribute| {
            let names = attribute.args.iter().any(|arg| matches!(&arg.value, Value::Name(name) if *name == ["test"]));
            names && attribute.path.first().is_some_and(|first| first == "cfg")
        };
        self.at.skipped = attributes.iter().any(test);
    }

    fn attribute(&self, node: Node<'_>) -> Vec<Attribute> {
        match node.kind() {
            "modifiers" | "attribute_list" | "attribute_item" => {
                let mut cursor = node.walk();
                node.named_children(&mut cursor).take(16).filter_map(|child| self.one(child)).collect()
            }
            _ => node.named_child(0).and_then(|child| self.one(child)).into_iter().collect(),
        }
    }

    fn one(&self, node: Node<'_>) -> Option<Attribute> {
        let path = match node.kind() {
            "annotation" | "marker_annotation" => self.reader.plain_path(node.child_by_field_name("name")?),
            "attribute" if self.reader.language == Language::CSharp => {
                self.reader.plain_path(node.child_by_field_name("name")?)
            }
            "attribute" if self.reader.language == Language::Rust => self.reader.plain_path(node.named_child(0)?),
            _ => self.reader.plain_path(node),
        };
        let args = match node.kind() {
            // A decorator without a call has none; a member of something is no argument.
            "identifier" | "member_expression" => Vec::new(),
            "attribute" if self.reader.language == Language::Python => Vec::new(),
            _ => self.reader.args(node),
        };
        (!path.is_empty()).then_some(Attribute { path, args })
    }
}

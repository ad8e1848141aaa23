//! Functions written where they are handed over, and calls inside macros: what they belong to.

use super::{
    super::{
        facts::{Arg, Call, Function, Value},
        language::Language,
    },
    Ahead, Detail, ITERATE, TOGETHER, Walk, end_of, line_of,
};
use tree_sitter::Node;

impl<'t> Walk<'t> {
    /// What a call does with the functions in its arguments.
    pub(super) fn attach_functions(&mut self, node: Node<'t>, path: &[String], last: &str, registers: bool) {
        let promise_all = last == "all" && path.first().is_some_and(|first| first == "Promise");
        let pool_map = last == "map" && path.iter().any(|part| part.contains("pool") || part.contains("xecutor"));
        let parallel = path.iter().any(|part| matches!(part.as_str(), "parallelStream" | "par_iter" | "Parallel"));
        if TOGETHER.contains(&last) || promise_all || pool_map || parallel {
            // The receiver comes before: `stream.map(…).buffer_unordered(4)` runs what it was given side by side.
            self.at.concurrent = true;
        }
        self.at.in_route |= registers;
        if !ITERATE.contains(&last) {
            return;
        }
        let Some(args) = node.child_by_field_name("arguments") else { return };
        for arg in args.named_children(&mut args.walk()) {
            let arg = if arg.kind() == "argument" { arg.named_child(0).unwrap_or(arg) } else { arg };
            if matches!(
                arg.kind(),
                "arrow_function" | "function_expression" | "lambda_expression" | "closure_expression"
            ) {
                let is_async = self.reader.raw(arg).starts_with("async");
                let ahead = self.ahead_of(arg);
                ahead.looped = true;
                // `map(async …)` begins all of them before anyone waits.
                ahead.concurrent = is_async;
            }
        }
    }

    pub(super) fn lambda(&mut self, node: Node<'t>, ahead: Ahead) {
        if ahead.looped {
            let names = node.child_by_field_name("parameters").or_else(|| node.child_by_field_name("parameter"));
            let names = names.map(|names| self.reader.name(names)).unwrap_or_default();
            let words = names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            self.loops.push(words.map(str::to_owned).collect());
            self.at.in_loop = Some(self.loops.len() - 1);
        }
        if ahead.name.is_none() && !self.at.in_route {
            return;
        }
        let outer = self.at.function;
        let own = Some(self.reader.field(node, "name")).filter(|name| !name.is_empty());
        let name = ahead.name.or(own).unwrap_or_else(|| self.nameless(outer));
        let owner = self.at.class.filter(|_| self.at.in_class).and_then(|class| self.out.classes.get(class));
        let function = Function {
            owner: owner.map(|class| class.name.clone()),
            name,
            outer,
            line: line_of(node),
            end: end_of(node),
            is_async: self.is_async(node),
            params: self.params(node),
            ..Function::default()
        };
        if let Some(index) = self.open_function(function) {
            self.lambdas.insert(node.id(), index);
        }
    }

    /// As the runtime would name it.
    fn nameless(&self, outer: usize) -> String {
        let within = self.out.functions.get(outer).map_or("", |function| function.name.as_str());
        match self.reader.language {
            Language::Go => {
                let before = self.out.functions.iter().filter(|function| function.outer == outer && outer != 0).count();
                format!("{within}.func{}", before + 1)
            }
            Language::Rust => "{{closure}}".to_owned(),
            Language::Python => "<lambda>".to_owned(),
            Language::CSharp | Language::Java => "<lambda>".to_owned(),
            Language::JavaScript | Language::TypeScript | Language::Tsx => "(anonymous)".to_owned(),
        }
    }

    /// A macro's arguments are words, no syntax: the calls among them are taken as `join!(a.b(), c())` writes them.
    pub(super) fn macro_call(&mut self, node: Node<'t>, ahead: Ahead) {
        let path = self.reader.plain_path(node);
        if self.detail == Detail::Outline && self.at.function != 0 {
            return;
        }
        let joins = path.last().is_some_and(|last| matches!(last.as_str(), "join!" | "try_join!" | "select!"));
        let args = self.reader.args(node);
        self.push_call(Call { path, line: line_of(node), end: node.end_byte(), args, ..Call::default() }, ahead);
        self.at.concurrent |= joins;
        let tree = node.named_children(&mut node.walk()).find(|child| child.kind() == "token_tree");
        let mut open: Vec<_> = tree.into_iter().map(|tree| (tree, 0)).collect();
        while let Some((tree, depth)) = open.pop() {
            let mut parts = Vec::new();
            let mut cursor = tree.walk();
            for child in tree.children(&mut cursor).take(512) {
                match child.kind() {
                    "identifier" | "self" | "crate" | "super" | "type_identifier" => {
                        parts.push(self.reader.name(child).to_owned());
                    }
                    "." | "::" => {}
                    "token_tree" => {
                        if !parts.is_empty() && self.reader.raw(child).starts_with('(') {
                            let args = self.texts(child);
                            let call = Call {
                                path: std::mem::take(&mut parts),
                                line: line_of(child),
                                end: child.end_byte(),
                                args,
                                ..Call::default()
                            };
                            self.push_call(call, Ahead { awaited: joins, ..Ahead::default() });
                        }
                        if depth < 3 {
                            open.push((child, depth + 1));
                        }
                    }
                    _ => parts.clear(),
                }
            }
        }
    }

    fn texts(&self, tree: Node<'_>) -> Vec<Arg> {
        let mut cursor = tree.walk();
        tree.named_children(&mut cursor)
            .take(16)
            .filter_map(|child| match self.reader.value(child) {
                Value::Text(text) => Some(Arg { name: None, value: Value::Text(text) }),
                Value::Number(_) | Value::Name(_) | Value::Call(..) | Value::Function(_) | Value::Other => None,
            })
            .collect()
    }
}

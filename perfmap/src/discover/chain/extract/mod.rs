//! A syntax tree → the facts of its file, in one walk with a stack of its own: a tree may be deeper than a thread's stack.
//!
//! `Outline` keeps what other files may ask for; what a function calls is read again, by `Everything`, only where the
//! chain comes by. Ten thousand files' calls would not fit.

mod attach;
mod bind;
mod define;
pub(super) mod expression;
mod import;
mod types;
mod value;

use super::{
    facts::{Attribute, Call, Facts, Function, Value},
    language::{Language, Role, Roles},
    routes,
};
use expression::Reader;
use std::collections::HashMap;
use tree_sitter::{Node, Tree};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Outline,
    Everything,
}

/// Deeper code is made to be deep: no person nests so far.
const MOST_DEPTH: usize = 600;
const MOST_FUNCTIONS: usize = 20_000;
const MOST_CALLS: usize = 4_000;
const MOST_BINDINGS: usize = 2_000;

/// Methods that call the function they are given once for each element.
const ITERATE: &[&str] = &[
    "map",
    "forEach",
    "filter",
    "flatMap",
    "for_each",
    "reduce",
    "filter_map",
    "and_then",
    "Select",
    "SelectMany",
    "ForEach",
    "some",
    "every",
    "find",
];
/// Calls whose arguments run at the same time.
const TOGETHER: &[&str] = &[
    "gather",
    "allSettled",
    "create_task",
    "ensure_future",
    "submit",
    "spawn",
    "join_all",
    "try_join_all",
    "WhenAll",
    "supplyAsync",
    "runAsync",
    "Go",
    "buffer_unordered",
    "parallelStream",
    "par_iter",
    "as_completed",
    "start_soon",
    "ForEachAsync",
    "invokeAll",
    "FuturesUnordered",
    "run_in_executor",
];

/// Where the walk is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    function: usize,
    class: Option<usize>,
    /// Directly in the class, in none of its methods.
    in_class: bool,
    /// Its names, in `Walk::loops`.
    in_loop: Option<usize>,
    concurrent: bool,
    /// Below a call that registers a route.
    in_route: bool,
    /// Below Python's `async with`.
    waits: bool,
    skipped: bool,
}

struct Walk<'t> {
    reader: Reader<'t>,
    detail: Detail,
    out: Facts,
    at: Place,
    loops: Vec<Vec<String>>,
    /// What a node above has decided about one below, by the node's id.
    ahead: HashMap<usize, Ahead>,
    /// Functions without a name, by the node's id.
    lambdas: HashMap<usize, usize>,
    /// Decorators that wait for their definition, with the lines where they end.
    pending: Vec<(u32, Attribute)>,
}

#[derive(Debug, Clone, Default)]
struct Ahead {
    awaited: bool,
    scoped: bool,
    bound: Option<String>,
    receiver_of: Option<usize>,
    /// The name under which a function without one is known.
    name: Option<String>,
    /// Run once for each element.
    looped: bool,
    /// Evaluated once, before its loop.
    once: Option<Option<usize>>,
    concurrent: bool,
    /// An object whose functions are methods of this class.
    class: Option<usize>,
}

pub(super) fn facts(language: Language, roles: &Roles, text: &[u8], tree: &Tree, detail: Detail) -> Facts {
    let mut walk = Walk {
        reader: Reader { text, language },
        detail,
        out: Facts::default(),
        at: Place::default(),
        loops: Vec::new(),
        ahead: HashMap::new(),
        lambdas: HashMap::new(),
        pending: Vec::new(),
    };
    walk.out.functions.push(Function { name: "<module>".to_owned(), line: 1, end: u32::MAX, ..Function::default() });
    let mut cursor = tree.walk();
    let mut above = Vec::new();
    'all: loop {
        let node = cursor.node();
        let before = walk.at;
        if node.is_named() {
            walk.enter(node, roles.get(node.kind_id()));
        }
        if !walk.at.skipped && above.len() < MOST_DEPTH && cursor.goto_first_child() {
            above.push(before);
            continue;
        }
        walk.out.cut |= above.len() >= MOST_DEPTH;
        walk.at = before;
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                break 'all;
            }
            if let Some(place) = above.pop() {
                walk.at = place;
            }
        }
    }
    walk.finish()
}

impl<'t> Walk<'t> {
    fn enter(&mut self, node: Node<'t>, role: Role) {
        let ahead = if self.ahead.is_empty() { None } else { self.ahead.remove(&node.id()) }.unwrap_or_default();
        if let Some(before) = ahead.once {
            self.at.in_loop = before;
        }
        self.at.concurrent |= ahead.concurrent;
        if let Some(class) = ahead.class {
            (self.at.class, self.at.in_class) = (Some(class), true);
        }
        match role {
            Role::Nothing => {}
            Role::Function => self.function(node),
            Role::Lambda => self.lambda(node, ahead),
            Role::Class => self.class(node),
            Role::Impl => self.implementation(node),
            Role::Loop => self.turn(node),
            Role::Call => self.call(node, ahead),
            Role::Await => {
                if let Some(child) = node.named_child(0) {
                    self.ahead_of(child).awaited = true;
                    // The same value is bound, whether it is waited for or not.
                    self.ahead_of(child).bound = ahead.bound;
                }
            }
            Role::Import => import::read(&self.reader, node, &mut self.out.imports),
            Role::Bind => self.bind(node),
            Role::With => self.with(node),
            Role::Spawn => self.at.concurrent = true,
            Role::Package => {
                let name = node.child_by_field_name("name").or_else(|| node.named_child(0));
                self.out.package = name.map(|name| self.reader.name(name).to_owned());
            }
            Role::Attribute => self.decorator(node),
            Role::Export => self.export(node),
            Role::Module => self.module(node),
            Role::WithStatement => self.at.waits = node.child(0).is_some_and(|child| child.kind() == "async"),
            Role::Macro => self.macro_call(node, ahead),
        }
    }

    fn ahead_of(&mut self, node: Node<'_>) -> &mut Ahead {
        self.ahead.entry(node.id()).or_default()
    }

    fn here(&mut self) -> Option<&mut Function> {
        self.out.functions.get_mut(self.at.function)
    }

    fn turn(&mut self, node: Node<'t>) {
        let before = self.at.in_loop;
        let mut names = Vec::new();
        let mut cursor = node.walk();
        let clauses: Vec<_> = node
            .named_children(&mut cursor)
            .filter(|child| matches!(child.kind(), "for_in_clause" | "range_clause" | "for_clause"))
            .collect();
        for part in std::iter::once(node).chain(clauses) {
            for field in ["left", "pattern", "name"] {
                if let Some(left) = part.child_by_field_name(field) {
                    let words = self.reader.name(left).split(|c: char| !c.is_alphanumeric() && c != '_');
                    names.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
                }
            }
            let right = part.child_by_field_name("right");
            let value = part.child_by_field_name("value").filter(|_| !matches!(node.kind(), "for_in_statement"));
            for source in [right, value, part.child_by_field_name("initializer")].into_iter().flatten() {
                self.ahead_of(source).once = Some(before);
            }
        }
        self.loops.push(names);
        self.at.in_loop = Some(self.loops.len() - 1);
    }

    fn call(&mut self, node: Node<'t>, ahead: Ahead) {
        let mut through = Vec::new();
        let path = self.reader.path(node, &mut through);
        let Some(last) = path.last().cloned() else { return };
        if self.reader.language == Language::Rust && expression::PASSES.contains(&last.as_str()) {
            // The call before it is the one that counts, and has its name.
            for inner in through.into_iter().filter(|inner| *inner != node.id()).take(1) {
                let inner = self.ahead.entry(inner).or_default();
                (inner.bound, inner.receiver_of, inner.awaited) =
                    (ahead.bound.clone(), ahead.receiver_of, ahead.awaited);
            }
            return;
        }
        let may = routes::registers(self.reader.language, &path);
        let whole = self.detail == Detail::Everything || self.at.function == 0;
        let args = if whole || may { self.reader.args(node) } else { Vec::new() };
        let registers = may && routes::has_route(self.reader.language, &path, &args);
        self.attach_functions(node, &path, &last, registers);
        if !whole && !registers {
            return;
        }
        let index = self.here().map_or(0, |function| function.calls.len());
        for inner in through.into_iter().filter(|inner| *inner != node.id()) {
            self.ahead.entry(inner).or_default().receiver_of = Some(index);
        }
        let makes = matches!(node.kind(), "new_expression" | "object_creation_expression" | "composite_literal");
        let line = line_of(node);
        self.push_call(Call { path, line, end: node.end_byte(), args, makes, ..Call::default() }, ahead);
    }

    fn push_call(&mut self, call: Call, ahead: Ahead) {
        let turns = self.at.in_loop.and_then(|at| self.loops.get(at)).cloned().unwrap_or_default();
        let at = self.at;
        let Some(function) = self.here() else { return };
        if function.calls.len() >= MOST_CALLS {
            return;
        }
        function.calls.push(Call {
            in_loop: at.in_loop.is_some(),
            turns,
            awaited: ahead.awaited,
            concurrent: at.concurrent,
            bound: ahead.bound,
            scoped: ahead.scoped,
            receiver_of: ahead.receiver_of,
            ..call
        });
    }

    /// The functions without a name get their places; what was written ahead of them is put right.
    fn finish(self) -> Facts {
        let mut out = self.out;
        let lambdas = self.lambdas;
        for function in &mut out.functions {
            for arg in function.calls.iter_mut().flat_map(|call| &mut call.args) {
                point(&mut arg.value, &lambdas);
            }
        }
        out
    }
}

fn point(value: &mut Value, lambdas: &HashMap<usize, usize>) {
    match value {
        Value::Function(id) => {
            *value = lambdas.get(id).map_or(Value::Other, |index| Value::Function(*index));
        }
        Value::Call(_, Some(last)) => point(last, lambdas),
        Value::Call(_, None) | Value::Text(_) | Value::Number(_) | Value::Name(_) | Value::Other => {}
    }
}

fn line_of(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row).unwrap_or(u32::MAX).saturating_add(1)
}

fn end_of(node: Node<'_>) -> u32 {
    u32::try_from(node.end_position().row).unwrap_or(u32::MAX).saturating_add(1)
}

//! Arguments → values: texts, numbers, names, calls, functions written in place.

use super::{
    super::{
        facts::{Arg, Value},
        language::Language,
    },
    expression::{MOST_TEXT, Reader, bounded, is_text},
};
use tree_sitter::Node;

const MOST_ARGS: usize = 24;
/// Calls that only put texts together.
const FORMATS: &[&str] = &["format", "Sprintf", "Format", "formatted", "format!", "concat!"];

impl Reader<'_> {
    pub fn value(&self, node: Node<'_>) -> Value {
        self.value_within(node, 4)
    }

    fn value_within(&self, node: Node<'_>, hops: usize) -> Value {
        let Some(hops) = hops.checked_sub(1) else { return Value::Other };
        let inside = |at: u32| node.named_child(at).map_or(Value::Other, |child| self.value_within(child, hops));
        match node.kind() {
            kind if is_text(kind) => self.text_of(node).map_or(Value::Other, Value::Text),
            "integer"
            | "float"
            | "number"
            | "int_literal"
            | "float_literal"
            | "integer_literal"
            | "decimal_integer_literal"
            | "decimal_floating_point_literal"
            | "real_literal"
            | "hex_integer_literal" => Value::Number(self.name(node).to_owned()),
            "identifier"
            | "attribute"
            | "member_expression"
            | "selector_expression"
            | "field_expression"
            | "field_access"
            | "scoped_identifier"
            | "member_access_expression"
            | "type_identifier" => Value::Name(self.plain_path(node)),
            "method_reference" => {
                Value::Name(self.name(node).split("::").flat_map(|part| part.split('.')).map(str::to_owned).collect())
            }
            "call"
            | "call_expression"
            | "invocation_expression"
            | "method_invocation"
            | "new_expression"
            | "object_creation_expression"
            | "macro_invocation" => self.made(node, hops),
            "arrow_function"
            | "function_expression"
            | "func_literal"
            | "lambda"
            | "lambda_expression"
            | "closure_expression"
            | "generator_function" => Value::Function(node.id()),
            "binary_expression" | "binary_operator" | "concatenated_string" => match self.text_of(node) {
                Some(text) => Value::Text(text),
                None => {
                    let text = self.name(node);
                    if text.starts_with(|c: char| c.is_ascii_digit()) {
                        Value::Number(text.to_owned())
                    } else {
                        Value::Other
                    }
                }
            },
            "list"
            | "array"
            | "tuple"
            | "array_initializer"
            | "element_value_array_initializer"
            | "array_expression" => {
                let mut cursor = node.walk();
                let texts =
                    node.named_children(&mut cursor).take(8).map(|child| match self.value_within(child, hops) {
                        Value::Text(text) => Some(text),
                        Value::Number(_) | Value::Name(_) | Value::Call(..) | Value::Function(_) | Value::Other => None,
                    });
                // `["git", "clone", url]`: the words up to the first that is not known.
                let words: Vec<String> = texts.map_while(|text| text).collect();
                if words.is_empty() { inside(0) } else { Value::Text(bounded(&words.join(" "), MOST_TEXT)) }
            }
            "argument"
            | "literal_element"
            | "await"
            | "await_expression"
            | "parenthesized_expression"
            | "unary_expression"
            | "try_expression"
            | "as_expression"
            | "list_splat"
            | "spread_element" => inside(0),
            "reference_expression" => {
                node.child_by_field_name("value").map_or(Value::Other, |child| self.value_within(child, hops))
            }
            _ => Value::Other,
        }
    }

    fn made(&self, node: Node<'_>, hops: usize) -> Value {
        let path = self.plain_path(node);
        let args = self.args_within(node, hops);
        if path.last().is_some_and(|last| FORMATS.contains(&last.as_str()))
            && let Some(text) = self.formatted(node, &args)
        {
            return Value::Text(text);
        }
        Value::Call(path, args.into_iter().next_back().map(|arg| Box::new(arg.value)))
    }

    /// `Sprintf("%s/x", base)` → `{base}/x`.
    fn formatted(&self, node: Node<'_>, args: &[Arg]) -> Option<String> {
        let at = args.iter().position(|arg| matches!(arg.value, Value::Text(_)));
        let receiver = || {
            let function = node.child_by_field_name("function")?;
            function.child_by_field_name("object").and_then(|object| self.text_of(object))
        };
        let (pattern, rest) = match at.and_then(|at| Some((args.get(at)?, args.get(at + 1..)?))) {
            Some((Arg { value: Value::Text(text), .. }, rest)) => (text.clone(), rest),
            _ => (receiver()?, args),
        };
        let mut rest = rest.iter().map(|arg| match &arg.value {
            Value::Name(parts) | Value::Call(parts, _) => format!("{{{}}}", parts.join(".")),
            Value::Text(text) | Value::Number(text) => text.clone(),
            Value::Function(_) | Value::Other => "{}".to_owned(),
        });
        let mut out = String::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if c == '%' && next.is_some_and(|next| next.is_ascii_alphabetic()) {
                chars.next();
                out.push_str(rest.next().as_deref().unwrap_or("{}"));
            } else if c == '{' && next.is_some_and(|next| next == '}' || next.is_ascii_digit() || next == ':') {
                while chars.next().is_some_and(|c| c != '}') {}
                out.push_str(rest.next().as_deref().unwrap_or("{}"));
            } else {
                out.push(c);
            }
            if out.len() > MOST_TEXT {
                break;
            }
        }
        Some(out)
    }

    pub fn args(&self, call: Node<'_>) -> Vec<Arg> {
        self.args_within(call, 4)
    }

    fn args_within(&self, call: Node<'_>, hops: usize) -> Vec<Arg> {
        let mut args = Vec::new();
        let list = call
            .child_by_field_name("arguments")
            .or_else(|| call.child_by_field_name("body").filter(|_| call.kind() == "composite_literal"));
        let list = list.or_else(|| {
            let mut cursor = call.walk();
            call.named_children(&mut cursor).find(|child| {
                matches!(child.kind(), "argument_list" | "attribute_argument_list" | "token_tree" | "arguments")
            })
        });
        for list in [list, call.child_by_field_name("initializer")].into_iter().flatten() {
            self.list(list, hops, &mut args);
        }
        args
    }

    fn list(&self, list: Node<'_>, hops: usize, args: &mut Vec<Arg>) {
        let Some(hops) = hops.checked_sub(1) else { return };
        let mut cursor = list.walk();
        for child in list.named_children(&mut cursor) {
            if args.len() >= MOST_ARGS {
                return;
            }
            if self.language == Language::Rust && self.route_methods(child, hops, args) {
                continue;
            }
            let (name, value) = match child.kind() {
                "object" => {
                    self.list(child, hops, args);
                    continue;
                }
                "comment" | "line_comment" | "block_comment" => continue,
                "keyword_argument" => (child.child_by_field_name("name"), child.child_by_field_name("value")),
                "pair" | "element_value_pair" | "keyed_element" => {
                    (child.child_by_field_name("key"), child.child_by_field_name("value"))
                }
                "assignment_expression" => (child.child_by_field_name("left"), child.child_by_field_name("right")),
                "argument" | "attribute_argument" => {
                    let name = child.child_by_field_name("name");
                    let count = u32::try_from(child.named_child_count()).unwrap_or(0);
                    (name, child.named_child(count.saturating_sub(1)))
                }
                _ => (None, Some(child)),
            };
            let Some(value) = value else { continue };
            let name = name.map(|name| self.name(name).trim_matches(['"', '\'']).to_owned());
            if value.kind() == "object" {
                args.push(Arg { name, value: Value::Other });
                self.list(value, hops, args);
                continue;
            }
            args.push(Arg { name, value: self.value_within(value, hops) });
        }
    }

    /// Rust: `get(list).post(add)` and `web::get().to(list)` become one named argument for each method.
    fn route_methods(&self, node: Node<'_>, hops: usize, args: &mut Vec<Arg>) -> bool {
        const METHODS: &[&str] = &["get", "post", "put", "delete", "patch", "head", "options", "any"];
        let begins = args.len();
        let mut held = None;
        let mut at = Some(node);
        for _ in 0..8 {
            let Some(node) = at.filter(|node| node.kind() == "call_expression") else { break };
            let Some(function) = node.child_by_field_name("function") else { break };
            let (name, left) = match function.kind() {
                "field_expression" => (self.field(function, "field"), function.child_by_field_name("value")),
                _ => (self.plain_path(function).pop().unwrap_or_default(), None),
            };
            let given = node.child_by_field_name("arguments").and_then(|list| list.named_child(0));
            let given = given.map(|given| self.value_within(given, hops)).or_else(|| held.clone());
            if name == "to" {
                held = given;
            } else if METHODS.contains(&name.as_str())
                && let Some(value @ (Value::Name(_) | Value::Function(_))) = given
            {
                args.push(Arg { name: Some(name), value });
            }
            at = left;
        }
        args.len() > begins
    }
}

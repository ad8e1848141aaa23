//! One expression → a dotted name, a text, or a value, as far as the source says it.
//!
//! Every way down has a bound: an expression may be as deep as its file is long.

use super::super::{
    facts::{Arg, Parts, Value},
    language::Language,
};
use tree_sitter::Node;

const MOST_PARTS: usize = 48;
const MOST_NODES: usize = 96;
const MOST_TEXT: usize = 400;
const MOST_NAME: usize = 120;
const MOST_ARGS: usize = 24;

/// Rust: what only passes its receiver on.
pub(super) const PASSES: &[&str] = &[
    "unwrap",
    "expect",
    "clone",
    "as_ref",
    "as_mut",
    "unwrap_or_default",
    "map_err",
    "ok",
    "context",
    "to_owned",
    "borrow",
];
/// Calls that only put texts together.
const FORMATS: &[&str] = &["format", "Sprintf", "Format", "formatted", "format!", "concat!"];

pub(super) struct Reader<'t> {
    pub text: &'t [u8],
    pub language: Language,
}

impl Reader<'_> {
    /// The node's own text when it is short enough to be a name.
    pub fn name(&self, node: Node<'_>) -> &str {
        let text = self.raw(node);
        if text.len() > MOST_NAME { "" } else { text }
    }

    pub fn raw(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    pub fn field(&self, node: Node<'_>, field: &str) -> String {
        node.child_by_field_name(field).map(|child| self.name(child).to_owned()).unwrap_or_default()
    }

    /// `a.b().c` → a, b, c. The calls that it goes through are added to `through`.
    pub fn path(&self, node: Node<'_>, through: &mut Vec<usize>) -> Parts {
        let mut parts = Parts::new();
        let mut at = Some(node);
        while let Some(node) = at {
            if parts.len() >= MOST_PARTS {
                break;
            }
            let mut member = |name: &str, left: &[&str]| {
                if let Some(name) = node.child_by_field_name(name) {
                    let name = self.plain_name(name);
                    let passes = self.language == Language::Rust && PASSES.contains(&name.as_str());
                    if parts.is_empty() || !passes {
                        parts.push(name);
                    }
                }
                left.iter().find_map(|field| node.child_by_field_name(field))
            };
            at = match node.kind() {
                "attribute" => member("attribute", &["object"]),
                "member_expression" => member("property", &["object"]),
                "selector_expression" => member("field", &["operand"]),
                "field_expression" => member("field", &["value"]),
                "field_access" => member("field", &["object"]),
                "scoped_identifier" | "scoped_type_identifier" => member("name", &["path", "scope"]),
                "member_access_expression" => member("name", &["expression"]),
                "qualified_type" => member("name", &["package"]),
                "qualified_name" => member("name", &["qualifier"]),
                "member_binding_expression" => member("name", &[]),
                "nested_identifier" | "nested_type_identifier" => member("name", &["object", "module"]),
                "method_invocation" => {
                    through.push(node.id());
                    member("name", &["object"])
                }
                "conditional_access_expression" => {
                    let binding = node.named_child(1).and_then(|child| child.child_by_field_name("name"));
                    parts.extend(binding.map(|name| self.plain_name(name)));
                    node.child_by_field_name("condition")
                }
                "call" | "call_expression" | "invocation_expression" => {
                    through.push(node.id());
                    node.child_by_field_name("function")
                }
                "new_expression" => {
                    through.push(node.id());
                    node.child_by_field_name("constructor")
                }
                "object_creation_expression" | "composite_literal" => {
                    through.push(node.id());
                    node.child_by_field_name("type")
                }
                "generic_function" => node.child_by_field_name("function"),
                "generic_type" | "generic_name" | "scoped_generic_type" => {
                    node.child_by_field_name("type").or_else(|| node.named_child(0))
                }
                "await"
                | "await_expression"
                | "try_expression"
                | "parenthesized_expression"
                | "non_null_expression"
                | "as_expression"
                | "satisfies_expression"
                | "unary_expression"
                | "reference_expression"
                | "pointer_type"
                | "reference_type"
                | "subscript"
                | "subscript_expression"
                | "index_expression"
                | "array_access"
                | "element_access_expression"
                | "postfix_unary_expression"
                | "argument"
                | "literal_element"
                | "expression_statement"
                | "slice_expression" => {
                    let last = node.kind() == "reference_expression" || node.kind() == "reference_type";
                    let count = u32::try_from(node.named_child_count()).unwrap_or(0);
                    node.named_child(if last { count.saturating_sub(1) } else { 0 })
                }
                "macro_invocation" => {
                    through.push(node.id());
                    if let Some(name) = node.child_by_field_name("macro") {
                        let name = self.raw(name);
                        let last = name.rsplit("::").next().unwrap_or(name);
                        parts.push(format!("{last}!"));
                        parts.extend(name.rsplit("::").skip(1).map(str::to_owned));
                    }
                    None
                }
                "dotted_name" => {
                    parts.extend(self.name(node).rsplit('.').map(str::to_owned));
                    None
                }
                "identifier"
                | "property_identifier"
                | "field_identifier"
                | "type_identifier"
                | "package_identifier"
                | "this"
                | "self"
                | "super"
                | "crate"
                | "base"
                | "private_property_identifier"
                | "predefined_type"
                | "this_expression"
                | "base_expression"
                | "shorthand_property_identifier"
                | "import"
                | "metavariable" => {
                    parts.push(self.name(node).to_owned());
                    None
                }
                _ => {
                    parts.push("?".to_owned());
                    None
                }
            };
        }
        parts.reverse();
        parts.retain(|part| !part.is_empty());
        parts
    }

    pub fn plain_path(&self, node: Node<'_>) -> Parts {
        self.path(node, &mut Vec::new())
    }

    /// A member's name without its type arguments.
    fn plain_name(&self, node: Node<'_>) -> String {
        let name = self.name(node);
        name.split('<').next().unwrap_or(name).to_owned()
    }

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

    /// A string, or strings and values put together, with the values as `{name}`; `None` where no string is in it.
    pub fn text_of(&self, node: Node<'_>) -> Option<String> {
        let mut out = String::new();
        let mut any = false;
        let mut open = vec![node];
        let mut seen = 0;
        while let Some(node) = open.pop() {
            seen += 1;
            if seen > MOST_NODES || out.len() > MOST_TEXT {
                break;
            }
            match node.kind() {
                "string_content"
                | "string_fragment"
                | "interpreted_string_literal_content"
                | "string_literal_content"
                | "multiline_string_fragment"
                | "raw_string_literal_content"
                | "raw_string_content" => {
                    any = true;
                    out.push_str(self.raw(node));
                }
                "escape_sequence" => out.push(' '),
                "interpolation" | "template_substitution" => {
                    any = true;
                    let name =
                        node.named_children(&mut node.walk()).find(|child| child.kind() != "interpolation_brace");
                    out.push_str(&self.hole(name));
                }
                kind if is_text(kind) => {
                    any = true;
                    if matches!(kind, "verbatim_string_literal" | "raw_string_literal") && node.named_child_count() == 0
                    {
                        out.push_str(self.raw(node).trim_start_matches(['@', 'r', '#']).trim_matches(['"', '`', '#']));
                    }
                    let count = u32::try_from(node.named_child_count()).unwrap_or(0).min(64);
                    open.extend((0..count).rev().filter_map(|at| node.named_child(at)));
                }
                "binary_operator" | "binary_expression" => {
                    let percent = node.child_by_field_name("operator").is_some_and(|at| self.name(at) == "%");
                    open.extend(node.child_by_field_name("right").filter(|_| !percent));
                    open.extend(node.child_by_field_name("left"));
                }
                "concatenated_string" | "parenthesized_expression" => {
                    let count = u32::try_from(node.named_child_count()).unwrap_or(0).min(64);
                    open.extend((0..count).rev().filter_map(|at| node.named_child(at)));
                }
                "string_start"
                | "string_end"
                | "interpolation_start"
                | "interpolation_quote"
                | "comment"
                | "string_literal_encoding" => {}
                "integer" | "number" | "int_literal" | "integer_literal" | "decimal_integer_literal" => {
                    out.push_str(self.name(node));
                }
                _ => out.push_str(&self.hole(Some(node))),
            }
        }
        any.then(|| bounded(&out, MOST_TEXT))
    }

    fn hole(&self, node: Option<Node<'_>>) -> String {
        format!("{{{}}}", node.map(|node| self.plain_path(node).join(".")).unwrap_or_default())
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

    /// The first string anywhere below a node.
    pub fn first_text(&self, node: Node<'_>) -> Option<String> {
        self.text_below(node, |_| true)
    }

    /// The first URL in any string below a node: the fallback of an environment variable, a client's base.
    pub fn url_in(&self, node: Node<'_>) -> Option<String> {
        self.text_below(node, |text| text.contains("://"))
    }

    fn text_below(&self, node: Node<'_>, fits: fn(&str) -> bool) -> Option<String> {
        let mut open = vec![node];
        for _ in 0..MOST_NODES {
            let node = open.pop()?;
            if is_text(node.kind()) {
                let text = self.text_of(node).filter(|text| fits(text));
                if text.is_some() {
                    return text;
                }
                continue;
            }
            let count = u32::try_from(node.named_child_count()).unwrap_or(0).min(16);
            open.extend((0..count).rev().filter_map(|at| node.named_child(at)));
        }
        None
    }
}

pub(super) fn is_text(kind: &str) -> bool {
    matches!(
        kind,
        "string"
            | "template_string"
            | "interpreted_string_literal"
            | "raw_string_literal"
            | "string_literal"
            | "interpolated_string_expression"
            | "verbatim_string_literal"
    )
}

/// At most so many bytes, cut between characters.
pub(in super::super) fn bounded(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

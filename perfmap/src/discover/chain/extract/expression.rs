//! One expression → a dotted name or a text, as far as the source says it.
//!
//! Every way down has a bound: an expression may be as deep as its file is long.

use super::super::{facts::Parts, language::Language};
use tree_sitter::Node;

const MOST_PARTS: usize = 48;
const MOST_NODES: usize = 96;
pub(super) const MOST_TEXT: usize = 400;
const MOST_NAME: usize = 120;

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

//! The languages whose source is read: which files are theirs, which grammar parses them, and what each kind of syntax
//! node means here.
//!
//! A grammar's node kinds become [`Role`]s once; after that nobody compares names of kinds on the hot path.

use tree_sitter::Language as Grammar;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Python,
    JavaScript,
    TypeScript,
    Tsx,
    Go,
    Java,
    Rust,
    CSharp,
}

/// What a syntax node is for the call chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    #[default]
    Nothing,
    Function,
    /// A function without a name of its own.
    Lambda,
    Class,
    /// Rust's `impl` block: methods of a class that is defined elsewhere.
    Impl,
    Loop,
    Call,
    Await,
    Import,
    /// A name gets a value or a type.
    Bind,
    With,
    /// Go's `go f()`, Rust's `async` blocks in a join.
    Spawn,
    Package,
    Macro,
    /// A decorator or attribute that comes before its definition.
    Attribute,
    /// Node's `export default`.
    Export,
    /// Rust's `mod`.
    Module,
    /// Python's `with` as a whole.
    WithStatement,
}

impl Language {
    pub const ALL: [Self; 8] =
        [Self::Python, Self::JavaScript, Self::TypeScript, Self::Tsx, Self::Go, Self::Java, Self::Rust, Self::CSharp];

    pub(super) fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "py" => Self::Python,
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "go" => Self::Go,
            "java" => Self::Java,
            "rs" => Self::Rust,
            "cs" => Self::CSharp,
            _ => return None,
        })
    }

    pub(super) fn grammar(self) -> Grammar {
        match self {
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
            Self::Java => tree_sitter_java::LANGUAGE.into(),
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::CSharp => tree_sitter_c_sharp::LANGUAGE.into(),
        }
    }

    pub(super) fn is_node(self) -> bool {
        matches!(self, Self::JavaScript | Self::TypeScript | Self::Tsx)
    }

    /// Two files whose functions can call one another without a wire between them.
    pub(super) fn mixes_with(self, other: Self) -> bool {
        self == other || self.is_node() && other.is_node()
    }

    /// Bytes without one of which a file defines no function: such a file is not parsed.
    pub(super) fn marks(self) -> &'static [&'static [u8]] {
        match self {
            // Django's route tables have no function of their own.
            Self::Python => &[b"def ", b"import ", b"("],
            Self::JavaScript | Self::TypeScript | Self::Tsx => &[b"function", b"=>", b"class ", b"(", b"require"],
            Self::Go => &[b"func ", b"func("],
            Self::Java => &[b"class ", b"interface ", b"record ", b"enum "],
            Self::Rust => &[b"fn ", b"struct ", b"impl"],
            Self::CSharp => &[b"class ", b"record ", b"interface ", b"Map", b"("],
        }
    }

    fn roles(self) -> &'static [(&'static str, Role)] {
        match self {
            Self::Python => PYTHON,
            Self::JavaScript | Self::TypeScript | Self::Tsx => NODE,
            Self::Go => GO,
            Self::Java => JAVA,
            Self::Rust => RUST,
            Self::CSharp => CSHARP,
        }
    }
}

/// Role of each kind of node of one grammar, by its number.
pub(super) struct Roles(Vec<Role>);

impl Roles {
    pub(super) fn of(language: Language, grammar: &Grammar) -> Self {
        let mut roles = vec![Role::Nothing; grammar.node_kind_count()];
        for (kind, role) in language.roles() {
            let id = grammar.id_for_node_kind(kind, true);
            if let Some(slot) = roles.get_mut(usize::from(id)).filter(|_| id != 0) {
                *slot = *role;
            }
        }
        Self(roles)
    }

    pub(super) fn get(&self, kind: u16) -> Role {
        self.0.get(usize::from(kind)).copied().unwrap_or_default()
    }
}

const PYTHON: &[(&str, Role)] = &[
    ("function_definition", Role::Function),
    ("lambda", Role::Lambda),
    ("class_definition", Role::Class),
    ("for_statement", Role::Loop),
    ("while_statement", Role::Loop),
    ("list_comprehension", Role::Loop),
    ("set_comprehension", Role::Loop),
    ("dictionary_comprehension", Role::Loop),
    ("generator_expression", Role::Loop),
    ("call", Role::Call),
    ("await", Role::Await),
    ("import_statement", Role::Import),
    ("import_from_statement", Role::Import),
    ("assignment", Role::Bind),
    ("with_statement", Role::WithStatement),
    ("with_item", Role::With),
    ("decorator", Role::Attribute),
];

const NODE: &[(&str, Role)] = &[
    ("function_declaration", Role::Function),
    ("generator_function_declaration", Role::Function),
    ("method_definition", Role::Function),
    ("arrow_function", Role::Lambda),
    ("function_expression", Role::Lambda),
    ("generator_function", Role::Lambda),
    ("class_declaration", Role::Class),
    ("abstract_class_declaration", Role::Class),
    ("interface_declaration", Role::Class),
    ("class", Role::Class),
    ("for_statement", Role::Loop),
    ("for_in_statement", Role::Loop),
    ("while_statement", Role::Loop),
    ("do_statement", Role::Loop),
    ("call_expression", Role::Call),
    ("new_expression", Role::Call),
    ("await_expression", Role::Await),
    ("import_statement", Role::Import),
    ("variable_declarator", Role::Bind),
    ("assignment_expression", Role::Bind),
    ("public_field_definition", Role::Bind),
    ("field_definition", Role::Bind),
    ("pair", Role::Bind),
    ("decorator", Role::Attribute),
    ("export_statement", Role::Export),
];

const GO: &[(&str, Role)] = &[
    ("function_declaration", Role::Function),
    ("method_declaration", Role::Function),
    ("func_literal", Role::Lambda),
    ("type_spec", Role::Class),
    ("for_statement", Role::Loop),
    ("call_expression", Role::Call),
    ("composite_literal", Role::Call),
    ("go_statement", Role::Spawn),
    ("import_spec", Role::Import),
    ("short_var_declaration", Role::Bind),
    ("var_spec", Role::Bind),
    ("const_spec", Role::Bind),
    ("assignment_statement", Role::Bind),
    ("package_clause", Role::Package),
];

const JAVA: &[(&str, Role)] = &[
    ("method_declaration", Role::Function),
    ("constructor_declaration", Role::Function),
    ("lambda_expression", Role::Lambda),
    ("class_declaration", Role::Class),
    ("interface_declaration", Role::Class),
    ("record_declaration", Role::Class),
    ("enum_declaration", Role::Class),
    ("for_statement", Role::Loop),
    ("enhanced_for_statement", Role::Loop),
    ("while_statement", Role::Loop),
    ("do_statement", Role::Loop),
    ("method_invocation", Role::Call),
    ("object_creation_expression", Role::Call),
    ("import_declaration", Role::Import),
    ("local_variable_declaration", Role::Bind),
    ("field_declaration", Role::Bind),
    ("resource", Role::Bind),
    ("package_declaration", Role::Package),
];

const RUST: &[(&str, Role)] = &[
    ("function_item", Role::Function),
    ("closure_expression", Role::Lambda),
    ("struct_item", Role::Class),
    ("enum_item", Role::Class),
    ("trait_item", Role::Class),
    ("impl_item", Role::Impl),
    ("for_expression", Role::Loop),
    ("while_expression", Role::Loop),
    ("loop_expression", Role::Loop),
    ("call_expression", Role::Call),
    ("macro_invocation", Role::Macro),
    ("attribute_item", Role::Attribute),
    ("mod_item", Role::Module),
    ("await_expression", Role::Await),
    ("use_declaration", Role::Import),
    ("let_declaration", Role::Bind),
    ("static_item", Role::Bind),
    ("const_item", Role::Bind),
];

const CSHARP: &[(&str, Role)] = &[
    ("method_declaration", Role::Function),
    ("constructor_declaration", Role::Function),
    ("local_function_statement", Role::Function),
    ("lambda_expression", Role::Lambda),
    ("anonymous_method_expression", Role::Lambda),
    ("class_declaration", Role::Class),
    ("record_declaration", Role::Class),
    ("interface_declaration", Role::Class),
    ("struct_declaration", Role::Class),
    ("for_statement", Role::Loop),
    ("foreach_statement", Role::Loop),
    ("while_statement", Role::Loop),
    ("do_statement", Role::Loop),
    ("invocation_expression", Role::Call),
    ("object_creation_expression", Role::Call),
    ("await_expression", Role::Await),
    ("using_directive", Role::Import),
    ("variable_declaration", Role::Bind),
    ("property_declaration", Role::Bind),
    ("assignment_expression", Role::Bind),
    ("namespace_declaration", Role::Package),
    ("file_scoped_namespace_declaration", Role::Package),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grammar_loads_and_has_every_kind_that_is_named_here() {
        for language in Language::ALL {
            let grammar = language.grammar();
            tree_sitter::Parser::new().set_language(&grammar).unwrap();
            for (kind, _) in language.roles() {
                let typescript_only =
                    ["public_field_definition", "abstract_class_declaration", "interface_declaration"];
                let javascript_only = ["field_definition"];
                let absent = grammar.id_for_node_kind(kind, true) == 0;
                let allowed = language == Language::JavaScript && typescript_only.contains(kind)
                    || language != Language::JavaScript && javascript_only.contains(kind);
                assert!(!absent || allowed, "{language:?} has no {kind}");
            }
        }
    }
}

//! What one source file says, without its syntax: functions and what they call, classes, names and what they stand for.
//!
//! Knows nothing of other files: `look` ties names of one file to functions of another.

use super::language::Language;

/// A dotted name in parts: `self.client.get` is `["self", "client", "get"]`. Calls inside it count as their names.
pub(super) type Parts = Vec<String>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    /// The first is the file's own top level.
    pub functions: Vec<Function>,
    pub classes: Vec<Class>,
    pub imports: Vec<Import>,
    /// Go's package, Java's package, C#'s namespace.
    pub package: Option<String>,
    /// The file was larger or deeper than is read; what is here is its beginning.
    pub cut: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Function {
    pub name: String,
    /// The class, receiver type or `impl` type.
    pub owner: Option<String>,
    /// The function that it is defined in: 0 at the top level.
    pub outer: usize,
    /// Go's name for the receiver.
    pub receiver: Option<String>,
    pub line: u32,
    pub end: u32,
    pub is_async: bool,
    /// `static` or module-level: a name of it needs no object.
    pub params: Vec<(String, Parts)>,
    pub returns: Parts,
    pub bindings: Vec<Binding>,
    pub calls: Vec<Call>,
    pub attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Class {
    pub name: String,
    pub line: u32,
    pub bases: Vec<Parts>,
    pub fields: Vec<Binding>,
    pub attributes: Vec<Attribute>,
    pub is_interface: bool,
}

/// A name and what it stands for: a declared type, or the path of what it was made by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Binding {
    pub name: String,
    pub value: Parts,
    /// The text, or the URL somewhere in the value.
    pub text: Option<String>,
    pub line: u32,
}

/// `from module import item as local`; without an item the module itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Import {
    pub local: String,
    pub module: String,
    pub item: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    pub path: Parts,
    pub line: u32,
    /// Where it ends in the file: calls run in this order.
    pub end: usize,
    pub args: Vec<Arg>,
    pub in_loop: bool,
    /// Names that change with each turn of the innermost loop.
    pub turns: Vec<String>,
    pub awaited: bool,
    /// Inside `gather`, `Promise.all`, a spawned task.
    pub concurrent: bool,
    /// The variable that holds its result.
    pub bound: Option<String>,
    /// Closed by `with`, `using`, `try (…)`.
    pub scoped: bool,
    /// Index of the call that it is the receiver of: `a.b()` in `a.b().c()`.
    pub receiver_of: Option<usize>,
    /// An object is made: `new X()`, `X{…}`.
    pub makes: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attribute {
    pub path: Parts,
    pub args: Vec<Arg>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arg {
    pub name: Option<String>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A string with what is put into it as `{name}`.
    Text(String),
    /// A number, or a calculation that begins with one, as written.
    Number(String),
    Name(Parts),
    Call(Parts, Option<Box<Value>>),
    /// A function without a name, by its index.
    Function(usize),
    Other,
}

impl Call {
    pub(super) fn last(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The first argument that is a text, among those without a name.
    pub(super) fn text(&self) -> Option<&str> {
        text_of(&self.args)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Value> {
        named(&self.args, name)
    }
}

impl Attribute {
    pub(super) fn last(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    pub(super) fn text(&self) -> Option<&str> {
        text_of(&self.args)
    }
}

pub(super) fn named<'a>(args: &'a [Arg], name: &str) -> Option<&'a Value> {
    args.iter().find(|arg| arg.name.as_deref() == Some(name)).map(|arg| &arg.value)
}

fn text_of(args: &[Arg]) -> Option<&str> {
    args.iter().filter(|arg| arg.name.is_none()).find_map(|arg| match &arg.value {
        Value::Text(text) => Some(text.as_str()),
        Value::Number(_) | Value::Name(_) | Value::Call(..) | Value::Function(_) | Value::Other => None,
    })
}

impl Function {
    /// As the language writes it.
    pub(super) fn qualified(&self, language: Language) -> String {
        match &self.owner {
            Some(owner) if language == Language::Rust => format!("{owner}::{}", self.name),
            Some(owner) => format!("{owner}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

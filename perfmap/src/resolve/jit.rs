//! Names that runtimes write into their maps → function, file and line, where the name tells them.
//!
//! V8: `JS:*inner /a/b.js:10:15`; CPython's own (`-X perf`): `py::name:/a/b.py`; Java's (`Compiler.perfmap`):
//! `void com.x.Server.answer(int)`. Others are taken as they are.

/// What stands for the name of a function without one.
pub const ANONYMOUS: &str = "(anonymous)";

/// A generated function as a person would name it.
#[derive(Debug, PartialEq, Eq)]
pub struct JitName<'a> {
    pub function: &'a str,
    pub file: Option<&'a str>,
    /// Where the function begins: generated code tells no line of its instructions.
    pub first_line: Option<u32>,
}

pub fn parse(name: &str) -> JitName<'_> {
    let java = || Some(JitName { function: java(name)?.full, file: None, first_line: None });
    v8(name).or_else(|| cpython(name)).or_else(java).unwrap_or(JitName { function: name, file: None, first_line: None })
}

/// A method of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JavaMethod<'a> {
    /// `com.x.Server$Inner.answer`.
    pub full: &'a str,
    class: &'a str,
}

impl JavaMethod<'_> {
    /// Where its outermost class is from, without an ending: `com/x/Server`.
    pub fn source(self) -> String {
        let (package, name) = self.class.rsplit_once('.').unwrap_or(("", self.class));
        // A `$` at the beginning is a part of the name.
        let outermost =
            name.char_indices().skip(1).find(|(_, sign)| *sign == '$').map_or(name, |(end, _)| &name[..end]);
        let directory = package.replace('.', "/");
        if directory.is_empty() { outermost.to_owned() } else { format!("{directory}/{outermost}") }
    }
}

/// `int com.x.Server.answer(java.lang.String, long)`: a type, a class and a method, and types of arguments. What a machine
/// makes by itself (`Server$$Lambda$41/0x7f10`) is no class of a file.
pub fn java(name: &str) -> Option<JavaMethod<'_>> {
    let (head, _) = name.strip_suffix(')')?.split_once('(')?;
    let (returns, full) = head.split_once(' ')?;
    let (class, method) = full.rsplit_once('.')?;
    let is_type = |text: &str| {
        let mut signs = text.chars();
        signs.next().is_some_and(|first| first.is_alphabetic() || matches!(first, '_' | '$'))
            && signs.all(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '$' | '.'))
    };
    let is_method = is_type(method) || matches!(method, "<init>" | "<clinit>");
    let generated = class.contains("$$");
    (is_type(returns.trim_end_matches("[]")) && is_type(class) && is_method && !generated)
        .then_some(JavaMethod { full, class })
}

fn v8(name: &str) -> Option<JitName<'_>> {
    let rest =
        ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:"].iter().find_map(|tag| name.strip_prefix(tag))?;
    // The sign says which compiler made it: ~ interpreter, ^ baseline, + and * optimizing.
    let rest = rest.trim_start_matches(['~', '^', '+', '*']);
    let (function, place) = name_and_place(rest);
    let function = if function.is_empty() { ANONYMOUS } else { function };
    let mut parts = place.rsplitn(3, ':');
    let (_column, line, file) = (parts.next(), parts.next(), parts.next());
    let (Some(line), Some(file)) = (line.and_then(|line| line.parse().ok()), file) else {
        return Some(JitName { function: rest, file: None, first_line: None });
    };
    Some(JitName { function, file: Some(file.strip_prefix("file://").unwrap_or(file)), first_line: Some(line) })
}

/// A name holds no space but after `get` and `set`, a file's may: the file has a slash or a colon.
fn name_and_place(rest: &str) -> (&str, &str) {
    let first = rest.find(' ');
    let accessor = first.filter(|at| matches!(&rest[..*at], "get" | "set"));
    let second = accessor.and_then(|at| {
        let word = rest[at + 1..].split(' ').next()?;
        (!word.contains(['/', ':'])).then_some(at + 1 + word.len())
    });
    let end = second.filter(|end| *end < rest.len()).or(first);
    end.map_or(("", rest), |end| (&rest[..end], &rest[end + 1..]))
}

fn cpython(name: &str) -> Option<JitName<'_>> {
    let (function, file) = name.strip_prefix("py::")?.split_once(':')?;
    Some(JitName { function, file: Some(file), first_line: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms() {
        for (name, function, file, first_line) in [
            ("JS:*inner /a/b c.js:10:15", "inner", Some("/a/b c.js"), Some(10)),
            ("JS:~ file:///a/b.mjs:1:1", "(anonymous)", Some("/a/b.mjs"), Some(1)),
            ("LazyCompile:^get node:internal/util:5:1", "get", Some("node:internal/util"), Some(5)),
            ("JS:~get username node:internal/url:981:15", "get username", Some("node:internal/url"), Some(981)),
            ("JS:^set /a b/c.js:3:4", "set", Some("/a b/c.js"), Some(3)),
            ("py::C.f:/a/b.py", "C.f", Some("/a/b.py"), None),
            ("Lcom/x/Y;::run", "Lcom/x/Y;::run", None, None),
            ("byte[] com.x.Y$Z.run(int, long[])", "com.x.Y$Z.run", None, None),
            ("void Y$$Lambda$41/0x00007f10.run()", "void Y$$Lambda$41/0x00007f10.run()", None, None),
            ("Stub Generator stubs (1)", "Stub Generator stubs (1)", None, None),
            ("JS:*", "", None, None),
        ] {
            assert_eq!(parse(name), JitName { function, file, first_line }, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_read(name in "(JS:|py::|void |)[*~^]?.{0,30}[)]?") {
            parse(&name);
            if let Some(method) = java(&name) {
                method.source();
            }
        }
    }
}

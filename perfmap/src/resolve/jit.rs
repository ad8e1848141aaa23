//! Names that runtimes write into their maps → function, file and line, where the name tells them.
//!
//! V8: `JS:*inner /a/b.js:10:15`; CPython's own (`-X perf`): `py::name:/a/b.py`. Others are taken as they are.

/// A generated function as a person would name it.
#[derive(Debug, PartialEq, Eq)]
pub struct JitName<'a> {
    pub function: &'a str,
    pub file: Option<&'a str>,
    /// Where the function begins: generated code tells no line of its instructions.
    pub first_line: Option<u32>,
}

pub fn parse(name: &str) -> JitName<'_> {
    v8(name).or_else(|| cpython(name)).unwrap_or(JitName { function: name, file: None, first_line: None })
}

fn v8(name: &str) -> Option<JitName<'_>> {
    let rest =
        ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:"].iter().find_map(|tag| name.strip_prefix(tag))?;
    // The sign says which compiler made it: ~ interpreter, ^ baseline, + and * optimizing.
    let rest = rest.trim_start_matches(['~', '^', '+', '*']);
    let (function, place) = name_and_place(rest);
    let function = if function.is_empty() { "(anonymous)" } else { function };
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
            ("JS:*", "", None, None),
        ] {
            assert_eq!(parse(name), JitName { function, file, first_line }, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_read(name in "(JS:|py::|)[*~^]?.{0,30}") {
            parse(&name);
        }
    }
}

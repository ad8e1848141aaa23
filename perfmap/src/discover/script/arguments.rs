//! The parameters of a function, as written → arguments to call it with, all of them guessed.

use crate::discover::found::Language;

/// One argument: the parameter's name and an expression of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    pub value: String,
}

/// Those that must be given.
pub fn arguments(language: Language, parameters: &str) -> Vec<Argument> {
    let parts = split(parameters);
    match language {
        Language::Python => parts.iter().filter_map(|part| python(part)).collect(),
        Language::Node => parts.iter().filter_map(|part| node(part)).collect(),
        Language::Go => go(&parts),
        Language::Rust => parts.iter().filter_map(|part| rust(part)).collect(),
        Language::Java => parts.iter().filter_map(|part| java(part)).collect(),
        Language::DotNet | Language::Ruby | Language::Php => Vec::new(),
    }
}

/// At commas outside of brackets.
fn split(parameters: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for character in parameters.chars() {
        match character {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if character != ',' || depth > 0 => part.push(character),
            Some(_) | None => parts.push(String::new()),
        }
    }
    let trimmed = parts.iter().map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    trimmed.filter(|part| !part.is_empty()).take(30).collect()
}

fn python(part: &str) -> Option<Argument> {
    if part.contains('=') || part.starts_with(['*', '/']) || matches!(part, "self" | "cls") {
        return None;
    }
    let (name, kind) = part.split_once(':').map_or((part, ""), |(name, kind)| (name.trim(), kind.trim()));
    let value = match kind.split(['[', '|', ' ']).next().unwrap_or_default() {
        "int" | "" => "1",
        "float" => "1.0",
        "bool" => "True",
        "str" => "\"x\"",
        "bytes" => "b\"x\"",
        "list" | "List" | "Sequence" | "Iterable" | "Iterator" | "tuple" => "[1]",
        "dict" | "Dict" | "Mapping" => "{}",
        "set" | "Set" => "{1}",
        _ => "None",
    };
    word(name).then(|| Argument { name: name.to_owned(), value: value.to_owned() })
}

fn node(part: &str) -> Option<Argument> {
    if part.contains('=') && !part.contains("=>") || part.starts_with("...") {
        return None;
    }
    let (name, kind) = part.split_once(':').map_or((part, ""), |(name, kind)| (name.trim(), kind.trim()));
    if name.ends_with('?') {
        return None;
    }
    let value = match kind {
        "number" => "1",
        "string" => "\"x\"",
        "boolean" => "true",
        kind if kind.ends_with("[]") || kind.starts_with("Array<") => "[]",
        "" => "1",
        _ => "{}",
    };
    let name = if word(name) { name } else { "argument" };
    Some(Argument { name: name.to_owned(), value: value.to_owned() })
}

/// `a, b int, names []string`: a type stands for all names before it.
fn go(parts: &[String]) -> Vec<Argument> {
    let mut kind = String::new();
    let mut found: Vec<Argument> = Vec::new();
    for part in parts.iter().rev() {
        let name = match part.split_once(' ') {
            Some((name, own)) => {
                own.clone_into(&mut kind);
                name
            }
            None => part,
        };
        if kind.starts_with("...") {
            continue;
        }
        let value = match kind.as_str() {
            "string" => "\"x\"".to_owned(),
            "bool" => "true".to_owned(),
            "context.Context" => "context.Background()".to_owned(),
            "int" | "int8" | "int16" | "int32" | "int64" | "uint" | "uint8" | "uint16" | "uint32" | "uint64"
            | "float32" | "float64" | "byte" | "rune" => "1".to_owned(),
            kind if kind.starts_with("[]") || kind.starts_with("map[") => format!("{kind}{{}}"),
            // The zero value of whatever it is.
            kind => format!("*new({kind})"),
        };
        found.push(Argument { name: name.to_owned(), value });
    }
    found.reverse();
    found
}

fn rust(part: &str) -> Option<Argument> {
    let (name, kind) = part.split_once(':')?;
    let kind = kind.trim();
    let value = match kind {
        "&str" => "\"x\"",
        "String" => "\"x\".to_owned()",
        "bool" => "true",
        "f32" | "f64" => "1.0",
        "&[u8]" => "b\"x\"",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "1",
        kind if kind.starts_with("&mut ") => "&mut Default::default()",
        kind if kind.starts_with("&[") => "&[]",
        kind if kind.starts_with('&') => "&Default::default()",
        _ => "Default::default()",
    };
    Some(Argument { name: name.trim().trim_start_matches("mut ").to_owned(), value: value.to_owned() })
}

fn java(part: &str) -> Option<Argument> {
    let mut words = part.split(' ').filter(|word| !word.starts_with('@') && *word != "final");
    let name = part.rsplit(' ').next()?;
    let value = match words.next()? {
        "int" | "long" | "short" | "byte" | "Integer" => "1",
        "Long" => "1L",
        "double" | "float" | "Double" => "1",
        "boolean" | "Boolean" => "true",
        "char" => "'x'",
        "String" => "\"x\"",
        kind if kind.starts_with("List") => "java.util.List.of()",
        kind if kind.starts_with("Map") => "java.util.Map.of()",
        _ => "null",
    };
    Some(Argument { name: name.to_owned(), value: value.to_owned() })
}

fn word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(language: Language, parameters: &str) -> String {
        let all = arguments(language, parameters);
        all.iter().map(|a| format!("{}={}", a.name, a.value)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_must_be_given() {
        let python = "self, a: int, b: dict[str, int], c='x', *, d: 'Thing', **rest";
        assert_eq!(of(Language::Python, python), "a=1; b={}; d=None");
        assert_eq!(of(Language::Node, "a: string, b?: number, { c, d }, e = 3, ...f"), "a=\"x\"; argument=1");
        let go = "ctx context.Context, a, b int, names []string, o *Order, rest ...int";
        let expected = "ctx=context.Background(); a=1; b=1; names=[]string{}; o=*new(*Order)";
        assert_eq!(of(Language::Go, go), expected);
        assert_eq!(of(Language::Rust, "&self, name: &str, mut n: Vec<(u8, u8)>"), "name=\"x\"; n=Default::default()");
        assert_eq!(
            of(Language::Java, "@Valid final Order o, int n, Map<String, Integer> m"),
            "o=null; n=1; m=java.util.Map.of()"
        );
        assert_eq!(of(Language::Python, ""), "");
    }
}

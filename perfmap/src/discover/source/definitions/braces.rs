//! Node, Go, Rust, Java, C#, PHP: functions and containers by their first line, their ends by braces.

use super::{Definition, Kind, MOST, end, parameters};
use crate::discover::{
    found::Language,
    source::{first_word, word_before},
};

struct Open {
    index: usize,
    /// Braces open around it.
    depth: usize,
    /// Its own `{` has been seen.
    begun: bool,
}

pub(super) fn by_braces(language: Language, text: &str, blank: &str) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    let (mut offset, mut number) = (0, 0);
    for line in blank.split('\n') {
        number += 1;
        if brackets == 0 && found.len() < MOST {
            let parent = open.last().filter(|open| open.begun && open.depth + 1 == braces).map(|open| open.index);
            let inside = parent.and_then(|at| found.get(at)).is_some_and(|parent| parent.kind == Kind::Container);
            if let Some(header) = header(language, line, inside) {
                // One that never got its body.
                while let Some(old) = open.pop_if(|open| !open.begun) {
                    end(&mut found, old.index, number - 1);
                }
                let from = offset + header.name_end;
                let parent = parent.and_then(|index| found.get(index));
                let new = definition(language, header, parent, number, text, blank, from);
                found.push(new);
                open.push(Open { index: found.len() - 1, depth: braces, begun: false });
            }
        }
        for byte in line.bytes() {
            match byte {
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets = brackets.saturating_sub(1),
                b'{' => {
                    if let Some(last) = open.last_mut().filter(|open| !open.begun && brackets == 0) {
                        last.begun = true;
                        last.depth = braces;
                    }
                    braces += 1;
                }
                b'}' => {
                    braces = braces.saturating_sub(1);
                    // Brackets that a macro or a blanked text left open do not reach over the end of a block.
                    if let Some(done) = open.pop_if(|open| open.begun && open.depth >= braces) {
                        end(&mut found, done.index, number);
                        brackets = 0;
                    }
                }
                b';' if brackets == 0 => {
                    if let Some(done) = open.pop_if(|open| !open.begun) {
                        end(&mut found, done.index, number);
                    }
                }
                _ => {}
            }
        }
        offset += line.len() + 1;
    }
    for left in open {
        end(&mut found, left.index, number);
    }
    found
}

struct Header<'a> {
    name: &'a str,
    /// Offset in its line.
    name_end: usize,
    kind: Kind,
    before: &'a str,
    /// Go: the type that it is a method of.
    receiver: Option<&'a str>,
}

fn definition(
    language: Language,
    header: Header<'_>,
    parent: Option<&Definition>,
    line: u32,
    text: &str,
    blank: &str,
    from: usize,
) -> Definition {
    let Header { name, name_end: _, kind, before, receiver } = header;
    let joint = if language == Language::Rust { "::" } else { "." };
    let owner = receiver.or(parent.map(|parent| parent.qualified.as_str()));
    let qualified = owner.map_or(name.to_owned(), |owner| format!("{owner}{joint}{name}"));
    let parameters = if kind == Kind::Container { String::new() } else { parameters(text, blank, from) };
    let rest = blank.get(from..).unwrap_or_default().lines().next().unwrap_or_default();
    let is_async = before.split_whitespace().any(|word| word == "async") || rest.trim_start().starts_with("= async");
    Definition {
        name: name.into(),
        qualified,
        line,
        end: line,
        parameters,
        kind,
        is_async,
        before: before.trim().into(),
    }
}

fn header(language: Language, line: &str, in_container: bool) -> Option<Header<'_>> {
    match language {
        Language::Go => go(line),
        Language::Rust => keyword(line, &["fn "], if in_container { Kind::Method } else { Kind::Function })
            .or_else(|| rust_container(line)),
        Language::Node => keyword(line, &["class "], Kind::Container)
            .or_else(|| keyword(line, &["function ", "function* "], Kind::Function))
            .or_else(|| arrow(line))
            .or_else(|| if in_container { method(line) } else { None }),
        Language::Java | Language::DotNet => {
            keyword(line, &["class ", "interface ", "record ", "enum ", "struct "], Kind::Container)
                .or_else(|| if in_container { method(line) } else { None })
        }
        Language::Php => keyword(line, &["class ", "trait ", "interface "], Kind::Container)
            .or_else(|| keyword(line, &["function "], if in_container { Kind::Method } else { Kind::Function })),
        Language::Python | Language::Ruby => None,
    }
}

/// Words that may stand before `fn`, `class` …; anything else makes the line no definition.
const MODIFIERS: [&str; 26] = [
    "pub",
    "crate",
    "async",
    "const",
    "unsafe",
    "extern",
    "export",
    "default",
    "declare",
    "abstract",
    "public",
    "private",
    "protected",
    "internal",
    "static",
    "final",
    "sealed",
    "partial",
    "readonly",
    "override",
    "strictfp",
    "virtual",
    "in",
    "super",
    "self",
    "non-sealed",
];

fn keyword<'a>(line: &'a str, keywords: &[&str], kind: Kind) -> Option<Header<'a>> {
    let (at, word) = keywords.iter().filter_map(|word| Some((line.find(word)?, *word))).min()?;
    let before = line.get(..at)?;
    let fits = before.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty());
    if !fits.into_iter().all(|word| MODIFIERS.contains(&word)) || before.contains(['=', '.', ';', '{']) {
        return None;
    }
    let rest = line.get(at + word.len()..)?;
    named(line, rest.trim_start(), kind, before)
}

fn named<'a>(line: &'a str, rest: &'a str, kind: Kind, before: &'a str) -> Option<Header<'a>> {
    let name = first_word(rest);
    let name_end = line.len() - rest.len() + name.len();
    (!name.is_empty()).then_some(Header { name, name_end, kind, before, receiver: None })
}

fn go(line: &str) -> Option<Header<'_>> {
    let rest = line.strip_prefix("func ")?.trim_start();
    let Some(inside) = rest.strip_prefix('(') else { return named(line, rest, Kind::Function, "") };
    let (receiver, rest) = inside.split_once(')')?;
    let kind = receiver.split_whitespace().next_back()?.trim_start_matches('*');
    let mut header = named(line, rest.trim_start(), Kind::Method, "")?;
    header.receiver = Some(first_word(kind));
    Some(header)
}

/// `impl<T> Trait for Type<T> {`, `mod tests {`, `trait X`.
fn rust_container(line: &str) -> Option<Header<'_>> {
    if let Some(found) = keyword(line, &["mod ", "trait "], Kind::Container) {
        return Some(found);
    }
    let rest = line.trim_start().strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(generic) => generic.split_once("> ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    let of = rest.split_once(" for ").map_or(rest, |(_, of)| of).trim_start_matches(['&', ' ']);
    let of = of.split([' ', '<', '{']).next().unwrap_or_default();
    let last = of.rsplit("::").next().unwrap_or_default();
    let from = line.find(of)?;
    named(line, line.get(from + of.len() - last.len()..)?, Kind::Container, "")
}

/// `const create = async (a, b) => {`, `exports.create = function (`.
fn arrow(line: &str) -> Option<Header<'_>> {
    let (left, right) = line.split_once('=')?;
    let value = right.trim_start();
    let value = value.strip_prefix("async").map_or(value, str::trim_start);
    let function = value.starts_with("function") || (value.starts_with('(') && !value.starts_with("()("));
    let single = first_word(value);
    let short = !single.is_empty() && value.get(single.len()..).is_some_and(|rest| rest.trim_start().starts_with("=>"));
    // What only begins with a bracket may be any expression: it takes an arrow on this line, or an open signature.
    let looks = short || (function && (value.starts_with("function") || right.contains("=>") || !right.contains(')')));
    let left = left.trim_end();
    let left = left.split_once(':').map_or(left, |(name, _)| name).trim_end();
    let name = word_before(left, left.len());
    let before = left.get(..left.len() - name.len())?;
    let declares = matches!(
        before.trim(),
        "const" | "let" | "var" | "export const" | "export let" | "exports." | "module.exports."
    );
    (looks && declares && !name.is_empty()).then_some(Header {
        name,
        name_end: left.len(),
        kind: Kind::Function,
        before,
        receiver: None,
    })
}

const NO_METHODS: [&str; 18] = [
    "if",
    "for",
    "while",
    "switch",
    "catch",
    "return",
    "new",
    "throw",
    "else",
    "do",
    "try",
    "synchronized",
    "await",
    "super",
    "this",
    "function",
    "yield",
    "when",
];

/// `public Order create(@Valid Body body) {`, `async create(body: Body): Promise<Order> {`.
fn method(line: &str) -> Option<Header<'_>> {
    let open = line.find('(')?;
    let before = line.get(..open)?.trim_end();
    if line.trim_start().starts_with(['@', '.', '}'])
        || before.contains(['=', '.', ';'])
        || line.trim_end().ends_with(';')
    {
        return None;
    }
    let name = word_before(before, before.len());
    let modifiers = before.get(..before.len() - name.len())?;
    let first = first_word(before.trim_start());
    let no_method = name.is_empty() || NO_METHODS.contains(&name) || NO_METHODS.contains(&first);
    (!no_method).then_some(Header {
        name,
        name_end: before.len(),
        kind: Kind::Method,
        before: modifiers,
        receiver: None,
    })
}

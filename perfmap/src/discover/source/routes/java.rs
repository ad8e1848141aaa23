//! Spring: `@GetMapping("/x")` below a class's `@RequestMapping("/api")`.

use super::{Handler, Route, Routes, verb};
use crate::discover::{
    found::Language,
    source::{blank::blanked, bracketed, first_word, line_of, strings::literals},
};

pub fn routes(text: &str) -> Routes {
    let blank = blanked(Language::Java, text);
    let mut found = Routes::default();
    let mut prefix = String::new();
    for (at, _) in blank.match_indices('@') {
        let name = first_word(blank.get(at + 1..).unwrap_or_default());
        let Some(of) = name.strip_suffix("Mapping") else { continue };
        let open = at + 1 + name.len();
        let has_arguments = blank.as_bytes().get(open) == Some(&b'(');
        let length = if has_arguments { bracketed(&blank, open, 2000).len() } else { 0 };
        let arguments = if has_arguments { text.get(open + 1..open + 1 + length).unwrap_or_default() } else { "" };
        let own = path_of(arguments);
        if of == "Request" && of_a_class(&blank, open + length) {
            prefix = own.to_owned();
            continue;
        }
        let method = match of {
            "Request" => super::VERBS
                .iter()
                .map(|verb| verb.to_ascii_uppercase())
                .find(|verb| arguments.contains(&format!("RequestMethod.{verb}"))),
            of => match verb(of) {
                Some(method) => Some(method),
                None => continue,
            },
        };
        let path = format!("{}/{}", prefix.trim_end_matches('/'), own.trim_start_matches('/'));
        found.routes.push(Route { method, path, line: line_of(text, at), handler: Handler::Next });
    }
    found
}

/// The first string, or that of `value =` or `path =`.
fn path_of(arguments: &str) -> &str {
    let all = literals(arguments);
    let named = all.iter().find(|literal| {
        let before = arguments.get(..literal.offset).unwrap_or_default().trim_end_matches(['{', ' ']);
        let name = before.strip_suffix('=').unwrap_or(before).trim_end();
        name.is_empty() || name.ends_with("value") || name.ends_with("path")
    });
    named.map_or("", |literal| literal.text)
}

/// Up to the next bracket there is the word `class`.
fn of_a_class(blank: &str, from: usize) -> bool {
    let rest = blank.get(from..).unwrap_or_default();
    let until = rest.find(['{', ';']).unwrap_or(rest.len());
    rest.get(..until).unwrap_or_default().split_whitespace().any(|word| matches!(word, "class" | "interface"))
}

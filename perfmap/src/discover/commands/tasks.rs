//! Makefile, justfile, tox.ini and noxfile.py → the targets in them that have a usual name.

use super::{kind_by_name, numbered};
use crate::discover::{
    found::{CommandKind, CommandSource, Evidence, FoundCommand},
    source::{first_word, strings::literals},
    stacks::is_sample,
    tree::{Tree, name, parent},
};

/// Line, command, and what it is for.
type Task = (u32, String, CommandKind, CommandSource);

pub fn commands(tree: &Tree) -> Vec<FoundCommand> {
    let mut found = Vec::new();
    for file in tree.files().filter(|file| !is_sample(parent(file))) {
        let of: fn(&str) -> Vec<Task> = match name(file) {
            "Makefile" | "makefile" | "GNUmakefile" => |text| targets(text, "make"),
            "justfile" | "Justfile" | ".justfile" => |text| targets(text, "just"),
            "tox.ini" => tox,
            "noxfile.py" => nox,
            _ => continue,
        };
        for (line, command, kind, source) in of(&tree.read(file).unwrap_or_default()) {
            let evidence = Evidence::at(file, line);
            found.push(FoundCommand { kind, source, line: command, directory: parent(file).to_owned(), evidence });
        }
    }
    found
}

fn targets(text: &str, program: &str) -> Vec<Task> {
    let target = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let name = name.split_whitespace().next()?.trim_start_matches('@');
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        // `a := b` is no target.
        (plain && !rest.starts_with('=') && !line.starts_with(char::is_whitespace)).then(|| name.to_owned())
    };
    let named = numbered(text).filter_map(|(number, line)| Some((number, target(line)?)));
    named
        .filter_map(|(number, name)| {
            Some((number, format!("{program} {name}"), kind_by_name(&name)?, CommandSource::TaskRunner))
        })
        .collect()
}

fn tox(text: &str) -> Vec<Task> {
    let (mut environment, mut key) = ("", "");
    let mut found = Vec::new();
    for (number, line) in numbered(text) {
        if !line.starts_with(char::is_whitespace) && !line.trim().is_empty() {
            key = line.split('=').next().unwrap_or_default().trim();
        }
        if let Some(section) = line.trim().strip_prefix('[') {
            environment = section.split(']').next().unwrap_or_default();
        }
        let of = environment.strip_prefix("testenv");
        let code = line.trim().strip_prefix("commands").map_or(line.trim(), |rest| rest.trim_start_matches([' ', '=']));
        if let (Some(of), Some(kind), "commands") = (of, super::kind_of(code), key) {
            let select = of.strip_prefix(':').filter(|name| !name.contains('{')).map(|name| format!(" -e {name}"));
            found.push((
                number,
                format!("tox run{}", select.unwrap_or_default()),
                kind,
                CommandSource::TestEnvironment,
            ));
        }
    }
    found
}

fn nox(text: &str) -> Vec<Task> {
    let mut decorated = None;
    let mut found = Vec::new();
    for (number, line) in numbered(text) {
        if line.starts_with("@nox.session") {
            let named = line.split_once("name=").and_then(|(_, rest)| Some(literals(rest).first()?.text.to_owned()));
            decorated = Some(named);
        } else if let (Some(rest), Some(named)) = (line.strip_prefix("def "), decorated.take()) {
            let name = named.unwrap_or_else(|| first_word(rest).to_owned());
            let kind = kind_by_name(&name);
            found.extend(kind.map(|kind| (number, format!("nox -s {name}"), kind, CommandSource::TestEnvironment)));
        }
    }
    found
}

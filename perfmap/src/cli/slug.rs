//! A command → the short name of its results' directory.

use std::{ffi::OsString, path::Path};

const LENGTH: usize = 50;

/// Words that only start the program that is meant.
const LAUNCHERS: [&str; 30] = [
    "uv", "uvx", "poetry", "pipenv", "hatch", "pdm", "rye", "tox", "nox", "run", "exec", "python", "python3", "node",
    "npx", "npm", "pnpm", "yarn", "bun", "deno", "ruby", "bundle", "php", "perl", "sh", "bash", "env", "time", "nice",
    "java",
];

const SOURCES: [&str; 16] =
    ["py", "js", "mjs", "cjs", "ts", "tsx", "jsx", "rb", "php", "pl", "sh", "go", "rs", "java", "ex", "jl"];

/// The named test, else the first source file, else the first word that is no launcher: lower case, `[a-z0-9_-]`, at
/// most 50 characters, never empty.
pub fn slug(argv: &[OsString]) -> String {
    let words: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let test = words.iter().skip(1).filter(|word| !word.starts_with('-')).find_map(|word| {
        let (_, name) = word.rsplit_once("::")?;
        Some(name.split('[').next().unwrap_or(name).to_owned())
    });
    let name = test.or_else(|| words.iter().find_map(|word| source_stem(word))).or_else(|| program(&words));
    let clean = name.map(|name| clean(&name)).unwrap_or_default();
    if clean.is_empty() { "command".to_owned() } else { clean }
}

fn source_stem(word: &str) -> Option<String> {
    let path = Path::new(word);
    let ending = path.extension()?.to_str()?;
    (SOURCES.contains(&ending) && !word.starts_with('-'))
        .then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))?
}

fn program(words: &[String]) -> Option<String> {
    let stem = |word: &str| Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned());
    let plain = words.iter().filter(|word| !word.starts_with('-') && !word.contains('='));
    let names: Vec<String> = plain.filter_map(|word| stem(word)).collect();
    names.iter().find(|name| !is_launcher(name)).or(names.first()).cloned()
}

fn is_launcher(name: &str) -> bool {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LAUNCHERS.contains(&name) || LAUNCHERS.contains(&base)
}

fn clean(name: &str) -> String {
    let mut result = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' | '0'..='9' | '_' | '-' => result.push(character),
            _ if result.ends_with('-') || result.is_empty() => {}
            _ => result.push('-'),
        }
        if result.len() >= LENGTH {
            break;
        }
    }
    result.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(command: &str) -> String {
        slug(&command.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn names_what_is_tested() {
        assert_eq!(of("uv run pytest tests/e2e/test_example.py -s"), "test_example");
        assert_eq!(of("pytest tests/test_a.py::TestJob::test_run[fast]"), "test_run");
        assert_eq!(of("./target/release/Import data.csv"), "import");
        assert_eq!(of("python3.12 -m http.server"), "http-server");
        assert_eq!(of("npm test"), "test");
        assert_eq!(of("python3"), "python3");
        assert_eq!(of("../.. --"), "command");
    }

    proptest! {
        #[test]
        fn always_a_safe_name(words in proptest::collection::vec("\\PC{0,80}", 0..4)) {
            let name = slug(&words.into_iter().map(OsString::from).collect::<Vec<_>>());
            prop_assert!(!name.is_empty() && name.len() <= LENGTH);
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'));
        }
    }
}

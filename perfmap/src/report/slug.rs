//! What was run → the name of its output directory.

const LONGEST: usize = 50;

/// Lower case, `[a-z0-9_-]`, at most 50 characters; everything else becomes one `-`. Never empty.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        if slug.len() == LONGEST {
            break;
        }
        if character.is_ascii_alphanumeric() || character == '_' {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "run".into() } else { slug.into() }
}

/// The target's or test's name in a command: the test file or script with what was selected in it, else the program.
pub fn name_of(command: &[String]) -> String {
    let path_like = |word: &&String| {
        let path = word.split("::").next().unwrap_or_default();
        !word.starts_with('-')
            && [".py", ".js", ".mjs", ".ts", ".rb", ".sh", ".pl", ".php", ".jar", ".lua"]
                .iter()
                .any(|end| path.ends_with(end))
    };
    let word = command.iter().find(path_like).or(command.first()).map_or("", String::as_str);
    let (path, selected) = word.split_once("::").unwrap_or((word, ""));
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem });
    if selected.is_empty() { stem.to_owned() } else { format!("{stem}-{}", selected.replace("::", "-")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(line: &str) -> String {
        slug(&name_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()))
    }

    #[test]
    fn the_test_names_the_directory() {
        assert_eq!(of("uv run pytest tests/e2e/test_example.py -s"), "test_example");
        assert_eq!(of("pytest tests/test_a.py::TestX::test_y"), "test_a-testx-test_y");
        assert_eq!(of("/usr/bin/sort -r big.txt"), "sort");
        assert_eq!(of("./a.out"), "a");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("…"), "run");
        assert_eq!(slug(""), "run");
    }

    proptest! {
        #[test]
        fn a_slug_is_one_safe_path_component(name in any::<String>()) {
            let slug = slug(&name);
            prop_assert!((1..=50).contains(&slug.len()));
            prop_assert!(slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'));
        }
    }
}

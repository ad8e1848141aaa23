//! `--app` globs: `*` and `?` stay inside one path component, `**` crosses them. A pattern without a wildcard matches
//! the file itself and everything below it.

pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    if !pattern.contains(['*', '?']) {
        return !pattern.is_empty()
            && path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    }
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    // Reachable positions of the pattern after each character of the path: linear in the product, whatever the pattern.
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    spread(&pattern, &mut at);
    for character in path {
        let mut next = vec![false; pattern.len() + 1];
        for (index, _) in at.iter().enumerate().filter(|(_, reached)| **reached) {
            match pattern.get(index) {
                Some('*') if crosses(&pattern, index) => next[index] = true,
                Some('*') if character != '/' => next[index] = true,
                Some('?') if character != '/' => next[index + 1] = true,
                Some(literal) if *literal == character && !matches!(literal, '*' | '?') => next[index + 1] = true,
                Some(_) | None => {}
            }
        }
        spread(&pattern, &mut next);
        at = next;
    }
    at[pattern.len()]
}

/// A star is one of two neighbours.
fn crosses(pattern: &[char], index: usize) -> bool {
    pattern.get(index + 1) == Some(&'*') || index > 0 && pattern[index - 1] == '*'
}

/// Stars also match nothing; `**/` as a whole as well.
fn spread(pattern: &[char], at: &mut [bool]) {
    for index in 0..pattern.len() {
        if at[index] && pattern[index] == '*' {
            at[index + 1] = true;
            if pattern.get(index + 1) == Some(&'*') && pattern.get(index + 2) == Some(&'/') {
                at[index + 3] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stay_in_a_component_and_double_stars_do_not() {
        for (pattern, path, expected) in [
            ("/srv/*.py", "/srv/a.py", true),
            ("/srv/*.py", "/srv/x/a.py", false),
            ("/srv/**/*.py", "/srv/x/y/a.py", true),
            ("/srv/**/*.py", "/srv/a.py", true),
            ("**/handlers/*.py", "/a/b/handlers/c.py", true),
            ("**/handlers/*.py", "/a/b/handlers/c.pyc", false),
            ("/srv/lib", "/srv/lib/x.py", true),
            ("/srv/lib", "/srv/library.py", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", false),
            ("", "/abc", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(150)));
    }
}

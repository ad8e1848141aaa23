//! Whether a mapped program is the user's own, which decides for which ones debug information is read. By path alone;
//! what a *function* is (own, library) is decided later, by its source file.

use crate::recording::Meta;

/// Directories that hold other people's programs, also below a project's root.
const FOREIGN: [&str; 7] =
    ["/.venv/", "/venv/", "/site-packages/", "/dist-packages/", "/node_modules/", "/.tox/", "/.cargo/registry/"];

pub fn is_project_program(meta: &Meta, path: &str) -> bool {
    if meta.app_globs.iter().any(|glob| matches(glob.as_bytes(), path.as_bytes())) {
        return true;
    }
    !FOREIGN.iter().any(|directory| path.contains(directory))
        && meta.project_roots.iter().any(|root| std::path::Path::new(path).starts_with(root))
}

/// `*` and `**` stand for any characters, `?` for one.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while position < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, position));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[position] => {
                at += 1;
                position += 1;
            }
            // Let the last star take one more.
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    at = after;
                    position = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_programs_are_below_a_root_or_match() {
        let meta =
            Meta { project_roots: vec!["/w/app".into()], app_globs: vec!["/opt/**/bin/?x".into()], ..Meta::default() };
        for (path, own) in [
            ("/w/app/target/debug/app", true),
            ("/w/app2/x", false),
            ("/w/app/.venv/bin/python", false),
            ("/w/app/node_modules/a/b.node", false),
            ("/opt/a/b/bin/ax", true),
            ("/opt/a/bin/axe", false),
            ("/usr/lib/libc.so.6", false),
        ] {
            assert_eq!(is_project_program(&meta, path), own, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_star_matches_anything(text in ".{0,40}", head in 0usize..20) {
            let head: String = text.chars().take(head).filter(|c| *c != '*' && *c != '?').collect();
            let (glob, whole) = (format!("{head}*"), format!("{head}{text}"));
            proptest::prop_assert!(matches(glob.as_bytes(), whole.as_bytes()));
        }
    }
}

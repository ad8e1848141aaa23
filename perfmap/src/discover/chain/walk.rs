//! A repository's root → the source files to read, in a fixed order.
//!
//! Links are not followed; what is ignored by git, hidden, brought in or generated is left out. Bounds are said, not silent.

use super::language::Language;
use ignore::{DirEntry, WalkBuilder};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

const MOST_FILES: usize = 40_000;
/// Larger files are generated or hold data.
const MOST_BYTES: u64 = 1 << 20;
const MOST_DEPTH: usize = 24;

/// Not written by the project's people.
const LEFT_OUT: &[&str] = &[
    "node_modules",
    "target",
    "venv",
    "env",
    "dist",
    "build",
    "vendor",
    "__pycache__",
    "site-packages",
    "bower_components",
    "third_party",
    "coverage",
    "obj",
    "migrations",
    "generated",
];
/// Left out of Rust's sources alone: other languages' tests are entry points by their path.
const RUST_LEFT_OUT: &[&str] = &["tests", "benches", "examples"];
const GENERATED_ENDS: &[&str] = &[
    ".min.js",
    ".bundle.js",
    ".d.ts",
    "_pb2.py",
    "_pb2_grpc.py",
    ".pb.go",
    ".g.cs",
    ".Designer.cs",
    "_generated.go",
    ".generated.ts",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Relative to the root, with `/`.
    pub path: String,
    pub language: Language,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub files: Vec<Found>,
    /// Go's modules: name and directory.
    pub go_modules: Vec<(String, String)>,
    /// What was left out by a bound, in words.
    pub notes: Vec<String>,
}

pub(super) fn sources(root: &Path) -> Tree {
    let mut tree = Tree::default();
    let (mut large, mut unread, mut more) = (0usize, 0usize, 0usize);
    // A root's own `.gitignore` counts, those above it do not: the root may lie in an ignored place.
    let walk = WalkBuilder::new(root)
        .parents(false)
        .require_git(false)
        .git_global(false)
        .follow_links(false)
        .max_depth(Some(MOST_DEPTH))
        // What the walker reads of its own accord: at a link it would read what that leads to, without end.
        .git_ignore(has_plain_rules(root))
        .ignore(has_plain_rules(root))
        .filter_entry(|entry| entry.depth() == 0 || !left_out(entry) && has_plain_rules(entry.path()))
        .build();
    for entry in walk {
        let Ok(entry) = entry else {
            unread += 1;
            continue;
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let Some(path) = entry.path().strip_prefix(root).ok().and_then(Path::to_str) else {
            unread += 1;
            continue;
        };
        if entry.file_name() == "go.mod" {
            tree.go_modules.extend(go_module(root, path));
            continue;
        }
        let Some(language) = language_of(path) else { continue };
        if entry.metadata().map_or(0, |data| data.len()) > MOST_BYTES {
            large += 1;
        } else if tree.files.len() >= MOST_FILES {
            more += 1;
        } else {
            tree.files.push(Found { path: path.to_owned(), language });
        }
    }
    tree.files.sort_by(|a, b| a.path.cmp(&b.path));
    tree.go_modules.sort();
    for (count, why) in [
        (large, "source files over 1 MiB are not read"),
        (more, "source files beyond the first 40000 are not read"),
        (unread, "entries could not be read"),
    ] {
        if count > 0 {
            tree.notes.push(format!("{count} {why}"));
        }
    }
    tree
}

/// The directory's files of rules are files, of a size that people write.
fn has_plain_rules(directory: &Path) -> bool {
    [".gitignore", ".ignore"].iter().all(|name| match directory.join(name).symlink_metadata() {
        Ok(rules) => rules.is_file() && rules.len() <= MOST_BYTES,
        Err(_) => true,
    })
}

fn left_out(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_str().unwrap_or_default();
    entry.file_type().is_some_and(|kind| kind.is_dir()) && LEFT_OUT.contains(&name)
}

fn language_of(path: &str) -> Option<Language> {
    let language = Language::of_extension(path.rsplit_once('.')?.1)?;
    let generated = GENERATED_ENDS.iter().any(|end| path.ends_with(end));
    let rust_test = language == Language::Rust && path.split('/').rev().skip(1).any(|dir| RUST_LEFT_OUT.contains(&dir));
    (!generated && !rust_test).then_some(language)
}

fn go_module(root: &Path, path: &str) -> Option<(String, String)> {
    let text = read(root, path)?;
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    Some((name.trim().trim_matches('"').to_owned(), dir.to_owned()))
}

/// At most [`MOST_BYTES`] of a regular file below the root; a link in its place is not followed.
pub(super) fn read(root: &Path, path: &str) -> Option<Vec<u8>> {
    let full: PathBuf = root.join(path);
    if !std::fs::symlink_metadata(&full).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    std::fs::File::open(full).ok()?.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_and_what_lies_behind_links_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.py"), "def f(): pass").unwrap();
        for path in [
            "app/a.py",
            "node_modules/x/i.js",
            ".venv/lib/b.py",
            "app/c_pb2.py",
            "src/lib.rs",
            "tests/t.rs",
            "tests/test_a.py",
            "out/skip.py",
        ] {
            let full = dir.path().join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, "x").unwrap();
        }
        std::fs::write(dir.path().join(".gitignore"), "out/\n").unwrap();
        // Read as rules, it would never end.
        std::fs::create_dir(dir.path().join("trap")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("trap/.gitignore")).unwrap();
        std::fs::write(dir.path().join("go.mod"), "module example.com/shop\n\ngo 1.22\n").unwrap();
        std::fs::write(dir.path().join("big.py"), vec![b'#'; (1 << 20) + 1]).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("linked")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.py"), dir.path().join("app/link.py")).unwrap();
        let tree = sources(dir.path());
        let paths: Vec<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["app/a.py", "src/lib.rs", "tests/test_a.py"]);
        assert_eq!(tree.go_modules, [("example.com/shop".to_owned(), String::new())]);
        assert_eq!(tree.notes, ["1 source files over 1 MiB are not read"]);
        assert_eq!(read(dir.path(), "app/link.py"), None);
    }
}
